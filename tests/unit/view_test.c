/* A frame of the live view fits any terminal, and has the worst sites on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "producer/view.h"

struct stand {
    struct metrics *metrics;
    struct latest *latest;
    struct terminal terminal;
    struct view_facts facts;
};

static void open_stand(struct stand *s)
{
    struct latest_settings settings = {.parts = 2, .sites_max = 10000, .messages = true};

    s->metrics = metrics_new();
    s->latest = latest_new(&settings, s->metrics);
    terminal_look(&s->terminal, -1);
    s->terminal.escapes = false; /* colours: what positions the cursor is there in any case */
    s->facts = (struct view_facts){.location = "home", .note = "", .sites = 5, .in_flight = 3};
}

static void close_stand(struct stand *s)
{
    terminal_clear(&s->terminal);
    latest_free(s->latest);
    metrics_free(s->metrics);
}

static uint32_t put(struct stand *s, uint32_t place, const char *name, enum check_status status)
{
    struct event event;

    event_init(&event);
    event.site_name = name;
    event.status = status;
    event.timing.total_us = 1500;
    if (status == CHECK_DOWN) {
        event.error = ERROR_STATUS;
        event.error_message = "status 500\x1b[2J";
        event.http_status = 500;
    }
    return latest_put(s->latest, 0, place, &event);
}

/* Its lines, one after the other, each checked to be in its place. */
static size_t draw(struct stand *s, int columns, int rows, char lines[][512], size_t lines_max)
{
    char *text = NULL;
    size_t len = 0;
    size_t count = 0;
    FILE *out = open_memstream(&text, &len);

    s->terminal.columns = columns;
    s->terminal.rows = rows;
    view_draw(&s->terminal, out, s->latest, &s->facts);
    fclose(out);
    assert_null(strchr(text, '\n'));

    for (char *at = text; at != NULL && *at != '\0';) {
        char start[32];
        char *next = strstr(at + 1, "\x1b[");
        bool last;

        assert_true(count < lines_max);
        snprintf(start, sizeof(start), "\x1b[%zu;1H", count + 1);
        assert_memory_equal(at, start, strlen(start));
        at += strlen(start);
        last = strcmp(at, "\x1b[J") == 0;
        if (last) {
            assert_true(count < (size_t)rows);
            break;
        }
        assert_memory_equal(at, "\x1b[K", 3);
        at += 3;
        next = strstr(at, "\x1b[");
        snprintf(lines[count++], 512, "%.*s", next == NULL ? (int)strlen(at) : (int)(next - at),
                 at);
        at = next;
    }
    assert_true(count <= (size_t)rows);
    free(text);
    return count;
}

static void the_worst_are_first_and_what_does_not_fit_is_counted(void **state)
{
    struct stand s;
    char lines[16][512];

    (void)state;
    open_stand(&s);
    put(&s, LATEST_NONE, "b up", CHECK_UP);
    put(&s, LATEST_NONE, "a up", CHECK_UP);
    put(&s, LATEST_NONE, "slow", CHECK_DEGRADED);
    put(&s, LATEST_NONE, "down", CHECK_DOWN);
    put(&s, LATEST_NONE, "lost", CHECK_UNKNOWN);
    assert_int_equal(draw(&s, 120, 10, lines, 16), 7);
    assert_non_null(strstr(lines[0], "  5 sites: 1 down, 1 unknown, 1 degraded, 2 up  in flight 3  "
                                     "lag 0.0 ms  missed 0  home"));
    assert_non_null(strstr(lines[1], "STATUS   CODE  TOTAL_MS  LAST CHECKS"));
    assert_memory_equal(lines[2], "down      500       1.5  x", 26);
    assert_non_null(strstr(lines[2], "down"));
    assert_non_null(strstr(lines[2], " status: status 500?[2J"));
    assert_memory_equal(lines[3], "unknown     -       1.5  ?", 26);
    assert_memory_equal(lines[4], "degraded    -       1.5  ", 25);
    assert_non_null(strstr(lines[5], "a up"));
    assert_non_null(strstr(lines[6], "b up"));
    assert_int_equal(draw(&s, 120, 7, lines, 16), 7);
    assert_non_null(strstr(lines[6], "b up"));
    assert_int_equal(draw(&s, 120, 6, lines, 16), 6);
    assert_memory_equal(lines[2], "down ", 5);
    assert_memory_equal(lines[3], "unknown ", 8);
    assert_string_equal(lines[5], "and 2 more");
    close_stand(&s);
}

static void any_size_is_kept_to(void **state)
{
    struct stand s;
    char lines[600][512];

    (void)state;
    open_stand(&s);
    s.terminal.utf8 = false; /* a byte is a column */
    s.facts.note = "draining";
    for (int i = 0; i < 1000; i++) {
        char name[300];

        snprintf(name, sizeof(name), "%0200d", i);
        put(&s, LATEST_NONE, name, i % 3 == 0 ? CHECK_DOWN : CHECK_UP);
    }
    for (int columns = 1; columns <= 400; columns += columns < 80 ? 1 : 40) {
        for (int rows = 1; rows <= 600; rows += rows < 5 ? 1 : 200) {
            size_t count = draw(&s, columns, rows, lines, 600);

            assert_int_equal(count, rows < VIEW_ROWS_MAX + 2 ? rows : VIEW_ROWS_MAX + 2);
            for (size_t i = 0; i < count; i++) {
                if (strlen(lines[i]) > (size_t)columns) {
                    fail_msg("%d x %d, line %zu: %s", columns, rows, i, lines[i]);
                }
            }
        }
    }
    assert_int_equal(draw(&s, 20, 4, lines, 600), 4);
    assert_string_equal(lines[1], "STATUS   SITE");
    assert_string_equal(lines[2], "down 00000000000000~");
    assert_string_equal(lines[3], "and 999 more");
    close_stand(&s);
}

static void a_line_has_the_last_checks_and_their_age(void **state)
{
    struct stand s;
    char lines[16][512];
    uint32_t place = LATEST_NONE;

    (void)state;
    open_stand(&s);
    s.facts.now_us = INT64_C(90061) * 1000000; /* a day, an hour, a minute and a second */
    assert_int_equal(draw(&s, 120, 10, lines, 16), 2);
    assert_non_null(strstr(lines[0], "5 sites: 5 not checked yet  "));
    place = put(&s, place, "site", CHECK_UNKNOWN);
    place = put(&s, place, "site", CHECK_DOWN);
    place = put(&s, place, "site", CHECK_DEGRADED);
    put(&s, place, "site", CHECK_UP);
    s.terminal.utf8 = false;
    draw(&s, 120, 10, lines, 16);
    assert_memory_equal(lines[2], "up          -       1.5  ?x!|  ", 31);
    assert_non_null(strstr(lines[2], "   25 h  site"));
    s.facts.now_us = INT64_C(7000) * 1000000;
    s.terminal.utf8 = true;
    draw(&s, 120, 10, lines, 16);
    assert_non_null(strstr(lines[2], "?x\xE2\x96\x85\xE2\x96\x87  "));
    assert_non_null(strstr(lines[2], "    1 h  site"));
    s.facts.now_us = INT64_C(4000) * 1000000;
    draw(&s, 120, 10, lines, 16);
    assert_non_null(strstr(lines[2], "   66 m  site"));
    s.facts.now_us = -1; /* the clock was set back */
    draw(&s, 120, 10, lines, 16);
    assert_non_null(strstr(lines[2], "    0 s  site"));
    close_stand(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worst_are_first_and_what_does_not_fit_is_counted),
        cmocka_unit_test(any_size_is_kept_to),
        cmocka_unit_test(a_line_has_the_last_checks_and_their_age),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
