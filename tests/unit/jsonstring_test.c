#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/jsonstring.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
#define BYTES(literal) literal, sizeof(literal) - 1

static const struct {
    const char *name;
    const char *text;
    size_t len;
    const char *json;
} cases[] = {
    {"nothing", BYTES(""), "\"\""},
    {"a NUL", BYTES("\0"), "\"\\u0000\""},
    {"the first and the last control character", BYTES("\x01\x1f"), "\"\\u0001\\u001f\""},
    {"those with a letter of their own", BYTES("\b\t\n\f\r"), "\"\\b\\t\\n\\f\\r\""},
    {"a vertical tab has none", BYTES("\v"), "\"\\u000b\""},
    {"a quote and a backslash", BYTES("\"\\"), "\"\\\"\\\\\""},
    {"a slash needs no escape", BYTES("</"), "\"</\""},
    {"the first that needs none", BYTES(" !#[]"), "\" !#[]\""},
    {"DEL needs none", BYTES("\x7f"), "\"\x7f\""},
    {"bytes above ASCII are left alone", BYTES("\xc3\xa9\xf0\x9f\x98\x80"),
     "\"\xc3\xa9\xf0\x9f\x98\x80\""},
    {"bytes above ASCII among eight that are looked at together", BYTES("1234567\xc2\x9b"),
     "\"1234567\xc2\x9b\""},
};

static void texts_become_strings(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        char out[JSONSTRING_BYTES_MAX(16)];

        print_message("%s\n", cases[i].name);
        assert_true(cases[i].len <= 16);

        size_t len = jsonstring_put(out, cases[i].text, cases[i].len);

        assert_int_equal(len, strlen(cases[i].json));
        assert_memory_equal(out, cases[i].json, len);
    }
}

/* Every byte at every place of three groups of eight: what is looked at together must come out as
 * what is looked at alone. */
static void a_byte_is_the_same_wherever_it_stands(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t at = 0; at < 24; at++) {
            char text[24], alone[JSONSTRING_BYTES_MAX(1)], out[JSONSTRING_BYTES_MAX(sizeof(text))];
            size_t alone_len, len;

            memset(text, 'x', sizeof(text));
            text[at] = (char)byte;
            alone_len = jsonstring_put(alone, text + at, 1) - 2;
            len = jsonstring_put(out, text, sizeof(text));
            assert_int_equal(len, sizeof(text) - 1 + alone_len + 2);
            assert_memory_equal(out, "\"xxxxxxxxxxxxxxxxxxxxxxxx", 1 + at);
            assert_memory_equal(out + 1 + at, alone + 1, alone_len);
            assert_memory_equal(out + 1 + at + alone_len, "xxxxxxxxxxxxxxxxxxxxxxxx",
                                sizeof(text) - 1 - at);
            assert_int_equal(out[len - 1], '"');
        }
    }
}

static void the_most_that_a_text_becomes_is_six_times_as_much(void **state)
{
    char out[JSONSTRING_BYTES_MAX(8)];

    (void)state;
    assert_int_equal(jsonstring_put(out, "\x01\x01\x01\x01\x01\x01\x01\x01", 8), sizeof(out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_become_strings),
        cmocka_unit_test(a_byte_is_the_same_wherever_it_stands),
        cmocka_unit_test(the_most_that_a_text_becomes_is_six_times_as_much),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
