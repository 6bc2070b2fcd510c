/* How often an address may ask, with a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>

#include "api/limiter.h"
#include "common/clock.h"

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage out = {0};
    struct sockaddr_in *four = (struct sockaddr_in *)&out;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&out;

    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        out.ss_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &six->sin6_addr), 1);
        out.ss_family = AF_INET6;
    }
    return out;
}

static bool take(struct limiter *l, const char *text, int64_t now_ns, int64_t *wait_s)
{
    struct sockaddr_storage from = address(text);

    return limiter_take(l, (const struct sockaddr *)&from, now_ns, wait_s);
}

static void gives_a_burst_and_then_a_rate(void **state)
{
    struct limiter *l = limiter_new(10, 20);
    int64_t now_ns = 5 * NS_PER_SEC, wait_s = 0;

    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_true(take(l, "192.0.2.1", now_ns, &wait_s));
    }
    assert_false(take(l, "192.0.2.1", now_ns, &wait_s));
    assert_int_equal(wait_s, 1);
    assert_false(take(l, "192.0.2.1", now_ns + NS_PER_SEC / 10 - 1, &wait_s));
    assert_true(take(l, "192.0.2.1", now_ns + NS_PER_SEC / 10, &wait_s));
    assert_false(take(l, "192.0.2.1", now_ns + NS_PER_SEC / 10, &wait_s));

    now_ns += 100 * NS_PER_SEC; /* the burst is whole again, and no more than that */
    for (int i = 0; i < 20; i++) {
        assert_true(take(l, "192.0.2.1", now_ns, &wait_s));
    }
    assert_false(take(l, "192.0.2.1", now_ns, &wait_s));
    limiter_free(l);
}

static void keeps_addresses_apart(void **state)
{
    static const struct {
        const char *name, *first, *second;
        bool same;
    } rows[] = {
        {"two of IPv4 are two", "192.0.2.1", "192.0.2.2", false},
        {"a /64 of IPv6 is one", "2001:db8::1", "2001:db8::ffff:2", true},
        {"two /64 are two", "2001:db8::1", "2001:db8:0:1::1", false},
        {"IPv4 is itself in IPv6 clothes", "192.0.2.1", "::ffff:192.0.2.1", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct limiter *l = limiter_new(1, 1);
        int64_t wait_s;

        print_message("  %s\n", rows[i].name);
        assert_true(take(l, rows[i].first, NS_PER_SEC, &wait_s));
        assert_int_equal(take(l, rows[i].second, NS_PER_SEC, &wait_s), !rows[i].same);
        limiter_free(l);
    }
}

static void has_a_ceiling_and_forgets_the_oldest(void **state)
{
    struct limiter *l = limiter_new(1, 1);
    struct sockaddr_in from = {.sin_family = AF_INET};
    int64_t wait_s;

    (void)state;
    for (uint32_t i = 0; i <= LIMITER_ADDRESSES_MAX; i++) {
        from.sin_addr.s_addr = htonl(0x0a000000U + i);
        assert_true(limiter_take(l, (const struct sockaddr *)&from, NS_PER_SEC, &wait_s));
    }
    assert_false(take(l, "10.0.0.1", NS_PER_SEC, &wait_s)); /* the second one is remembered */
    assert_true(take(l, "10.0.0.0", NS_PER_SEC, &wait_s));  /* the first one made room */
    limiter_free(l);
    limiter_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_a_burst_and_then_a_rate),
        cmocka_unit_test(keeps_addresses_apart),
        cmocka_unit_test(has_a_ceiling_and_forgets_the_oldest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
