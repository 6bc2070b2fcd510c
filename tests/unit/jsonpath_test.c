#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsonpath.h"
#include "common/mem.h"

#define STEPS_32 ".a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a"

static void bad_paths_are_refused(void **state)
{
    static const struct {
        const char *name, *path, *message;
    } rows[] = {
        {"nothing", "", "expected $ at offset 0"},
        {"no dollar", "a.b", "expected $ at offset 0"},
        {"a space", "$ ", "expected . or [ at offset 1"},
        {"a dot and no name", "$.", "offset 2"},
        {"two dots", "$..a", "offset 2"},
        {"any member", "$.*", "offset 2"},
        {"a name that begins with a digit", "$.1a", "offset 2"},
        {"a name with a hyphen", "$.a-b", "expected . or [ at offset 3"},
        {"an open bracket", "$[", "expected an index"},
        {"an index below 0", "$[-1]", "offset 2"},
        {"an index with a 0 before it", "$[01]", "offset 2"},
        {"an index too large", "$[1000000001]", "offset 2"},
        {"an index far too large", "$[99999999999999999999999]", "offset 2"},
        {"an index without an end", "$[1", "expected ] at offset 3"},
        {"a range", "$[0:2]", "expected ] at offset 3"},
        {"any element", "$[*]", "offset 2"},
        {"a filter", "$[?@.a]", "offset 2"},
        {"a quoted name without an end", "$[\"a", "expected the name's closing quote at offset 4"},
        {"the other quote at its end", "$[\"a']", "closing quote"},
        {"a quoted name without a bracket", "$[\"a\"", "expected ] at offset 5"},
        {"two names", "$['a','b']", "expected ] at offset 5"},
        {"another escape", "$[\"\\n\"]", "after the \\ at offset 4"},
        {"an escape at the end", "$[\"\\", "after the \\ at offset 4"},
        {"a control character", "$['\t']", "closing quote at offset 3"},
        {"not UTF-8", "$.\xff", "not UTF-8 at offset 2"},
        {"33 steps", "$" STEPS_32 ".a", "has more than 32 steps"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct jsonpath path;
        struct err err;

        print_message("  %s\n", rows[i].name);
        assert_int_equal(jsonpath_parse(rows[i].path, &path, &err), -1);
        assert_int_equal(err.kind, ERR_INVALID);
        if (strstr(err.message, rows[i].message) == NULL) {
            fail_msg("got: %s", err.message);
        }
    }
}

static void a_path_has_a_ceiling(void **state)
{
    struct jsonpath path;
    struct err err;
    char *text = mem_alloc(JSONPATH_BYTES_MAX + 2, 1);

    (void)state;
    memset(text, 'a', JSONPATH_BYTES_MAX);
    text[0] = '$';
    text[1] = '.';
    assert_int_equal(jsonpath_parse(text, &path, &err), 0);
    assert_int_equal(strlen(path.steps[0].name), JSONPATH_BYTES_MAX - 2);
    jsonpath_free(&path);
    text[JSONPATH_BYTES_MAX] = 'a';
    assert_int_equal(jsonpath_parse(text, &path, &err), -1);
    assert_string_equal(err.message, "longer than 1024 bytes");
    free(text);
}

static void paths_are_shown_as_they_parse(void **state)
{
    static const struct {
        const char *path, *shown;
    } rows[] = {
        {"$", "$"},
        {"$.a.b_1[0]", "$.a.b_1[0]"},
        {"$['a']", "$.a"},
        {"$[\"a b\"]", "$[\"a b\"]"},
        {"$['']", "$[\"\"]"},
        {"$['1']", "$[\"1\"]"},
        {"$['\"\\'\\\\']", "$[\"\\\"'\\\\\"]"},
        {"$.\xc3\xbc", "$.\xc3\xbc"},
        {"$[1000000000]", "$[1000000000]"},
        {"$" STEPS_32, "$" STEPS_32},
    };
    char shown[256];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct jsonpath path;
        struct err err;

        print_message("  %s\n", rows[i].path);
        assert_int_equal(jsonpath_parse(rows[i].path, &path, &err), 0);
        jsonpath_text(&path, path.count, shown, sizeof(shown));
        assert_string_equal(shown, rows[i].shown);
        jsonpath_text(&path, 0, shown, sizeof(shown));
        assert_string_equal(shown, "$");
        jsonpath_text(&path, path.count, shown, 2);
        assert_string_equal(shown, "$");
        jsonpath_free(&path);
    }
}

static struct jsonpath_match find(const char *text, const char *json, size_t len)
{
    struct jsonpath path;
    struct jsonpath_match match;
    struct err err;

    assert_int_equal(jsonpath_parse(text, &path, &err), 0);
    jsonpath_find(&path, json, len, &match);
    jsonpath_free(&path);
    return match;
}

static void what_is_not_json_is_told(void **state)
{
    static const struct {
        const char *name, *json;
        size_t offset;
    } rows[] = {
        {"nothing", "", 0},
        {"spaces", " \t\r\n", 4},
        {"a page", "<html>", 0},
        {"a word", "nil", 1},
        {"a word cut off", "tru", 3},
        {"a word too long", "true1", 4},
        {"two values", "1 2", 2},
        {"a number with a 0 before it", "01", 1},
        {"a plus", "+1", 0},
        {"a minus", "-", 1},
        {"a point at the end", "1.", 2},
        {"an exponent without digits", "1e+", 3},
        {"hexadecimal", "0x1", 1},
        {"an open array", "[1", 2},
        {"a comma at the end of an array", "[1,]", 3},
        {"two commas", "[1,,2]", 3},
        {"the wrong bracket", "[1}", 2},
        {"an open object", "{\"a\":1", 6},
        {"a comma at the end of an object", "{\"a\":1,}", 7},
        {"no colon", "{\"a\" 1}", 5},
        {"no value", "{\"a\":}", 5},
        {"a name without quotes", "{a:1}", 1},
        {"an open string", "\"a", 2},
        {"an escape cut off", "\"\\", 1},
        {"an escape that is none", "\"\\x\"", 1},
        {"a short \\u", "\"\\u12\"", 1},
        {"a \\u of other letters", "\"\\u12g4\"", 1},
        {"a line break in a string", "\"a\nb\"", 2},
        {"not UTF-8", "\"\xff\"", 1},
        {"a comment", "/**/1", 0},
        {"single quotes", "'a'", 0},
        {"something after it", "{} x", 3},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct jsonpath_match match = find("$", rows[i].json, strlen(rows[i].json));

        print_message("  %s\n", rows[i].name);
        assert_int_equal(match.outcome, JSONPATH_NOT_JSON);
        if (match.offset != rows[i].offset) {
            fail_msg("at offset %zu", match.offset);
        }
    }
    assert_int_equal(find("$", "1\0", 2).outcome, JSONPATH_NOT_JSON);
    assert_int_equal(find("$", "\"\\\0\"", 4).outcome, JSONPATH_NOT_JSON);
}

static void values_are_found(void **state)
{
    static const struct {
        const char *name, *path, *json, *value; /* NULL: missing */
        size_t steps;                           /* of a missing one */
        const char *is;                         /* what it equals */
    } rows[] = {
        {"all of it", "$", " 1 ", "1", 0, "1"},
        {"after a byte order mark", "$", "\xef\xbb\xbftrue", "true", 0, "true"},
        {"a member", "$.a", "{\"b\":1,\"a\":\"x\"}", "\"x\"", 0, "x"},
        {"of no characters", "$[\"\"]", "{\"\":null}", "null", 0, "null"},
        {"deep down", "$.a[1].b", "{\"a\":[0,{\"b\":-1.50e+3}]}", "-1.50e+3", 0, "-1.50e+3"},
        {"the last element", "$[2]", "[ 1 , 2 , false ]", "false", 0, "false"},
        {"an element past the end", "$[3]", "[1,2,3]", NULL, 0, NULL},
        {"a member of an array", "$.a", "[{\"a\":1}]", NULL, 0, NULL},
        {"an element of an object", "$[0]", "{\"0\":1}", NULL, 0, NULL},
        {"a member of a text", "$.a.b", "{\"a\":\"b\"}", NULL, 1, NULL},
        {"a member of an empty object", "$.a", "{}", NULL, 0, NULL},
        {"an element of an empty array", "$.a[0]", "{\"a\":[]}", NULL, 1, NULL},
        {"one that stands elsewhere", "$.a.b", "{\"c\":{\"b\":1},\"b\":2}", NULL, 0, NULL},
        {"a name in other letters", "$.A", "{\"a\":1}", NULL, 0, NULL},
        {"a longer name", "$.a", "{\"ab\":1}", NULL, 0, NULL},
        {"a shorter name", "$.ab", "{\"a\":1}", NULL, 0, NULL},
        {"the first of two", "$.a", "{\"a\":1,\"a\":2}", "1", 0, "1"},
        {"the first of two, which leads nowhere", "$.a.b", "{\"a\":1,\"a\":{\"b\":2}}", NULL, 1,
         NULL},
        {"an escaped name", "$.a_b", "{\"\\u0061\\u005Fb\":1}", "1", 0, "1"},
        {"escapes", "$", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", 0,
         "\"\\/\b\f\n\r\t"},
        {"characters of 2, 3 and 4 bytes", "$", "\"\\u00fc\\u20aC\\ud83d\\ude00\"",
         "\"\\u00fc\\u20aC\\ud83d\\ude00\"", 0, "\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"half a pair", "$", "\"\\ud83d\"", "\"\\ud83d\"", 0, "\xef\xbf\xbd"},
        {"the other half", "$", "\"\\ude00x\"", "\"\\ude00x\"", 0, "\xef\xbf\xbdx"},
        {"a half and another letter", "$", "\"\\ud83d\\u0041\"", "\"\\ud83d\\u0041\"", 0,
         "\xef\xbf\xbd"
         "A"},
        {"an array", "$.a", "{\"a\":[1]}", "[1]", 0, NULL},
        {"an object", "$", "{\"a\":[1]}", "{\"a\":[1]}", 0, NULL},
        {"a NUL in a text", "$", "\"a\\u0000b\"", "\"a\\u0000b\"", 0, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct jsonpath_match match = find(rows[i].path, rows[i].json, strlen(rows[i].json));

        print_message("  %s\n", rows[i].name);
        if (rows[i].value == NULL) {
            assert_int_equal(match.outcome, JSONPATH_MISSING);
            assert_int_equal(match.steps, rows[i].steps);
            continue;
        }
        assert_int_equal(match.outcome, JSONPATH_FOUND);
        assert_int_equal(match.len, strlen(rows[i].value));
        assert_memory_equal(match.text, rows[i].value, match.len);
        assert_false(jsonpath_value_is(&match, "another"));
        assert_false(jsonpath_value_is(&match, "a"));
        assert_false(jsonpath_value_is(&match, "[1]"));
        if (rows[i].is != NULL) {
            assert_true(jsonpath_value_is(&match, rows[i].is));
        }
    }
}

static void depth_has_a_ceiling(void **state)
{
    char json[2 * (JSONPATH_DEPTH_MAX + 1)];

    (void)state;
    memset(json, '[', JSONPATH_DEPTH_MAX + 1);
    memset(json + JSONPATH_DEPTH_MAX + 1, ']', JSONPATH_DEPTH_MAX + 1);
    assert_int_equal(find("$", json + 1, sizeof(json) - 2).outcome, JSONPATH_FOUND);
    assert_int_equal(find("$", json, sizeof(json)).outcome, JSONPATH_TOO_DEEP);
    assert_int_equal(find("$", json, sizeof(json)).offset, JSONPATH_DEPTH_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_paths_are_refused),
        cmocka_unit_test(a_path_has_a_ceiling),
        cmocka_unit_test(paths_are_shown_as_they_parse),
        cmocka_unit_test(what_is_not_json_is_told),
        cmocka_unit_test(values_are_found),
        cmocka_unit_test(depth_has_a_ceiling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
