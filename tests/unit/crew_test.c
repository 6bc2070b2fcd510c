/* Loops share the sites among them, and each begins, reloads, drains and ends like one poller. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "producer/crew.h"
#include "tests/unit/odd_server.h"
#include "tests/unit/series.h"

#define LOOPS 4
#define SITES 40
#define DEADLINE_NS (10 * NS_PER_SEC)

static const struct odd_reply replies[] = {
    {"/ok", ODD_CLOSE, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", NULL},
    {"/hold", ODD_HOLD, "", NULL},
    {NULL, ODD_CLOSE, NULL, NULL},
};

struct stand {
    struct odd_server server;
    char file[64];
    struct options options;
    struct metrics *metrics;
    struct loader *loader;
    struct crew *crew;
    atomic_bool room;

    pthread_mutex_t mutex;
    pthread_t owners[SITES]; /* by the number that ends a site's name */
    int events[SITES];
    bool moved; /* a site had an event in another thread than before */
};

static void on_event(void *context, const struct event *e)
{
    struct stand *s = context;
    long site = strtol(e->site_name + strlen("site "), NULL, 10);

    pthread_mutex_lock(&s->mutex);
    if (s->events[site] > 0 && !pthread_equal(s->owners[site], pthread_self())) {
        s->moved = true;
    }
    s->owners[site] = pthread_self();
    s->events[site]++;
    pthread_mutex_unlock(&s->mutex);
}

static bool may_start(void *context)
{
    struct stand *s = context;

    return atomic_load(&s->room);
}

/* `changed`: a site with a pattern that it had not before, -1 for none. */
static void write_sites(const struct stand *s, const char *path, int changed)
{
    FILE *file = fopen(s->file, "w");

    assert_non_null(file);
    fprintf(file, "targets = (");
    for (int i = 0; i < SITES; i++) {
        fprintf(
            file, "%s{ name = \"site %d\"; url = \"http://127.0.0.1:%u%s\"; seconds = 3600;%s }",
            i == 0 ? "" : ", ", i, s->server.port, path, i == changed ? " pattern = \"o.\";" : "");
    }
    fprintf(file, ");\n");
    assert_int_equal(fclose(file), 0);
}

static void start(struct stand *s, const char *path, bool once, bool room)
{
    struct crew_settings settings = {
        .loops = LOOPS,
        .emit = on_event,
        .may_start = may_start,
        .context = s,
        .poller =
            {
                .in_flight_max = 2 * SITES + 1,
                .location = "test",
                .observer = "host",
                .user_agent = "test",
                .once = once,
                .resolver = {.servers = "127.0.0.1:1", .timeout_ms = 100, .tries = 1},
            },
    };
    struct err err;

    *s = (struct stand){.file = "/tmp/crew_test.XXXXXX"};
    atomic_store(&s->room, room);
    pthread_mutex_init(&s->mutex, NULL);
    s->server.replies = replies;
    odd_start(&s->server, "127.0.0.1", 0);
    close(mkstemp(s->file));
    write_sites(s, path, -1);
    s->options.targets_file = s->file;
    s->options.location = (char *)"test";
    s->options.once = once;
    s->metrics = metrics_new();
    s->loader = loader_new(&s->options, LOOPS, s->metrics, &err);
    assert_non_null(s->loader);
    s->crew = crew_new(&settings, s->loader, s->metrics, &err);
    assert_non_null(s->crew);
    assert_int_equal(crew_start(s->crew, &err), 0);
}

static void stop(struct stand *s)
{
    crew_free(s->crew);
    loader_free(s->loader);
    metrics_free(s->metrics);
    odd_stop(&s->server);
    pthread_mutex_destroy(&s->mutex);
    unlink(s->file);
}

typedef bool condition_fn(struct stand *s);

static void wait_until(struct stand *s, condition_fn *holds)
{
    int64_t until_ns = clock_mono_ns() + DEADLINE_NS;

    while (!holds(s)) {
        assert_true(clock_mono_ns() < until_ns);
        poll(NULL, 0, 5);
    }
}

static int events_sum(struct stand *s)
{
    int sum = 0;

    pthread_mutex_lock(&s->mutex);
    for (int i = 0; i < SITES; i++) {
        sum += s->events[i];
    }
    pthread_mutex_unlock(&s->mutex);
    return sum;
}

static bool all_checked(struct stand *s)
{
    return events_sum(s) == SITES;
}

static bool one_more(struct stand *s)
{
    return events_sum(s) == SITES + 1;
}

static bool all_in_flight(struct stand *s)
{
    return crew_in_flight(s->crew) == SITES;
}

static bool done(struct stand *s)
{
    return crew_is_done(s->crew);
}

static bool reloaded(struct stand *s)
{
    return series_value(s->metrics, "sitewatch_reloads_total{result=\"done\"} ") == 1;
}

static bool refused(struct stand *s)
{
    return crew_is_done(s->crew) && crew_check(s->crew, &(struct err){0}) < 0;
}

static bool all_loaded(struct stand *s)
{
    return series_value(s->metrics, "\nsitewatch_sites ") == SITES;
}

static void test_once_checks_each_site_once_in_one_of_the_loops(void **state)
{
    struct stand s;
    int loops = 0;

    (void)state;
    start(&s, "/ok", true, true);
    wait_until(&s, done);
    assert_int_equal(events_sum(&s), SITES);
    for (int i = 0; i < SITES; i++) {
        bool first = true;

        assert_int_equal(s.events[i], 1);
        for (int j = 0; j < i; j++) {
            first = first && !pthread_equal(s.owners[i], s.owners[j]);
        }
        loops += first;
    }
    assert_int_equal(loops, LOOPS); /* as these names have it */
    assert_int_equal(crew_check(s.crew, &(struct err){0}), 0);
    stop(&s);
}

static void test_a_reload_reaches_the_changed_site_alone(void **state)
{
    struct stand s;

    (void)state;
    start(&s, "/ok", false, true);
    wait_until(&s, all_checked);
    wait_until(&s, all_loaded);
    write_sites(&s, "/ok", 7);
    loader_request(s.loader);
    wait_until(&s, reloaded);
    wait_until(&s, one_more);
    assert_int_equal(s.events[7], 2);
    assert_false(s.moved);
    assert_int_equal(series_value(s.metrics, "\nsitewatch_sites "), SITES);
    stop(&s);
}

static void test_a_first_file_that_is_refused_ends_the_loops(void **state)
{
    struct stand s;
    struct err err;

    (void)state;
    start(&s, "/ok\"; seconds = 0; #", false, true);
    wait_until(&s, refused);
    assert_int_equal(crew_check(s.crew, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    stop(&s);
}

static void test_without_room_nothing_starts_until_woken(void **state)
{
    struct stand s;

    (void)state;
    start(&s, "/ok", true, false);
    wait_until(&s, all_loaded);
    assert_int_equal(crew_in_flight(s.crew), 0);
    assert_int_equal(events_sum(&s), 0);
    atomic_store(&s.room, true);
    crew_wake(s.crew);
    wait_until(&s, done);
    assert_int_equal(events_sum(&s), SITES);
    stop(&s);
}

static void test_all_in_flight_are_summed_up_and_cut_off_at_the_end(void **state)
{
    struct stand s;

    (void)state;
    start(&s, "/hold", true, true);
    wait_until(&s, all_in_flight);
    assert_int_equal(series_value(s.metrics, "\nsitewatch_checks_in_flight "), SITES);
    assert_true(crew_beat_ns(s.crew) <= clock_mono_ns());
    crew_drain(s.crew);
    assert_false(crew_is_done(s.crew)); /* their answers are waited for */
    stop(&s);
    for (int i = 0; i < SITES; i++) {
        assert_int_equal(s.events[i], 0);
    }
}

static void test_a_drain_ends_all_loops(void **state)
{
    struct stand s;

    (void)state;
    start(&s, "/ok", false, true);
    crew_drain(s.crew);
    wait_until(&s, done);
    assert_true(crew_beat_ns(s.crew) > clock_mono_ns()); /* nobody waits for a beat */
    assert_int_equal(crew_check(s.crew, &(struct err){0}), 0);
    stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once_checks_each_site_once_in_one_of_the_loops),
        cmocka_unit_test(test_a_reload_reaches_the_changed_site_alone),
        cmocka_unit_test(test_a_first_file_that_is_refused_ends_the_loops),
        cmocka_unit_test(test_without_room_nothing_starts_until_woken),
        cmocka_unit_test(test_all_in_flight_are_summed_up_and_cut_off_at_the_end),
        cmocka_unit_test(test_a_drain_ends_all_loops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
