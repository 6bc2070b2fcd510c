#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/pattern.h"
#include "common/utf8.h"

#define MIB (1024 * 1024)
#define CPU_NS_MAX (200 * NS_PER_MS) /* four times the limit: a sanitizer's build is slow */

static void refuses_what_is_no_expression(void **state)
{
    static const struct {
        const char *name, *text, *message;
    } rows[] = {
        {"a group that stays open", "a(b", "pattern: missing closing parenthesis at offset 3"},
        {"a repeat of nothing", "*a", NULL},
        {"half a character", "a\\C", NULL},
        {"a pattern that is not UTF-8", "caf\xe9", NULL},
        {"a character beyond Unicode", "\\x{110000}", NULL},
        {"an expression that grows too large", "(((a{0,999}){0,999}){0,999})", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct err err = {0};

        assert_int_equal(pattern_check(rows[i].text, &err), -1);
        err = (struct err){0};
        assert_null(pattern_new(rows[i].text, &err));
        if (err.kind != ERR_INVALID || strncmp(err.message, "pattern: ", 9) != 0 ||
            (rows[i].message != NULL && strcmp(err.message, rows[i].message) != 0)) {
            fail_msg("%s: got '%s'", rows[i].name, err.message);
        }
    }
}

static void has_a_ceiling_on_text_and_groups(void **state)
{
    char text[PATTERN_BYTES_MAX + 2];
    char groups[4 * (PATTERN_GROUPS_MAX + 1)] = "";
    struct err err;

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[PATTERN_BYTES_MAX + 1] = '\0';
    assert_int_equal(pattern_check(text, &err), -1);
    assert_string_equal(err.message, "pattern: longer than 4096 bytes");
    text[PATTERN_BYTES_MAX] = '\0';
    assert_int_equal(pattern_check(text, &err), 0);
    for (size_t i = 0; i < PATTERN_GROUPS_MAX; i++) {
        memcpy(groups + 3 * i, "(a)", 4);
    }
    assert_int_equal(pattern_check(groups, &err), 0);
    memcpy(groups + strlen(groups), "(b)", 4);
    assert_null(pattern_new(groups, &err));
    assert_string_equal(err.message, "pattern: has 65 groups, want at most 64; write (?:...) for "
                                     "a group that is no answer");
}

struct searched {
    const char *name, *pattern, *body;
    size_t len; /* 0: strlen */
    enum pattern_result result;
    const char *json;
};

static const struct searched searched[] = {
    {"an empty body", "a", "", 0, PATTERN_ABSENT, NULL},
    {"an empty match in an empty body", "a*", "", 0, PATTERN_MATCHED, "[[\"\"]]"},
    {"no match", "v=(\\d+)", "v=x", 0, PATTERN_ABSENT, NULL},
    {"every match with its groups", "v(\\d)(\\d?)", "v12 v3", 0, PATTERN_MATCHED,
     "[[\"v12\",\"1\",\"2\"],[\"v3\",\"3\",\"\"]]"},
    {"a group that took no part is null", "(a)|(b)|(c)", "b", 0, PATTERN_MATCHED,
     "[[\"b\",null,\"b\",null]]"},
    {"quotes, backslashes and control characters are escaped", "(?s).+", "\"\\\n\x01\x1f\x7f", 0,
     PATTERN_MATCHED, "[[\"\\\"\\\\\\n\\u0001\\u001f\x7f\"]]"},
    {"empty matches go on by a character", "", "ab", 0, PATTERN_MATCHED, "[[\"\"],[\"\"],[\"\"]]"},
    {"empty matches go on by a whole UTF-8 character", "", "\xc3\xbc\xf0\x9f\x98\x80", 0,
     PATTERN_MATCHED, "[[\"\"],[\"\"],[\"\"]]"},
    {"empty matches go on by a CR LF where that is a line end", "(*CRLF)(?m)^", "a\r\nb", 0,
     PATTERN_MATCHED, "[[\"\"],[\"\"]]"},
    {"empty and other matches take turns", "a*", "baac", 0, PATTERN_MATCHED,
     "[[\"\"],[\"aa\"],[\"\"],[\"\"]]"},
    {"a match after an empty one at the same place", "\\b|x", "x", 0, PATTERN_MATCHED,
     "[[\"\"],[\"x\"],[\"\"]]"},
    {"\\K moves the start", "a\\Kb", "abab", 0, PATTERN_MATCHED, "[[\"b\"],[\"b\"]]"},
    {"\\K at the end of a match is empty", "a\\K", "aa", 0, PATTERN_MATCHED, "[[\"\"],[\"\"]]"},
    {"look-behind sees the match before", "(?<=a)b|a", "ab", 0, PATTERN_MATCHED,
     "[[\"a\"],[\"b\"]]"},
    {"a dot is a character of valid UTF-8", "^.$", "\xc3\xbc", 0, PATTERN_MATCHED,
     "[[\"\xc3\xbc\"]]"},
    {"a dot is a byte of any other body", "^..$", "\xc3\x28", 0, PATTERN_MATCHED,
     "[[\"" UTF8_REPLACEMENT "(\"]]"},
    {"a NUL in a body is a byte like others", "a(.)b", "a\0b", 3, PATTERN_MATCHED,
     "[[\"a" UTF8_REPLACEMENT "b\",\"" UTF8_REPLACEMENT "\"]]"},
    {"a match after a NUL", "b", "a\0b", 3, PATTERN_MATCHED, "[[\"b\"]]"},
    {"text of the pattern matches in a body that is not UTF-8", "\xc3\xbc+", "\xff\xc3\xbc", 0,
     PATTERN_MATCHED, "[[\"\xc3\xbc\"]]"},
    {"a pattern that is UTF alone on a body that is not", "\\x{20ac}(.)", "\xe2\x82\xac\xff", 0,
     PATTERN_MATCHED, "[[\"\xe2\x82\xac" UTF8_REPLACEMENT "\",\"" UTF8_REPLACEMENT "\"]]"},
    {"a pattern that asks for UTF on a body that is not", "(*UTF)b",
     "\xff"
     "b",
     0, PATTERN_MATCHED, "[[\"b\"]]"},
    {"a pattern without JIT", "(*NO_JIT)(a+)b", "aab", 0, PATTERN_MATCHED, "[[\"aab\",\"aa\"]]"},
    {"a limit in the pattern", "(*LIMIT_MATCH=1)(?:a|b|.)*z", "aaaaa", 0, PATTERN_ABSENT, NULL},
    {"recursion without an end", "(?1)(a?(?1)|b)", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaab", 0,
     PATTERN_LIMIT, NULL},
};

static void searches(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(searched) / sizeof(searched[0]); i++) {
        const struct searched *row = &searched[i];
        size_t len = row->len == 0 ? strlen(row->body) : row->len;
        struct err err = {0};
        struct pattern *p = pattern_new(row->pattern, &err);

        if (p == NULL) {
            fail_msg("%s: %s", row->name, err.message);
            return;
        }
        for (int turn = 0; turn < 2; turn++) { /* the second finds what the first has kept */
            struct answers answers = {.cut = true};
            enum pattern_result result = pattern_search(p, row->body, len, &answers);
            bool same = row->json == NULL
                            ? answers.json == NULL
                            : answers.json != NULL && strcmp(answers.json, row->json) == 0 &&
                                  answers.json_len == strlen(row->json);

            if (result != row->result || !same || answers.cut) {
                fail_msg("%s: got %d %s", row->name, result, answers.json);
            }
            answers_free(&answers);
            assert_int_equal(pattern_search(p, row->body, len, NULL), row->result);
        }
        pattern_free(p);
    }
    pattern_free(NULL);
}

static struct pattern *made(const char *text)
{
    struct err err = {0};
    struct pattern *p = pattern_new(text, &err);

    if (p == NULL) {
        fail_msg("%s", err.message);
    }
    return p;
}

static void keeps_a_hundred_matches(void **state)
{
    char body[2 * PATTERN_ANSWERS_MAX + 2];
    struct pattern *p = made("a");
    struct answers answers;

    (void)state;
    memset(body, 'b', sizeof(body));
    for (size_t i = 0; i < PATTERN_ANSWERS_MAX; i++) {
        body[2 * i] = 'a';
    }
    assert_int_equal(pattern_search(p, body, sizeof(body), &answers), PATTERN_MATCHED);
    assert_int_equal(answers.count, PATTERN_ANSWERS_MAX);
    assert_false(answers.cut);
    answers_free(&answers);
    assert_null(answers.json);
    body[sizeof(body) - 1] = 'a';
    assert_int_equal(pattern_search(p, body, sizeof(body), &answers), PATTERN_MATCHED);
    assert_int_equal(answers.count, PATTERN_ANSWERS_MAX);
    assert_true(answers.cut);
    answers_free(&answers);
    pattern_free(p);
}

static void keeps_so_much_text(void **state)
{
    size_t len = PATTERN_ANSWER_BYTES_MAX;
    char *body = malloc(len + 2);
    struct pattern *p = made("(?s).+");
    struct answers answers;

    (void)state;
    memset(body, 'x', len + 2);
    assert_int_equal(pattern_search(p, body, len, &answers), PATTERN_MATCHED);
    assert_int_equal(answers.json_len, len + 6);
    assert_false(answers.cut);
    answers_free(&answers);
    assert_int_equal(pattern_search(p, body, len + 1, &answers), PATTERN_MATCHED);
    assert_int_equal(answers.json_len, len + 6);
    assert_true(answers.cut);
    answers_free(&answers);
    memcpy(body + len - 1, "\xc3\xbc", 2); /* a character that fits by half is left out */
    assert_int_equal(pattern_search(p, body, len + 1, &answers), PATTERN_MATCHED);
    assert_int_equal(answers.json_len, len + 5);
    assert_true(answers.cut);
    answers_free(&answers);
    pattern_free(p);
    free(body);
}

static void a_long_match_needs_a_large_stack(void **state)
{
    size_t len = 100000;
    char *body = malloc(len);
    struct pattern *p = made("^(?:(a)|b)*c");
    struct answers answers;

    (void)state;
    memset(body, 'a', len);
    body[len - 1] = 'c';
    assert_int_equal(pattern_search(p, body, len, &answers), PATTERN_MATCHED);
    assert_int_equal(answers.count, 1);
    answers_free(&answers);
    pattern_free(p);
    free(body);
}

static const char *const runaways[] = {
    "(a+)+$",
    "(a|aa)+$",
    "(.*)*x",
    "^(a?){30}a{30}b",
    "[^x]*y",
    ".*.*.*=.*",
    "a*b",
    "a*[cd]",
    "[^x]*[yz]",
    "(?:[^x]*[^x]*)[yz]",
    "(a*)\\1c",
    "(?i)(a*)\\1[cd]",
    ".{60000}[cd]",
    "(?>a*)*[cd]",
    "(?=(a*))\\1[cd]",
    "(?:a|b)*[cd]",
    "(\\w+\\s*)+!",
    "(?:(?=(a+))a)+[cd]",
    "a*?[cd]",
    "(*NO_JIT)a*[cd]",
    "(*NO_JIT)(a|aa)+$",
};

/* A verdict within the time, whatever the pattern, whether or not the last bytes are as it wants.
 */
static void runs_away_to_a_limit(void **state)
{
    static const char *const ends[] = {"a", "b", "y", "=", "\xff"};
    char *body = malloc(MIB);
    size_t limits = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(runaways) / sizeof(runaways[0]); i++) {
        struct pattern *p = made(runaways[i]);

        for (size_t j = 0; j < sizeof(ends) / sizeof(ends[0]); j++) {
            struct answers answers;

            memset(body, 'a', MIB);
            body[MIB - 1] = ends[j][0];
            int64_t start_ns = clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
            enum pattern_result result = pattern_search(p, body, MIB, &answers);
            int64_t took_ns = clock_read_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns;

            if (took_ns > CPU_NS_MAX) {
                fail_msg("%s before %s took %d ms", runaways[i], ends[j],
                         (int)(took_ns / NS_PER_MS));
            }
            limits += result == PATTERN_LIMIT ? 1 : 0;
            answers_free(&answers);
        }
        pattern_free(p);
    }
    assert_true(limits > 20); /* most of them do run away */
    free(body);
}

static void what_was_found_before_a_limit_is_kept(void **state)
{
    char *body = malloc(MIB);
    struct pattern *p = made("^start|[^x]*[yz]");
    struct answers answers;

    (void)state;
    memset(body, 'a', MIB);
    memcpy(body, "start", 5);
    assert_int_equal(pattern_search(p, body, MIB, &answers), PATTERN_MATCHED);
    assert_string_equal(answers.json, "[[\"start\"]]");
    assert_true(answers.cut);
    answers_free(&answers);
    assert_int_equal(pattern_search(p, body, MIB, NULL), PATTERN_MATCHED);
    pattern_free(p);
    free(body);
}

static void many_slow_matches_share_one_limit(void **state)
{
    size_t len = 8 * MIB;
    char *body = malloc(len);
    struct pattern *p = made("b(?=[^z]*+)");
    struct answers answers;

    (void)state;
    for (size_t i = 0; i < len; i++) {
        body[i] = i % 8 == 0 ? 'b' : 'a';
    }
    int64_t start_ns = clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
    enum pattern_result result = pattern_search(p, body, len, &answers);

    assert_true(clock_read_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns < CPU_NS_MAX);
    assert_int_equal(result, PATTERN_MATCHED);
    assert_true(answers.count < PATTERN_ANSWERS_MAX);
    assert_true(answers.cut);
    answers_free(&answers);
    pattern_free(p);
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_no_expression),
        cmocka_unit_test(has_a_ceiling_on_text_and_groups),
        cmocka_unit_test(searches),
        cmocka_unit_test(keeps_a_hundred_matches),
        cmocka_unit_test(keeps_so_much_text),
        cmocka_unit_test(a_long_match_needs_a_large_stack),
        cmocka_unit_test(runs_away_to_a_limit),
        cmocka_unit_test(what_was_found_before_a_limit_is_kept),
        cmocka_unit_test(many_slow_matches_share_one_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
