#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/proxy.h"

static void what_is_no_proxy_is_refused(void **state)
{
    static const struct {
        const char *name, *text, *message;
    } rows[] = {
        {"nothing", "", "must begin with"},
        {"a host alone", "proxy.test", "must begin with"},
        {"a host and a port", "proxy.test:3128", "must begin with"},
        {"another scheme", "socks4://proxy.test:1080", "must begin with"},
        {"a scheme that only begins alike", "httpx://proxy.test:1", "must begin with"},
        {"one slash", "http:/proxy.test:1", "must begin with"},
        {"no host", "http://:3128", "has no host"},
        {"only a user", "http://u:hunter2@:3128", "has no host"},
        {"no port", "http://proxy.test", "has no port"},
        {"no port after a user", "http://u:hunter2@proxy.test/", "has no port"},
        {"no port after an IPv6 address", "http://[::1]", "has no port"},
        {"port 0", "http://proxy.test:0", "port 0"},
        {"a port over 65535", "http://proxy.test:65536", ""},
        {"a path", "http://proxy.test:1/pac", "has a path"},
        {"a query", "http://proxy.test:1?x", "has a path"},
        {"a fragment", "http://proxy.test:1/#x", "has a path"},
        {"two @", "http://u:hunter2@x@proxy.test:1", "two @"},
        {"a space", "http://proxy test:1", "space"},
        {"a host that is not ASCII", "http://pr\xc3\xb6xy.test:1", "not ASCII"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct proxy proxy = {.port = 7};
        struct err err;

        print_message("  %s\n", rows[i].name);
        assert_int_equal(proxy_parse(rows[i].text, &proxy, &err), -1);
        assert_int_equal(err.kind, ERR_INVALID);
        assert_non_null(strstr(err.message, rows[i].message));
        assert_null(strstr(err.message, "hunter2"));
        assert_int_equal(proxy.port, 7);
    }
}

static void proxies_are_taken_apart(void **state)
{
    static const struct {
        const char *name, *text;
        enum proxy_kind kind;
        const char *host, *user, *password;
        uint16_t port;
    } rows[] = {
        {"http", "http://proxy.test:3128", PROXY_HTTP, "proxy.test", NULL, NULL, 3128},
        {"the default port of http", "http://proxy.test:80", PROXY_HTTP, "proxy.test", NULL, NULL,
         80},
        {"https in capitals, with a slash", "HTTPS://proxy.test:443/", PROXY_HTTPS, "proxy.test",
         NULL, NULL, 443},
        {"socks5 with an IPv4 address", "socks5://192.0.2.1:1080", PROXY_SOCKS5, "192.0.2.1", NULL,
         NULL, 1080},
        {"socks5h with an IPv6 address", "socks5h://u:@[2001:db8::1]:1080", PROXY_SOCKS5H,
         "2001:db8::1", "u", "", 1080},
        {"a user and a password, decoded", "http://a%40b:c%3ad@proxy.test:1", PROXY_HTTP,
         "proxy.test", "a@b", "c:d", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct proxy proxy;
        struct err err;

        print_message("  %s\n", rows[i].name);
        assert_int_equal(proxy_parse(rows[i].text, &proxy, &err), 0);
        assert_int_equal(proxy.kind, rows[i].kind);
        assert_int_equal(proxy.port, rows[i].port);
        assert_string_equal(proxy.host, rows[i].host);
        assert_int_equal(proxy.user != NULL, rows[i].user != NULL);
        assert_int_equal(proxy.password != NULL, rows[i].password != NULL);
        if (rows[i].user != NULL) {
            assert_string_equal(proxy.user, rows[i].user);
        }
        if (rows[i].password != NULL) {
            assert_string_equal(proxy.password, rows[i].password);
        }
        proxy_free(&proxy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_proxy_is_refused),
        cmocka_unit_test(proxies_are_taken_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
