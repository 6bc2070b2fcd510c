/* What of a dead letter reaches a terminal and a JSON reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "consumer/letters_print.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
#define BYTES(text) text, sizeof(text) - 1

static const struct {
    const char *name, *bytes;
    size_t len;
    bool is_text;
} texts[] = {
    {"an escape sequence is not text", BYTES("\x1b[2J"), false},
    {"a carriage return is not text", BYTES("a\rb"), false},
    {"NUL is not text", BYTES("a\0b"), false},
    {"DEL is not text", BYTES("\x7f"), false},
    {"a C1 control in UTF-8 is not text",
     BYTES("\xc2\x9b"
           "2J"),
     false},
    {"a C1 control alone is not text",
     BYTES("\x9b"
           "2J"),
     false},
    {"half a character is not text", BYTES("\xc3"), false},
    {"nothing is text", BYTES(""), true},
    {"lines and tabs are text", BYTES("{\n\t\"a\": 1\n}"), true},
    {"letters of any script are text", BYTES("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), true},
    {"a no-break space is text", BYTES("\xc2\xa0"), true},
};

static void test_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(texts); i++) {
        print_message("  %s\n", texts[i].name);
        assert_int_equal(letters_is_text(texts[i].bytes, texts[i].len), texts[i].is_text);
    }
}

/* What was printed, until the next call. */
struct page {
    char *text;
    size_t size;
    FILE *out;
};

static FILE *open_page(struct page *page)
{
    page->out = open_memstream(&page->text, &page->size);
    assert_non_null(page->out);
    return page->out;
}

static void expect(struct page *page, const char *expected)
{
    fclose(page->out);
    assert_string_equal(page->text, expected);
    free(page->text);
}

static void test_hex(void **state)
{
    struct page page;

    (void)state;
    letters_print_hex(open_page(&page), BYTES(""));
    expect(&page, "");
    letters_print_hex(open_page(&page), BYTES("0123456789abcdef\x00\xff"));
    expect(&page, "00000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  0123456789abcdef\n"
                  "00000010  00 ff                                            ..\n");
}

static struct letter letter(void)
{
    return (struct letter){
        .id = 7,
        .received = "2026-11-21T08:00:05.000Z",
        .topic = "checks-success",
        .partition = 3,
        .offset = 12,
        .reason = "json",
        .detail = "not \x1b[31mJSON\nat all",
        .in_topic = true,
        .key = "shop",
        .key_len = 4,
        .payload = "{\"a\":",
        .payload_len = 5,
        .payload_bytes = 5,
    };
}

static void test_one_for_a_person(void **state)
{
    struct letter l = letter();
    struct page page;

    (void)state;
    letters_print_one(open_page(&page), LETTERS_TABLE, &l);
    expect(&page, "id:            7\n"
                  "received:      2026-11-21T08:00:05.000Z\n"
                  "message time:  -\n"
                  "origin:        checks-success [3] offset 12\n"
                  "reason:        json\n"
                  "detail:        not ?[31mJSON?at all\n"
                  "in the topic:  yes\n"
                  "replayed:      no\n"
                  "SHA-256:       "
                  "0000000000000000000000000000000000000000000000000000000000000000\n"
                  "key:           shop\n"
                  "bytes:         5\n"
                  "\n"
                  "{\"a\":\n");
}

static void test_tombstone_cut_and_key_with_a_newline(void **state)
{
    struct letter l = letter();
    struct page page;

    (void)state;
    l.key = "a\nb";
    l.key_len = 3;
    l.payload_bytes = 100000;
    letters_print_one(open_page(&page), LETTERS_TABLE, &l);
    fclose(page.out);
    assert_non_null(strstr(page.text, "key:           3 bytes\n00000000  61 0a 62 "));
    assert_non_null(strstr(page.text, "bytes:         100000, of which the first 5 are here\n"));
    free(page.text);

    l.key = NULL;
    l.payload = NULL;
    letters_print_one(open_page(&page), LETTERS_TABLE, &l);
    fclose(page.out);
    assert_non_null(strstr(page.text, "key:           none\nbytes:         none: a tombstone\n"));
    free(page.text);
}

static void test_json(void **state)
{
    struct letter l = letter();
    struct letters one = {.all = &l, .count = 1};
    struct page page;

    (void)state;
    l.detail = "\"quoted\"";
    letters_print_list(open_page(&page), LETTERS_JSON, &one);
    expect(&page,
           "{\"id\":7,\"received_at\":\"2026-11-21T08:00:05.000Z\",\"topic\":\"checks-success\","
           "\"partition\":3,\"offset\":12,\"reason\":\"json\",\"detail\":\"\\\"quoted\\\"\","
           "\"in_topic\":true,\"payload_bytes\":5,\"payload_sha256\":"
           "\"0000000000000000000000000000000000000000000000000000000000000000\"}\n");
    l.key = "\xff";
    l.key_len = 1;
    letters_print_one(open_page(&page), LETTERS_JSON, &l);
    fclose(page.out);
    assert_non_null(
        strstr(page.text,
               ",\"key_base64\":\"/w==\",\"payload\":\"{\\\"a\\\":\",\"payload_cut\":false}\n"));
    free(page.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_one_for_a_person),
        cmocka_unit_test(test_tombstone_cut_and_key_with_a_newline),
        cmocka_unit_test(test_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
