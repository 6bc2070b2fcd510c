/* Whether a server can be reached from elsewhere; the texts themselves are in admin_test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "common/listen.h"

static const struct {
    const char *name, *text;
    bool loopback;
} addresses[] = {
    {"all addresses are more than loopback", ":0", false},
    {"all addresses of IPv4 are", "0.0.0.0:0", false},
    {"127.0.0.1 is loopback", "127.0.0.1:0", true},
    {"so is all of 127.0.0.0/8", "127.8.9.10:0", true},
};

static void tells_loopback(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        struct err err;
        int fd = listen_open(addresses[i].text, 1, &err);

        print_message("  %s\n", addresses[i].name);
        assert_true(fd >= 0);
        assert_int_equal(listen_is_loopback(fd), addresses[i].loopback);
        assert_int_not_equal(listen_port(fd), 0);
        close(fd);
    }
}

static void refuses_what_is_no_address(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(listen_open("localhost:80", 1, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_string_equal(err.message, "\"localhost:80\": \"localhost\" is not a numeric address");
    assert_int_equal(listen_check("localhost:80", &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_string_equal(err.message, "\"localhost:80\": \"localhost\" is not a numeric address");
    assert_int_equal(listen_check("[::1]:65536", &err), -1);
    assert_string_equal(err.message, "\"[::1]:65536\": port \"65536\" is not in 0..65535");
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        assert_int_equal(listen_check(addresses[i].text, &err), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_loopback),
        cmocka_unit_test(refuses_what_is_no_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
