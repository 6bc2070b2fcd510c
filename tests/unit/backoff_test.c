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
    for (uint64_t seed = 0; seed < 50; seed++) {
        backoff_init(&b, 100, 1000, seed);
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
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct backoff b;

        backoff_init(&b, 1000, 1000, seed * UINT64_C(0x9E3779B97F4A7C15));
        seen[backoff_next_ms(&b) > 750 ? 1 : 0]++;
    }
    assert_true(seen[0] > 50 && seen[1] > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubles_to_the_ceiling),
        cmocka_unit_test(test_jitter_spreads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
