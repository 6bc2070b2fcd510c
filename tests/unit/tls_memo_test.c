#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "producer/tls_memo.h"
#include "tests/unit/tls_key.h"

static bool knows(struct tls_memo *memo, const unsigned char *key, int64_t now_s)
{
    struct tls_times times;

    return tls_memo_knows(memo, key, now_s, &times);
}

static void add(struct tls_memo *memo, const unsigned char *key, int64_t begins_s, int64_t ends_s)
{
    tls_memo_add(memo, key, &(struct tls_times){begins_s, ends_s});
}

static void times_are_looked_at_each_time(void **state)
{
    static const struct {
        const char *name;
        int64_t now_s;
        bool known;
    } rows[] = {
        {"the second before it begins", 999, false},
        {"the second it begins", 1000, true},
        {"the last second", 1999, true},
        {"the second it ends", 2000, false},
        {"long after", INT64_MAX, false},
        {"a clock set back", 1500, true},
    };
    struct tls_memo *memo = tls_memo_new();

    (void)state;
    assert_false(knows(memo, key_of(1), 1500));
    add(memo, key_of(1), 1000, 2000);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("  %s\n", rows[i].name);
        assert_int_equal(knows(memo, key_of(1), rows[i].now_s), rows[i].known);
    }
    tls_memo_free(memo);
}

static void every_byte_of_a_key_counts(void **state)
{
    struct tls_memo *memo = tls_memo_new();
    unsigned char key[TLS_MEMO_KEY_BYTES];

    (void)state;
    memcpy(key, key_of(7), sizeof(key));
    add(memo, key, 0, 10);
    for (size_t i = 0; i < sizeof(key); i++) {
        key[i] ^= 1;
        assert_false(knows(memo, key, 5));
        key[i] ^= 1;
    }
    assert_true(knows(memo, key, 5));
    tls_memo_free(memo);
}

static void one_added_again_has_its_new_times(void **state)
{
    struct tls_memo *memo = tls_memo_new();

    (void)state;
    add(memo, key_of(1), 0, 10);
    add(memo, key_of(1), 0, 20);
    assert_true(knows(memo, key_of(1), 15));
    tls_memo_free(memo);
}

static void when_full_the_one_not_used_for_longest_goes(void **state)
{
    struct tls_memo *memo = tls_memo_new();
    size_t known = 0;

    (void)state;
    for (uint32_t i = 0; i < TLS_MEMO_CHAINS_MAX; i++) {
        add(memo, key_of(i), 0, 10);
    }
    for (uint32_t i = 0; i < TLS_MEMO_CHAINS_MAX; i++) {
        known += knows(memo, key_of(i), 5) ? 1 : 0;
    }
    assert_int_equal(known, TLS_MEMO_CHAINS_MAX); /* these keys fill every place */

    /* Key 0 shares its place with others; it was used first, then again. */
    assert_true(knows(memo, key_of(0), 5));
    add(memo, key_of(TLS_MEMO_CHAINS_MAX), 0, 10);
    assert_true(knows(memo, key_of(0), 5));
    assert_true(knows(memo, key_of(TLS_MEMO_CHAINS_MAX), 5));
    known = 0;
    for (uint32_t i = 0; i <= TLS_MEMO_CHAINS_MAX; i++) {
        known += knows(memo, key_of(i), 5) ? 1 : 0;
    }
    assert_int_equal(known, TLS_MEMO_CHAINS_MAX);
    tls_memo_free(memo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_looked_at_each_time),
        cmocka_unit_test(every_byte_of_a_key_counts),
        cmocka_unit_test(one_added_again_has_its_new_times),
        cmocka_unit_test(when_full_the_one_not_used_for_longest_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
