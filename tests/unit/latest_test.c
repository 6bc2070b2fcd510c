/* What others read of the latest results is whole, whatever the loops do meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "producer/latest.h"

#define SITES 2000 /* several blocks of places */

struct stand {
    struct metrics *metrics;
    struct latest *latest;
};

static void open_stand(struct stand *s, size_t parts, size_t sites_max, bool messages)
{
    struct latest_settings settings = {
        .parts = parts, .sites_max = sites_max, .messages = messages};

    s->metrics = metrics_new();
    s->latest = latest_new(&settings, s->metrics);
}

static void close_stand(struct stand *s)
{
    latest_free(s->latest);
    metrics_free(s->metrics);
}

static struct event event_of(const char *name, enum check_status status)
{
    struct event event;

    event_init(&event);
    event.site_name = name;
    event.status = status;
    return event;
}

static uint32_t put(struct stand *s, size_t part, uint32_t place, const char *name,
                    enum check_status status)
{
    struct event event = event_of(name, status);

    return latest_put(s->latest, part, place, &event);
}

/* The names of a reading in its order, each with the letter of its status: "a:u b:d ". */
static void read_on(struct stand *s, struct latest_cursor *cursor, char *text, size_t size)
{
    struct latest_site site;
    size_t len = 0;

    text[0] = '\0';
    latest_enter(s->latest);
    while (latest_next(s->latest, cursor, &site)) {
        len += (size_t)snprintf(text + len, size - len, "%.*s:%c ", (int)site.len, site.name,
                                check_status_name((enum check_status)site.result.status)[0]);
    }
    latest_leave(s->latest);
}

static void expect(struct stand *s, const char *wanted)
{
    struct latest_cursor cursor;
    char text[256];

    latest_begin(s->latest, &cursor);
    read_on(s, &cursor, text, sizeof(text));
    assert_string_equal(text, wanted);
}

static void with_no_place_left_a_site_is_counted_and_comes_in_when_another_leaves(void **state)
{
    struct stand s;

    (void)state;
    open_stand(&s, 2, 2, false);

    struct metric *refused = metrics_counter(s.metrics, "sitewatch_results_not_shown", "", NULL);
    uint32_t a = put(&s, 0, LATEST_NONE, "a", CHECK_UP);
    uint32_t b = put(&s, 1, LATEST_NONE, "b", CHECK_UP);

    assert_int_not_equal(a, LATEST_NONE);
    assert_int_not_equal(b, LATEST_NONE);
    assert_int_equal(put(&s, 0, LATEST_NONE, "c", CHECK_UP), LATEST_NONE);
    assert_int_equal(metric_value(refused), 1);
    assert_int_equal(put(&s, 0, a, "a", CHECK_DOWN), a); /* those that are in go on */
    latest_remove(s.latest, 1, b);
    latest_remove(s.latest, 1, LATEST_NONE);
    assert_int_equal(latest_count(s.latest), 1);
    assert_int_not_equal(put(&s, 0, LATEST_NONE, "c", CHECK_UP), LATEST_NONE);
    expect(&s, "a:d c:u ");
    assert_int_equal(metric_value(refused), 1);
    close_stand(&s);
    latest_free(NULL);
}

static void a_site_that_leaves_and_comes_again_is_seen_once(void **state)
{
    struct stand s;
    struct latest_cursor cursor;
    struct latest_site site;
    char text[256];

    (void)state;
    open_stand(&s, 1, 10, false);

    uint32_t a = put(&s, 0, LATEST_NONE, "a", CHECK_UP);
    uint32_t b = put(&s, 0, LATEST_NONE, "b", CHECK_UP);

    put(&s, 0, LATEST_NONE, "c", CHECK_UP);
    latest_begin(s.latest, &cursor);
    latest_enter(s.latest);
    assert_true(latest_next(s.latest, &cursor, &site));
    latest_remove(s.latest, 0, a);
    latest_remove(s.latest, 0, b);
    assert_memory_equal(site.name, "a", site.len); /* as long as somebody reads */
    latest_leave(s.latest);
    assert_int_equal(put(&s, 0, LATEST_NONE, "a", CHECK_DOWN), b);
    put(&s, 0, LATEST_NONE, "new", CHECK_UP);
    read_on(&s, &cursor, text, sizeof(text));
    assert_string_equal(text, "c:u ");
    latest_rewind(&cursor);
    read_on(&s, &cursor, text, sizeof(text));
    assert_string_equal(text, "c:u ");
    expect(&s, "new:u a:d c:u ");
    close_stand(&s);
}

static void a_result_says_what_its_event_did(void **state)
{
    struct stand s;
    struct latest_cursor cursor;
    struct latest_site site;
    struct event event = event_of("a", CHECK_DOWN);
    char message[2 * LATEST_MESSAGE_BYTES];

    (void)state;
    open_stand(&s, 1, 10, true);
    memset(message, 'x', sizeof(message));
    message[0] = '\xff'; /* not UTF-8 */
    message[sizeof(message) - 1] = '\0';
    event.time_us = 5;
    event.cert_not_after_s = -7;
    event.http_status = 503;
    event.error = ERROR_STATUS;
    event.error_phase = PHASE_CHECK;
    event.error_message = message;
    event.timing.connect_us = 0;
    event.timing.wait_us = INT64_MAX;
    event.timing.total_us = UINT32_MAX;
    latest_put(s.latest, 0, LATEST_NONE, &event);
    latest_begin(s.latest, &cursor);
    latest_enter(s.latest);
    assert_true(latest_next(s.latest, &cursor, &site));
    assert_int_equal(site.len, 1);
    assert_int_equal(site.result.time_us, 5);
    assert_int_equal(site.result.cert_not_after_s, -7);
    assert_int_equal(site.result.http_status, 503);
    assert_int_equal(site.result.status, CHECK_DOWN);
    assert_int_equal(site.result.error, ERROR_STATUS);
    assert_int_equal(site.result.error_phase, PHASE_CHECK);
    assert_int_equal(site.result.dns_us, LATEST_ABSENT);
    assert_int_equal(site.result.connect_us, 0);
    assert_int_equal(site.result.wait_us, LATEST_ABSENT - 1); /* not taken for absent */
    assert_int_equal(site.result.total_us, LATEST_ABSENT - 1);
    assert_int_equal(strlen(site.message), LATEST_MESSAGE_BYTES - 1);
    assert_memory_equal(site.message, "\xEF\xBF\xBDxx", 5);
    assert_false(latest_next(s.latest, &cursor, &site));
    latest_leave(s.latest);
    close_stand(&s);
}

static void a_history_is_of_the_last_checks_of_the_same_site(void **state)
{
    struct stand s;
    struct latest_cursor cursor;
    struct latest_site site;

    (void)state;
    open_stand(&s, 1, 1, false);

    uint32_t place = put(&s, 0, LATEST_NONE, "a", CHECK_DOWN);

    for (int i = 1; i < LATEST_HISTORY; i++) {
        put(&s, 0, place, "a", CHECK_UNKNOWN);
    }
    put(&s, 0, place, "a", CHECK_UP); /* the first one falls out */
    put(&s, 0, place, "a", CHECK_DEGRADED);
    latest_begin(s.latest, &cursor);
    latest_enter(s.latest);
    assert_true(latest_next(s.latest, &cursor, &site));
    latest_leave(s.latest);
    assert_int_equal(site.result.checks, LATEST_HISTORY);
    assert_true(site.result.history == (UINT64_MAX << 4 | CHECK_UP << 2 | CHECK_DEGRADED));
    latest_remove(s.latest, 0, place);
    put(&s, 0, LATEST_NONE, "b", CHECK_DOWN);
    latest_begin(s.latest, &cursor);
    latest_enter(s.latest);
    assert_true(latest_next(s.latest, &cursor, &site));
    latest_leave(s.latest);
    assert_int_equal(site.result.checks, 1);
    assert_int_equal(site.result.history, CHECK_DOWN);
    close_stand(&s);
}

/* --- Threads --- */

#define PARTS 2
#define ROUNDS 60
#define READINGS_MIN 5

struct writer {
    struct stand *stand;
    size_t part;
    atomic_bool *done;
};

/* A site's http_status, total_us and time_us say the same number, and its name the part. */
static void *write_and_leave(void *context)
{
    struct writer *w = context;
    static _Thread_local uint32_t places[SITES];
    char name[32];

    for (int round = 1; round <= ROUNDS; round++) {
        for (int i = 0; i < SITES; i++) {
            snprintf(name, sizeof(name), "%zu-%d", w->part, i);

            struct event event = event_of(name, CHECK_UP);

            event.http_status = round;
            event.timing.total_us = round * 1000 + i;
            event.time_us = round * 1000 + i;
            if ((round + i) % 7 == 0) {
                latest_remove(w->stand->latest, w->part, places[i]);
                places[i] = LATEST_NONE;
            } else {
                places[i] = latest_put(w->stand->latest, w->part, places[i], &event);
            }
        }
    }
    return NULL;
}

/* How many sites it saw; each whole, and none twice. */
static size_t read_all(struct stand *s, struct latest_cursor *cursor)
{
    static bool seen[PARTS][SITES];
    struct latest_site site;
    size_t count = 0;
    bool more = true;

    memset(seen, 0, sizeof(seen));
    while (more) {
        latest_enter(s->latest);
        for (int i = 0; i < 100 && (more = latest_next(s->latest, cursor, &site)); i++) {
            size_t part;
            int number;
            char name[32];

            snprintf(name, sizeof(name), "%.*s", (int)site.len, site.name);
            assert_int_equal(sscanf(name, "%zu-%d", &part, &number), 2);
            assert_false(seen[part][number]);
            seen[part][number] = true;
            assert_int_equal(site.result.time_us, site.result.total_us);
            assert_int_equal(site.result.total_us,
                             site.result.http_status * 1000 + (uint32_t)number);
            count++;
        }
        latest_leave(s->latest);
    }
    return count;
}

static void *write_to_the_end(void *context)
{
    struct writer *w = context;

    write_and_leave(w);
    atomic_store(&w->done[w->part], true);
    return NULL;
}

static void readers_see_whole_results_of_sites_that_are_there(void **state)
{
    struct stand s;
    struct writer writers[PARTS];
    pthread_t threads[PARTS];
    atomic_bool done[PARTS] = {false, false};
    struct latest_cursor cursor;
    int readings = 0;

    (void)state;
    open_stand(&s, PARTS, PARTS * SITES, false);
    for (size_t i = 0; i < PARTS; i++) {
        writers[i] = (struct writer){&s, i, done};
        assert_int_equal(pthread_create(&threads[i], NULL, write_to_the_end, &writers[i]), 0);
    }
    while (readings < READINGS_MIN || !atomic_load(&done[0]) || !atomic_load(&done[1])) {
        latest_begin(s.latest, &cursor);
        for (int pass = 0; pass < 2; pass++) {
            latest_rewind(&cursor);
            read_all(&s, &cursor);
        }
        readings++;
    }
    for (size_t i = 0; i < PARTS; i++) {
        pthread_join(threads[i], NULL);
    }
    latest_begin(s.latest, &cursor);
    assert_int_equal(read_all(&s, &cursor), latest_count(s.latest));
    close_stand(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_no_place_left_a_site_is_counted_and_comes_in_when_another_leaves),
        cmocka_unit_test(a_site_that_leaves_and_comes_again_is_seen_once),
        cmocka_unit_test(a_result_says_what_its_event_did),
        cmocka_unit_test(a_history_is_of_the_last_checks_of_the_same_site),
        cmocka_unit_test(readers_see_whole_results_of_sites_that_are_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
