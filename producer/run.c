#include "producer/run.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/admin.h"
#include "common/clock.h"
#include "common/kafka_files.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/site.h"
#include "common/wakeup.h"
#include "producer/crew.h"
#include "producer/latest.h"
#include "producer/loader.h"
#include "producer/loop.h"
#include "producer/publish.h"
#include "producer/selfprobe.h"
#include "producer/shards.h"
#include "producer/show.h"
#include "producer/sitemetrics.h"
#include "producer/source.h"

#define TURN_NS_MAX NS_PER_SEC  /* a heartbeat at least so often */
#define DESCRIPTORS_PER_CHECK 2 /* the old and the new socket of a redirect */
#define SPOOL_NAME "spool.sqlite"
#define START_SECONDS 60 /* sites with longer intervals do not wait for their slot at a start */
#define SPOOL_PATH_SIZE 4096
#define DESCRIPTORS_PER_LOOP 32 /* its own, and name servers */
#define DESCRIPTORS_BESIDE 64   /* Kafka, the admin endpoint, files */

struct service {
    const struct options *options;
    char hostname[256], user_agent[64];
    struct metrics *metrics;
    struct admin_health health;
    struct notify_watchdog watchdog;
    struct admin *admin;
    struct loop *loop; /* of signals and of reports from Kafka; no checks */
    size_t loops;      /* of the crew */
    struct loader *loader;
    bool loaded;           /* the list of sites, where there is one */
    struct latest *latest; /* NULL: nobody reads it */
    struct sitemetrics *sitemetrics;
    struct shards *shards; /* NULL: no topic of sites */
    struct seal *seal;     /* of its sites' secrets; NULL: no key is set */
    struct crew *crew;
    struct selfprobe *self; /* NULL: off */
    struct show *show;
    struct publish *publish;        /* NULL: no event goes to Kafka */
    struct kafka_files kafka_files; /* that publish and shards were made with */
    int signal_fd;
    int64_t deadline_ns; /* of draining; TIME_NEVER before */
    bool quit;           /* a second signal: leave at once */
    bool failed;         /* with failed_by */
    struct err failed_by;

    atomic_bool any_down; /* the crew's threads write it */
};

/* --- Events; in the crew's threads --- */

static void on_event(void *context, const struct event *event)
{
    struct service *s = context;

    if (event->final && (event->status == CHECK_DOWN || event->status == CHECK_UNKNOWN)) {
        atomic_store(&s->any_down, true);
    }
    if (s->publish != NULL) {
        publish_event(s->publish, event);
    }
    show_event(s->show, event);
}

static bool may_start(void *context)
{
    const struct service *s = context;

    return s->publish == NULL || publish_has_room(s->publish);
}

static void on_room(void *context)
{
    const struct service *s = context;

    if (s->crew != NULL) {
        crew_wake(s->crew);
    }
}

/* --- What this thread's loop wakes for --- */

static void on_publish_ready(void *context, int fd, unsigned ready)
{
    struct service *s = context;

    (void)fd;
    (void)ready;
    publish_poll(s->publish);
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

static void on_crew(void *context, int fd, unsigned ready)
{
    struct service *s = context;

    (void)ready;
    wakeup_take(fd);
    if (!s->failed && crew_check(s->crew, &s->failed_by) < 0) {
        s->failed = true;
    }
}

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

static int64_t earliest(int64_t a, int64_t b)
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

static struct resolver_settings resolver_settings(const struct options *o)
{
    return (struct resolver_settings){
        .servers = o->dns_servers,
        .timeout_ms = o->dns_timeout_ms,
        .tries = o->dns_tries,
        .ttl_min_s = o->dns_ttl_min_s,
        .ttl_max_s = o->dns_ttl_max_s,
        .negative_ttl_s = o->dns_negative_ttl_s,
    };
}

static int start_selfprobe(struct service *s, struct err *err)
{
    const struct resolver_settings resolver = resolver_settings(s->options);

    if (s->options->probe_self == NULL) {
        return 0;
    }
    s->self = selfprobe_new(s->options->probe_self, &resolver, s->metrics, err);
    return s->self == NULL ? -1 : 0;
}

/* Who waits for long is shown something soon. */
static int64_t start_seconds(const struct options *o)
{
    switch (o->check_on_start) {
    case MAYBE_YES:
        return 0;
    case MAYBE_NO:
        return SITE_SECONDS_MAX;
    default:
        return o->url != NULL ? 0 : START_SECONDS;
    }
}

static int start_crew(struct service *s, int64_t in_flight, const char *version, struct err *err)
{
    const struct options *o = s->options;
    struct crew_settings settings = {
        .loops = s->loops,
        .emit = on_event,
        .may_start = may_start,
        .context = s,
        .poller =
            {
                .in_flight_max = in_flight,
                .location = o->location,
                .observer = observer(s),
                .user_agent = s->user_agent,
                .start_seconds = start_seconds(o),
                .once = o->once,
                .latest = s->latest,
                .resolver = resolver_settings(o),
                .self = s->self,
            },
    };

    snprintf(s->user_agent, sizeof(s->user_agent), "sitewatch/%s", version);
    s->crew = crew_new(&settings, s->loader, s->metrics, err);
    if (s->crew == NULL) {
        return -1;
    }
    return loop_watch(s->loop, crew_fd(s->crew), LOOP_READ, on_crew, s, err);
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
        .on_room = on_room,
        .context = s,
    };

    if (!options_want_kafka(s->options)) {
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

static void start_latest(struct service *s)
{
    bool drawn = show_wants_latest(s->show);
    struct latest_settings settings = {
        .parts = s->loops,
        .sites_max = drawn ? LATEST_SITES_MAX : (size_t)s->options->site_metrics_max,
        .messages = drawn,
    };

    if (s->options->once || settings.sites_max == 0) {
        return;
    }
    s->latest = latest_new(&settings, s->metrics);
    if (s->options->site_metrics_max > 0) {
        s->sitemetrics = sitemetrics_new(s->latest, s->options->location, s->metrics);
    }
}

static int start_admin(struct service *s, struct err *err)
{
    return s->options->once ? 0
                            : options_start_admin(&s->options->common, PRODUCER_LISTEN, s->metrics,
                                                  &s->health, &s->admin, err);
}

static void on_news(void *context, struct news_list *list)
{
    const struct service *s = context;

    loader_tell(s->loader, list);
}

static void on_settle(void *context)
{
    const struct service *s = context;

    loader_settle(s->loader);
}

static struct shards_settings shards_settings(const struct options *o)
{
    return (struct shards_settings){
        .kafka = &o->kafka,
        .topic = source_topic(o),
        .location = o->location,
        .check_topic = shards_check_topic,
        .tell = on_news,
        .settle = on_settle,
    };
}

/* NULL without a key. */
static int make_seal(const struct options *o, struct seal **seal, struct err *err)
{
    *seal = o->sites_secret_key == NULL ? NULL : seal_new(o->sites_secret_key, err);
    return *seal == NULL && o->sites_secret_key != NULL ? err_context(err, "sites-secret-key") : 0;
}

static int start_shards(struct service *s, struct err *err)
{
    struct shards_settings settings = shards_settings(s->options);

    if (settings.topic == NULL) {
        return 0;
    }
    if (make_seal(s->options, &s->seal, err) < 0) {
        return -1;
    }
    settings.seal = s->seal;
    settings.context = s;
    s->shards = shards_new(&settings, s->metrics, err);
    return s->shards == NULL ? -1 : 0;
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
    int64_t in_flight = in_flight_max(s->options);

    s->loops = (size_t)earliest(s->options->threads, in_flight);
    s->loop = loop_new(err);
    if (s->loop == NULL) {
        return -1;
    }
    s->signal_fd = options_signal_fd(err);
    if (s->signal_fd < 0 || loop_watch(s->loop, s->signal_fd, LOOP_READ, on_signal, s, err) < 0 ||
        wait_for_sites(s, err) < 0) {
        return -1;
    }
    if (!s->loaded) {
        return 0; /* told to stop meanwhile */
    }
    start_latest(s);
    if (show_begin(s->show, s->loop, s->latest, s->metrics, err) < 0) {
        return -1;
    }
    if (options_want_kafka(s->options) || source_topic(s->options) != NULL) {
        kafka_files_init(&s->kafka_files, &s->options->kafka, s->metrics);
    }
    if (start_publish(s, err) < 0 || start_selfprobe(s, err) < 0 ||
        start_crew(s, in_flight, version, err) < 0 || start_shards(s, err) < 0) {
        return -1;
    }
    return start_admin(s, err);
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
    int64_t until_ns = earliest(now_ns + TURN_NS_MAX, s->deadline_ns);

    atomic_store(&s->health.beat_ns, earliest(now_ns, crew_beat_ns(s->crew)));
    notify_watchdog_turn(&s->watchdog, &s->health, now_ns);
    atomic_store(&s->health.ready, s->deadline_ns == TIME_NEVER && may_start(s) &&
                                       (s->shards == NULL || shards_are_read(s->shards)));
    if ((s->publish != NULL || s->shards != NULL) &&
        kafka_files_look(&s->kafka_files, now_ns, clock_real_ns())) {
        renew(s);
    }
    if (s->publish != NULL) {
        if (publish_next_due_ns(s->publish) <= now_ns) {
            publish_poll(s->publish);
        }
        until_ns = earliest(until_ns, publish_next_due_ns(s->publish));
    }
    if (show_run_due(s->show, crew_in_flight(s->crew), s->deadline_ns != TIME_NEVER, now_ns, err) <
        0) {
        return -1;
    }
    until_ns = earliest(until_ns, show_next_due_ns(s->show));
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

static void end_crew(struct service *s)
{
    if (s->crew != NULL) {
        loop_unwatch(s->loop, crew_fd(s->crew));
        crew_free(s->crew);
        s->crew = NULL;
    }
}

/* What the drain left: events on their way to Kafka. */
static int finish(struct service *s, struct err *err)
{
    int64_t left_ms = (s->deadline_ns - clock_mono_ns()) / NS_PER_MS;

    if (s->crew != NULL && !crew_is_done(s->crew) && crew_in_flight(s->crew) > 0) {
        log_write(LOG_WARN, "checks were cut off by the deadline",
                  LOG_I("checks", crew_in_flight(s->crew)));
    }
    end_crew(s); /* so that no event comes any more */
    if (s->publish == NULL) {
        return 0;
    }
    return publish_flush(s->publish, left_ms > 0 ? left_ms : 0, err);
}

static void stop(struct service *s)
{
    admin_free(s->admin); /* first: it reads the metrics */
    end_crew(s);
    selfprobe_free(s->self);
    show_free(s->show);
    if (s->shards != NULL) {
        loader_close(s->loader);
        shards_free(s->shards);
    }
    seal_free(s->seal);
    loader_free(s->loader);
    sitemetrics_free(s->sitemetrics);
    latest_free(s->latest);
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
        options_leave_on_signal();
    }
    if (rc == 0) {
        rc = finish(&s, err);
    }
    stop(&s);
    *any_down = options->once && atomic_load(&s.any_down);
    if (rc == 0 && !options->once) {
        log_write(LOG_INFO, "stopped");
    }
    return rc;
}

int run_check(const struct options *o, struct err *err)
{
    const struct shards_settings shards = shards_settings(o);
    struct targets targets = {0};
    struct seal *seal;

    if (source_check(o, err) < 0 || (source_has_list(o) && source_load(o, &targets, err) < 0)) {
        return -1;
    }
    if (source_has_list(o)) {
        targets_print_valid(&targets);
    }
    targets_free(&targets);

    const struct resolver_settings resolver = resolver_settings(o);

    if (options_check_admin(&o->common, err) < 0 || resolver_check(&resolver, err) < 0) {
        return -1;
    }
    if (o->probe_self != NULL && selfprobe_check(o->probe_self, err) < 0) {
        return -1;
    }
    if (shards.topic != NULL) {
        printf("sites of topic %s are read when it runs\n", shards.topic);
        if (make_seal(o, &seal, err) < 0) {
            return -1;
        }
        seal_free(seal);
        if (shards_check(&shards, err) < 0) {
            return -1;
        }
    }

    const struct publish_settings publish = {
        .kafka = o->kafka, .topic_success = o->topic_success, .topic_failure = o->topic_failure};

    return publish_check(&publish, err);
}
