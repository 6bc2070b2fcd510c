#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "producer/resolver_order.h"
#include "tests/unit/address_texts.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
/* No socket is connected to the first without SO_BROADCAST, to the second without a zone. */
#define NO_ROUTE_4 "255.255.255.255"
#define NO_ROUTE_6 "fe80::1"

static struct resolver_addresses read_list(const char *text)
{
    struct resolver_addresses list = {0};
    char copy[256];
    char *rest;

    snprintf(copy, sizeof(copy), "%s", text);
    for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        assert_true(resolver_address_read(word, &list.list[list.count++]));
    }
    return list;
}

static const char *ordered(const char *text)
{
    struct resolver_addresses list = read_list(text);

    resolver_order(&list);
    return address_texts(&list);
}

/* This machine's loopback may have no IPv6. */
static bool has_ipv6(void)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;

    if (fd >= 0) {
        close(fd);
    }
    return has;
}

static const struct {
    const char *name;
    const char *list;
    const char *ordered;
} cases[] = {
    {"nothing", "", ""},
    {"one", "192.0.2.1", "192.0.2.1"},
    {"one family stays as it was sent", "192.0.2.2 192.0.2.1 192.0.2.3",
     "192.0.2.2 192.0.2.1 192.0.2.3"},
    {"the other one too", "2001:db8::2 2001:db8::1", "2001:db8::2 2001:db8::1"},
    {"IPv6 without a route comes last", NO_ROUTE_6 " 127.0.0.2 2001:db8::1 127.0.0.1",
     "127.0.0.2 127.0.0.1 " NO_ROUTE_6 " 2001:db8::1"},
    {"without a route for either, IPv6 is first", NO_ROUTE_4 " " NO_ROUTE_6,
     NO_ROUTE_6 " " NO_ROUTE_4},
    {"IPv4 without a route comes last", NO_ROUTE_4 " ::1", "::1 " NO_ROUTE_4},
};

static void addresses_are_put_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        print_message("  %s\n", cases[i].name);
        assert_string_equal(ordered(cases[i].list), cases[i].ordered);
    }
}

static void with_routes_for_both_ipv6_is_first(void **state)
{
    (void)state;
    assert_string_equal(ordered("127.0.0.1 ::1"), has_ipv6() ? "::1 127.0.0.1" : "127.0.0.1 ::1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_put_in_order),
        cmocka_unit_test(with_routes_for_both_ipv6_is_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
