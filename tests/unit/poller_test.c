/* The life of the site poller, stage by stage: start, run, reload, drain, stop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "producer/poller.h"
#include "tests/unit/odd_server.h"
#include "tests/unit/series.h"

#define TURNS_SECONDS_MAX 10
#define EVENTS_MAX 256

static const struct odd_reply replies[] = {
    {"/ok", ODD_CLOSE, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nv=42", NULL},
    {"/down", ODD_CLOSE, "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno", NULL},
    {"/gone", ODD_CLOSE, "HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n", NULL},
    {"/hold", ODD_HOLD, "", NULL},
    {NULL, ODD_CLOSE, NULL, NULL},
};

/* The same when all is well again. */
static const struct odd_reply mended[] = {
    {"/down", ODD_CLOSE, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", NULL},
    {NULL, ODD_CLOSE, NULL, NULL},
};

struct seen {
    char site[64];
    enum check_status status;
    enum error_type error;
    int64_t slot_us, time_us, lag_us;
    int32_t attempt;
    bool final;
    bool has_answers;
    char message[64];
};

struct stand {
    struct odd_server server;
    struct loop *loop;
    struct metrics *metrics;
    struct poller *poller;
    struct siteset *sites;
    struct seen events[EVENTS_MAX];
    size_t count;
};

static void on_event(void *context, const struct event *e)
{
    struct stand *s = context;
    struct seen *seen = &s->events[s->count++];

    assert_true(s->count <= EVENTS_MAX);
    snprintf(seen->site, sizeof(seen->site), "%s", e->site_name);
    seen->status = e->status;
    seen->error = e->error;
    seen->slot_us = e->slot_us;
    seen->lag_us = e->lag_us;
    seen->time_us = e->time_us;
    seen->attempt = e->attempt;
    seen->final = e->final;
    seen->has_answers = e->answers_json != NULL;
    snprintf(seen->message, sizeof(seen->message), "%s",
             e->error_message == NULL ? "" : e->error_message);
}

static void start(struct stand *s, int64_t in_flight_max, bool once, bool on_start)
{
    struct poller_settings settings = {
        .in_flight_max = in_flight_max,
        .location = "test",
        .observer = "host",
        .user_agent = "test",
        .once = once,
        .start_seconds = on_start ? 0 : 60,
        .resolver = {.servers = "127.0.0.1:1", .timeout_ms = 100, .tries = 1},
    };
    struct err err;

    *s = (struct stand){.count = 0};
    s->server.replies = replies;
    odd_start(&s->server, "127.0.0.1", 0);
    s->loop = loop_new(&err);
    s->metrics = metrics_new();
    s->sites = siteset_new(1);
    s->poller = poller_new(&settings, s->loop, s->metrics, on_event, s, &err);
    assert_non_null(s->poller);
}

static void stop(struct stand *s)
{
    poller_free(s->poller);
    siteset_free(s->sites);
    loop_free(s->loop);
    metrics_free(s->metrics);
    odd_stop(&s->server);
}

static void set(struct site *site, const char *option, const char *text)
{
    struct site_value value = {.type = SITE_VALUE_TEXT, .text = text};
    struct err err;

    assert_int_equal(site_set(site, option, &value, &err), 0);
}

/* paths[i] is the site's name as well; NULL ends. */
static struct targets sites_of(struct stand *s, const char *const *paths, int64_t seconds,
                               const char *pattern)
{
    struct targets targets = {0};
    struct site_value value = {.type = SITE_VALUE_INT, .integer = seconds};

    for (size_t i = 0; paths[i] != NULL; i++) {
        struct site site;
        struct err err;
        char url[128];

        snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", s->server.port, paths[i]);
        site_init(&site);
        set(&site, "url", url);
        set(&site, "name", paths[i]);
        assert_int_equal(site_set(&site, "seconds", &value, &err), 0);
        if (pattern != NULL) {
            set(&site, "pattern", pattern);
        }
        assert_int_equal(site_finish(&site, &err), 0);
        targets.sites = mem_resize(targets.sites, targets.count + 1, sizeof(site));
        targets.sites[targets.count++] = site;
    }
    return targets;
}

static void turn(struct stand *s, bool may_start)
{
    struct err err;
    int64_t now_ns = clock_mono_ns();
    int64_t until_ns = now_ns + 50 * NS_PER_MS;

    assert_int_equal(poller_run_due(s->poller, now_ns, may_start, &err), 0);
    if (poller_next_due_ns(s->poller, may_start) < until_ns) {
        until_ns = poller_next_due_ns(s->poller, may_start);
    }
    assert_int_equal(loop_turn(s->loop, until_ns, &err), 0);
}

/* Hands it the sites, and turns until it has made the change. */
static struct site_change take_over(struct stand *s, struct targets *targets)
{
    struct site_change *change = siteset_take_over(s->sites, targets);
    struct site_change counts = *change;
    struct err err;

    poller_change_sites(s->poller, change, 0);
    while (poller_is_changing(s->poller)) { /* no turn, which would wait while slots pass */
        assert_int_equal(poller_run_due(s->poller, clock_mono_ns(), false, &err), 0);
    }
    site_change_free(change);
    siteset_bury(s->sites);
    return counts;
}

/* One site that is tried again. */
static struct site_change load_retried(struct stand *s, const char *path, int32_t retries)
{
    const char *const paths[] = {path, NULL};
    struct targets targets = sites_of(s, paths, 60, "n.");

    targets.sites[0].retries = retries;
    return take_over(s, &targets);
}

static struct site_change load(struct stand *s, const char *const *paths, int64_t seconds,
                               const char *pattern)
{
    struct targets targets = sites_of(s, paths, seconds, pattern);

    return take_over(s, &targets);
}

static void run_until_events(struct stand *s, size_t count)
{
    int64_t deadline_ns = clock_mono_ns() + TURNS_SECONDS_MAX * NS_PER_SEC;

    while (s->count < count && clock_mono_ns() < deadline_ns) {
        turn(s, true);
    }
    assert_true(s->count >= count);
}

static void run_until_done(struct stand *s)
{
    int64_t deadline_ns = clock_mono_ns() + TURNS_SECONDS_MAX * NS_PER_SEC;

    while (!poller_is_done(s->poller) && clock_mono_ns() < deadline_ns) {
        turn(s, true);
    }
    assert_true(poller_is_done(s->poller));
}

static const struct seen *event_of(const struct stand *s, const char *site)
{
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->events[i].site, site) == 0) {
            return &s->events[i];
        }
    }
    return NULL;
}

static void test_once_checks_each_site_once(void **state)
{
    static const char *const paths[] = {"/ok", "/down", "/gone", NULL};
    struct stand s;

    (void)state;
    start(&s, 1, true, false); /* one slot: they take turns, and none counts as missed */
    load(&s, paths, 1, "v=(\\d+)");
    assert_false(poller_is_done(s.poller));
    run_until_done(&s);
    assert_int_equal(s.count, 3);
    assert_int_equal(event_of(&s, "/ok")->status, CHECK_UP);
    assert_true(event_of(&s, "/ok")->has_answers);
    assert_int_equal(event_of(&s, "/down")->error, ERROR_STATUS);
    stop(&s);
}

static void test_checks_come_at_their_slots(void **state)
{
    static const char *const paths[] = {"/ok", NULL};
    struct stand s;

    (void)state;
    start(&s, 4, false, true);
    load(&s, paths, 1, NULL);
    run_until_events(&s, 3);
    /* The first at once, the second at the next slot of the grid, the third a second later. */
    assert_true(s.events[0].slot_us < s.events[1].slot_us);
    assert_int_equal(s.events[2].slot_us - s.events[1].slot_us, 1000000);
    stop(&s);
}

static void test_without_room_slots_are_missed_and_said(void **state)
{
    static const char *const paths[] = {"/ok", NULL};
    struct stand s;
    int64_t until_ns = clock_mono_ns() + 2500 * NS_PER_MS;
    const struct seen *missed = NULL;

    (void)state;
    start(&s, 4, false, true);
    load(&s, paths, 1, NULL);
    run_until_events(&s, 1);
    while (clock_mono_ns() < until_ns) {
        turn(&s, false); /* as while Kafka takes no events */
    }
    assert_int_equal(s.count, 1);
    run_until_events(&s, 3);
    missed = &s.events[1];
    assert_int_equal(missed->error, ERROR_SLOT_MISSED);
    assert_int_equal(missed->status, CHECK_UNKNOWN);
    assert_int_equal(s.events[2].status, CHECK_UP);
    assert_true(s.events[2].slot_us > missed->slot_us);
    stop(&s);
}

static void test_reload(void **state)
{
    static const char *const before[] = {"/ok", "/down", NULL};
    static const char *const after[] = {"/ok", "/gone", NULL};
    struct stand s;
    struct site_change change;

    (void)state;
    start(&s, 4, false, false);
    change = load(&s, before, 60, NULL);
    assert_int_equal(change.added, 2);
    change = load(&s, after, 60, NULL);
    assert_int_equal(change.added, 1);
    assert_int_equal(change.removed, 1);
    assert_int_equal(change.unchanged, 1);
    assert_int_equal(change.changed, 0);
    run_until_events(&s, 1); /* the new one is checked at once, the old one is not disturbed */
    assert_string_equal(s.events[0].site, "/gone");
    change = load(&s, after, 30, NULL);
    assert_int_equal(change.changed, 2);
    run_until_events(&s, 3); /* changed ones too */
    stop(&s);
}

static void test_a_site_removed_while_its_check_is_in_flight(void **state)
{
    static const char *const before[] = {"/hold", "/ok", NULL};
    static const char *const after[] = {"/ok", NULL};
    struct stand s;
    int64_t deadline_ns = clock_mono_ns() + TURNS_SECONDS_MAX * NS_PER_SEC;

    (void)state;
    start(&s, 4, false, true);
    load(&s, before, 2, NULL);
    while ((poller_in_flight(s.poller) == 0 || event_of(&s, "/ok") == NULL) &&
           clock_mono_ns() < deadline_ns) {
        turn(&s, true);
    }
    load(&s, after, 2, NULL);
    while (event_of(&s, "/hold") == NULL && clock_mono_ns() < deadline_ns) {
        turn(&s, true);
    }
    assert_int_equal(event_of(&s, "/hold")->error, ERROR_TIMEOUT);
    stop(&s);
}

static void test_drain_waits_for_what_is_in_flight(void **state)
{
    static const char *const paths[] = {"/hold", NULL};
    struct stand s;
    int64_t deadline_ns = clock_mono_ns() + TURNS_SECONDS_MAX * NS_PER_SEC;

    (void)state;
    start(&s, 4, false, true);
    load(&s, paths, 5, NULL); /* a busy machine has time to connect */
    while (poller_in_flight(s.poller) == 0 && clock_mono_ns() < deadline_ns) {
        turn(&s, true);
    }
    poller_drain(s.poller);
    assert_false(poller_is_done(s.poller));
    run_until_done(&s); /* its time-out ends it, and no other begins */
    assert_int_equal(event_of(&s, "/hold")->error, ERROR_TIMEOUT);
    assert_int_equal(poller_in_flight(s.poller), 0);
    stop(&s);
}

static void test_stop_cuts_off_what_is_in_flight(void **state)
{
    static const char *const before[] = {"/hold", "/ok", NULL};
    static const char *const after[] = {"/ok", NULL};
    struct stand s;
    int64_t deadline_ns = clock_mono_ns() + TURNS_SECONDS_MAX * NS_PER_SEC;

    (void)state;
    start(&s, 4, false, true);
    load(&s, before, 60, NULL);
    while ((event_of(&s, "/ok") == NULL || poller_in_flight(s.poller) != 1) &&
           clock_mono_ns() < deadline_ns) {
        turn(&s, true);
    }
    load(&s, after, 60, NULL); /* "/hold" is out of the set and in flight */
    assert_int_equal(poller_in_flight(s.poller), 1);
    stop(&s); /* the leak checker sees to the rest */
}

static void test_a_failure_is_confirmed(void **state)
{
    struct stand s;

    (void)state;
    start(&s, 4, true, true);
    load_retried(&s, "/down", 2);
    run_until_done(&s);
    assert_int_equal(s.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(s.events[i].attempt, i + 1);
        assert_int_equal(s.events[i].final, i == 2);
        assert_int_equal(s.events[i].status, CHECK_DOWN);
        assert_int_equal(s.events[i].error, ERROR_STATUS);
        assert_string_equal(s.events[i].message, "status 500 is not in 200-399");
        assert_true(s.events[i].has_answers);
        assert_int_equal(s.events[i].slot_us, s.events[0].slot_us);
        assert_int_equal(s.events[i].time_us, s.events[i].slot_us + s.events[i].lag_us);
        if (i > 0) {
            int64_t wait_us = s.events[i].time_us - s.events[i - 1].time_us;

            assert_true(wait_us > 900000 && wait_us < 5000000);
        }
    }
    assert_int_equal(series_value(s.metrics, "sitewatch_checks_total{status=\"down\"} "), 1);
    assert_int_equal(series_value(s.metrics, "sitewatch_retries_total "), 2);
    stop(&s);
}

static void run_until_retry_waits(struct stand *s)
{
    int64_t deadline_ns = clock_mono_ns() + TURNS_SECONDS_MAX * NS_PER_SEC;

    while ((s->server.connections == 0 || poller_in_flight(s->poller) > 0) &&
           clock_mono_ns() < deadline_ns) {
        turn(s, true);
    }
    assert_int_equal(poller_in_flight(s->poller), 0);
    assert_int_equal(s->count, 0); /* its event waits with it */
}

static void test_a_failure_that_passes_does_not_count(void **state)
{
    struct stand s;

    (void)state;
    start(&s, 4, true, true);
    load_retried(&s, "/down", 5);
    run_until_retry_waits(&s);
    assert_false(poller_is_done(s.poller));
    s.server.replies = mended;
    run_until_done(&s);
    assert_int_equal(s.count, 2);
    assert_false(s.events[0].final);
    assert_int_equal(s.events[0].status, CHECK_DOWN);
    assert_int_equal(s.events[1].attempt, 2);
    assert_true(s.events[1].final);
    assert_int_equal(s.events[1].status, CHECK_UP);
    assert_int_equal(series_value(s.metrics, "sitewatch_checks_total{status=\"up\"} "), 1);
    assert_int_equal(series_value(s.metrics, "sitewatch_checks_total{status=\"down\"} "), 0);
    stop(&s);
}

static void test_what_is_given_up_is_final(void **state)
{
    static const char *const others[] = {"/ok", NULL};
    struct stand s;

    (void)state;
    print_message("  a drain\n");
    start(&s, 4, false, true);
    load_retried(&s, "/down", 5);
    run_until_retry_waits(&s);
    poller_drain(s.poller);
    assert_int_equal(s.count, 1);
    assert_true(s.events[0].final);
    assert_int_equal(s.events[0].attempt, 1);
    assert_true(poller_is_done(s.poller));
    stop(&s);

    print_message("  a reload without the site\n");
    start(&s, 4, false, true);
    load_retried(&s, "/down", 5);
    run_until_retry_waits(&s);
    load(&s, others, 60, NULL);
    assert_true(s.count > 0); /* the site that came may have been checked too */
    assert_string_equal(s.events[0].site, "/down");
    assert_true(s.events[0].final);
    stop(&s);

    print_message("  a reload with the site as it was: it goes on\n");
    start(&s, 4, false, true);
    load_retried(&s, "/down", 1);
    run_until_retry_waits(&s);
    assert_int_equal(load_retried(&s, "/down", 1).unchanged, 1);
    assert_int_equal(s.count, 0);
    run_until_events(&s, 2);
    assert_int_equal(s.events[1].attempt, 2);
    assert_true(s.events[1].final);
    stop(&s);

    print_message("  a stop at once: nobody is told\n");
    start(&s, 4, false, true);
    load_retried(&s, "/down", 5);
    run_until_retry_waits(&s);
    stop(&s);
    assert_int_equal(s.count, 0);
}

static void test_in_flight_while_it_leaves(void **state)
{
    static const char *const others[] = {"/ok", NULL};
    struct stand s;
    int64_t deadline_ns = clock_mono_ns() + TURNS_SECONDS_MAX * NS_PER_SEC;

    (void)state;
    start(&s, 4, false, true);
    load_retried(&s, "/down", 5);
    while (poller_in_flight(s.poller) == 0 && clock_mono_ns() < deadline_ns) {
        turn(&s, true);
    }
    load(&s, others, 60, NULL);
    while (event_of(&s, "/down") == NULL && clock_mono_ns() < deadline_ns) {
        turn(&s, true);
    }
    assert_true(event_of(&s, "/down")->final);
    stop(&s);
}

static void test_no_retry_while_none_may_start(void **state)
{
    struct stand s;
    int64_t until_ns;

    (void)state;
    start(&s, 4, false, true);
    load_retried(&s, "/down", 1);
    run_until_retry_waits(&s);
    until_ns = clock_mono_ns() + 1200 * NS_PER_MS;
    while (clock_mono_ns() < until_ns) {
        turn(&s, false);
    }
    assert_int_equal(s.count, 0);
    run_until_events(&s, 2);
    assert_true(s.events[1].final);
    stop(&s);
}

static void test_many_sites_at_once_are_spread(void **state)
{
    enum { COUNT = 500 };
    const char *paths[COUNT + 1] = {NULL};
    struct stand s;
    int64_t begin_us = clock_real_ns() / NS_PER_US;
    int64_t last_us = 0;

    (void)state;
    start(&s, 4, false, false);
    load(&s, paths, 60, NULL); /* the start, without a site */
    for (size_t i = 0; i < COUNT; i++) {
        paths[i] = "/ok";
    }
    struct targets targets = sites_of(&s, paths, 60, NULL);

    for (size_t i = 0; i < COUNT; i++) {
        free(targets.sites[i].name);
        assert_true(asprintf(&targets.sites[i].name, "%zu", i) > 0);
    }
    take_over(&s, &targets);
    run_until_events(&s, EVENTS_MAX / 2);
    for (size_t i = 0; i < s.count; i++) {
        last_us = s.events[i].slot_us > last_us ? s.events[i].slot_us : last_us;
    }
    assert_true(last_us - begin_us >= EVENTS_MAX / 4 * US_PER_MS);
    stop(&s);
}

static void test_a_change_is_made_in_slices(void **state)
{
    enum { COUNT = 20000 };
    struct stand s;
    struct err err;
    struct targets targets = {.sites = mem_alloc(COUNT, sizeof(struct site)), .count = COUNT};
    size_t slices = 0;

    (void)state;
    start(&s, 4, false, false);
    for (size_t i = 0; i < COUNT; i++) {
        char url[64];

        snprintf(url, sizeof(url), "http://127.0.0.1:%u/%zu", s.server.port, i);
        site_init(&targets.sites[i]);
        set(&targets.sites[i], "url", url);
        assert_int_equal(site_finish(&targets.sites[i], &err), 0);
    }
    struct site_change *change = siteset_take_over(s.sites, &targets);

    poller_change_sites(s.poller, change, 0);
    while (poller_is_changing(s.poller)) {
        assert_int_equal(poller_next_due_ns(s.poller, false), 0);
        turn(&s, false);
        slices++;
    }
    assert_true(slices > 1);
    assert_int_equal(change->parts[0].made, COUNT);
    site_change_free(change);
    stop(&s);
}

static void test_a_change_is_left_half_made(void **state)
{
    static const char *const paths[] = {"/ok", "/down", NULL};
    static const char *const none[] = {NULL};
    struct stand s;

    (void)state;
    start(&s, 4, false, false);
    load(&s, paths, 60, NULL);

    struct targets targets = sites_of(&s, none, 60, NULL);
    struct site_change *change = siteset_take_over(s.sites, &targets);

    poller_change_sites(s.poller, change, 0);
    poller_free(s.poller);
    s.poller = NULL;
    site_change_free(change); /* the leak checker sees to the rest */
    stop(&s);
}

static void test_an_unusable_ca_file_is_said_and_the_sites_are_checked(void **state)
{
    static const char *const paths[] = {"/ok", NULL};
    struct stand s;

    (void)state;
    start(&s, 4, false, true);

    struct targets targets = sites_of(&s, paths, 30, NULL);

    targets.sites[0].ca_file = mem_copy_string("Makefile"); /* no certificate in it */
    take_over(&s, &targets);
    run_until_events(&s, 1);
    assert_int_equal(s.events[0].status, CHECK_UP); /* http: it needs none */
    stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once_checks_each_site_once),
        cmocka_unit_test(test_checks_come_at_their_slots),
        cmocka_unit_test(test_without_room_slots_are_missed_and_said),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_a_site_removed_while_its_check_is_in_flight),
        cmocka_unit_test(test_drain_waits_for_what_is_in_flight),
        cmocka_unit_test(test_stop_cuts_off_what_is_in_flight),
        cmocka_unit_test(test_a_failure_is_confirmed),
        cmocka_unit_test(test_a_failure_that_passes_does_not_count),
        cmocka_unit_test(test_what_is_given_up_is_final),
        cmocka_unit_test(test_in_flight_while_it_leaves),
        cmocka_unit_test(test_no_retry_while_none_may_start),
        cmocka_unit_test(test_many_sites_at_once_are_spread),
        cmocka_unit_test(test_a_change_is_made_in_slices),
        cmocka_unit_test(test_a_change_is_left_half_made),
        cmocka_unit_test(test_an_unusable_ca_file_is_said_and_the_sites_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
