#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/err.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
    const char *name;
    const char *text;
    const char *message;
} cases[] = {
    {"nothing", "", ""},
    {"line breaks and spaces alone", "\n \n", ""},
    {"a newline at the end goes", "server closed the connection\n", "server closed the connection"},
    {"lines within are folded into one", "ERROR\n\tDETAIL\r\nHINT", "ERROR  DETAIL  HINT"},
    {"other text stays as it is", "  50% of \"x\"", "  50% of \"x\""},
};

static void test_messages_are_one_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct err err;

        print_message("  %s\n", cases[i].name);
        assert_int_equal(err_set(&err, ERR_RETRY, "%s", cases[i].text), -1);
        assert_int_equal(err.kind, ERR_RETRY);
        assert_string_equal(err.message, cases[i].message);
    }
}

static void test_context_comes_first(void **state)
{
    struct err err;

    (void)state;
    err_set(&err, ERR_FATAL, "line %d", 3);
    assert_int_equal(err_context(&err, "file %s\n", "a.conf"), -1);
    assert_int_equal(err_context(&err, "reload"), -1);
    assert_int_equal(err.kind, ERR_FATAL);
    assert_string_equal(err.message, "reload: file a.conf : line 3");
}

static void test_a_long_message_is_cut(void **state)
{
    char text[2000];
    struct err err;

    (void)state;
    memset(text, 'n', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    err_set(&err, ERR_INVALID, "%s", text);
    assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
    err_context(&err, "short");
    assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
    assert_memory_equal(err.message, "short: nnn", 10);
    err_context(&err, "%s", text);
    assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
    assert_int_equal(err.kind, ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_are_one_line),
        cmocka_unit_test(test_context_comes_first),
        cmocka_unit_test(test_a_long_message_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
