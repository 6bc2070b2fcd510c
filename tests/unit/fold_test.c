/* The fold of checks into a state and incidents. A check a character, a slot a second. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consumer/fold.h"

#define CHECKS_MAX 64
#define ROUNDS 2000

static size_t read_checks(const char *text, struct fold_check *checks)
{
    size_t count = 0;

    for (; text[count] != '\0'; count++) {
        char c = text[count];

        checks[count] = (struct fold_check){
            .slot_us = (int64_t)count,
            .status = c == 'u'   ? CHECK_UP
                      : c == 'D' ? CHECK_DEGRADED
                      : c == 'd' ? CHECK_DOWN
                                 : CHECK_UNKNOWN,
            .error_type = c == 'd' ? "status" : NULL,
        };
    }
    return count;
}

static void slot_text(char *text, size_t size, int64_t slot)
{
    if (slot == FOLD_NEVER) {
        snprintf(text, size, "-");
    } else {
        snprintf(text, size, "%d", (int)slot);
    }
}

/* "status since last failures incident", then " [opened closed checks]" for each incident. */
static void tell(char *text, size_t size, const struct fold_state *state,
                 const struct fold_incidents *incidents)
{
    char a[24], b[24], c[24];
    size_t len;

    slot_text(a, sizeof(a), state->since_us);
    slot_text(b, sizeof(b), state->last_slot_us);
    slot_text(c, sizeof(c), state->incident_us);
    snprintf(text, size, "%s %s %s %d %s", check_status_name(state->status), a, b,
             (int)state->failures, c);
    for (size_t i = 0; i < incidents->count; i++) {
        const struct fold_incident *incident = &incidents->items[i];

        len = strlen(text);
        slot_text(a, sizeof(a), incident->opened_us);
        slot_text(b, sizeof(b), incident->closed_us);
        snprintf(text + len, size - len, " [%s %s %d]", a, b, (int)incident->checks);
    }
}

struct row {
    const char *name, *checks;
    int32_t failures_max;
    const char *expected;
};

static const struct row rows[] = {
    {"no check says nothing", "", 1, "unknown - - 0 -"},
    {"unknown alone opens nothing", "???", 1, "unknown 0 2 0 -"},
    {"a success has no incident", "u", 1, "up 0 0 0 -"},
    {"the first failure opens one", "d", 1, "down 0 0 1 0 [0 - 1]"},
    {"failures are counted on", "uddd", 1, "down 1 3 3 1 [1 - 3]"},
    {"a success closes it", "uddu", 1, "up 3 3 0 - [1 3 2]"},
    {"degraded closes it too", "udD", 1, "degraded 2 2 0 - [1 2 1]"},
    {"unknown does not close it", "ud?", 1, "unknown 2 2 1 1 [1 - 1]"},
    {"unknown does not end a row of failures", "d?d", 2, "down 2 2 2 2 [2 - 2]"},
    {"a row too short opens nothing", "dduddu", 3, "up 5 5 0 -"},
    {"a row just long enough does", "ddd", 3, "down 0 2 3 2 [2 - 3]"},
    {"each row is an incident of its own", "dudu", 1, "up 3 3 0 - [0 1 1] [2 3 1]"},
    {"since is the first of that status", "uuDuu", 1, "up 3 4 0 -"},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fold_check checks[CHECKS_MAX];
        struct fold_incidents incidents = {0};
        struct fold_state folded;
        char text[512];

        print_message("  %s\n", rows[i].name);
        fold_state_init(&folded);
        fold_checks(&folded, checks, read_checks(rows[i].checks, checks), rows[i].failures_max,
                    &incidents);
        tell(text, sizeof(text), &folded, &incidents);
        assert_string_equal(text, rows[i].expected);
        fold_incidents_free(&incidents);
    }
}

static void test_cause_is_that_of_the_failure_that_opened_it(void **state)
{
    const struct fold_check checks[] = {
        {0, CHECK_DOWN, "timeout", "first"},
        {1, CHECK_DOWN, "status", "second"},
        {2, CHECK_DOWN, "pattern", "third"},
    };
    struct fold_incidents incidents = {0};
    struct fold_state folded;

    (void)state;
    fold_state_init(&folded);
    fold_checks(&folded, checks, 3, 2, &incidents);
    assert_int_equal(incidents.count, 1);
    assert_true(incidents.items[0].is_new);
    assert_string_equal(incidents.items[0].error_type, "status");
    assert_string_equal(incidents.items[0].error_message, "second");
    fold_incidents_free(&incidents);
}

/* What is said anew of an incident replaces what was said of it before. */
static void merge(struct fold_incidents *all, const struct fold_incidents *part)
{
    for (size_t i = 0; i < part->count; i++) {
        const struct fold_incident *said = &part->items[i];

        if (said->is_new) {
            all->items[all->count++] = *said;
        } else {
            struct fold_incident *known = &all->items[all->count - 1];

            assert_true(all->count > 0 && known->opened_us == said->opened_us);
            known->closed_us = said->closed_us;
            known->checks = said->checks;
        }
    }
}

static void test_in_parts_as_in_one(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct fold_incident items[CHECKS_MAX];
        struct fold_incidents whole = {0}, parts = {.items = items};
        struct fold_state one, many;
        struct fold_check checks[CHECKS_MAX];
        char text[CHECKS_MAX], wanted[2048], got[2048];
        unsigned seed = round;
        size_t count = (size_t)rand_r(&seed) % (CHECKS_MAX - 1);
        int32_t failures_max = 1 + rand_r(&seed) / 7 % 4;

        for (size_t i = 0; i < count; i++) {
            text[i] = "uDddd?"[rand_r(&seed) / 7 % 6];
        }
        text[count] = '\0';
        read_checks(text, checks);
        fold_state_init(&one);
        fold_state_init(&many);
        fold_checks(&one, checks, count, failures_max, &whole);
        for (size_t at = 0; at < count;) {
            struct fold_incidents part = {0};
            size_t size = 1 + (size_t)rand_r(&seed) / 7 % (count - at);

            fold_checks(&many, checks + at, size, failures_max, &part);
            merge(&parts, &part);
            fold_incidents_free(&part);
            at += size;
        }
        tell(wanted, sizeof(wanted), &one, &whole);
        tell(got, sizeof(got), &many, &parts);
        assert_string_equal(got, wanted);
        fold_incidents_free(&whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_cause_is_that_of_the_failure_that_opened_it),
        cmocka_unit_test(test_in_parts_as_in_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
