#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/utf8.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
#define BYTES(literal) literal, sizeof(literal) - 1
#define R UTF8_REPLACEMENT

static const struct {
    const char *name;
    const char *bytes;
    size_t len;
    size_t prefix;
    const char *clean;
} cases[] = {
    {"nothing", BYTES(""), 0, ""},
    {"a NUL alone", BYTES("\0"), 0, R},
    {"a NUL among others", BYTES("a\0b"), 1, "a" R "b"},
    {"a NUL in the eighth of eight bytes", BYTES("1234567\0"), 7, "1234567" R},
    {"a NUL after a byte of 1",
     BYTES("\x01\0"
           "345678"),
     1, "\x01" R "345678"},
    {"eight bytes and a bad ninth", BYTES("12345678\xff"), 8, "12345678" R},
    {"a bad byte among the first eight",
     BYTES("1234\xff"
           "678"),
     4, "1234" R "678"},
    {"control characters are text", BYTES("\x01\x1f\x7f"), 3, "\x01\x1f\x7f"},
    {"a tail byte alone", BYTES("\x80"), 0, R},
    {"the last tail byte alone", BYTES("\xbf"), 0, R},
    {"an over-long slash in two bytes", BYTES("\xc0\xaf"), 0, R R},
    {"an over-long 7F in two bytes", BYTES("\xc1\xbf"), 0, R R},
    {"the first of two bytes", BYTES("\xc2\x80"), 2, "\xc2\x80"},
    {"the last of two bytes", BYTES("\xdf\xbf"), 2, "\xdf\xbf"},
    {"two bytes cut short", BYTES("\xc3"), 0, R},
    {"two bytes, the second ASCII", BYTES("\xc3("), 0, R "("},
    {"an over-long form in three bytes", BYTES("\xe0\x9f\xbf"), 0, R R R},
    {"the first of three bytes", BYTES("\xe0\xa0\x80"), 3, "\xe0\xa0\x80"},
    {"the last of three bytes", BYTES("\xef\xbf\xbf"), 3, "\xef\xbf\xbf"},
    {"three bytes cut after two", BYTES("\xe2\x82"), 0, R},
    {"three bytes, cut by a new character", BYTES("\xe2\x82\xc3\xa9"), 0, R "\xc3\xa9"},
    {"the last before the surrogates", BYTES("\xed\x9f\xbf"), 3, "\xed\x9f\xbf"},
    {"the first surrogate", BYTES("\xed\xa0\x80"), 0, R R R},
    {"the last surrogate", BYTES("\xed\xbf\xbf"), 0, R R R},
    {"the first after the surrogates", BYTES("\xee\x80\x80"), 3, "\xee\x80\x80"},
    {"an over-long form in four bytes", BYTES("\xf0\x8f\xbf\xbf"), 0, R R R R},
    {"the first of four bytes", BYTES("\xf0\x90\x80\x80"), 4, "\xf0\x90\x80\x80"},
    {"U+10FFFF", BYTES("\xf4\x8f\xbf\xbf"), 4, "\xf4\x8f\xbf\xbf"},
    {"above U+10FFFF", BYTES("\xf4\x90\x80\x80"), 0, R R R R},
    {"a lead byte of five", BYTES("\xf8\x88\x80\x80\x80"), 0, R R R R R},
    {"four bytes cut after three", BYTES("\xf0\x9f\x98"), 0, R},
    {"four bytes, the third bad", BYTES("\xf0\x9f(\x80"), 0, R "(" R},
    {"FE and FF", BYTES("\xfe\xff"), 0, R R},
    {"text of all lengths", BYTES("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"), 11,
     "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        char *exact = malloc(cases[i].len + 1);
        char out[64];
        bool cut = true;

        print_message("  %s\n", cases[i].name);
        assert_non_null(exact);
        memcpy(exact, cases[i].bytes, cases[i].len);
        assert_int_equal(utf8_valid_prefix(exact, cases[i].len), cases[i].prefix);
        assert_int_equal(utf8_clean(exact, cases[i].len, out, sizeof(out), &cut),
                         strlen(cases[i].clean));
        assert_string_equal(out, cases[i].clean);
        assert_false(cut);
        free(exact);
    }
}

/* At each place of a text that is looked at by words, and between them. */
static void test_where_text_ends(void **state)
{
    static const char bad[] = {'\0', '\x80', '\xff', '\xc3'};

    (void)state;
    for (size_t len = 1; len <= 80; len++) {
        char *text = malloc(len);

        assert_non_null(text);
        memset(text, 'a', len);
        assert_int_equal(utf8_valid_prefix(text, len), len);
        for (size_t i = 0; i < len * sizeof(bad); i++) {
            size_t at = i / sizeof(bad);

            text[at] = bad[i % sizeof(bad)];
            assert_int_equal(utf8_valid_prefix(text, len), at);
            text[at] = 'a';
        }
        for (size_t at = 0; at + 1 < len; at++) {
            memcpy(text + at, "\xc3\xa9", 2);
            assert_int_equal(utf8_valid_prefix(text, len), len);
            memcpy(text + at, "aa", 2);
        }
        free(text);
    }
}

/* Every code point, in the form that RFC 3629 gives it. */
static void test_every_code_point(void **state)
{
    (void)state;
    for (uint32_t point = 0x80; point <= 0x110000; point++) {
        char text[4];
        size_t len = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
        static const unsigned char marks[] = {0, 0, 0xC0, 0xE0, 0xF0};
        bool valid = point <= 0x10FFFF && (point < 0xD800 || point > 0xDFFF);

        for (size_t i = len - 1; i > 0; i--) {
            text[i] = (char)(0x80 | (point >> (6 * (len - 1 - i)) & 0x3F));
        }
        text[0] = (char)(marks[len] | point >> (6 * (len - 1)));
        assert_int_equal(utf8_valid_prefix(text, len), valid ? len : 0);
    }
}

static const struct {
    const char *name;
    const char *bytes;
    size_t out_size;
    const char *clean;
    bool cut;
} rooms[] = {
    {"room for the terminator alone", "a", 1, "", true},
    {"nothing into no room", "", 1, "", false},
    {"text that just fits", "ab", 3, "ab", false},
    {"one byte too few", "ab", 2, "a", true},
    {"no part of a character", "a\xe2\x82\xac", 4, "a", true},
    {"a character that just fits", "a\xe2\x82\xac", 5, "a\xe2\x82\xac", false},
    {"no part of a replacement", "a\xff", 4, "a", true},
    {"a replacement that just fits", "a\xff", 5, "a" R, false},
    {"nothing after what did not fit",
     "\xe2\x82\xac"
     "a",
     2, "", true},
};

static void test_room(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(rooms); i++) {
        char *out = malloc(rooms[i].out_size);
        bool cut = !rooms[i].cut;

        print_message("  %s\n", rooms[i].name);
        assert_non_null(out);
        assert_int_equal(
            utf8_clean(rooms[i].bytes, strlen(rooms[i].bytes), out, rooms[i].out_size, &cut),
            strlen(rooms[i].clean));
        assert_string_equal(out, rooms[i].clean);
        assert_int_equal(cut, rooms[i].cut);
        assert_int_equal(
            utf8_clean(rooms[i].bytes, strlen(rooms[i].bytes), out, rooms[i].out_size, NULL),
            strlen(rooms[i].clean));
        free(out);
    }
}

static const struct {
    const char *name;
    const char *text;
    bool is_name;
} names[] = {
    {"nothing", "", false},
    {"an escape of a terminal", "a\x1b[2J", false},
    {"a second line", "a\nb", false},
    {"a tabulator", "a\tb", false},
    {"a DEL", "a\x7f", false},
    {"what is no text", "a\xff", false},
    {"one byte too many", "12345678", false},
    {"as long as may be", "1234567", true},
    {"spaces and other letters", " \xc3\xa9 |", true},
};

static void test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(names); i++) {
        print_message("  %s\n", names[i].name);
        assert_int_equal(utf8_is_name(names[i].text, 7), names[i].is_name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_where_text_ends),
        cmocka_unit_test(test_every_code_point),
        cmocka_unit_test(test_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
