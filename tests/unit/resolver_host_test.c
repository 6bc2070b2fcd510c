#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <string.h>

#include "producer/resolver_host.h"

static void assert_written_back(const char *text)
{
    struct resolver_address address;
    char out[INET6_ADDRSTRLEN];

    assert_true(resolver_address_read(text, &address));
    memset(out, 'x', sizeof(out));
    resolver_address_write(&address, out);
    assert_string_equal(out, text);
}

static void test_what_is_read_is_written(void **state)
{
    static const char *const texts[] = {
        "0.0.0.0", "255.255.255.255", "1.20.100.9",       "::",
        "::1",     "2001:db8::1",     "::ffff:192.0.2.1", "2001:db8:1111:2222:3333:4444:5555:6666",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        print_message("  %s\n", texts[i]);
        assert_written_back(texts[i]);
    }
}

static void test_each_byte_is_written_as_inet_ntop_does(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4 * 256; i++) {
        uint8_t bytes[4] = {10, 200, 0, 99};
        char text[INET6_ADDRSTRLEN];

        bytes[i / 256] = (uint8_t)(i % 256);
        assert_non_null(inet_ntop(AF_INET, bytes, text, sizeof(text)));
        assert_written_back(text);
    }
}

static void test_a_socket_takes_the_port_and_the_length_of_its_family(void **state)
{
    static const struct {
        const char *text;
        int family;
        socklen_t len;
    } rows[] = {
        {"192.0.2.1", AF_INET, sizeof(struct sockaddr_in)},
        {"2001:db8::1", AF_INET6, sizeof(struct sockaddr_in6)},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct resolver_address address, back;
        struct sockaddr_storage to;

        assert_true(resolver_address_read(rows[i].text, &address));
        assert_int_equal(resolver_address_to(&address, 4321, &to), rows[i].len);
        assert_int_equal(to.ss_family, rows[i].family);
        assert_int_equal(((struct sockaddr_in *)&to)->sin_port, htons(4321)); /* in both there */
        assert_true(resolver_address_from((struct sockaddr *)&to, &back));
        assert_memory_equal(&back, &address, sizeof(back));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_read_is_written),
        cmocka_unit_test(test_each_byte_is_written_as_inet_ntop_does),
        cmocka_unit_test(test_a_socket_takes_the_port_and_the_length_of_its_family),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
