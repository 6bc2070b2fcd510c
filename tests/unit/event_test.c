/* What an event looks like, whatever a site sent; and that decoding gives it back. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/event.h"
#include "common/mem.h"
#include "common/utf8.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))

/* The members that every event has, after its id; status and what follows come behind. */
#define HEAD                                                                                       \
    "{\"schema\":1,\"id\":\"394231f8-c6ae-5098-aa20-066d47c3e5e3\","                               \
    "\"site\":{\"name\":\"example\",\"url\":\"https://example.com/\"},"                            \
    "\"location\":\"local\",\"observer\":\"host-1\",\"slot\":\"2026-11-21T08:00:05.000Z\","        \
    "\"time\":\"2026-11-21T08:00:05.001Z\",\"lag_us\":0,\"attempt\":1,\"final\":true,"             \
    "\"interval_s\":30,"

static void plain_event(struct event *event)
{
    event_init(event);
    event->site_name = "example";
    event->site_url = "https://example.com/";
    event->location = "local";
    event->observer = "host-1";
    event->slot_us = INT64_C(1795248005000000);
    event->time_us = INT64_C(1795248005001999);
    event->attempt = 1;
    event->final = true;
    event->interval_s = 30;
}

/* The outcome has to be an event again. The caller frees. */
static char *encode_and_check(const struct event *event)
{
    struct event back;
    enum event_fault fault;
    struct err err = {.message = ""};
    size_t len;
    char *json = event_encode(event, &len);
    struct event_doc *doc = event_decode(json, len, &back, &fault, &err);

    assert_int_equal(strlen(json), len);
    assert_true(len <= EVENT_BYTES_MAX);
    assert_int_equal(utf8_valid_prefix(json, len), len);
    assert_string_equal(err.message, "");
    assert_non_null(doc);
    event_doc_free(doc);
    return json;
}

static void nothing(struct event *event)
{
    (void)event;
}

static void all_of_it(struct event *event)
{
    memcpy(event->id, "00000000-0000-5000-8000-000000000000", IDENT_UUID_SIZE);
    event->site_id = 42;
    event->lag_us = 812;
    event->attempt = 2;
    event->final = false;
    event->status = CHECK_DOWN;
    event->http_status = 200;
    event->http_version = "1.1";
    event->redirects = 1;
    event->body_bytes = 5120;
    event->final_url = "https://example.com/a";
    event->timing = (struct event_timing){0, 1, 2, 3, 4, 10};
    event->peer = "2001:db8::1";
    event->tls_version = "TLSv1.3";
    event->cert_not_after_s = 1798761600;
    event->has_pattern = true;
    event->answers_json = "[[\"v12\",null]]";
    event->answers_json_len = strlen(event->answers_json);
    event->answers_cut = true;
    event->error = ERROR_PATTERN;
    event->error_phase = PHASE_CHECK;
    event->error_message = "not there";
}

static void a_response_alone(struct event *event)
{
    event->http_status = 204;
}

static void a_status_code_of_0(struct event *event)
{
    event->http_status = 99;
    event->http_version = "1.1";
}

static void a_status_code_of_4_digits(struct event *event)
{
    event->http_status = 1000;
}

static void large_numbers(struct event *event)
{
    event->timing.dns_us = INT64_C(1000000000000000);
    event->timing.connect_us = EVENT_INTEGER_MAX;
    event->timing.tls_us = INT64_MAX;
    event->timing.wait_us = INT64_MIN;
}

static void half_of_tls(struct event *event)
{
    event->tls_version = "TLSv1.2";
}

static void other_half_of_tls(struct event *event)
{
    event->cert_not_after_s = 0;
}

static void a_peer_with_a_zone(struct event *event)
{
    event->peer = "fe80::1%eth0";
}

static void a_pattern_without_answers(struct event *event)
{
    event->has_pattern = true;
    event->pattern_matched = true;
}

static void answers_without_a_pattern(struct event *event)
{
    event->answers_json = "[]";
    event->answers_json_len = 2;
    event->answers_cut = true;
}

static void a_bare_error(struct event *event)
{
    event->status = CHECK_UNKNOWN;
    event->error = ERROR_SLOT_MISSED;
    event->error_message = "";
}

static void hostile_strings(struct event *event)
{
    memcpy(event->id, "00000000-0000-5000-8000-000000000000", IDENT_UUID_SIZE);
    event->site_name = "a\xff\xc3\"\\\n";
    event->site_url = "\xed\xa0\x80";
    event->location = "\x01\x7f";
    event->observer = "\xe2\x82\xac";
}

static void strings_too_long(struct event *event)
{
    event->http_status = 200;
    event->http_version = "1234567\xc3\xa9";
    event->tls_version = "0123456789abcdefg";
}

static const struct {
    const char *name;
    void (*change)(struct event *event);
    const char *json;
} cases[] = {
    {"what every event has", nothing, HEAD "\"status\":\"up\"}"},
    {"every member there is", all_of_it,
     "{\"schema\":1,\"id\":\"00000000-0000-5000-8000-000000000000\","
     "\"site\":{\"name\":\"example\",\"url\":\"https://example.com/\",\"id\":42},"
     "\"location\":\"local\",\"observer\":\"host-1\",\"slot\":\"2026-11-21T08:00:05.000Z\","
     "\"time\":\"2026-11-21T08:00:05.001Z\",\"lag_us\":812,\"attempt\":2,\"final\":false,"
     "\"interval_s\":30,\"status\":\"down\","
     "\"http\":{\"status_code\":200,\"version\":\"1.1\",\"redirects\":1,\"body_bytes\":5120,"
     "\"final_url\":\"https://example.com/a\"},"
     "\"timing_us\":{\"dns\":0,\"connect\":1,\"tls\":2,\"wait\":3,\"transfer\":4,\"total\":10},"
     "\"peer\":\"2001:db8::1\","
     "\"tls\":{\"version\":\"TLSv1.3\",\"not_after\":\"2027-01-01T00:00:00Z\"},"
     "\"pattern\":{\"matched\":false,\"answers\":[[\"v12\",null]],\"answers_cut\":true},"
     "\"error\":{\"type\":\"pattern\",\"phase\":\"check\",\"message\":\"not there\"}}"},
    {"a response of which nothing else is known", a_response_alone,
     HEAD "\"status\":\"up\",\"http\":{\"status_code\":204,\"redirects\":0}}"},
    {"a status code below HTTP's is no response", a_status_code_of_0, HEAD "\"status\":\"up\"}"},
    {"a status code above HTTP's is none either", a_status_code_of_4_digits,
     HEAD "\"status\":\"up\"}"},
    {"numbers are written in digits, up to the largest that is exact", large_numbers,
     HEAD "\"status\":\"up\",\"timing_us\":{\"dns\":1000000000000000,"
          "\"connect\":9007199254740991,\"tls\":9007199254740991}}"},
    {"a TLS version without a certificate", half_of_tls,
     HEAD "\"status\":\"up\",\"tls\":{\"version\":\"TLSv1.2\"}}"},
    {"a certificate that ended with 1969", other_half_of_tls,
     HEAD "\"status\":\"up\",\"tls\":{\"not_after\":\"1970-01-01T00:00:00Z\"}}"},
    {"a peer that is not a numeric address is left out", a_peer_with_a_zone,
     HEAD "\"status\":\"up\"}"},
    {"a pattern that was asked for its outcome alone", a_pattern_without_answers,
     HEAD "\"status\":\"up\",\"pattern\":{\"matched\":true}}"},
    {"answers belong to a pattern", answers_without_a_pattern, HEAD "\"status\":\"up\"}"},
    {"an error without phase and message", a_bare_error,
     HEAD "\"status\":\"unknown\",\"error\":{\"type\":\"slot_missed\"}}"},
    {"bytes that are not text become U+FFFD", hostile_strings,
     "{\"schema\":1,\"id\":\"00000000-0000-5000-8000-000000000000\","
     "\"site\":{\"name\":\"a\xef\xbf\xbd\xef\xbf\xbd\\\"\\\\\\n\","
     "\"url\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"},"
     "\"location\":\"\\u0001\x7f\",\"observer\":\"\xe2\x82\xac\","
     "\"slot\":\"2026-11-21T08:00:05.000Z\",\"time\":\"2026-11-21T08:00:05.001Z\",\"lag_us\":0,"
     "\"attempt\":1,\"final\":true,\"interval_s\":30,\"status\":\"up\"}"},
    {"a string over its ceiling is cut between characters", strings_too_long,
     HEAD "\"status\":\"up\",\"http\":{\"status_code\":200,\"version\":\"1234567\","
          "\"redirects\":0},\"tls\":{\"version\":\"0123456789abcdef\"}}"},
};

static void test_encoding(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct event event;

        print_message("  %s\n", cases[i].name);
        plain_event(&event);
        cases[i].change(&event);

        char *json = encode_and_check(&event);

        assert_string_equal(json, cases[i].json);
        free(json);
    }
}

/* Decoding what was encoded and encoding that gives the same bytes. */
static void test_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct event event;
        enum event_fault fault;
        struct err err;
        size_t len;
        struct event_doc *doc =
            event_decode(cases[i].json, strlen(cases[i].json), &event, &fault, &err);

        assert_non_null(doc);

        char *json = event_encode(&event, &len);

        assert_string_equal(json, cases[i].json);
        free(json);
        event_doc_free(doc);
    }
}

/* `count` times the same character, terminated. The caller frees. */
static char *run_of(char c, size_t count)
{
    char *text = mem_alloc(count + 1, 1);

    memset(text, c, count);
    return text;
}

static void test_id_is_made_of_what_the_event_says(void **state)
{
    char *name = run_of('n', EVENT_NAME_BYTES_MAX + 1);
    char id[IDENT_UUID_SIZE];
    struct event event;

    (void)state;
    plain_event(&event);
    event.site_name = name;
    event.location = "\xff";

    char *json = encode_and_check(&event);

    name[EVENT_NAME_BYTES_MAX] = '\0';
    ident_check_id(name, UTF8_REPLACEMENT, INT64_C(1795248005000), 1, id);
    assert_non_null(strstr(json, id));
    free(json);
    free(name);
}

/* Control characters take six bytes each: with all strings at their ceilings, and answers, the
 * event would be over its own. */
static void test_the_longest_event_still_is_one(void **state)
{
    char *text = run_of('\x01', 20000);
    char *answers = run_of(' ', 150000);
    struct event event;

    (void)state;
    plain_event(&event);
    event.site_name = text;
    event.site_url = text;
    event.location = text;
    event.observer = text;
    event.http_status = 200;
    event.final_url = text;
    event.status = CHECK_DOWN;
    event.error = ERROR_STATUS;
    event.error_message = text;
    event.has_pattern = true;
    event.answers_json = answers;
    event.answers_json_len = 150000;
    answers[0] = '[';
    answers[149999] = ']';

    char *json = encode_and_check(&event);

    assert_non_null(strstr(json, "\"pattern\":{\"matched\":false,\"answers_cut\":true}"));
    free(json);
    free(text);
    free(answers);
}

static void test_names(void **state)
{
    enum check_status status = CHECK_DOWN;
    enum check_phase phase = PHASE_WAIT;
    enum error_type type = ERROR_URL;

    (void)state;
    for (int i = CHECK_UP; i <= CHECK_UNKNOWN; i++) {
        assert_true(check_status_find(check_status_name((enum check_status)i), &status));
        assert_int_equal(status, i);
    }
    for (int i = PHASE_DNS; i <= PHASE_CHECK; i++) {
        assert_true(check_phase_find(check_phase_name((enum check_phase)i), &phase));
        assert_int_equal(phase, i);
    }
    for (int i = ERROR_NONE + 1; i < ERROR_TYPES_END; i++) {
        assert_true(error_type_find(error_type_name((enum error_type)i), &type));
        assert_int_equal(type, i);
    }
    assert_false(check_status_find("", &status));
    assert_false(check_phase_find("", &phase));
    assert_false(error_type_find("", &type));
    assert_int_equal(status, CHECK_UNKNOWN);
    assert_int_equal(phase, PHASE_CHECK);
    assert_int_equal(type, ERROR_INTERNAL);
    assert_string_equal(error_type_name(ERROR_NONE), "");
    assert_string_equal(check_phase_name(PHASE_NONE), "");
    assert_int_equal(error_type_status(ERROR_NONE), CHECK_UP);
    assert_int_equal(error_type_status(ERROR_PROXY), CHECK_DOWN);
    assert_int_equal(error_type_status(ERROR_LOCAL_NETWORK), CHECK_UNKNOWN);
    assert_string_equal(event_fault_name(EVENT_FAULT_TOO_LARGE), "too_large");
    assert_string_equal(event_fault_name(EVENT_FAULT_TEXT), "text");
    assert_string_equal(event_fault_name(EVENT_FAULT_JSON), "json");
    assert_string_equal(event_fault_name(EVENT_FAULT_SCHEMA), "schema");
    assert_string_equal(event_fault_name(EVENT_FAULT_FIELD), "field");
}

/* The page's table of error types is the enum's list, in its order, and its example an event.
 * Tests are run at the root of the tree. */
static void test_the_documentation_agrees(void **state)
{
    static char page[65536];
    FILE *file = fopen("docs/events.md", "r");
    struct event event;
    enum event_fault fault;
    struct err err = {.message = ""};

    (void)state;
    assert_non_null(file);
    page[fread(page, 1, sizeof(page) - 1, file)] = '\0';
    fclose(file);

    const char *example = strstr(page, "```json\n");

    assert_non_null(example);
    example += strlen("```json\n");

    size_t len = (size_t)(strstr(example, "```") - example);
    struct event_doc *doc = event_decode(example, len, &event, &fault, &err);

    assert_string_equal(err.message, "");
    event_doc_free(doc);

    const char *at = strstr(page, "## Error types\n");

    for (int i = ERROR_NONE + 1; i < ERROR_TYPES_END; i++) {
        char row[64];

        assert_non_null(at);
        at = strstr(at, "\n| `");
        assert_non_null(at);
        snprintf(row, sizeof(row), "\n| `%s` | %s |", error_type_name((enum error_type)i),
                 check_status_name(error_type_status((enum error_type)i)));
        assert_memory_equal(at, row, strlen(row));
        at++;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_id_is_made_of_what_the_event_says),
        cmocka_unit_test(test_the_longest_event_still_is_one),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_the_documentation_agrees),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
