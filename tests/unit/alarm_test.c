#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "producer/alarm.h"

#define COUNT 200

static void nothing_set_is_never_due(void **state)
{
    struct alarms alarms;
    struct alarm alarm = {0};

    (void)state;
    alarms_init(&alarms, 1);
    assert_int_equal(alarms_next_due_ns(&alarms), TIME_NEVER);
    assert_null(alarms_take_due(&alarms, INT64_MAX));
    alarm_clear(&alarms, &alarm); /* harmless */
    alarm_set(&alarms, &alarm, 5);
    alarm_set(&alarms, &alarm, 7); /* the room is for one */
    assert_null(alarms_take_due(&alarms, 6));
    assert_ptr_equal(alarms_take_due(&alarms, 7), &alarm);
    assert_int_equal(alarms_next_due_ns(&alarms), TIME_NEVER);
    alarms_free(&alarms);
}

static void there_is_room_for_more(void **state)
{
    struct alarms alarms;
    struct alarm all[9] = {0};

    (void)state;
    alarms_init(&alarms, 0);
    for (int64_t i = 0; i < 9; i++) {
        alarm_set(&alarms, &all[i], 9 - i);
    }
    for (int64_t i = 9; i-- > 0;) {
        assert_ptr_equal(alarms_take_due(&alarms, 9), &all[i]);
    }
    alarms_free(&alarms);
}

/* Set, moved and cleared in a fixed disorder, they come in the order of their times. */
static void alarms_come_in_order(void **state)
{
    struct alarms alarms;
    struct alarm all[COUNT] = {0};
    uint32_t random = 12345;
    size_t expected = 0, taken = 0;
    int64_t last_ns = 0;
    struct alarm *alarm;

    (void)state;
    alarms_init(&alarms, COUNT);
    for (int turn = 0; turn < 20 * COUNT; turn++) {
        random = random * 1664525u + 1013904223u;

        struct alarm *chosen = &all[(random >> 16) % COUNT];

        if (random % 4 == 0) {
            alarm_clear(&alarms, chosen);
        } else {
            alarm_set(&alarms, chosen, (random >> 8) % 1000);
        }
    }
    for (size_t i = 0; i < COUNT; i++) {
        expected += all[i].place != 0;
    }
    assert_true(expected > COUNT / 2);
    for (int64_t now_ns = 0; now_ns < 1000; now_ns += 10) {
        while ((alarm = alarms_take_due(&alarms, now_ns)) != NULL) {
            assert_true(alarm->due_ns >= last_ns && alarm->due_ns <= now_ns);
            last_ns = alarm->due_ns;
            taken++;
        }
        assert_true(alarms_next_due_ns(&alarms) > now_ns);
    }
    taken += alarms.count; /* due in the last moment */
    assert_int_equal(taken, expected);
    alarms_free(&alarms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_set_is_never_due),
        cmocka_unit_test(there_is_room_for_more),
        cmocka_unit_test(alarms_come_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
