/* Each row changes one thing of an event that is valid, and says what comes of it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/event.h"
#include "common/mem.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
#define BYTES(literal) literal, sizeof(literal) - 1
#define REPEATS_MAX 8300

#define GOOD                                                                                       \
    "{\"schema\":1,\"id\":\"394231f8-c6ae-5098-aa20-066d47c3e5e3\","                               \
    "\"site\":{\"name\":\"example\",\"url\":\"https://example.com/\",\"id\":42},"                  \
    "\"location\":\"local\",\"observer\":\"host-1\",\"slot\":\"2026-11-21T08:00:05.000Z\","        \
    "\"time\":\"2026-11-21T08:00:05.001Z\",\"lag_us\":812,\"attempt\":1,\"final\":true,"           \
    "\"interval_s\":30,\"status\":\"down\","                                                       \
    "\"http\":{\"status_code\":200,\"version\":\"2\",\"redirects\":1,\"body_bytes\":5120,"         \
    "\"final_url\":\"https://example.com/a\"},"                                                    \
    "\"timing_us\":{\"dns\":9000,\"connect\":21000,\"tls\":40000,\"wait\":98000,"                  \
    "\"transfer\":15211,\"total\":183211},"                                                        \
    "\"peer\":\"93.184.216.34\","                                                                  \
    "\"tls\":{\"version\":\"TLSv1.3\",\"not_after\":\"2027-01-01T00:00:00Z\"},"                    \
    "\"pattern\":{\"matched\":true,\"answers\":[[\"v12\",\"12\",null]],\"answers_cut\":true},"     \
    "\"error\":{\"type\":\"timeout\",\"phase\":\"connect\",\"message\":\"no answer\"}}"

/* `text` with the one `from` in it replaced. The caller frees. */
static char *replaced(const char *text, const char *from, const char *to)
{
    const char *found = strstr(text, from);

    assert_non_null(found);
    assert_null(strstr(found + 1, from));

    size_t before = (size_t)(found - text);
    char *out = mem_alloc(strlen(text) + strlen(to) + 1, 1);

    memcpy(out, text, before);
    memcpy(out + before, to, strlen(to));
    memcpy(out + before + strlen(to), found + strlen(from), strlen(found + strlen(from)));
    return out;
}

static void expect_fault(const char *json, size_t len, enum event_fault fault, const char *message)
{
    /* In a block of just its size, so that a byte read past its end is seen. */
    char *exact = malloc(len + (len == 0));
    struct event event;
    enum event_fault found = EVENT_FAULT_FIELD;
    struct err err = {.message = ""};

    assert_non_null(exact);
    memcpy(exact, json, len);
    memset(&event, 0x5A, sizeof(event));

    struct event before = event;

    assert_null(event_decode(exact, len, &event, &found, &err));
    assert_string_equal(err.message, message);
    assert_int_equal(found, fault);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_memory_equal(&event, &before, sizeof(event));
    free(exact);
}

static const struct {
    const char *name;
    const char *text;
    size_t len;
    enum event_fault fault;
    const char *message;
} texts[] = {
    {"nothing at all", BYTES(""), EVENT_FAULT_JSON, "not JSON at offset 0"},
    {"only white space", BYTES("  "), EVENT_FAULT_JSON, "not JSON at offset 2"},
    {"a word", BYTES("hello"), EVENT_FAULT_JSON, "not JSON at offset 0"},
    {"a NUL byte first", BYTES("\0{}"), EVENT_FAULT_TEXT, "NUL byte at offset 0"},
    {"a NUL byte last", BYTES("{}\0"), EVENT_FAULT_TEXT, "NUL byte at offset 2"},
    {"a NUL escape in a value that is not known", BYTES("{\"x\":\"a\\u0000\"}"), EVENT_FAULT_TEXT,
     "NUL escape at offset 7"},
    {"a NUL escape in a name", BYTES("{\"\\u0000\":1}"), EVENT_FAULT_TEXT,
     "NUL escape at offset 2"},
    {"a NUL escape after an escaped backslash", BYTES("{\"x\":\"\\\\\\u0000\"}"), EVENT_FAULT_TEXT,
     "NUL escape at offset 8"},
    {"a backslash and u0000 is no NUL escape", BYTES("{\"x\":\"\\\\u0000\"}"), EVENT_FAULT_SCHEMA,
     "schema: missing"},
    {"U+0001 as an escape is text", BYTES("{\"x\":\"\\u0001\"}"), EVENT_FAULT_SCHEMA,
     "schema: missing"},
    {"an escape of no hexadecimal number", BYTES("{\"x\":\"\\u00g0\"}"), EVENT_FAULT_JSON,
     "not JSON at offset 6"},
    {"an escape cut short", BYTES("{\"x\":\"\\u00"), EVENT_FAULT_JSON, "not JSON at offset 6"},
    {"a backslash at the end", BYTES("{\"x\":\"\\"), EVENT_FAULT_JSON, "not JSON at offset 6"},
    {"a string without an end", BYTES("{\"x"), EVENT_FAULT_JSON, "not JSON at offset 3"},
    {"an escape that JSON does not have", BYTES("{\"x\":\"\\x\"}"), EVENT_FAULT_JSON,
     "not JSON at offset 6"},
    {"half of a surrogate pair", BYTES("{\"x\":\"\\ud800\"}"), EVENT_FAULT_JSON,
     "not JSON at offset 6"},
    {"bytes that are not UTF-8 in a value that is not known", BYTES("{\"x\":\"\xff\"}"),
     EVENT_FAULT_TEXT, "not UTF-8 at offset 6"},
    {"a surrogate in UTF-8", BYTES("{\"x\":\"\xed\xa0\x80\"}"), EVENT_FAULT_TEXT,
     "not UTF-8 at offset 6"},
    {"a byte order mark", BYTES("\xef\xbb\xbf{}"), EVENT_FAULT_JSON, "not JSON at offset 0"},
    {"a line break in a string", BYTES("{\"x\":\"\n\"}"), EVENT_FAULT_JSON, "not JSON at offset 6"},
    {"a control character between tokens", BYTES("{\x01}"), EVENT_FAULT_JSON,
     "not JSON at offset 1"},
    {"a number that begins with 0", BYTES("{\"x\":01}"), EVENT_FAULT_JSON, "not JSON at offset 6"},
    {"a number that ends in a dot", BYTES("{\"x\":1.}"), EVENT_FAULT_JSON, "not JSON at offset 7"},
    {"a number without an exponent", BYTES("{\"x\":1e+}"), EVENT_FAULT_JSON,
     "not JSON at offset 8"},
    {"a minus alone", BYTES("{\"x\":-}"), EVENT_FAULT_JSON, "not JSON at offset 6"},
    {"two numbers in one", BYTES("{\"x\":1-2}"), EVENT_FAULT_JSON, "not JSON at offset 6"},
    {"numbers as RFC 8259 has them", BYTES("{\"x\":[0,-0,10.50,1e5,1E-5,-1.5e+300]}"),
     EVENT_FAULT_SCHEMA, "schema: missing"},
    {"a comma too many", BYTES("{\"schema\":1,}"), EVENT_FAULT_JSON, "not JSON at offset 12"},
    {"a second object", BYTES("{} {}"), EVENT_FAULT_JSON, "not JSON at offset 3"},
    {"white space around it", BYTES(" \t\r\n{} \t\r\n"), EVENT_FAULT_SCHEMA, "schema: missing"},
    {"an array", BYTES("[1]"), EVENT_FAULT_JSON, "not JSON of an object"},
    {"null", BYTES("null"), EVENT_FAULT_JSON, "not JSON of an object"},
    {"no members", BYTES("{}"), EVENT_FAULT_SCHEMA, "schema: missing"},
    {"another schema comes before all else", BYTES("{\"id\":5,\"schema\":2}"), EVENT_FAULT_SCHEMA,
     "schema: 2 is not supported, this reads 1"},
    {"a schema that is text", BYTES("{\"schema\":\"1\"}"), EVENT_FAULT_SCHEMA,
     "schema: not a number"},
    {"a schema between two", BYTES("{\"schema\":1.5}"), EVENT_FAULT_SCHEMA,
     "schema: 1.5 is not a whole number"},
    {"a schema alone", BYTES("{\"schema\":1}"), EVENT_FAULT_FIELD, "id: missing"},
    {"two schemas", BYTES("{\"schema\":1,\"schema\":1}"), EVENT_FAULT_FIELD, "schema: there twice"},
};

static void test_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(texts); i++) {
        print_message("  %s\n", texts[i].name);
        expect_fault(texts[i].text, texts[i].len, texts[i].fault, texts[i].message);
    }
}

/* `to` may hold one '~', which stands for `repeats` times the letter n. */
static const struct {
    const char *name;
    const char *from;
    const char *to;
    const char *message;
    size_t repeats;
} refused[] = {
    {"an id of another form", "394231f8-", "394231f8_", "id: not a UUID in lower case", 0},
    {"an id in upper case", "394231f8", "394231F8", "id: not a UUID in lower case", 0},
    {"an id one digit short", "394231f8", "394231f", "id: not a UUID in lower case", 0},
    {"an id that is a number", "\"394231f8-c6ae-5098-aa20-066d47c3e5e3\"", "1", "id: not a string",
     0},
    {"a site that is text", "{\"name\":\"example\",\"url\":\"https://example.com/\",\"id\":42}",
     "\"example\"", "site: not an object", 0},
    {"a site without a name", "\"name\":\"example\",", "", "site.name: missing", 0},
    {"a site's name that is empty", "\"name\":\"example\"", "\"name\":\"\"", "site.name: empty", 0},
    {"a site's name that is null", "\"name\":\"example\"", "\"name\":null",
     "site.name: not a string", 0},
    {"a site's name given twice", "\"name\":\"example\"", "\"name\":\"a\",\"n\\u0061me\":\"a\"",
     "site.name: there twice", 0},
    {"a site's name one byte too long", "\"name\":\"example\"", "\"name\":\"~\"",
     "site.name: 2049 bytes, at most 2048", 2049},
    {"a site without a url", ",\"url\":\"https://example.com/\"", "", "site.url: missing", 0},
    {"a url one byte too long", "\"url\":\"https://example.com/\"", "\"url\":\"~\"",
     "site.url: 8193 bytes, at most 8192", 8193},
    {"a site's id of 0", "\"id\":42", "\"id\":0", "site.id: 0 is not in 1..9007199254740991", 0},
    {"a site's id that no double holds", "\"id\":42", "\"id\":9007199254740992",
     "site.id: 9007199254740992 is not in 1..9007199254740991", 0},
    {"no location", "\"location\":\"local\",", "", "location: missing", 0},
    {"a location one byte too long", "\"location\":\"local\"", "\"location\":\"~\"",
     "location: 256 bytes, at most 255", 256},
    {"an observer that is empty", "\"observer\":\"host-1\"", "\"observer\":\"\"", "observer: empty",
     0},
    {"a slot that is a number", "\"slot\":\"2026-11-21T08:00:05.000Z\"", "\"slot\":5",
     "slot: not a string", 0},
    {"a slot on a day that was not", "\"slot\":\"2026-11-21", "\"slot\":\"2026-02-29",
     "slot: not a time like 2026-11-21T08:00:05.001Z (RFC 3339, years 1970 to 9999)", 0},
    {"a time without a zone", "08:00:05.001Z", "08:00:05.001",
     "time: not a time like 2026-11-21T08:00:05.001Z (RFC 3339, years 1970 to 9999)", 0},
    {"no time", "\"time\":\"2026-11-21T08:00:05.001Z\",", "", "time: missing", 0},
    {"a lag below 0", "\"lag_us\":812", "\"lag_us\":-1", "lag_us: -1 is not in 0..9007199254740991",
     0},
    {"a lag that is text", "\"lag_us\":812", "\"lag_us\":\"812\"", "lag_us: not a number", 0},
    {"attempt 0", "\"attempt\":1", "\"attempt\":0", "attempt: 0 is not in 1..1000", 0},
    {"attempt 1001", "\"attempt\":1", "\"attempt\":1001", "attempt: 1001 is not in 1..1000", 0},
    {"half an attempt", "\"attempt\":1", "\"attempt\":1.5", "attempt: 1.5 is not a whole number",
     0},
    {"an attempt without end", "\"attempt\":1", "\"attempt\":1e999",
     "attempt: inf is not in 1..1000", 0},
    {"final as a number", "\"final\":true", "\"final\":1", "final: not true or false", 0},
    {"final left out", "\"final\":true,", "", "final: missing", 0},
    {"an interval of 0", "\"interval_s\":30", "\"interval_s\":0",
     "interval_s: 0 is not in 1..86400", 0},
    {"an interval over a day", "\"interval_s\":30", "\"interval_s\":86401",
     "interval_s: 86401 is not in 1..86400", 0},
    {"a status that is not known", "\"status\":\"down\"", "\"status\":\"Down\"",
     "status: \"Down\" is not one of the list", 0},
    {"a status that is very long", "\"status\":\"down\"", "\"status\":\"~\"",
     "status: \"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\" is not one of the list", 999},
    {"a status that is a number", "\"status\":\"down\"", "\"status\":0", "status: not a string", 0},
    {"a response without a status code", "\"status_code\":200,", "", "http.status_code: missing",
     0},
    {"status code 99", "\"status_code\":200", "\"status_code\":99",
     "http.status_code: 99 is not in 100..999", 0},
    {"an HTTP version that is too long", "\"version\":\"2\"", "\"version\":\"123456789\"",
     "http.version: 9 bytes, at most 8", 0},
    {"1001 redirects", "\"redirects\":1", "\"redirects\":1001",
     "http.redirects: 1001 is not in 0..1000", 0},
    {"a body of less than nothing", "\"body_bytes\":5120", "\"body_bytes\":-5120",
     "http.body_bytes: -5120 is not in 0..9007199254740991", 0},
    {"a phase below 0", "\"dns\":9000", "\"dns\":-5",
     "timing_us.dns: -5 is not in 0..9007199254740991", 0},
    {"phases in an array",
     "{\"dns\":9000,\"connect\":21000,\"tls\":40000,\"wait\":98000,\"transfer\":15211,"
     "\"total\":183211}",
     "[]", "timing_us: not an object", 0},
    {"a peer that is a name", "93.184.216.34", "example.com", "peer: not a numeric address", 0},
    {"a peer with a zone", "93.184.216.34", "fe80::1%eth0", "peer: not a numeric address", 0},
    {"a peer that is a number", "\"93.184.216.34\"", "1", "peer: not a string", 0},
    {"a certificate's end that is no time", "2027-01-01T00:00:00Z", "soon",
     "tls.not_after: not a time like 2026-11-21T08:00:05.001Z (RFC 3339, years 1970 to 9999)", 0},
    {"a TLS version that is too long", "TLSv1.3", "TLSv1.3 and so on",
     "tls.version: 17 bytes, at most 16", 0},
    {"a pattern without its outcome", "\"matched\":true,", "", "pattern.matched: missing", 0},
    {"an outcome that is text", "\"matched\":true", "\"matched\":\"yes\"",
     "pattern.matched: not true or false", 0},
    {"answers in an object", "[[\"v12\",\"12\",null]]", "{}", "pattern.answers: not an array", 0},
    {"an answer that is text", "[[\"v12\",\"12\",null]]", "[[],\"v12\"]",
     "pattern.answers: [1] is not an array of at most 65 strings or nulls", 0},
    {"an answer of numbers", "[[\"v12\",\"12\",null]]", "[[12]]",
     "pattern.answers: [0] is not an array of at most 65 strings or nulls", 0},
    {"an error without a type", "\"type\":\"timeout\",", "", "error.type: missing", 0},
    {"an error type that is not known", "\"timeout\"", "\"ti\\nme\"",
     "error.type: \"ti me\" is not one of the list", 0},
    {"an error type that is null", "\"timeout\"", "null", "error.type: not a string", 0},
    {"an error type that is empty", "\"timeout\"", "\"\"", "error.type: empty", 0},
    {"a phase that is not known", "\"phase\":\"connect\"", "\"phase\":\"bind\"",
     "error.phase: \"bind\" is not one of the list", 0},
    {"a phase that is a number", "\"phase\":\"connect\"", "\"phase\":1",
     "error.phase: not a string", 0},
    {"a message one byte too long", "\"no answer\"", "\"~\"",
     "error.message: 1025 bytes, at most 1024", 1025},
};

/* The caller frees. */
static char *with_repeats(const char *text, size_t repeats)
{
    char run[REPEATS_MAX];

    assert_true(repeats < sizeof(run));
    memset(run, 'n', repeats);
    run[repeats] = '\0';
    return strchr(text, '~') == NULL ? mem_copy_string(text) : replaced(text, "~", run);
}

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(refused); i++) {
        char *to = with_repeats(refused[i].to, refused[i].repeats);
        char *json = replaced(GOOD, refused[i].from, to);

        print_message("  %s\n", refused[i].name);
        expect_fault(json, strlen(json), EVENT_FAULT_FIELD, refused[i].message);
        free(json);
        free(to);
    }
}

static struct event_doc *expect_event(const char *json, size_t len, struct event *event)
{
    enum event_fault fault;
    struct err err = {.message = ""};
    struct event_doc *doc = event_decode(json, len, event, &fault, &err);

    assert_string_equal(err.message, "");
    assert_non_null(doc);
    return doc;
}

static const struct {
    const char *name;
    const char *from;
    const char *to;
    size_t repeats;
} accepted[] = {
    {"status and error are not held against each other", "\"status\":\"down\"", "\"status\":\"up\"",
     0},
    {"as it is", "{\"schema\"", "{\"schema\"", 0},
    {"members that are not known, anywhere",
     "\"name\":", "\"NAME\":1,\"x\":{\"name\":null,\"y\":[true]},\"name\":", 0},
    {"a member that is not known, twice", "\"lag_us\"", "\"x\":1,\"x\":2,\"lag_us\"", 0},
    {"a name of the most bytes", "\"name\":\"example\"", "\"name\":\"~\"", 2048},
    {"a url of the most bytes", "\"url\":\"https://example.com/\"", "\"url\":\"~\"", 8192},
    {"a location of the most bytes", "\"location\":\"local\"", "\"location\":\"~\"", 255},
    {"a message of the most bytes", "\"no answer\"", "\"~\"", 1024},
    {"the largest number", "\"lag_us\":812", "\"lag_us\":9007199254740991", 0},
    {"a whole number written with an exponent", "\"lag_us\":812", "\"lag_us\":8.12e2", 0},
    {"minus 0", "\"lag_us\":812", "\"lag_us\":-0", 0},
    {"the last attempt", "\"attempt\":1", "\"attempt\":1000", 0},
    {"the longest interval", "\"interval_s\":30", "\"interval_s\":86400", 0},
    {"status code 100", "\"status_code\":200", "\"status_code\":100", 0},
    {"status code 999", "\"status_code\":200", "\"status_code\":999", 0},
    {"a response with a status code alone",
     ",\"version\":\"2\",\"redirects\":1,\"body_bytes\":5120,\"final_url\":"
     "\"https://example.com/a\"",
     "", 0},
    {"no phase measured",
     "{\"dns\":9000,\"connect\":21000,\"tls\":40000,\"wait\":98000,\"transfer\":15211,"
     "\"total\":183211}",
     "{}", 0},
    {"an IPv6 peer", "93.184.216.34", "2606:2800:220:1::25c8", 0},
    {"an IPv4 peer mapped into IPv6", "93.184.216.34", "::ffff:93.184.216.34", 0},
    {"no answers", "\"answers\":[[\"v12\",\"12\",null]],", "", 0},
    {"an empty list of answers", "[[\"v12\",\"12\",null]]", "[]", 0},
    {"the last time of all", "2027-01-01T00:00:00Z", "9999-12-31T23:59:59Z", 0},
    {"white space around it", "\"no answer\"}}", "\"no answer\"} \t}\r\n ", 0},
};

static void test_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(accepted); i++) {
        char *to = with_repeats(accepted[i].to, accepted[i].repeats);
        char *json = replaced(GOOD, accepted[i].from, to);
        struct event event;

        print_message("  %s\n", accepted[i].name);
        event_doc_free(expect_event(json, strlen(json), &event));
        free(json);
        free(to);
    }
}

static void test_every_member_is_read(void **state)
{
    struct event event;
    struct event_doc *doc = expect_event(BYTES(GOOD), &event);

    (void)state;
    assert_string_equal(event.id, "394231f8-c6ae-5098-aa20-066d47c3e5e3");
    assert_string_equal(event.site_name, "example");
    assert_string_equal(event.site_url, "https://example.com/");
    assert_int_equal(event.site_id, 42);
    assert_string_equal(event.location, "local");
    assert_string_equal(event.observer, "host-1");
    assert_int_equal(event.slot_us, INT64_C(1795248005000000));
    assert_int_equal(event.time_us, INT64_C(1795248005001000));
    assert_int_equal(event.lag_us, 812);
    assert_int_equal(event.attempt, 1);
    assert_true(event.final);
    assert_int_equal(event.interval_s, 30);
    assert_int_equal(event.status, CHECK_DOWN);
    assert_int_equal(event.http_status, 200);
    assert_string_equal(event.http_version, "2");
    assert_int_equal(event.redirects, 1);
    assert_int_equal(event.body_bytes, 5120);
    assert_string_equal(event.final_url, "https://example.com/a");
    assert_int_equal(event.timing.dns_us, 9000);
    assert_int_equal(event.timing.connect_us, 21000);
    assert_int_equal(event.timing.tls_us, 40000);
    assert_int_equal(event.timing.wait_us, 98000);
    assert_int_equal(event.timing.transfer_us, 15211);
    assert_int_equal(event.timing.total_us, 183211);
    assert_string_equal(event.peer, "93.184.216.34");
    assert_string_equal(event.tls_version, "TLSv1.3");
    assert_int_equal(event.cert_not_after_s, 1798761600);
    assert_true(event.has_pattern);
    assert_true(event.pattern_matched);
    assert_string_equal(event.answers_json, "[[\"v12\",\"12\",null]]");
    assert_int_equal(event.answers_json_len, strlen(event.answers_json));
    assert_true(event.answers_cut);
    assert_int_equal(event.error, ERROR_TIMEOUT);
    assert_int_equal(event.error_phase, PHASE_CONNECT);
    assert_string_equal(event.error_message, "no answer");
    event_doc_free(doc);
}

static void test_what_is_left_out_is_absent(void **state)
{
    struct event event;
    struct event_doc *doc = expect_event(
        BYTES("{\"schema\":1,\"id\":\"394231f8-c6ae-5098-aa20-066d47c3e5e3\",\"site\":{\"name\":"
              "\"n\",\"url\":\"u\"},\"location\":\"l\",\"observer\":\"o\",\"slot\":"
              "\"2026-11-21T10:00:05.0009+02:00\",\"time\":\"2026-11-21t08:00:05.000999z\","
              "\"lag_us\":0,\"attempt\":1,\"final\":false,\"interval_s\":1,\"status\":\"up\"}"),
        &event);

    (void)state;
    assert_int_equal(event.slot_us, INT64_C(1795248005000000)); /* a whole millisecond */
    assert_int_equal(event.time_us, INT64_C(1795248005000999));
    assert_int_equal(event.site_id, 0);
    assert_false(event.final);
    assert_int_equal(event.status, CHECK_UP);
    assert_int_equal(event.http_status, 0);
    assert_null(event.http_version);
    assert_int_equal(event.body_bytes, EVENT_ABSENT);
    assert_null(event.final_url);
    assert_int_equal(event.timing.dns_us, EVENT_ABSENT);
    assert_int_equal(event.timing.total_us, EVENT_ABSENT);
    assert_null(event.peer);
    assert_null(event.tls_version);
    assert_int_equal(event.cert_not_after_s, EVENT_ABSENT);
    assert_false(event.has_pattern);
    assert_null(event.answers_json);
    assert_int_equal(event.error, ERROR_NONE);
    assert_int_equal(event.error_phase, PHASE_NONE);
    assert_null(event.error_message);
    event_doc_free(doc);
}

/* GOOD with `answers` answers, each of `groups` groups. The caller frees. */
static char *with_answers(size_t answers, size_t groups)
{
    char *list = mem_alloc(answers * (groups * 5 + 3) + 3, 1);
    size_t used = 0;

    list[used++] = '[';
    for (size_t a = 0; a < answers; a++) {
        list[used++] = '[';
        for (size_t g = 0; g < groups; g++) {
            memcpy(list + used, "null,", 5);
            used += 5;
        }
        used -= groups > 0 ? 1 : 0;
        memcpy(list + used, "],", 2);
        used += 2;
    }
    list[used - 1] = ']';

    char *json = replaced(GOOD, "[[\"v12\",\"12\",null]]", list);

    free(list);
    return json;
}

static void test_limits_of_answers(void **state)
{
    char *most = with_answers(100, 65);
    char *one_answer_more = with_answers(101, 1);
    char *one_group_more = with_answers(1, 66);
    struct event event;

    (void)state;
    event_doc_free(expect_event(most, strlen(most), &event));
    expect_fault(one_answer_more, strlen(one_answer_more), EVENT_FAULT_FIELD,
                 "pattern.answers: 101, at most 100");
    expect_fault(one_group_more, strlen(one_group_more), EVENT_FAULT_FIELD,
                 "pattern.answers: [0] is not an array of at most 65 strings or nulls");
    free(most);
    free(one_answer_more);
    free(one_group_more);
}

static void test_size_limit(void **state)
{
    size_t size = EVENT_BYTES_MAX + 1;
    char *json = mem_alloc(size, 1);
    struct event event;

    (void)state;
    memset(json, ' ', size);
    memcpy(json, GOOD, sizeof(GOOD) - 1);
    event_doc_free(expect_event(json, size - 1, &event));
    expect_fault(json, size, EVENT_FAULT_TOO_LARGE, "too large: 262145 bytes, at most 262144");
    memset(json, '[', size);
    expect_fault(json, size - 1, EVENT_FAULT_JSON, "not JSON at offset 512");
    free(json);
    event_doc_free(NULL);
}

/* An event cut anywhere is none, and no byte past its end is read. */
static void test_every_prefix_is_refused(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof(GOOD) - 1; len++) {
        char *exact = malloc(len + 1);
        struct event event;
        enum event_fault fault;
        struct err err;

        assert_non_null(exact);
        memcpy(exact, GOOD, len);
        exact[len] = '}';
        assert_null(event_decode(exact, len, &event, &fault, &err));
        assert_int_equal(fault, EVENT_FAULT_JSON);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_every_member_is_read),
        cmocka_unit_test(test_what_is_left_out_is_absent),
        cmocka_unit_test(test_limits_of_answers),
        cmocka_unit_test(test_size_limit),
        cmocka_unit_test(test_every_prefix_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
