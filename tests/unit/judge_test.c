#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "producer/judge.h"

#define NOW_S INT64_C(1800000000)
#define DAY_S INT64_C(86400)
#define MS INT64_C(1000) /* in us */

/* A pattern that needs more steps than it may take on RUNAWAY_BODY. */
#define RUNAWAY "(a+)+(a+)+(a+)+$"
#define RUNAWAY_BODY                                                                               \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"

struct given {
    enum error_type error;
    const char *message;
    int32_t http_status;
    const char *body; /* NULL: none */
    int64_t total_us;
    int64_t left_s; /* of the certificate; 0: none was shown */
    const char *present, *absent;
    int32_t slow_ms, cert_days;
};

static const struct {
    const char *name;
    struct given given;
    enum check_status status;
    enum error_type error;
    const char *message;
    const char *answers; /* NULL: none */
    bool searched, matched;
} rows[] = {
    /* A failed transfer decides before all else. */
    {"a failed transfer is told as it was",
     {.error = ERROR_CONNECT_REFUSED,
      .message = "refused",
      .present = "x",
      .slow_ms = 1,
      .total_us = 9000},
     CHECK_DOWN,
     ERROR_CONNECT_REFUSED,
     "refused",
     NULL,
     false,
     false},
    {"a failed transfer without words",
     {.error = ERROR_TIMEOUT},
     CHECK_DOWN,
     ERROR_TIMEOUT,
     "",
     NULL,
     false,
     false},
    {"trouble of our own is unknown, not down",
     {.error = ERROR_LOCAL_RESOURCES, .message = "too many files"},
     CHECK_UNKNOWN,
     ERROR_LOCAL_RESOURCES,
     "too many files",
     NULL,
     false,
     false},
    /* The status */
    {"a status out of the set is down",
     {.http_status = 500, .body = ""},
     CHECK_DOWN,
     ERROR_STATUS,
     "status 500 is not in 200-299,301",
     NULL,
     false,
     false},
    {"a status one past the range is down",
     {.http_status = 300, .body = ""},
     CHECK_DOWN,
     ERROR_STATUS,
     "status 300 is not in 200-299,301",
     NULL,
     false,
     false},
    {"the status decides, and the answers are kept",
     {.http_status = 500, .body = "v12", .present = "v(\\d+)"},
     CHECK_DOWN,
     ERROR_STATUS,
     "status 500 is not in 200-299,301",
     "[[\"v12\",\"12\"]]",
     true,
     true},
    {"the status decides over an absent pattern",
     {.http_status = 500, .body = "x", .present = "v(\\d+)"},
     CHECK_DOWN,
     ERROR_STATUS,
     "status 500 is not in 200-299,301",
     NULL,
     true,
     false},
    {"the status decides over what slowness and dates would say",
     {.http_status = 500, .body = "", .slow_ms = 1, .total_us = 5000, .cert_days = 9, .left_s = 1},
     CHECK_DOWN,
     ERROR_STATUS,
     "status 500 is not in 200-299,301",
     NULL,
     false,
     false},
    /* Patterns */
    {"a pattern that is not there",
     {.http_status = 200, .body = "hello", .present = "bye"},
     CHECK_DOWN,
     ERROR_PATTERN,
     "the pattern was not found in the body of 5 bytes",
     NULL,
     true,
     false},
    {"a pattern without a body",
     {.http_status = 200, .present = "bye"},
     CHECK_DOWN,
     ERROR_PATTERN,
     "the pattern was not found in the body of 0 bytes",
     NULL,
     true,
     false},
    {"a pattern that runs away",
     {.http_status = 200, .body = RUNAWAY_BODY, .present = RUNAWAY},
     CHECK_DOWN,
     ERROR_PATTERN_LIMIT,
     "the pattern took too many steps on this body",
     NULL,
     false,
     false},
    {"a pattern that must not be there",
     {.http_status = 200, .body = "an error", .present = "an", .absent = "err"},
     CHECK_DOWN,
     ERROR_PATTERN,
     "pattern_absent was found in the body",
     "[[\"an\"]]",
     true,
     true},
    {"a pattern that must not be there runs away",
     {.http_status = 200, .body = RUNAWAY_BODY, .absent = RUNAWAY},
     CHECK_DOWN,
     ERROR_PATTERN_LIMIT,
     "pattern_absent took too many steps on this body",
     NULL,
     false,
     false},
    {"the missing pattern is told before the forbidden one",
     {.http_status = 200, .body = "err", .present = "ok", .absent = "err"},
     CHECK_DOWN,
     ERROR_PATTERN,
     "the pattern was not found in the body of 3 bytes",
     NULL,
     true,
     false},
    {"both patterns as they should be",
     {.http_status = 200, .body = "ok", .present = "o(k)", .absent = "err"},
     CHECK_UP,
     ERROR_NONE,
     "",
     "[[\"ok\",\"k\"]]",
     true,
     true},
    /* Slowness */
    {"slower than it may be",
     {.http_status = 200, .slow_ms = 500, .total_us = 812 * MS},
     CHECK_DEGRADED,
     ERROR_NONE,
     "took 812 ms, slower than 500 ms",
     NULL,
     false,
     false},
    {"exactly as slow as it may be",
     {.http_status = 200, .slow_ms = 500, .total_us = 500 * MS},
     CHECK_UP,
     ERROR_NONE,
     "",
     NULL,
     false,
     false},
    {"slow where nobody asked",
     {.http_status = 200, .total_us = 50000 * MS},
     CHECK_UP,
     ERROR_NONE,
     "",
     NULL,
     false,
     false},
    /* Dates */
    {"a certificate that ended, not verified",
     {.http_status = 200, .cert_days = 1, .left_s = -2 * DAY_S - 5},
     CHECK_DEGRADED,
     ERROR_NONE,
     "certificate ended 2 days ago",
     NULL,
     false,
     false},
    {"a certificate that ended a day ago",
     {.http_status = 200, .cert_days = 1, .left_s = -DAY_S},
     CHECK_DEGRADED,
     ERROR_NONE,
     "certificate ended 1 day ago",
     NULL,
     false,
     false},
    {"a certificate in its last day",
     {.http_status = 200, .cert_days = 30, .left_s = 5},
     CHECK_DEGRADED,
     ERROR_NONE,
     "certificate ends within a day",
     NULL,
     false,
     false},
    {"a certificate in its last days",
     {.http_status = 200, .cert_days = 30, .left_s = 3 * DAY_S + 60},
     CHECK_DEGRADED,
     ERROR_NONE,
     "certificate ends in 3 days",
     NULL,
     false,
     false},
    {"one second less than the days asked for",
     {.http_status = 200, .cert_days = 30, .left_s = 30 * DAY_S - 1},
     CHECK_DEGRADED,
     ERROR_NONE,
     "certificate ends in 29 days",
     NULL,
     false,
     false},
    {"exactly the days asked for",
     {.http_status = 200, .cert_days = 30, .left_s = 30 * DAY_S},
     CHECK_UP,
     ERROR_NONE,
     "",
     NULL,
     false,
     false},
    {"no certificate was shown",
     {.http_status = 200, .cert_days = 30},
     CHECK_UP,
     ERROR_NONE,
     "",
     NULL,
     false,
     false},
    {"a date that nobody asked for",
     {.http_status = 200, .left_s = 5},
     CHECK_UP,
     ERROR_NONE,
     "",
     NULL,
     false,
     false},
    {"slow, and a certificate that ends: the first one is told",
     {.http_status = 200, .slow_ms = 1, .total_us = 2 * MS, .cert_days = 30, .left_s = 5},
     CHECK_DEGRADED,
     ERROR_NONE,
     "took 2 ms, slower than 1 ms",
     NULL,
     false,
     false},
    {"all is well", {.http_status = 301, .body = ""}, CHECK_UP, ERROR_NONE, "", NULL, false, false},
};

static void verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct given *given = &rows[i].given;
        struct site site = {
            .status = {.count = 2, .ranges = {{200, 299}, {301, 301}}},
            .slow_ms = given->slow_ms,
            .cert_days = given->cert_days,
        };
        struct probe_result result = {
            .error = given->error,
            .error_phase = given->error == ERROR_NONE ? PHASE_NONE : PHASE_CONNECT,
            .error_message = given->message,
            .http_status = given->http_status,
            .body = given->body,
            .body_len = given->body == NULL ? 0 : strlen(given->body),
            .timing = {.total_us = given->total_us},
            .cert_not_after_s = given->left_s == 0 ? EVENT_ABSENT : NOW_S + given->left_s,
        };
        struct judge_patterns patterns = {0};
        struct verdict verdict;
        struct err err;

        print_message("  %s\n", rows[i].name);
        if (given->present != NULL) {
            patterns.present = pattern_new(given->present, &err);
            assert_non_null(patterns.present);
        }
        if (given->absent != NULL) {
            patterns.absent = pattern_new(given->absent, &err);
            assert_non_null(patterns.absent);
        }
        judge(&site, &patterns, &result, NOW_S, &verdict);
        assert_int_equal(verdict.status, rows[i].status);
        assert_int_equal(verdict.error, rows[i].error);
        assert_string_equal(verdict.message, rows[i].message);
        assert_int_equal(verdict.pattern_searched, rows[i].searched);
        assert_int_equal(verdict.pattern_matched, rows[i].matched);
        assert_int_equal(verdict.phase, rows[i].error == ERROR_NONE  ? PHASE_NONE
                                        : given->error == ERROR_NONE ? PHASE_CHECK
                                                                     : PHASE_CONNECT);
        if (rows[i].answers != NULL) {
            assert_string_equal(verdict.answers.json, rows[i].answers);
        } else {
            assert_null(verdict.answers.json);
        }
        verdict_free(&verdict);
        pattern_free(patterns.present);
        pattern_free(patterns.absent);
    }
}

/* The longest set there can be still fits into the message with its number. */
static void a_long_set_of_statuses_is_told(void **state)
{
    struct site site = {.status = {.count = SITE_STATUS_RANGES_MAX}};
    struct probe_result result = {.http_status = 599, .cert_not_after_s = EVENT_ABSENT};
    struct judge_patterns patterns = {0};
    struct verdict verdict;

    (void)state;
    for (size_t i = 0; i < SITE_STATUS_RANGES_MAX; i++) {
        site.status.ranges[i].first = 100;
        site.status.ranges[i].last = 598;
    }
    judge(&site, &patterns, &result, NOW_S, &verdict);
    assert_int_equal(verdict.error, ERROR_STATUS);
    assert_int_equal(strlen(verdict.message), strlen("status 599 is not in ") + 16 * 8 - 1);
    verdict_free(&verdict);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),
        cmocka_unit_test(a_long_set_of_statuses_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
