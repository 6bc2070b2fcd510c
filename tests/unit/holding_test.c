/* What is taken of the messages that come, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "consumer/holding.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))

/* Partition "a" 0 is claimed at offset 10, "a" 1 is held and not claimed. */
static const struct {
    const char *name;
    const char *topic;
    int32_t partition;
    int64_t offset;
    bool taken;
} cases[] = {
    {"a message of a topic we do not hold is not taken", "b", 0, 10, false},
    {"a message of a partition we do not hold is not taken", "a", 2, 10, false},
    {"a message of a partition not claimed yet is not taken", "a", 1, 10, false},
    {"a message before the claimed offset is not taken", "a", 0, 9, false},
    {"the message at the claimed offset is taken", "a", 0, 10, true},
    {"a message after a gap is taken: gaps in offsets are normal", "a", 0, 1000, true},
};

static void make(struct holding *h)
{
    struct held *held;

    holding_init(h);
    holding_add(h, "a", 0);
    holding_add(h, "a", 1);
    held = holding_find(h, "a", 0);
    assert_non_null(held);
    held->claimed = true;
    held->next = 10;
}

static void test_take(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct holding h;
        struct held *held = NULL;

        print_message("  %s\n", cases[i].name);
        make(&h);
        assert_int_equal(
            holding_take(&h, cases[i].topic, cases[i].partition, cases[i].offset, &held),
            cases[i].taken);
        assert_int_equal(held != NULL, cases[i].taken);
        holding_free(&h);
    }
}

static void test_life_of_a_partition(void **state)
{
    struct holding h;

    (void)state;
    make(&h);
    assert_int_equal(holding_unclaimed(&h), 1);
    holding_add(&h, "a", 0); /* given again: its claim is forgotten, it is not held twice */
    assert_int_equal(h.count, 2);
    assert_int_equal(holding_unclaimed(&h), 2);
    holding_remove(&h, "a", 0);
    assert_null(holding_find(&h, "a", 0));
    assert_non_null(holding_find(&h, "a", 1));
    holding_remove(&h, "a", 0); /* not held: nothing happens */
    assert_int_equal(h.count, 1);
    holding_remove(&h, "a", 1);
    assert_null(holding_find(&h, "a", 1));
    holding_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take),
        cmocka_unit_test(test_life_of_a_partition),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
