#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/timestamp.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
#define REFUSED INT64_C(-1)

static const struct {
    const char *name;
    const char *text;
    int64_t unix_us;
} parsed[] = {
    {"nothing", "", REFUSED},
    {"a date alone", "2026-11-21", REFUSED},
    {"a space for the T", "2026-11-21 08:00:05Z", REFUSED},
    {"no zone", "2026-11-21T08:00:05", REFUSED},
    {"no seconds", "2026-11-21T08:00Z", REFUSED},
    {"something after it", "2026-11-21T08:00:05Zx", REFUSED},
    {"something before it", " 2026-11-21T08:00:05Z", REFUSED},
    {"a sign in a number", "2026-+1-21T08:00:05Z", REFUSED},
    {"a letter in a number", "2026-1a-21T08:00:05Z", REFUSED},
    {"a year before 1970", "1969-12-31T23:59:59Z", REFUSED},
    {"a year of five digits", "10000-01-01T00:00:00Z", REFUSED},
    {"a time that its offset puts before 1970", "1970-01-01T00:00:00+00:01", REFUSED},
    {"a time that its offset puts after 9999", "9999-12-31T23:59:59-00:01", REFUSED},
    {"month 0", "2026-00-21T08:00:05Z", REFUSED},
    {"month 13", "2026-13-21T08:00:05Z", REFUSED},
    {"day 0", "2026-11-00T08:00:05Z", REFUSED},
    {"31 November", "2026-11-31T08:00:05Z", REFUSED},
    {"32 December", "2026-12-32T08:00:05Z", REFUSED},
    {"29 February in no leap year", "2026-02-29T08:00:05Z", REFUSED},
    {"29 February 2100", "2100-02-29T08:00:05Z", REFUSED},
    {"hour 24", "2026-11-21T24:00:00Z", REFUSED},
    {"minute 60", "2026-11-21T08:60:00Z", REFUSED},
    {"second 61", "2026-12-31T23:59:61Z", REFUSED},
    {"a leap second at noon", "2026-12-31T12:00:60Z", REFUSED},
    {"a dot without digits", "2026-11-21T08:00:05.Z", REFUSED},
    {"a comma for the dot", "2026-11-21T08:00:05,001Z", REFUSED},
    {"ten digits of a second", "2026-11-21T08:00:05.0000000001Z", REFUSED},
    {"an offset without minutes", "2026-11-21T08:00:05+02", REFUSED},
    {"an offset without a colon", "2026-11-21T08:00:05+0200", REFUSED},
    {"an offset of 24 hours", "2026-11-21T08:00:05+24:00", REFUSED},
    {"an offset of 60 minutes", "2026-11-21T08:00:05+01:60", REFUSED},
    {"an offset cut short", "2026-11-21T08:00:05+01:0", REFUSED},
    {"the epoch", "1970-01-01T00:00:00Z", 0},
    {"the epoch, seen from the west", "1970-01-01T00:00:00-00:01", 60000000},
    {"the last microsecond of all", "9999-12-31T23:59:59.999999Z", INT64_C(253402300799999999)},
    {"whole seconds", "2026-11-21T08:00:05Z", INT64_C(1795248005000000)},
    {"milliseconds", "2026-11-21T08:00:05.001Z", INT64_C(1795248005001000)},
    {"one digit of a second", "2026-11-21T08:00:05.5Z", INT64_C(1795248005500000)},
    {"below a microsecond it is dropped", "2026-11-21T08:00:05.123456999Z",
     INT64_C(1795248005123456)},
    {"letters in lower case", "2026-11-21t08:00:05z", INT64_C(1795248005000000)},
    {"an offset to the east", "2026-11-21T10:30:05+02:30", INT64_C(1795248005000000)},
    {"an offset to the west, over midnight", "2026-11-20T20:00:05-12:00",
     INT64_C(1795248005000000)},
    {"an offset of minus 0", "2026-11-21T08:00:05-00:00", INT64_C(1795248005000000)},
    {"29 February 2000", "2000-02-29T12:34:56Z", INT64_C(951827696000000)},
    {"the last of February 2100", "2100-02-28T23:59:59Z", INT64_C(4107542399000000)},
    {"the first of March 2100", "2100-03-01T00:00:00Z", INT64_C(4107542400000000)},
    {"a leap second is the second before it", "2016-12-31T23:59:60Z", INT64_C(1483228799000000)},
    {"a leap second elsewhere", "2017-01-01T01:59:60.25+02:00", INT64_C(1483228799250000)},
};

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(parsed); i++) {
        size_t len = strlen(parsed[i].text);
        char *exact = malloc(len + 1);
        int64_t unix_us = 77;
        struct err err;

        print_message("  %s\n", parsed[i].name);
        assert_non_null(exact);
        memcpy(exact, parsed[i].text, len);
        exact[len] = '5';

        int outcome = timestamp_parse_us(exact, len, &unix_us, &err);

        if (parsed[i].unix_us == REFUSED) {
            assert_int_equal(outcome, -1);
            assert_int_equal(err.kind, ERR_INVALID);
            assert_string_equal(err.message, "not a time like 2026-11-21T08:00:05.001Z (RFC 3339, "
                                             "years 1970 to 9999)");
            assert_int_equal(unix_us, 77);
        } else {
            assert_int_equal(outcome, 0);
            assert_int_equal(unix_us, parsed[i].unix_us);
        }
        free(exact);
    }
}

/* Every beginning of a time is refused, and no byte after it is looked at. */
static void test_prefixes(void **state)
{
    static const char text[] = "2026-11-21T08:00:05.001+02:00";

    (void)state;
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        int64_t unix_us;
        struct err err;

        assert_int_equal(timestamp_parse_us(text, len, &unix_us, &err), -1);
    }
}

static const struct {
    const char *name;
    int64_t unix_ms;
    const char *ms;
    const char *s;
} formatted[] = {
    {"before the epoch", INT64_MIN, "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00Z"},
    {"just before the epoch", -1, "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00Z"},
    {"the epoch", 0, "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00Z"},
    {"an ordinary time", INT64_C(1795248005001), "2026-11-21T08:00:05.001Z",
     "2026-11-21T08:00:05Z"},
    {"29 February", INT64_C(951827696999), "2000-02-29T12:34:56.999Z", "2000-02-29T12:34:56Z"},
    {"the end of a leap year", INT64_C(1735689599000), "2024-12-31T23:59:59.000Z",
     "2024-12-31T23:59:59Z"},
    {"the last millisecond of all", INT64_C(253402300799999), "9999-12-31T23:59:59.999Z",
     "9999-12-31T23:59:59Z"},
    {"after the last", INT64_C(253402300800000), "9999-12-31T23:59:59.999Z",
     "9999-12-31T23:59:59Z"},
    {"long after the last", INT64_MAX, "9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59Z"},
};

static void test_format(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(formatted); i++) {
        char text[TIMESTAMP_SIZE];

        print_message("  %s\n", formatted[i].name);
        timestamp_format_ms(formatted[i].unix_ms, text);
        assert_string_equal(text, formatted[i].ms);
        timestamp_format_s(formatted[i].unix_ms / 1000, text);
        assert_string_equal(text, formatted[i].s);
    }
}

/* A day of every week of 8,030 years, so that every month's ends come up. */
static void test_round_trip(void **state)
{
    (void)state;
    for (int64_t day = 0; day < 2932897; day += 7) {
        int64_t unix_ms = day * 86400000 + day % 86400000;
        char text[TIMESTAMP_SIZE];
        int64_t unix_us;
        struct err err;

        timestamp_format_ms(unix_ms, text);
        assert_int_equal(timestamp_parse_us(text, strlen(text), &unix_us, &err), 0);
        assert_int_equal(unix_us, unix_ms * 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
