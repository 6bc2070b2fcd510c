#include "producer/run.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "producer/run_internal.h"
#include "producer/source.h"

#define TURN_NS_MAX NS_PER_SEC  /* a heartbeat at least so often */
#define DESCRIPTORS_PER_CHECK 2 /* the old and the new socket of a redirect */
#define DESCRIPTORS_PER_LOOP 32 /* its own, and name servers */
#define DESCRIPTORS_BESIDE 64   /* Kafka, the admin endpoint, files */

/* --- Signals --- */

static void drain(struct service *s)
{
    s->deadline_ns = clock_mono_ns() + s->options->drain_seconds * NS_PER_SEC;
    if (s->crew == NULL) {
        return; /* still at the start */
    }
    crew_drain(s->crew);
    if (s->shards != NULL) {
        loader_close(s->loader); /* the loops end, and make no more changes */
        shards_leave(s->shards);
    }
    atomic_store(&s->health.ready, false);
    notify_stopping();
    log_write(LOG_INFO, "draining", LOG_I("in_flight", crew_in_flight(s->crew)),
              LOG_I("seconds", s->options->drain_seconds));
}

static void on_signal(void *context, int fd, unsigned ready)
{
    struct service *s = context;
    struct signalfd_siginfo info;

    (void)ready;
    while (read(fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            if (s->options->targets_file != NULL) {
                loader_request(s->loader);
            }
        } else if (s->deadline_ns == TIME_NEVER) {
            drain(s);
        } else {
            s->quit = true;
        }
    }
}

/* --- Start --- */

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* As many descriptors as we may have, and no more checks than they allow. */
static int64_t in_flight_max(const struct options *o)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        return o->in_flight_max;
    }
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    int64_t allowed =
        limit.rlim_cur > (rlim_t)INT32_MAX
            ? INT32_MAX
            : ((int64_t)limit.rlim_cur - DESCRIPTORS_BESIDE - o->threads * DESCRIPTORS_PER_LOOP) /
                  DESCRIPTORS_PER_CHECK;

    if (allowed >= o->in_flight_max) {
        return o->in_flight_max;
    }
    log_write(LOG_WARN, "descriptor limit allows fewer checks at a time",
              LOG_I("in_flight_max", o->in_flight_max), LOG_I("allowed", allowed > 1 ? allowed : 1),
              LOG_I("descriptors", (int64_t)limit.rlim_cur));
    return allowed > 1 ? allowed : 1;
}

static int open_loop(struct service *s, struct err *err)
{
    s->loop = loop_new(err);
    if (s->loop == NULL) {
        return -1;
    }
    s->signal_fd = options_signal_fd(err);
    return s->signal_fd < 0 ? -1 : loop_watch(s->loop, s->signal_fd, LOOP_READ, on_signal, s, err);
}

static void on_first_sites(void *context, int fd, unsigned ready)
{
    struct service *s = context;
    int state = loader_first(s->loader, &s->failed_by);

    (void)ready;
    s->loaded = state > 0;
    s->failed = state < 0;
    loop_unwatch(s->loop, fd); /* the crew's from now on */
}

/* What is not right with the sites is said before anything else is touched. */
static int wait_for_sites(struct service *s, struct err *err)
{
    if (source_check(s->options, err) < 0) {
        return -1;
    }
    s->loader = loader_new(s->options, s->loops, s->metrics, err);
    if (s->loader == NULL) {
        return -1;
    }
    if (!source_has_list(s->options)) {
        s->loaded = true;
        return 0;
    }
    if (loop_watch(s->loop, loader_fd(s->loader, 0), LOOP_READ, on_first_sites, s, err) < 0) {
        return -1;
    }
    while (!s->loaded && !s->failed && s->deadline_ns == TIME_NEVER) {
        if (loop_turn(s->loop, TIME_NEVER, err) < 0) {
            return -1;
        }
    }
    if (s->failed) {
        *err = s->failed_by;
    }
    return s->failed ? -1 : 0;
}

static int start(struct service *s, const char *version, struct err *err)
{
    s->in_flight_max = in_flight_max(s->options);
    s->loops = (size_t)lesser(s->options->threads, s->in_flight_max);
    if (open_loop(s, err) < 0 || wait_for_sites(s, err) < 0) {
        return -1;
    }
    return s->loaded ? run_parts_start(s, version, err) : 0; /* 0: told to stop meanwhile */
}

/* --- Run --- */

/* The files of Kafka's TLS are others. */
static void renew(struct service *s)
{
    if (s->publish != NULL) {
        publish_renew(s->publish);
    }
    if (s->shards != NULL) {
        shards_renew(s->shards);
    }
}

static int turn(struct service *s, struct err *err)
{
    int64_t now_ns = clock_mono_ns();
    int64_t until_ns = lesser(now_ns + TURN_NS_MAX, s->deadline_ns);

    atomic_store(&s->health.beat_ns, lesser(now_ns, crew_beat_ns(s->crew)));
    notify_watchdog_turn(&s->watchdog, &s->health, now_ns);
    atomic_store(&s->health.ready, s->deadline_ns == TIME_NEVER && run_may_start(s) &&
                                       (s->shards == NULL || shards_are_read(s->shards)));
    if ((s->publish != NULL || s->shards != NULL) &&
        kafka_files_look(&s->kafka_files, now_ns, clock_real_ns())) {
        renew(s);
    }
    if (s->publish != NULL) {
        if (publish_next_due_ns(s->publish) <= now_ns) {
            publish_poll(s->publish);
        }
        until_ns = lesser(until_ns, publish_next_due_ns(s->publish));
    }
    if (show_run_due(s->show, crew_in_flight(s->crew), s->deadline_ns != TIME_NEVER, now_ns, err) <
        0) {
        return -1;
    }
    until_ns = lesser(until_ns, show_next_due_ns(s->show));
    return loop_turn(s->loop, until_ns, err);
}

static int serve(struct service *s, struct err *err)
{
    notify_ready();
    while (!s->quit && !s->failed && s->crew != NULL && !crew_is_done(s->crew) &&
           clock_mono_ns() < s->deadline_ns) {
        if (turn(s, err) < 0) {
            return -1;
        }
    }
    if (s->failed) {
        *err = s->failed_by;
        return -1;
    }
    return show_check(s->show, err);
}

/* What the drain left: events on their way to Kafka. */
static int finish(struct service *s, struct err *err)
{
    int64_t left_ms = (s->deadline_ns - clock_mono_ns()) / NS_PER_MS;

    if (s->crew != NULL && !crew_is_done(s->crew) && crew_in_flight(s->crew) > 0) {
        log_write(LOG_WARN, "checks were cut off by the deadline",
                  LOG_I("checks", crew_in_flight(s->crew)));
    }
    run_parts_end_crew(s); /* so that no event comes any more */
    if (s->publish == NULL) {
        return 0;
    }
    return publish_flush(s->publish, left_ms > 0 ? left_ms : 0, err);
}

/* --- The whole --- */

int run(const struct options *options, const char *version, bool *any_down, struct err *err)
{
    struct service s = {.options = options, .signal_fd = -1, .deadline_ns = TIME_NEVER};

    notify_watchdog_init(&s.watchdog);
    s.metrics = metrics_new();
    s.show = show_new(options);

    int rc = start(&s, version, err);

    if (rc == 0) {
        rc = serve(&s, err);
    }
    if (s.quit) {
        show_end(s.show);
        log_write(LOG_WARN, "second signal, leaving at once",
                  LOG_I("events_pending", s.publish == NULL ? 0 : publish_pending(s.publish)));
        _exit(EXIT_CLEAN);
    }
    if (s.deadline_ns != TIME_NEVER) {
        show_end(s.show); /* the terminal as it was */
        options_leave_on_signal(0);
    }
    if (rc == 0) {
        rc = finish(&s, err);
    }
    run_parts_stop(&s);
    if (s.signal_fd >= 0) {
        close(s.signal_fd);
    }
    loop_free(s.loop);
    metrics_free(s.metrics);
    *any_down = options->once && atomic_load(&s.any_down);
    if (rc == 0 && !options->once) {
        log_write(LOG_INFO, "stopped");
    }
    return rc;
}
