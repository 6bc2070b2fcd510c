/* A text is passed over value by value; each row says how far, and what stands in a string. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/jsontext.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
#define BYTES(literal) literal, sizeof(literal) - 1

static const struct {
    const char *name;
    const char *text;
    ptrdiff_t stop; /* where it is no JSON any more */
} refused[] = {
    {"nothing", "", 0},
    {"white space alone", " \n", 2},
    {"a word cut short", "tru", 3},
    {"a word that is another", "nulL", 3},
    {"a plus sign", "+1", 0},
    {"a dot without digits before it", ".5", 0},
    {"an exponent without digits", "1e", 2},
    {"a string without an end", "\"ab", 3},
    {"a tab in a string", "\"a\tb\"", 2},
    {"an escape of a letter that has none", "\"\\a\"", 1},
    {"an escape cut short", "\"\\u12", 1},
    {"an escape with a letter among its digits", "\"\\u12x4\"", 1},
    {"an array without an end", "[1", 2},
    {"an array closed by a brace", "[1}", 2},
    {"a comma before an array's end", "[1,]", 3},
    {"two values without a comma", "[1 2]", 3},
    {"an object closed by a bracket", "{\"a\":1]", 6},
    {"a name without quotes", "{a:1}", 1},
    {"a name without a colon", "{\"a\" 1}", 5},
    {"a name without a value", "{\"a\":}", 5},
    {"a comma before an object's end", "{\"a\":1,}", 7},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(refused); i++) {
        struct jsontext t = jsontext_begin(refused[i].text, strlen(refused[i].text));
        struct jsontext_value value;

        print_message("  %s\n", refused[i].name);
        assert_false(jsontext_value(&t, &value));
        assert_int_equal(t.at - refused[i].text, refused[i].stop);
        assert_false(t.too_deep);
    }
}

static const struct {
    const char *name;
    const char *text;
    enum jsontext_kind kind;
    const char *value;
} passed[] = {
    {"a string", " \"a b\" ", JSONTEXT_STRING, "a b"},
    {"a string with an escaped quote at its end", "\"a\\\"\"", JSONTEXT_STRING, "a\\\""},
    {"an empty string", "\"\"", JSONTEXT_STRING, ""},
    {"a number with all its parts", "-1.5e+30,", JSONTEXT_NUMBER, "-1.5e+30"},
    {"0 ends where another digit follows", "01", JSONTEXT_NUMBER, "0"},
    {"true", "true]", JSONTEXT_TRUE, "true"},
    {"false", "false", JSONTEXT_FALSE, "false"},
    {"null", "null ", JSONTEXT_NULL, "null"},
    {"an empty array", "[ ]", JSONTEXT_ARRAY, "[ ]"},
    {"an empty object", "{\t}", JSONTEXT_OBJECT, "{\t}"},
    {"values within each other", "[{\"a\":[1,\"]\"],\"b\":{}} , 2]5", JSONTEXT_ARRAY,
     "[{\"a\":[1,\"]\"],\"b\":{}} , 2]"},
};

static void test_passed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(passed); i++) {
        struct jsontext t = jsontext_begin(passed[i].text, strlen(passed[i].text));
        struct jsontext_value value;

        print_message("  %s\n", passed[i].name);
        memset(&value, 0xff, sizeof(value)); /* what a value is not is set as well */
        assert_true(jsontext_value(&t, &value));
        if (value.kind != JSONTEXT_STRING) {
            assert_int_equal(*(unsigned char *)&value.escapes, 0);
        }
        if (value.kind != JSONTEXT_NUMBER) {
            assert_int_equal(*(unsigned char *)&value.whole, 0);
        }
        assert_int_equal(value.kind, passed[i].kind);
        assert_int_equal(value.len, strlen(passed[i].value));
        assert_memory_equal(value.first, passed[i].value, value.len);
        assert_int_equal(t.depth, 0);
    }
}

static const struct {
    const char *name;
    const char *text;
    bool whole;
    int64_t integer;
} numbers[] = {
    {"a fraction", "1.0", false, 0},
    {"an exponent", "1e2", false, 0},
    {"a digit more than are counted", "1234567890123456", false, 0},
    {"as many as are counted", "123456789012345", true, 123456789012345},
    {"as many below zero", "-123456789012345", true, -123456789012345},
    {"zero", "0", true, 0},
    {"zero below zero", "-0", true, 0},
    {"zero where another digit follows", "01", false, 0},
    {"zero where a fraction follows", "0.5", false, 0},
    {"a number before a letter", "42x", true, 42},
    {"a number before a comma", "42,7", true, 42},
};

static void test_numbers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(numbers); i++) {
        struct jsontext t = jsontext_begin(numbers[i].text, strlen(numbers[i].text));
        struct jsontext_value value;

        print_message("  %s\n", numbers[i].name);
        assert_true(jsontext_value(&t, &value));
        assert_int_equal(value.whole, numbers[i].whole);
        if (value.whole) {
            assert_int_equal(value.integer, numbers[i].integer);
        }
    }
}

#define QUOTED "\"name\":"
#define QUOTED_LONG "\"answers_cut\":"
#define QUOTED_LONGEST "\"a name of 17 bytes\":"

static const struct {
    const char *name;
    const char *quoted;
    const char *text;
    bool taken;
} names[] = {
    {"nothing", QUOTED, "", false},
    {"cut in the name", QUOTED, "\"na", false},
    {"cut before the colon", QUOTED, "\"name\"", false},
    {"another name", QUOTED, "\"nama\":", false},
    {"another beginning", QUOTED, "\"game\":", false},
    {"another middle", QUOTED, "\"nime\":", false},
    {"a longer name", QUOTED, "\"names\":", false},
    {"a space before the colon", QUOTED, "\"name\" :", false},
    {"a space before it", QUOTED, " \"name\":", false},
    {"an escape in it", QUOTED, "\"n\\u0061me\":", false},
    {"no quote before it", QUOTED, "'name\":", false},
    {"no quote behind it", QUOTED, "\"name':", false},
    {"a long name, cut before the colon", QUOTED_LONG, "\"answers_cut\"", false},
    {"another long name, by its beginning", QUOTED_LONG, "\"unswers_cut\":", false},
    {"another long name, by its middle", QUOTED_LONG, "\"answersacut\":", false},
    {"another long name, by its end", QUOTED_LONG, "\"answers_cup\":", false},
    {"another of the longest, by its middle", QUOTED_LONGEST, "\"a name on 17 bytes\":", false},
    {"the shortest name", "\"a\":", "\"a\":1", true},
    {"the name and nothing else", QUOTED, QUOTED, true},
    {"the name and its value", QUOTED, QUOTED "1", true},
    {"a name of eight bytes with its quotes", "\"peer_\":", "\"peer_\":", true},
    {"a long name", QUOTED_LONG, QUOTED_LONG "true", true},
    {"one of the longest", QUOTED_LONGEST, QUOTED_LONGEST, true},
};

static void test_names_that_are_expected(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(names); i++) {
        struct jsontext t = jsontext_begin(names[i].text, strlen(names[i].text));

        print_message("  %s\n", names[i].name);
        size_t len = strlen(names[i].quoted);

        assert_int_equal(jsontext_take_name(&t, names[i].quoted, len), names[i].taken);
        assert_int_equal(t.at - names[i].text, names[i].taken ? len : 0);
    }
}

static const struct {
    const char *name;
    const char *text;
    const char *meant;
    size_t meant_len;
    ptrdiff_t nul, lone; /* offsets of what is noted, or -1 */
} strings[] = {
    {"letters", "\"abc\"", BYTES("abc"), -1, -1},
    {"every escape of a letter", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", BYTES("\"\\/\b\f\n\r\t"), -1,
     -1},
    {"numbers of one to three bytes", "\"\\u0041\\u00e9\\u20AC\"", BYTES("A\xc3\xa9\xe2\x82\xac"),
     -1, -1},
    {"a pair of surrogates", "\"\\ud83D\\ude00x\"", BYTES("\xf0\x9f\x98\x80x"), -1, -1},
    {"a first half alone", "\"\\ud83dx\"", BYTES("\xef\xbf\xbdx"), -1, 1},
    {"a second half alone", "\"a\\ude00\"", BYTES("a\xef\xbf\xbd"), -1, 2},
    {"two first halves", "\"\\ud83d\\ud83d\"", BYTES("\xef\xbf\xbd\xef\xbf\xbd"), -1, 1},
    {"NUL", "\"a\\u0000b\"", BYTES("a\0b"), 2, -1},
};

static void test_strings(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(strings); i++) {
        const char *text = strings[i].text;
        struct jsontext t = jsontext_begin(text, strlen(text));
        struct jsontext_value value;
        char meant[64];

        print_message("  %s\n", strings[i].name);
        assert_true(jsontext_value(&t, &value));
        assert_int_equal(t.nul == NULL ? -1 : t.nul - text, strings[i].nul);
        assert_int_equal(t.lone == NULL ? -1 : t.lone - text, strings[i].lone);

        size_t len = jsontext_copy(&value, meant);

        assert_int_equal(len, strings[i].meant_len);
        assert_memory_equal(meant, strings[i].meant, strings[i].meant_len);
        assert_true(jsontext_equal(&value, meant, len));
        assert_false(jsontext_equal(&value, meant, len - 1));
        meant[len - 1] ^= 1;
        assert_false(jsontext_equal(&value, meant, len));
    }
}

/* Strings are read eight bytes at a time: where one ends must not hang on what stands around it. */
static void test_every_byte_at_every_place(void **state)
{
    static const unsigned char around[] = {'a', ' ', '!', '#', '[', ']', 0x7f, 0x80, 0xa2, 0xff};
    enum { LEN = 20 };

    (void)state;
    for (size_t i = 0; i < ROWS(around); i++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            for (size_t place = 0; place < LEN; place++) {
                char text[LEN + 2] = "\"";
                bool stops = byte < ' ' || byte == '"';

                memset(text + 1, around[i], LEN);
                text[LEN + 1] = '"';
                text[1 + place] = (char)byte;
                if (byte == '\\') {
                    continue; /* what follows it is judged above */
                }

                struct jsontext t = jsontext_begin(text, sizeof(text));
                struct jsontext_value value;

                assert_int_equal(jsontext_value(&t, &value), !stops || byte == '"');
                assert_int_equal(value.first - text, 1);
                assert_int_equal(t.at - text, (stops ? 1 + place : 1 + LEN) + (byte < ' ' ? 0 : 1));
            }
        }
    }
}

static void test_depth(void **state)
{
    char text[2 * JSONTEXT_DEPTH_MAX + 2];
    struct jsontext_value value;

    (void)state;
    memset(text, '[', JSONTEXT_DEPTH_MAX + 1);
    memset(text + JSONTEXT_DEPTH_MAX + 1, ']', JSONTEXT_DEPTH_MAX + 1);

    struct jsontext inner = jsontext_begin(text + 1, sizeof(text) - 2);
    struct jsontext t = jsontext_begin(text, sizeof(text));

    assert_true(jsontext_value(&inner, &value)); /* as deep as may be */
    assert_false(jsontext_value(&t, &value));
    assert_true(t.too_deep);
    assert_int_equal(t.at - text, JSONTEXT_DEPTH_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_passed),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_names_that_are_expected),
        cmocka_unit_test(test_every_byte_at_every_place),
        cmocka_unit_test(test_depth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
