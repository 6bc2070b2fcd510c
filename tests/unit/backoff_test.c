/* Waits double to a ceiling, and no two clients wait the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/backoff.h"

static void test_doubles_to_the_ceiling(void **state)
{
    static const int64_t steps[] = {100, 200, 400, 800, 1000, 1000};
    struct backoff b;

    (void)state;
    for (int round = 0; round < 50; round++) {
        backoff_init(&b, 100, 1000);
        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
            int64_t wait = backoff_next_ms(&b);

            assert_true(wait >= steps[i] / 2 && wait <= steps[i]);
        }
        backoff_reset(&b);
        assert_true(backoff_next_ms(&b) <= 100);
    }
}

static void test_jitter_spreads(void **state)
{
    int64_t seen[2] = {0, 0};

    (void)state;
    for (int round = 0; round < 200; round++) {
        struct backoff b;

        backoff_init(&b, 1000, 1000);
        seen[backoff_next_ms(&b) > 750 ? 1 : 0]++;
    }
    assert_true(seen[0] > 50 && seen[1] > 50);
}

/* As are those of containers, whose process ids are all the same. */
static void test_two_that_begin_alike_do_not_wait_alike(void **state)
{
    struct backoff one;
    struct backoff other;
    int alike = 0;

    (void)state;
    backoff_init(&one, 60000, 60000);
    backoff_init(&other, 60000, 60000);
    for (int i = 0; i < 20; i++) {
        alike += backoff_next_ms(&one) == backoff_next_ms(&other);
    }
    assert_true(alike < 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubles_to_the_ceiling),
        cmocka_unit_test(test_jitter_spreads),
        cmocka_unit_test(test_two_that_begin_alike_do_not_wait_alike),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
