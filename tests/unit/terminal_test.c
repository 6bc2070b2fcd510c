/* Whatever a site calls itself, a terminal gets text of the width that was asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "producer/progress.h"
#include "producer/table.h"
#include "producer/terminal.h"

static struct terminal terminal_of(bool utf8, bool escapes)
{
    struct terminal t;
    int pipes[2];

    assert_int_equal(pipe(pipes), 0);
    terminal_look(&t, pipes[1]);
    close(pipes[0]);
    close(pipes[1]);
    assert_false(t.is_terminal || t.escapes);
    assert_true(t.utf8);
    assert_int_equal(t.columns, 80);
    assert_int_equal(t.rows, 24);
    t.is_terminal = true;
    t.utf8 = utf8;
    t.escapes = escapes;
    return t;
}

static void text_is_shown_and_cannot_steer(void **state)
{
    static const struct {
        const char *name, *text;
        bool utf8;
        int width; /* 0: as wide as it is */
        const char *shown;
        int columns;
    } rows[] = {
        {"an escape sequence", "\x1b[2Ja", true, 0, "?[2Ja", 5},
        {"a bell, a tab, line ends and DEL", "\a\t\r\n\x7f", true, 0, "?????", 5},
        {"an escape of two bytes in UTF-8",
         "\xC2\x9B"
         "31m",
         true, 0, "?31m", 4},
        {"what turns the direction",
         "a\xE2\x80\xAE"
         "b\xE2\x81\xA6"
         "c",
         true, 0, "a?b?c", 5},
        {"what is not there at all",
         "a\xE2\x80\x8B"
         "b\xEF\xBB\xBF",
         true, 0, "a?b?", 4},
        {"tags", "a\xF3\xA0\x81\x81", true, 0, "a?", 2},
        {"an unassigned character", "\xF4\x8F\xBF\xBF", true, 0, "?", 1},
        {"a byte that is no UTF-8",
         "a\xff"
         "b",
         true, 0, "a?b", 3},
        {"a character that is cut off", "a\xE6\x97", true, 0, "a??", 3},
        {"a surrogate", "\xED\xA0\x80", true, 0, "???", 3},
        {"an overlong slash", "\xC0\xAF", true, 0, "??", 2},
        {"nothing", "", true, 5, "", 0},
        {"what fits to the column", "abc", true, 3, "abc", 3},
        {"what is a column too wide", "abcd", true, 3, "ab\xE2\x80\xA6", 3},
        {"one column", "abc", true, 1, "\xE2\x80\xA6", 1},
        {"two columns a character", "\xE6\x97\xA5\xE6\x9C\xAC", true, 0, "\xE6\x97\xA5\xE6\x9C\xAC",
         4},
        {"a wide one that is cut leaves a column", "\xE6\x97\xA5\xE6\x9C\xAC", true, 3,
         "\xE6\x97\xA5\xE2\x80\xA6", 3},
        {"a wide one of which half would fit", "a\xE6\x97\xA5\xE6\x9C\xAC", true, 3,
         "a\xE2\x80\xA6", 2},
        {"a combining one has no width",
         "e\xCC\x81"
         "f",
         true, 2,
         "e\xCC\x81"
         "f",
         2},
        {"where only ASCII is shown",
         "b\xC3\xBC"
         "cher",
         false, 0, "b?cher", 6},
        {"a cut where only ASCII is shown", "abcd", false, 3, "ab~", 3},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct terminal t = terminal_of(rows[i].utf8, false);
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);
        int columns = terminal_put(&t, out, rows[i].text, strlen(rows[i].text), rows[i].width);

        fclose(out);
        if (strcmp(text, rows[i].shown) != 0 || columns != rows[i].columns) {
            fail_msg("%s: %s, %d columns", rows[i].name, text, columns);
        }
        free(text);
        terminal_clear(&t);
    }
}

static void a_cell_is_filled_up_or_cut(void **state)
{
    struct terminal t = terminal_of(true, false);
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    terminal_cell(&t, out, "a\0b", 3, 5, true);
    fputc('|', out);
    terminal_cell(&t, out, "\xE6\x97\xA5", 3, 4, true);
    fputc('|', out);
    terminal_cell(&t, out, "abcdef", 6, 4, true);
    fputc('|', out);
    terminal_cell(&t, out, "abcdef", 6, 4, false);
    fclose(out);
    assert_string_equal(text, "a?b  |\xE6\x97\xA5  |abc\xE2\x80\xA6|abcdef");
    free(text);
    terminal_clear(&t);
    terminal_clear(&t);
}

static void colours_are_escapes_or_nothing(void **state)
{
    struct terminal t = terminal_of(true, true);

    (void)state;
    assert_string_equal(terminal_colour(&t, COLOUR_RED), "\x1b[31m");
    assert_string_equal(terminal_colour(&t, COLOUR_NONE), "\x1b[0m");
    t.escapes = false;
    assert_string_equal(terminal_colour(&t, COLOUR_RED), "");
    terminal_clear(&t);
}

/* --- Rows --- */

static struct event event_of(void)
{
    struct event e;

    event_init(&e);
    e.site_name = "shop\x1b[2J";
    e.site_url = "http://127.0.0.1/";
    e.status = CHECK_DOWN;
    e.error = ERROR_STATUS;
    e.error_message = "status 500\r\n is not in 200-399";
    e.http_status = 500;
    e.timing.total_us = 12345;
    return e;
}

static char *row_of(const struct terminal *t, const struct event *e)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    table_print_heading(t, out);
    table_print_row(t, out, e);
    fclose(out);
    return text;
}

static void a_row_without_a_terminal_has_numbers_and_no_escapes(void **state)
{
    struct terminal t = terminal_of(true, false);
    struct event e = event_of();

    (void)state;
    t.is_terminal = false;

    char *text = row_of(&t, &e);

    assert_memory_equal(text, "STATUS    CODE  TOTAL_MS      DNS  CONNECT", 42);
    assert_non_null(strstr(text, "\ndown       500      12.3        -        -        -        -  "
                                 "      -  shop?[2J                                 status: "
                                 "status 500?? is not in 200-399\n"));
    assert_null(strchr(text, '\x1b'));
    free(text);
    e.status = CHECK_UP;
    e.error = ERROR_NONE;
    e.http_status = 0;
    e.timing.dns_us = 99;
    text = row_of(&t, &e);
    assert_non_null(strstr(text, "\nup           -      12.3      0.1        -"));
    assert_non_null(strstr(text, "  shop?[2J\n"));
    free(text);
    terminal_clear(&t);
}

static void a_row_on_a_terminal_has_a_bar(void **state)
{
    struct event e = event_of();
    struct terminal t = terminal_of(false, false);

    (void)state;
    e.timing = (struct event_timing){.dns_us = 10,
                                     .connect_us = 20,
                                     .tls_us = EVENT_ABSENT,
                                     .wait_us = 70,
                                     .transfer_us = 0,
                                     .total_us = 100};

    char *text = row_of(&t, &e);

    assert_non_null(strstr(text, "time by phase:  d dns  c connect  t tls  w wait  r transfer\n"));
    assert_non_null(strstr(text, "0.1  ddccccwwwwwwwwwwwwww  shop?[2J"));
    assert_null(strchr(text, '\x1b'));
    free(text);
    t.utf8 = t.escapes = true;
    e.timing.dns_us = 0;
    e.timing.connect_us = 0;
    text = row_of(&t, &e);
    assert_non_null(strstr(text, "\x1b[31mdown     \x1b[0m  500"));
    assert_non_null(strstr(text, "  \x1b[33m\xE2\x96\x88\xE2\x96\x88"));
    free(text);
    e.timing = (struct event_timing){-1, -1, -1, -1, -1, -1};
    t.escapes = false;
    t.columns = 200; /* room for numbers as well */
    text = row_of(&t, &e);
    assert_non_null(
        strstr(text, "500         -        -        -        -        -        -     "));
    free(text);
    terminal_clear(&t);
}

static void a_bar_is_shared_out_in_whole_cells(void **state)
{
    static const struct {
        const char *name;
        int64_t parts[5];
        int cells[5];
    } rows[] = {
        {"nothing was measured", {-1, -1, -1, -1, -1}, {0, 0, 0, 0, 0}},
        {"nothing took time", {0, -1, 0, 0, 0}, {0, 0, 0, 0, 0}},
        {"one alone has all", {-1, -1, -1, 7, 0}, {0, 0, 0, 20, 0}},
        {"what is lost goes where most was", {1, 1, 1, -1, -1}, {7, 7, 6, 0, 0}},
        {"a trifle has none", {1, 1000000, -1, -1, -1}, {0, 20, 0, 0, 0}},
        {"no sum is too large", {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, -1}, {5, 5, 5, 5, 0}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int cells[5];

        table_share(rows[i].parts, 5, TABLE_BAR_WIDTH, cells);
        if (memcmp(cells, rows[i].cells, sizeof(cells)) != 0) {
            fail_msg("%s: %d %d %d %d %d", rows[i].name, cells[0], cells[1], cells[2], cells[3],
                     cells[4]);
        }
    }
}

/* --- Progress --- */

static void progress_is_for_a_long_run_on_a_terminal(void **state)
{
    struct terminal t = terminal_of(true, false);
    struct progress p;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    t.is_terminal = false;
    progress_init(&p, &t, out, 1);
    progress_show(&p, 10, INT64_MAX - 1);
    progress_hide(&p);
    fflush(out);
    assert_int_equal(len, 0);

    t.is_terminal = true;
    progress_init(&p, &t, out, 1);
    progress_show(&p, 10, PROGRESS_FIRST_NS); /* not yet */
    progress_hide(&p);
    fflush(out);
    assert_int_equal(len, 0);
    progress_count(&p, CHECK_UP);
    progress_count(&p, CHECK_DEGRADED);
    progress_count(&p, CHECK_DOWN);
    progress_count(&p, CHECK_UNKNOWN);
    progress_show(&p, 10, PROGRESS_FIRST_NS + 1);
    progress_show(&p, 10, PROGRESS_FIRST_NS + PROGRESS_NS); /* not again so soon */
    progress_hide(&p);
    progress_hide(&p);
    fflush(out);
    assert_string_equal(text, "\r4 of 10 checked, 2 not up\r                         \r");
    rewind(out);
    t.columns = 8;
    progress_show(&p, 10, PROGRESS_FIRST_NS + 2 * PROGRESS_NS);
    fclose(out);
    assert_memory_equal(text, "\r4 of 1\xE2\x80\xA6", 10);
    free(text);
    terminal_clear(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_shown_and_cannot_steer),
        cmocka_unit_test(a_cell_is_filled_up_or_cut),
        cmocka_unit_test(colours_are_escapes_or_nothing),
        cmocka_unit_test(a_row_without_a_terminal_has_numbers_and_no_escapes),
        cmocka_unit_test(a_row_on_a_terminal_has_a_bar),
        cmocka_unit_test(a_bar_is_shared_out_in_whole_cells),
        cmocka_unit_test(progress_is_for_a_long_run_on_a_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
