/* What clients read of a feed, to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/feed.h"
#include "common/mem.h"

#define EPOCH UINT64_C(0xab)
#define ID "id: 00000000000000ab-"

struct fixture {
    struct metrics *metrics;
    struct feed *feed;
};

static int setup(void **state)
{
    struct fixture *f = mem_alloc(1, sizeof(*f));

    f->metrics = metrics_new();
    f->feed = feed_new(2, f->metrics);
    feed_begin(f->feed, EPOCH); /* what comes first has place 2 */
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    feed_free(f->feed);
    metrics_free(f->metrics);
    free(f);
    return 0;
}

static void assert_reads(struct feed_client *c, const char *wanted)
{
    char got[4096];
    ssize_t len = feed_read(c, got, sizeof(got) - 1);

    assert_true(len >= 0);
    got[len] = '\0';
    assert_string_equal(got, wanted);
}

static void assert_metric(const struct fixture *f, const char *line)
{
    size_t len;
    char *text = metrics_render(f->metrics, METRICS_OPENMETRICS, &len);

    assert_non_null(strstr(text, line));
    free(text);
}

static void a_client_reads_what_came_after_it(void **state)
{
    struct fixture *f = *state;

    feed_put(f->feed, "site", "{\"id\":1}");

    struct feed_client *c = feed_join(f->feed, 7, NULL);

    assert_reads(c, "retry: 2000\n" ID "2\n\n");
    assert_reads(c, "");
    feed_put(f->feed, "state", "{\"id\":2}");
    feed_put(f->feed, "state", "{\"id\":3}");
    assert_reads(c, "event: state\n" ID "3\ndata: {\"id\":2}\n\n"
                    "event: state\n" ID "4\ndata: {\"id\":3}\n\n");
    feed_leave(c);
}

static void data_of_several_lines_is_sent_as_such(void **state)
{
    static const struct {
        const char *name, *data, *wanted;
    } rows[] = {
        {"a line feed cannot end the event", "a\n\nevent: x", "data: a\ndata: \ndata: event: x\n"},
        {"CR and CR LF end lines too", "a\rb\r\nc", "data: a\ndata: b\ndata: c\n"},
        {"the last line may be empty", "a\n", "data: a\ndata: \n"},
        {"no data is an empty line", "", "data: \n"},
    };
    struct fixture *f = *state;
    struct feed_client *c = feed_join(f->feed, 7, NULL);
    char wanted[256];

    assert_reads(c, "retry: 2000\n" ID "1\n\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("  %s\n", rows[i].name);
        feed_put(f->feed, "x", rows[i].data);
        snprintf(wanted, sizeof(wanted), "event: x\n" ID "%zu\n%s\n", i + 2, rows[i].wanted);
        assert_reads(c, wanted);
    }
    feed_leave(c);
}

static void an_event_goes_out_in_any_number_of_pieces(void **state)
{
    struct fixture *f = *state;
    struct feed_client *c = feed_join(f->feed, 7, NULL);
    char all[256], piece[1];
    size_t len = 0;

    feed_put(f->feed, "x", "1");
    while (feed_read(c, piece, sizeof(piece)) == 1) {
        all[len++] = piece[0];
        if (len == 40) { /* it is kept for who is sending it */
            feed_begin(f->feed, EPOCH + 1);
        }
    }
    all[len] = '\0';
    assert_string_equal(all, "retry: 2000\n" ID "1\n\n"
                             "event: x\n" ID "2\ndata: 1\n\n"
                             "event: reset\nid: 00000000000000ac-3\ndata: {}\n\n");
    feed_leave(c);
}

static void who_comes_back_goes_on_where_it_was(void **state)
{
    static const struct {
        const char *name, *last_id, *wanted;
    } rows[] = {
        {"no id of ours", "x", "reset"},
        {"an empty id", "", "reset"},
        {"an id of another time", "00000000000000aa-3", "reset"},
        {"an id that was not given yet", "00000000000000ab-5", "reset"},
        {"an id before the first", "00000000000000ab-0", "reset"},
        {"an id with something after it", "00000000000000ab-3 ", "reset"},
        {"an id with zeros before it", "00000000000000ab-03", "reset"},
        {"a place that is too large for a number",
         "00000000000000ab-99999999999999999999999999999999999999999999", "reset"},
        {"an id as it was greeted with", "00000000000000ab-1", "23"},
        {"the first one", "00000000000000ab-2", "3"},
        {"the last one", "00000000000000ab-3", ""},
    };
    struct fixture *f = *state;

    feed_put(f->feed, "x", "2");
    feed_put(f->feed, "x", "3");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct feed_client *c = feed_join(f->feed, 7, rows[i].last_id);
        char got[1024], events[16] = "";
        ssize_t len = feed_read(c, got, sizeof(got) - 1);
        size_t count = 0;

        print_message("  %s\n", rows[i].name);
        assert_true(len > 0);
        got[len] = '\0';
        for (const char *at = got; (at = strstr(at, "data: ")) != NULL; at++) {
            events[count++] = at[6];
        }
        assert_string_equal(strstr(got, "event: reset\n") != NULL ? "reset" : events,
                            rows[i].wanted);
        feed_leave(c);
    }
}

static void who_falls_behind_is_told_and_goes_on_at_the_end(void **state)
{
    struct fixture *f = *state;
    struct feed_client *slow = feed_join(f->feed, 7, NULL);
    char wanted[256];

    assert_reads(slow, "retry: 2000\n" ID "1\n\n");
    for (int i = 0; i <= FEED_EVENTS_MAX; i++) {
        feed_put(f->feed, "x", "1");
    }
    snprintf(wanted, sizeof(wanted), "event: reset\n" ID "%d\ndata: {}\n\n", FEED_EVENTS_MAX + 2);
    assert_reads(slow, wanted);
    feed_put(f->feed, "x", "last");
    snprintf(wanted, sizeof(wanted), "event: x\n" ID "%d\ndata: last\n\n", FEED_EVENTS_MAX + 3);
    assert_reads(slow, wanted);
    assert_metric(f, "sitewatch_api_event_resets_total 1\n");
    feed_leave(slow);
}

static void the_ring_has_a_ceiling_of_bytes(void **state)
{
    struct fixture *f = *state;
    char *large = mem_alloc(FEED_BYTES_MAX / 2, 1);
    struct feed_client *slow = feed_join(f->feed, 7, NULL);
    char got[64];

    memset(large, 'x', FEED_BYTES_MAX / 2 - 1);
    feed_put(f->feed, "x", large);
    feed_put(f->feed, "x", large); /* with what stands around it more than half */
    assert_true(feed_read(slow, got, sizeof(got)) > 13);
    assert_memory_equal(got, "event: reset\n", 13);
    feed_leave(slow);
    free(large);
}

static void a_beat_is_for_who_has_read_nothing_since(void **state)
{
    struct fixture *f = *state;
    struct feed_client *c = feed_join(f->feed, 7, NULL);

    assert_reads(c, "retry: 2000\n" ID "1\n\n");
    feed_beat(f->feed);
    assert_reads(c, ":\n\n");
    assert_reads(c, "");
    feed_put(f->feed, "x", "1");
    feed_beat(f->feed);
    assert_reads(c, "event: x\n" ID "2\ndata: 1\n\n");
    feed_leave(c);
}

static void there_is_a_ceiling_of_clients(void **state)
{
    struct fixture *f = *state;
    struct feed_client *a = feed_join(f->feed, 7, NULL);
    struct feed_client *b = feed_join(f->feed, 7, NULL);

    assert_null(feed_join(f->feed, 7, NULL));
    assert_metric(f, "sitewatch_api_event_clients_refused_total 1\n");
    assert_metric(f, "sitewatch_api_event_clients 2\n");
    feed_leave(b);
    b = feed_join(f->feed, 7, NULL);
    assert_non_null(b);
    feed_leave(a);
    feed_leave(b);
    assert_metric(f, "sitewatch_api_event_clients 0\n");
}

static void count_wakes(void *context)
{
    ++*(int *)context;
}

static void a_token_that_ends_ends_its_streams_alone(void **state)
{
    struct fixture *f = *state;
    struct feed_client *stays = feed_join(f->feed, 7, NULL);
    struct feed_client *goes = feed_join(f->feed, 8, NULL);
    int stays_wakes = 0, goes_wakes = 0;
    size_t count;
    int64_t *tokens = feed_tokens(f->feed, &count);
    char got[256];

    assert_int_equal(count, 2);
    assert_int_equal(tokens[0] + tokens[1], 15);
    free(tokens);
    feed_listen(stays, count_wakes, &stays_wakes);
    feed_listen(goes, count_wakes, &goes_wakes);
    feed_drop(f->feed, 8);
    assert_int_equal(goes_wakes, 1);
    assert_int_equal(stays_wakes, 0);
    assert_int_equal(feed_read(goes, got, sizeof(got)), -1);
    assert_true(feed_read(stays, got, sizeof(got)) > 0);
    feed_leave(goes);
    feed_leave(stays);
}

static void every_change_wakes_and_the_end_is_for_all(void **state)
{
    struct fixture *f = *state;
    struct feed_client *c = feed_join(f->feed, 7, NULL);
    int wakes = 0;
    char got[256];

    feed_listen(c, count_wakes, &wakes);
    feed_put(f->feed, "x", "1");
    feed_beat(f->feed);
    feed_begin(f->feed, EPOCH + 1);
    assert_int_equal(wakes, 3);
    feed_end(f->feed, 0);
    assert_int_equal(wakes, 4);
    assert_int_equal(feed_read(c, got, sizeof(got)), -1);
    assert_null(feed_join(f->feed, 7, NULL));
    feed_leave(c);
    feed_end(f->feed, INT64_MAX / 2); /* there is nobody to wait for */
    feed_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_client_reads_what_came_after_it),
        TEST(data_of_several_lines_is_sent_as_such),
        TEST(an_event_goes_out_in_any_number_of_pieces),
        TEST(who_comes_back_goes_on_where_it_was),
        TEST(who_falls_behind_is_told_and_goes_on_at_the_end),
        TEST(the_ring_has_a_ceiling_of_bytes),
        TEST(a_beat_is_for_who_has_read_nothing_since),
        TEST(there_is_a_ceiling_of_clients),
        TEST(a_token_that_ends_ends_its_streams_alone),
        TEST(every_change_wakes_and_the_end_is_for_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
