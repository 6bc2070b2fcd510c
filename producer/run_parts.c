/* The parts of a producer: each made from the options, joined, and ended; and what --check-config
 * looks at of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/site.h"
#include "common/wakeup.h"
#include "producer/run_internal.h"
#include "producer/source.h"

#define SPOOL_NAME "spool.sqlite"
#define SPOOL_PATH_SIZE 4096
#define START_SECONDS 60 /* sites with longer intervals do not wait for their slot at a start */

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

bool run_may_start(void *context)
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

/* --- What the loop of the main thread wakes for --- */

static void on_publish_ready(void *context, int fd, unsigned ready)
{
    struct service *s = context;

    (void)fd;
    (void)ready;
    publish_poll(s->publish);
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

/* --- Start --- */

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

static int make_crew(struct service *s, const char *version, struct err *err)
{
    const struct options *o = s->options;
    struct crew_settings settings = {
        .loops = s->loops,
        .emit = on_event,
        .may_start = run_may_start,
        .context = s,
        .poller =
            {
                .in_flight_max = s->in_flight_max,
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

int run_parts_start(struct service *s, const char *version, struct err *err)
{
    start_latest(s);
    if (show_begin(s->show, s->loop, s->latest, s->metrics, err) < 0) {
        return -1;
    }
    if (options_want_kafka(s->options) || source_topic(s->options) != NULL) {
        kafka_files_init(&s->kafka_files, &s->options->kafka, s->metrics);
    }
    if (start_publish(s, err) < 0 || start_selfprobe(s, err) < 0 ||
        make_crew(s, version, err) < 0 || start_shards(s, err) < 0) {
        return -1;
    }
    /* Last, as what reads the metrics comes after all that makes some, and no check is made before
     * it is known that the rest is there. */
    return start_admin(s, err) < 0 ? -1 : crew_start(s->crew, err);
}

/* --- End --- */

void run_parts_end_crew(struct service *s)
{
    if (s->crew != NULL) {
        loop_unwatch(s->loop, crew_fd(s->crew));
        crew_free(s->crew);
        s->crew = NULL;
    }
}

void run_parts_stop(struct service *s)
{
    admin_free(s->admin); /* first: it reads the metrics */
    run_parts_end_crew(s);
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
}

int run_check(const struct options *o, struct err *err)
{
    const struct shards_settings shards = shards_settings(o);
    struct targets targets = {0};
    struct seal *seal;

    if (source_check(o, err) < 0 || (source_has_list(o) && loader_check(o, &targets, err) < 0)) {
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
