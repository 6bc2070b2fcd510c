#include "producer/run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/admin.h"
#include "common/clock.h"
#include "common/log.h"
#include "producer/loader.h"
#include "producer/poller.h"
#include "producer/publish.h"
#include "producer/sink.h"
#include "producer/source.h"

#define TURN_NS_MAX NS_PER_SEC  /* a heartbeat at least so often */
#define DESCRIPTORS_PER_CHECK 2 /* the old and the new socket of a redirect */
#define SPOOL_NAME "spool.sqlite"
#define SPOOL_PATH_SIZE 4096
#define DESCRIPTORS_BESIDE 64 /* Kafka, the admin endpoint, name servers, files */

struct service {
    const struct options *options;
    char hostname[256];
    struct metrics *metrics;
    struct admin_health health;
    struct admin *admin;
    struct loop *loop;
    struct loader *loader;
    struct site_change *change; /* that the poller is making; NULL: none */
    struct poller *poller;
    struct publish *publish; /* NULL: the events go to the standard output */
    int signal_fd;
    int64_t deadline_ns; /* of draining; TIME_NEVER before */
    bool quit;           /* a second signal: leave at once */
    bool any_down;
    bool failed; /* with failed_by */
    struct err failed_by;
};

/* --- Events --- */

static void on_event(void *context, const struct event *event)
{
    struct service *s = context;
    int rc = 0;

    if (event->final && (event->status == CHECK_DOWN || event->status == CHECK_UNKNOWN)) {
        s->any_down = true;
    }
    if (s->publish != NULL) {
        publish_event(s->publish, event);
        return;
    }
    if (s->failed || (!event->final && s->options->output != OUTPUT_JSON)) {
        return; /* a person's table has one line a site */
    }
    rc = s->options->output == OUTPUT_JSON ? sink_print_json(stdout, event, &s->failed_by)
                                           : sink_print_row(stdout, event, &s->failed_by);
    s->failed = rc < 0;
}

static void on_publish_ready(void *context, int fd, unsigned ready)
{
    struct service *s = context;

    (void)fd;
    (void)ready;
    publish_poll(s->publish);
}

/* --- Sites --- */

static void on_sites(void *context, int fd, unsigned ready)
{
    struct service *s = context;

    (void)fd;
    (void)ready;
    if (loader_take(s->loader, 0, &s->change, &s->failed_by) < 0) {
        s->failed = true;
    } else if (s->change != NULL && s->poller != NULL) {
        poller_change_sites(s->poller, s->change, 0);
    }
}

/* --- Signals --- */

static void drain(struct service *s)
{
    s->deadline_ns = clock_mono_ns() + s->options->drain_seconds * NS_PER_SEC;
    if (s->poller == NULL) {
        return; /* still at the start */
    }
    poller_drain(s->poller);
    atomic_store(&s->health.ready, false);
    log_write(LOG_INFO, "draining", LOG_I("in_flight", poller_in_flight(s->poller)),
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

/* As many descriptors as we may have, and no more checks than they allow. */
static int64_t in_flight_max(const struct options *o)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        return o->in_flight_max;
    }
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    int64_t allowed = limit.rlim_cur > (rlim_t)INT32_MAX
                          ? INT32_MAX
                          : ((int64_t)limit.rlim_cur - DESCRIPTORS_BESIDE) / DESCRIPTORS_PER_CHECK;

    if (allowed >= o->in_flight_max) {
        return o->in_flight_max;
    }
    log_write(LOG_WARN, "descriptor limit allows fewer checks at a time",
              LOG_I("in_flight_max", o->in_flight_max), LOG_I("allowed", allowed > 1 ? allowed : 1),
              LOG_I("descriptors", (int64_t)limit.rlim_cur));
    return allowed > 1 ? allowed : 1;
}

static const char *observer(struct service *s)
{
    if (s->options->observer != NULL) {
        return s->options->observer;
    }
    if (gethostname(s->hostname, sizeof(s->hostname) - 1) < 0 || s->hostname[0] == '\0') {
        return "unknown";
    }
    return s->hostname;
}

static int start_poller(struct service *s, const char *version, struct err *err)
{
    const struct options *o = s->options;
    static char user_agent[64];
    struct poller_settings settings = {
        .in_flight_max = in_flight_max(o),
        .location = o->location,
        .observer = observer(s),
        .user_agent = user_agent,
        .check_on_start = o->check_on_start || o->url != NULL,
        .once = o->once,
        .resolver =
            {
                .servers = o->dns_servers,
                .timeout_ms = o->dns_timeout_ms,
                .tries = o->dns_tries,
                .ttl_min_s = o->dns_ttl_min_s,
                .ttl_max_s = o->dns_ttl_max_s,
                .negative_ttl_s = o->dns_negative_ttl_s,
            },
    };

    snprintf(user_agent, sizeof(user_agent), "sitewatch/%s", version);
    s->poller = poller_new(&settings, s->loop, s->metrics, on_event, s, err);
    return s->poller == NULL ? -1 : 0;
}

/* NULL: none. Where nobody gave us a place to write to, we make no file. */
static const char *spool_file(const struct options *o, char *text, size_t size)
{
    const char *directory = getenv("STATE_DIRECTORY");

    if (o->spool_file != NULL) {
        return strcmp(o->spool_file, SPOOL_OFF) == 0 ? NULL : o->spool_file;
    }
    if (directory == NULL || directory[0] == '\0') {
        return NULL;
    }
    /* systemd separates several by colons. */
    snprintf(text, size, "%.*s/" SPOOL_NAME, (int)strcspn(directory, ":"), directory);
    return text;
}

static int start_publish(struct service *s, struct err *err)
{
    char text[SPOOL_PATH_SIZE];
    struct publish_settings settings = {
        .kafka = s->options->kafka,
        .topic_success = s->options->topic_success,
        .topic_failure = s->options->topic_failure,
        .spool_file = spool_file(s->options, text, sizeof(text)),
        .spool_bytes_max = s->options->spool_max_mb * 1024 * 1024,
    };

    if (s->options->once || s->options->output == OUTPUT_JSON) {
        return 0;
    }
    s->publish = publish_new(&settings, s->metrics, err);
    if (s->publish == NULL) {
        return -1;
    }
    if (settings.spool_file != NULL) {
        log_write(LOG_INFO, "spool", LOG_S("file", settings.spool_file),
                  LOG_I("mb_max", s->options->spool_max_mb));
    } else {
        log_write(LOG_INFO, "no spool, checks wait while Kafka is away");
    }
    return loop_watch(s->loop, publish_fd(s->publish), LOOP_READ, on_publish_ready, s, err);
}

static int start_admin(struct service *s, struct err *err)
{
    return s->options->once ? 0
                            : options_start_admin(&s->options->common, PRODUCER_LISTEN, s->metrics,
                                                  &s->health, &s->admin, err);
}

/* What is not right with the sites is said before anything else is touched. */
static int wait_for_sites(struct service *s, struct err *err)
{
    s->loader = loader_new(s->options, 1, s->metrics, err);
    if (s->loader == NULL ||
        loop_watch(s->loop, loader_fd(s->loader, 0), LOOP_READ, on_sites, s, err) < 0) {
        return -1;
    }
    while (s->change == NULL && !s->failed && s->deadline_ns == TIME_NEVER) {
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
    s->loop = loop_new(err);
    if (s->loop == NULL) {
        return -1;
    }
    s->signal_fd = options_signal_fd(err);
    if (s->signal_fd < 0 || loop_watch(s->loop, s->signal_fd, LOOP_READ, on_signal, s, err) < 0 ||
        wait_for_sites(s, err) < 0) {
        return -1;
    }
    if (s->change == NULL) {
        return 0; /* told to stop meanwhile */
    }
    if (start_publish(s, err) < 0 || start_poller(s, version, err) < 0 || start_admin(s, err) < 0) {
        return -1;
    }
    poller_change_sites(s->poller, s->change, 0);
    if (s->options->once && s->options->output == OUTPUT_KAFKA) {
        return sink_print_heading(stdout, err);
    }
    return 0;
}

/* --- Run --- */

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int turn(struct service *s, struct err *err)
{
    int64_t now_ns = clock_mono_ns();
    bool may_start = s->publish == NULL || publish_has_room(s->publish);
    int64_t until_ns = earliest(now_ns + TURN_NS_MAX, s->deadline_ns);

    atomic_store(&s->health.beat_ns, now_ns);
    if (poller_run_due(s->poller, now_ns, may_start, err) < 0) {
        return -1;
    }
    if (s->change != NULL && !poller_is_changing(s->poller)) {
        s->change = NULL;
        loader_made(s->loader);
    }
    if (s->publish != NULL) {
        if (publish_next_due_ns(s->publish) <= now_ns) {
            publish_poll(s->publish);
        }
        until_ns = earliest(until_ns, publish_next_due_ns(s->publish));
    }
    until_ns = earliest(until_ns, poller_next_due_ns(s->poller, may_start));
    return loop_turn(s->loop, until_ns, err);
}

static int serve(struct service *s, struct err *err)
{
    atomic_store(&s->health.ready, true);
    while (!s->quit && !s->failed && s->poller != NULL && !poller_is_done(s->poller) &&
           clock_mono_ns() < s->deadline_ns) {
        if (turn(s, err) < 0) {
            return -1;
        }
    }
    if (s->failed) {
        *err = s->failed_by;
        return -1;
    }
    return 0;
}

/* What the drain left: events on their way to Kafka. */
static int finish(struct service *s, struct err *err)
{
    int64_t left_ms = (s->deadline_ns - clock_mono_ns()) / NS_PER_MS;

    if (s->poller != NULL && poller_in_flight(s->poller) > 0) {
        log_write(LOG_WARN, "checks were cut off by the deadline",
                  LOG_I("checks", poller_in_flight(s->poller)));
    }
    if (s->publish == NULL) {
        return 0;
    }
    return publish_flush(s->publish, left_ms > 0 ? left_ms : 0, err);
}

static void stop(struct service *s)
{
    admin_free(s->admin); /* first: it reads the metrics */
    poller_free(s->poller);
    if (s->loader != NULL) {
        loop_unwatch(s->loop, loader_fd(s->loader, 0));
        loader_free(s->loader);
    }
    if (s->publish != NULL) {
        loop_unwatch(s->loop, publish_fd(s->publish));
        publish_free(s->publish);
    }
    if (s->signal_fd >= 0) {
        close(s->signal_fd);
    }
    loop_free(s->loop);
    metrics_free(s->metrics);
}

int run(const struct options *options, const char *version, bool *any_down, struct err *err)
{
    struct service s = {.options = options, .signal_fd = -1, .deadline_ns = TIME_NEVER};

    s.metrics = metrics_new();

    int rc = start(&s, version, err);

    if (rc == 0) {
        rc = serve(&s, err);
    }
    if (s.quit) {
        log_write(LOG_WARN, "second signal, leaving at once",
                  LOG_I("events_pending", s.publish == NULL ? 0 : publish_pending(s.publish)));
        _exit(EXIT_CLEAN);
    }
    if (rc == 0) {
        rc = finish(&s, err);
    }
    stop(&s);
    *any_down = options->once && s.any_down;
    if (rc == 0 && !options->once) {
        log_write(LOG_INFO, "stopped");
    }
    return rc;
}

int run_check(const struct options *o, struct err *err)
{
    struct targets targets = {0};

    if (source_load(o, &targets, err) < 0) {
        return -1;
    }
    printf("%zu sites are valid\n", targets.count);
    targets_free(&targets);
    return publish_check(&o->kafka, err);
}
