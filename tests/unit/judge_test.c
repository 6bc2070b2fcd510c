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

#define URL_REST                                                                                   \
    "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901" \
    "23456789"

struct given {
    enum error_type error;
    const char *message;
    const char *final_url; /* NULL: no redirect was followed */
    int32_t http_status;
    const char *body; /* NULL: none */
    int64_t total_us;
    int64_t left_s; /* of the certificate; 0: none was shown */
    const char *present, *absent;
    const char *headers, *header_pattern, *json_path, *json_value;
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
    {"a transfer that failed before a response, after a redirect, says where to",
     {.error = ERROR_CONNECT_REFUSED, .message = "refused", .final_url = "http://b.test/x"},
     CHECK_DOWN,
     ERROR_CONNECT_REFUSED,
     "redirected to http://b.test/x: refused",
     NULL,
     false,
     false},
    {"of a long URL what fits",
     {.error = ERROR_TIMEOUT, .message = "late", .final_url = "http://b.test/" URL_REST "12345678"},
     CHECK_DOWN,
     ERROR_TIMEOUT,
     "redirected to http://b.test/" URL_REST "123456...: late",
     NULL,
     false,
     false},
    {"a response tells it by itself",
     {.error = ERROR_READ_FAILURE,
      .message = "cut",
      .final_url = "http://b.test/x",
      .http_status = 200},
     CHECK_DOWN,
     ERROR_READ_FAILURE,
     "cut",
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
    /* Headers and JSON */
    {"headers that lack the pattern",
     {.http_status = 200,
      .body = "",
      .headers = "Server: x\nContent-Type: text/html\n",
      .header_pattern = "(?m)^Content-Type: text/plain$"},
     CHECK_DOWN,
     ERROR_HEADER,
     "header_pattern was not found in the headers of 34 bytes",
     NULL,
     false,
     false},
    {"headers that have it",
     {.http_status = 200,
      .body = "",
      .headers = "Server: x\nContent-Type: text/html\n",
      .header_pattern = "(?im)^content-type: text/html$"},
     CHECK_UP,
     ERROR_NONE,
     "",
     NULL,
     false,
     false},
    {"no headers",
     {.http_status = 200, .body = "", .headers = "", .header_pattern = "."},
     CHECK_DOWN,
     ERROR_HEADER,
     "header_pattern was not found in the headers of 0 bytes",
     NULL,
     false,
     false},
    {"headers on which the pattern runs away",
     {.http_status = 200, .body = "", .headers = RUNAWAY_BODY, .header_pattern = RUNAWAY},
     CHECK_DOWN,
     ERROR_PATTERN_LIMIT,
     "header_pattern took too many steps on these headers",
     NULL,
     false,
     false},
    {"the status decides over the headers",
     {.http_status = 500, .headers = "", .header_pattern = "."},
     CHECK_DOWN,
     ERROR_STATUS,
     "status 500 is not in 200-299,301",
     NULL,
     false,
     false},
    {"the headers decide over the pattern, whose answers are kept",
     {.http_status = 200, .body = "v1", .headers = "", .header_pattern = ".", .present = "v."},
     CHECK_DOWN,
     ERROR_HEADER,
     "header_pattern was not found in the headers of 0 bytes",
     "[[\"v1\"]]",
     true,
     true},
    {"a body that is not JSON",
     {.http_status = 200, .body = "<html>", .json_path = "$.a"},
     CHECK_DOWN,
     ERROR_JSON,
     "not JSON at offset 0",
     NULL,
     false,
     false},
    {"no body where JSON is wanted",
     {.http_status = 200, .json_path = "$"},
     CHECK_DOWN,
     ERROR_JSON,
     "not JSON at offset 0",
     NULL,
     false,
     false},
    {"a member that is missing",
     {.http_status = 200, .body = "{\"a\":{\"b c\":[\"x\",1.0]}}", .json_path = "$.a['c d'][1]"},
     CHECK_DOWN,
     ERROR_JSON,
     "$.a has no [\"c d\"]",
     NULL,
     false,
     false},
    {"an element that is missing",
     {.http_status = 200, .body = "{\"a\":{\"b c\":[\"x\",1.0]}}", .json_path = "$.a['b c'][2].e"},
     CHECK_DOWN,
     ERROR_JSON,
     "$.a[\"b c\"] has no [2]",
     NULL,
     false,
     false},
    {"a value that differs",
     {.http_status = 200,
      .body = "{\"a\":{\"b c\":[\"x\",1.0]}}",
      .json_path = "$.a['b c'][0]",
      .json_value = "y"},
     CHECK_DOWN,
     ERROR_JSON,
     "$.a[\"b c\"][0] is \"x\", not y",
     NULL,
     false,
     false},
    {"a number written otherwise",
     {.http_status = 200,
      .body = "{\"a\":{\"b c\":[\"x\",1.0]}}",
      .json_path = "$.a['b c'][1]",
      .json_value = "1"},
     CHECK_DOWN,
     ERROR_JSON,
     "$.a[\"b c\"][1] is 1.0, not 1",
     NULL,
     false,
     false},
    {"an object where a value is wanted",
     {.http_status = 200,
      .body = "{\"a\":{\"b c\":[\"x\",1.0]}}",
      .json_path = "$.a",
      .json_value = "{}"},
     CHECK_DOWN,
     ERROR_JSON,
     "$.a is {\"b c\":[\"x\",1.0]}, not {}",
     NULL,
     false,
     false},
    {"any value will do",
     {.http_status = 200, .body = "{\"a\":{\"b c\":[\"x\",1.0]}}", .json_path = "$.a"},
     CHECK_UP,
     ERROR_NONE,
     "",
     NULL,
     false,
     false},
    {"the value wanted",
     {.http_status = 200,
      .body = "{\"a\":{\"b c\":[\"x\",1.0]}}",
      .json_path = "$.a['b c'][0]",
      .json_value = "x"},
     CHECK_UP,
     ERROR_NONE,
     "",
     NULL,
     false,
     false},
    {"the pattern decides over JSON",
     {.http_status = 200, .body = "x", .present = "y", .json_path = "$"},
     CHECK_DOWN,
     ERROR_PATTERN,
     "the pattern was not found in the body of 1 bytes",
     NULL,
     true,
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
            .json_value = (char *)(uintptr_t)given->json_value,
        };
        struct probe_result result = {
            .error = given->error,
            .error_phase = given->error == ERROR_NONE ? PHASE_NONE : PHASE_CONNECT,
            .error_message = given->message,
            .final_url = given->final_url,
            .http_status = given->http_status,
            .body = given->body,
            .body_len = given->body == NULL ? 0 : strlen(given->body),
            .headers = given->headers,
            .headers_len = given->headers == NULL ? 0 : strlen(given->headers),
            .timing = {.total_us = given->total_us},
            .cert_not_after_s = given->left_s == 0 ? EVENT_ABSENT : NOW_S + given->left_s,
        };
        struct judge_patterns patterns = {0};
        struct jsonpath path = {0};
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
        if (given->header_pattern != NULL) {
            patterns.header = pattern_new(given->header_pattern, &err);
            assert_non_null(patterns.header);
        }
        if (given->json_path != NULL) {
            assert_int_equal(jsonpath_parse(given->json_path, &path, &err), 0);
            patterns.json = &path;
        }
        assert_int_equal(judge_wants_body(&patterns), given->present != NULL ||
                                                          given->absent != NULL ||
                                                          given->json_path != NULL);
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
        pattern_free(patterns.header);
        jsonpath_free(&path);
    }
}

static void long_values_are_cut(void **state)
{
    char body[400] = "\"";
    struct jsonpath path = {0};
    struct judge_patterns patterns = {.json = &path};
    struct site site = {.status = {.count = 1, .ranges = {{200, 200}}},
                        .json_value = (char *)(uintptr_t) "y"};
    struct probe_result result = {.http_status = 200, .body = body, .body_len = sizeof(body)};
    struct verdict verdict;

    (void)state;
    memset(body + 1, 'x', sizeof(body) - 2);
    body[sizeof(body) - 1] = '"';
    judge(&site, &patterns, &result, NOW_S, &verdict);
    assert_int_equal(verdict.error, ERROR_JSON);
    assert_non_null(strstr(verdict.message, "xx..., not y"));

    memset(body, '[', sizeof(body));
    result.body_len = sizeof(body);
    judge(&site, &patterns, &result, NOW_S, &verdict);
    assert_string_equal(verdict.message, "not JSON at offset 400");

    char deep[600];

    memset(deep, '[', sizeof(deep));
    result.body = deep;
    result.body_len = sizeof(deep);
    judge(&site, &patterns, &result, NOW_S, &verdict);
    assert_string_equal(verdict.message, "JSON more than 512 deep at offset 512");
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
        cmocka_unit_test(long_values_are_cut),
        cmocka_unit_test(a_long_set_of_statuses_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
