/* Stderr is a file while a line is written, and what stands in it is compared. */

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "common/log.h"
#include "common/timestamp.h"
#include "common/utf8.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
#define STAMP_BYTES 24 /* 2026-11-21T08:00:05.001Z */

static char written[2 * LOG_LINE_BYTES_MAX];
static size_t written_len;

/* Run log_line with stderr in a file, and read that into `written`. */
static void capture(enum log_level level, const char *msg, const struct log_field *fields)
{
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    ssize_t len;

    assert_non_null(file);
    assert_true(saved >= 0);
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    log_line(level, msg, fields);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    len = pread(fileno(file), written, sizeof(written) - 1, 0);
    assert_true(len >= 0);
    written_len = (size_t)len;
    written[written_len] = '\0';
    fclose(file);
}

static const struct {
    const char *name;
    const char *msg;
    struct log_field fields[4];
    const char *logfmt; /* what follows time and level */
    const char *json;
} cases[] = {
    {
        .name = "a message without fields",
        .msg = "started",
        .logfmt = "msg=started\n",
        .json = "\"msg\":\"started\"}\n",
    },
    {
        .name = "text and numbers",
        .msg = "partition claimed",
        .fields = {LOG_S("topic", "checks"), LOG_I("partition", 3), LOG_F("seconds", 0.25)},
        .logfmt = "msg=\"partition claimed\" topic=checks partition=3 seconds=0.25\n",
        .json = "\"msg\":\"partition claimed\",\"topic\":\"checks\",\"partition\":3,"
                "\"seconds\":0.25}\n",
    },
    {
        .name = "text that would start a line of its own",
        .msg = "site",
        .fields = {LOG_S("body", "a\nlevel=error msg=\"x\"\r\t\\")},
        .logfmt = "msg=site body=\"a\\nlevel=error msg=\\\"x\\\"\\r\\t\\\\\"\n",
        .json = "\"msg\":\"site\",\"body\":\"a\\nlevel=error msg=\\\"x\\\"\\r\\t\\\\\"}\n",
    },
    {
        .name = "control characters that a terminal would act on",
        .msg = "site",
        .fields = {LOG_S("a", "\x1b[2J\x7f\x01"), LOG_S("b", "\xc2\x9b\xc2\x85"),
                   LOG_S("c", "\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa")},
        .logfmt = "msg=site a=\"\\u001b[2J\\u007f\\u0001\" b=\"\\u009b\\u0085\" "
                  "c=\"\\u2028\\u2029\xe2\x80\xaa\"\n",
        .json = "\"msg\":\"site\",\"a\":\"\\u001b[2J\\u007f\\u0001\",\"b\":\"\\u009b\\u0085\","
                "\"c\":\"\\u2028\\u2029\xe2\x80\xaa\"}\n",
    },
    {
        .name = "bytes that are not UTF-8",
        .msg = "site",
        .fields = {LOG_S("a", "x\xff\xc3"), LOG_S("b", "\xc3\xa9\xc2\xa0\xf0\x9f\x98\x80")},
        .logfmt = "msg=site a=\"x" UTF8_REPLACEMENT UTF8_REPLACEMENT
                  "\" b=\"\xc3\xa9\xc2\xa0\xf0\x9f\x98\x80\"\n",
        .json = "\"msg\":\"site\",\"a\":\"x" UTF8_REPLACEMENT UTF8_REPLACEMENT
                "\",\"b\":\"\xc3\xa9\xc2\xa0\xf0\x9f\x98\x80\"}\n",
    },
    {
        .name = "text that has to be quoted, and text that has not",
        .msg = "m",
        .fields = {LOG_S("none", NULL), LOG_S("sign", "a=b"), LOG_S("plain", "http://x/?a&b;{}'")},
        .logfmt = "msg=m none=\"\" sign=\"a=b\" plain=http://x/?a&b;{}'\n",
        .json = "\"msg\":\"m\",\"none\":\"\",\"sign\":\"a=b\",\"plain\":\"http://x/?a&b;{}'\"}\n",
    },
    {
        .name = "the ends of the numbers",
        .msg = "m",
        .fields = {LOG_I("low", INT64_MIN), LOG_I("high", INT64_MAX), LOG_F("not", NAN)},
        .logfmt = "msg=m low=-9223372036854775808 high=9223372036854775807 not=nan\n",
        .json = "\"msg\":\"m\",\"low\":-9223372036854775808,\"high\":9223372036854775807,"
                "\"not\":null}\n",
    },
};

/* Whether `at` begins with a time; what it is, nobody knows beforehand. */
static void expect_time(const char *at)
{
    int64_t unix_us;
    struct err err;

    assert_int_equal(timestamp_parse_us(at, STAMP_BYTES, &unix_us, &err), 0);
}

static void test_logfmt(void **state)
{
    (void)state;
    log_setup(LOG_DEBUG, LOG_LOGFMT);
    for (size_t i = 0; i < ROWS(cases); i++) {
        print_message("  %s\n", cases[i].name);
        capture(LOG_WARN, cases[i].msg, cases[i].fields);
        assert_memory_equal(written, "time=", 5);
        expect_time(written + 5);
        assert_memory_equal(written + 5 + STAMP_BYTES, " level=warning ", 15);
        assert_string_equal(written + 5 + STAMP_BYTES + 15, cases[i].logfmt);
    }
}

static void test_json(void **state)
{
    (void)state;
    log_setup(LOG_DEBUG, LOG_JSON);
    for (size_t i = 0; i < ROWS(cases); i++) {
        cJSON *line;

        print_message("  %s\n", cases[i].name);
        capture(LOG_ERROR, cases[i].msg, cases[i].fields);
        assert_memory_equal(written, "{\"time\":\"", 9);
        expect_time(written + 9);
        assert_memory_equal(written + 9 + STAMP_BYTES, "\",\"level\":\"error\",", 18);
        assert_string_equal(written + 9 + STAMP_BYTES + 18, cases[i].json);
        line = cJSON_Parse(written);
        assert_non_null(line);
        cJSON_Delete(line);
    }
}

static bool ends_with(const char *end)
{
    size_t len = strlen(end);

    return written_len >= len && memcmp(written + written_len - len, end, len) == 0;
}

/* With a text of each length around the ceiling, of characters of one to four bytes and of those
 * that are escaped. */
static void test_a_long_line_is_cut(void **state)
{
    static const char *const characters[] = {"n",    "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
                                             "\x01", "\"",       "\xff"};
    static char text[LOG_LINE_BYTES_MAX + 128];

    (void)state;
    for (int format = LOG_LOGFMT; format <= LOG_JSON; format++) {
        log_setup(LOG_DEBUG, (enum log_format)format);
        for (size_t c = 0; c < ROWS(characters); c++) {
            size_t width = strlen(characters[c]);
            size_t len = 0;

            for (; len + width < sizeof(text); len += width) {
                memcpy(text + len, characters[c], width);
            }
            for (; len > 3800; len -= width) {
                text[len] = '\0';

                const struct log_field fields[] = {LOG_S("text", text), LOG_I("last", 1), {0}};

                capture(LOG_INFO, "long", fields);
                assert_true(written_len <= LOG_LINE_BYTES_MAX);
                assert_int_equal(utf8_valid_prefix(written, written_len), written_len);
                assert_ptr_equal(strchr(written, '\n'), written + written_len - 1);
                if (format == LOG_JSON) {
                    cJSON *line = cJSON_Parse(written);

                    assert_non_null(line);
                    cJSON_Delete(line);
                    assert_true(ends_with(",\"last\":1}\n") != ends_with("\",\"cut\":true}\n"));
                } else {
                    assert_true(ends_with("\" last=1\n") != ends_with("\" ...\n"));
                }
            }
        }
    }
}

/* A member's name is never left without its value. */
static void test_many_fields_are_cut_between_two(void **state)
{
    struct log_field fields[1001];

    (void)state;
    for (size_t i = 0; i < 1000; i++) {
        fields[i] = LOG_I("number", i);
    }
    fields[1000] = (struct log_field){0};

    log_setup(LOG_DEBUG, LOG_JSON);
    capture(LOG_INFO, "many", fields);
    assert_true(ends_with(",\"cut\":true}\n"));

    cJSON *line = cJSON_Parse(written);

    assert_non_null(line);
    cJSON_Delete(line);

    fields[0] = LOG_S("number", "text");
    log_setup(LOG_DEBUG, LOG_LOGFMT);
    capture(LOG_INFO, "many", fields);
    assert_true(ends_with(" ...\n"));
    assert_true(strstr(written, "= ") == NULL);
}

static void test_levels_below_are_left_out(void **state)
{
    const struct log_field none = {0};

    (void)state;
    log_setup(LOG_WARN, LOG_LOGFMT);
    assert_false(log_enabled(LOG_DEBUG));
    assert_false(log_enabled(LOG_INFO));
    assert_true(log_enabled(LOG_WARN));
    assert_true(log_enabled(LOG_ERROR));
    capture(LOG_INFO, "m", &none);
    assert_int_equal(written_len, 0);
    capture(LOG_WARN, "m", &none);
    assert_true(written_len > 0);
}

/* JOURNAL_STREAM is set to what names the file that stderr is in `capture`; `elsewhere` says that
 * stderr has since become another file, as in a child with its output in a pipe. */
static void capture_journal(enum log_level level, enum log_format format, bool elsewhere)
{
    static const struct log_field none = {0};
    FILE *journal = tmpfile();
    int saved = dup(STDERR_FILENO);
    char stream[64];
    struct stat stat;

    assert_non_null(journal);
    assert_true(saved >= 0);
    assert_int_equal(fstat(fileno(journal), &stat), 0);
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)stat.st_dev,
             (uintmax_t)stat.st_ino + elsewhere);
    setenv("JOURNAL_STREAM", stream, 1);
    assert_true(dup2(fileno(journal), STDERR_FILENO) >= 0);
    log_setup(LOG_DEBUG, format);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    capture(level, "m", &none);
    close(saved);
    fclose(journal);
    unsetenv("JOURNAL_STREAM");
    log_setup(LOG_DEBUG, LOG_LOGFMT);
}

static void test_the_journal_is_told_the_priority(void **state)
{
    static const struct {
        const char *name;
        enum log_level level;
        enum log_format format;
        bool elsewhere;
        const char *begin;
    } rows[] = {
        {"stderr is another file than the journal", LOG_ERROR, LOG_LOGFMT, true, "time="},
        {"an error", LOG_ERROR, LOG_LOGFMT, false, "<3>time="},
        {"a warning", LOG_WARN, LOG_LOGFMT, false, "<4>time="},
        {"a change of state", LOG_INFO, LOG_LOGFMT, false, "<6>time="},
        {"a detail", LOG_DEBUG, LOG_LOGFMT, false, "<7>time="},
        {"as JSON", LOG_WARN, LOG_JSON, false, "<4>{\"time\":"},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        print_message("  %s\n", rows[i].name);
        capture_journal(rows[i].level, rows[i].format, rows[i].elsewhere);
        assert_memory_equal(written, rows[i].begin, strlen(rows[i].begin));
        assert_ptr_equal(strchr(written, '\n'), written + written_len - 1);
    }
}

static void test_errno_and_macros(void **state)
{
    (void)state;
    log_setup(LOG_ERROR, LOG_LOGFMT);
    errno = ENOENT;
    log_write(LOG_INFO, "without fields");
    log_write(LOG_INFO, "with one", LOG_S("a", "b"));
    assert_int_equal(errno, ENOENT);
}

static const struct {
    const char *text;
    int level; /* -1: refused */
} levels[] = {
    {"", -1},
    {"information", -1},
    {"debu", -1},
    {" info", -1},
    {"20", -1},
    {"trace", LOG_DEBUG},
    {"DEBUG", LOG_DEBUG},
    {"Info", LOG_INFO},
    {"SUCCESS", LOG_INFO},
    {"warn", LOG_WARN},
    {"WARNING", LOG_WARN},
    {"error", LOG_ERROR},
    {"fatal", LOG_ERROR},
    {"CRITICAL", LOG_ERROR},
};

static void test_level_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(levels); i++) {
        enum log_level level = LOG_WARN;
        struct err err;

        print_message("  \"%s\"\n", levels[i].text);
        if (levels[i].level < 0) {
            assert_int_equal(log_level_parse(levels[i].text, &level, &err), -1);
            assert_int_equal(err.kind, ERR_INVALID);
            assert_non_null(strstr(err.message, "is not debug, info, warning or error"));
            assert_int_equal(level, LOG_WARN);
        } else {
            assert_int_equal(log_level_parse(levels[i].text, &level, &err), 0);
            assert_int_equal(level, levels[i].level);
        }
    }
}

static void test_limit(void **state)
{
    struct log_limit limit = {.interval_ns = 10};
    uint64_t suppressed = 77;

    (void)state;
    assert_true(log_limit_allows(&limit, 100, &suppressed));
    assert_int_equal(suppressed, 0);
    assert_false(log_limit_allows(&limit, 100, &suppressed));
    assert_false(log_limit_allows(&limit, 109, &suppressed));
    assert_int_equal(suppressed, 0);
    assert_true(log_limit_allows(&limit, 110, &suppressed));
    assert_int_equal(suppressed, 2);
    assert_true(log_limit_allows(&limit, 500, &suppressed));
    assert_int_equal(suppressed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logfmt),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_a_long_line_is_cut),
        cmocka_unit_test(test_many_fields_are_cut_between_two),
        cmocka_unit_test(test_levels_below_are_left_out),
        cmocka_unit_test(test_the_journal_is_told_the_priority),
        cmocka_unit_test(test_errno_and_macros),
        cmocka_unit_test(test_level_names),
        cmocka_unit_test(test_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
