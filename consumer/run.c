#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/pg.h"
#include "consumer/run_internal.h"
#include "consumer/topics.h"

#define TICK_MS 1000
#define LEAVE_NS (5 * NS_PER_SEC) /* for what ends by itself at the deadline of a drain */

static struct store_settings store_settings(const struct options *o)
{
    return (struct store_settings){
        .dsn = o->postgres_dsn,
        .consumer_group = o->kafka_group,
        .max_auto_sites = o->max_auto_sites,
        .retention_days = o->retention_days,
        .dead_letter_days = o->dead_letter_days,
        .dead_letter_rows = o->dead_letter_rows,
        .incident_days = o->incident_days,
        .incident_rows = o->incident_rows,
        .rollup_days = o->rollup_retention_days < o->retention_days ? o->retention_days
                                                                    : o->rollup_retention_days,
        .rollup_delay_seconds = o->rollup_delay_seconds,
    };
}

/* Of what all workers have. With more of them each has fewer sites, so that a batch holds as many
 * checks of a site, and all batches no more memory, than with one. */
static int64_t share(const struct options *o, int64_t all)
{
    return (all + o->workers - 1) / o->workers;
}

static struct worker_settings worker_settings(const struct options *o)
{
    return (struct worker_settings){
        .store = store_settings(o),
        .consume =
            {
                .kafka = &o->kafka,
                .client_id = "sitewatch-consumer",
                .group = o->kafka_group,
                .topics = {o->topic_success, o->topic_failure},
                .properties = {{"allow.auto.create.topics", "true", false}},
                .fetch_mb = o->fetch_mb,
            },
        .topic_dead_letter = o->topic_dead_letter,
        .batch_rows = share(o, o->batch_rows),
        .batch_bytes = share(o, o->batch_mb * 1024 * 1024),
        .batch_ms = o->batch_ms,
        .answer_ms = o->answer_seconds * MS_PER_SEC,
    };
}

/* What can be wrong about the settings without anybody else. */
static int check_settings(const struct options *o, struct err *err)
{
    const struct topics_settings topics = {.kafka = &o->kafka,
                                           .success = o->topic_success,
                                           .failure = o->topic_failure,
                                           .dead_letter = o->topic_dead_letter,
                                           .sites = o->topic_sites};

    return topics_check(&topics, err) < 0 ? -1 : pg_check_start(o->postgres_dsn, err);
}

/* --- Signals --- */

/* True when a signal that ends us came. */
bool run_took_signal(struct service *s)
{
    struct signalfd_siginfo info;
    bool took = false;

    while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        took = took || info.ssi_signo != SIGHUP; /* the consumer has nothing to reload */
    }
    return took;
}

/* Wait for a descriptor or the time; poll() so that a signal ends any wait. */
void run_wait_ms(struct service *s, int ms)
{
    bool serving = s->pool != NULL && s->maintainer != NULL;
    /* What is done stays readable. */
    bool maintains = serving && !maintainer_is_done(s->maintainer);
    bool publishes = serving && !outbox_is_done(s->outbox);
    struct pollfd fds[4] = {
        {.fd = s->signal_fd, .events = POLLIN},
        {.fd = serving ? pool_fd(s->pool) : -1, .events = POLLIN},
        {.fd = maintains ? maintainer_fd(s->maintainer) : -1, .events = POLLIN},
        {.fd = publishes ? outbox_fd(s->outbox) : -1, .events = POLLIN},
    };

    if (poll(fds, 4, ms) < 0 && errno != EINTR) {
        abort(); /* EFAULT or EINVAL: our own fault */
    }
}

/* --- Run --- */

static void set_deadline(struct service *s, int64_t now_ns)
{
    s->deadline_ns = now_ns + s->options->drain_seconds * NS_PER_SEC;
}

/* Ask for the end; what still runs has until the deadline, and pool_free says what failed. */
static void drain(struct service *s, int64_t now_ns)
{
    s->draining = true;
    set_deadline(s, now_ns);
    notify_stopping();
    maintainer_stop(s->maintainer);
    outbox_stop(s->outbox);
    pool_drain(s->pool, s->deadline_ns);
}

/* A crash would lose nothing, and no more does this. */
static _Noreturn void leave(struct service *s)
{
    bool stored = pool_has_stored(s->pool);

    log_write(LOG_WARN, "a server does not answer, leaving at once",
              LOG_S("stored", stored ? "all" : "not all, the rest is read again"));
    _exit(stored ? EXIT_CLEAN : EXIT_FAILED);
}

/* The workers see to their connections to Postgres themselves. What librdkafka waits for it does
 * not give up: up to a minute for an answer of the broker. */
static void heed_deadline(struct service *s, int64_t now_ns)
{
    if ((!s->draining && !s->renewing) || now_ns < s->deadline_ns) {
        return;
    }
    outbox_cut(s->outbox);
    if (!s->draining) {
        return;
    }
    maintainer_cut(s->maintainer);
    if (now_ns >= s->deadline_ns + LEAVE_NS) {
        leave(s);
    }
}

static void heed_signals(struct service *s, int64_t now_ns)
{
    if (!run_took_signal(s)) {
        return;
    }
    if (s->draining) {
        s->quit = true;
        return;
    }
    log_write(LOG_INFO, "draining", LOG_I("seconds", s->options->drain_seconds));
    drain(s, now_ns);
}

/* All that has clients of Kafka. */
static int start_clients(struct service *s, struct err *err)
{
    struct worker_settings workers = worker_settings(s->options);
    struct outbox_settings outbox = {
        .dsn = s->options->postgres_dsn,
        .kafka = &s->options->kafka,
        .topic = s->options->topic_sites,
    };

    s->outbox = outbox_new(&outbox, s->metrics, err);
    if (s->outbox == NULL) {
        return -1;
    }
    s->pool = pool_new(&workers, (int)s->options->workers, s->metrics, err);
    return s->pool == NULL ? -1 : 0;
}

/* Renewed certificates are read by clients that are made anew. The workers store what they hold
 * and leave the group first, as at the end; meanwhile others have their partitions. */
static void begin_renewal(struct service *s, int64_t now_ns)
{
    s->renewing = true;
    set_deadline(s, now_ns);
    outbox_stop(s->outbox);
    pool_drain(s->pool, s->deadline_ns);
}

static int end_renewal(struct service *s, struct err *err)
{
    struct err why;

    s->renewing = false;
    if (pool_free(s->pool, &why) < 0) {
        log_write(LOG_WARN, "not all was stored before the workers were made anew",
                  LOG_S("reason", why.message));
    }
    s->pool = NULL;
    outbox_free(s->outbox);
    s->outbox = NULL;
    return start_clients(s, err);
}

static void look_at_workers(struct service *s, int64_t now_ns)
{
    int64_t oldest_turn_ns;
    bool ready = pool_is_ready(s->pool, &oldest_turn_ns) && !s->draining && !s->renewing;

    atomic_store(&s->health.ready, ready);
    atomic_store(&s->health.beat_ns, s->renewing ? now_ns : oldest_turn_ns);
    notify_watchdog_turn(&s->watchdog, &s->health, now_ns);
}

static int serve(struct service *s, struct err *err)
{
    while (!s->quit) {
        int64_t now_ns = clock_mono_ns();
        bool done = pool_is_done(s->pool) && outbox_is_done(s->outbox);

        if (done && s->renewing && !s->draining) {
            if (end_renewal(s, err) < 0) {
                return -1;
            }
        } else if (done && maintainer_is_done(s->maintainer)) {
            return 0;
        }
        look_at_workers(s, now_ns);
        run_wait_ms(s, TICK_MS);
        now_ns = clock_mono_ns();
        heed_signals(s, now_ns);
        heed_deadline(s, now_ns);
        if (!s->draining && !s->renewing && pool_failure(s->pool)) {
            drain(s, now_ns);
        }
        if (!s->draining && !s->renewing &&
            kafka_files_look(&s->kafka_files, now_ns, clock_real_ns())) {
            begin_renewal(s, now_ns);
        }
    }
    return 0;
}

static int start_and_serve(struct service *s, struct err *err)
{
    struct store_settings store = store_settings(s->options);

    s->signal_fd = options_signal_fd(err);
    if (s->signal_fd < 0 || check_settings(s->options, err) < 0 ||
        options_start_admin(&s->options->common, CONSUMER_LISTEN, s->metrics, &s->health, &s->admin,
                            err) < 0) {
        return -1;
    }
    int waited = run_wait_for_database(s, err);

    if (waited != 0) {
        return waited < 0 ? -1 : 0;
    }
    s->maintainer = maintainer_new(&store, s->metrics, err);
    if (s->maintainer == NULL) {
        return -1;
    }
    kafka_files_init(&s->kafka_files, &s->options->kafka, s->metrics);
    if (start_clients(s, err) < 0) {
        return -1;
    }
    log_write(LOG_INFO, "consuming", LOG_S("success", s->options->topic_success),
              LOG_S("failure", s->options->topic_failure), LOG_S("group", s->options->kafka_group),
              LOG_I("workers", s->options->workers));
    notify_ready();
    return serve(s, err);
}

int run(const struct options *options, struct err *err)
{
    struct service s = {.options = options, .signal_fd = -1, .metrics = metrics_new()};

    notify_watchdog_init(&s.watchdog);

    int rc = start_and_serve(&s, err);

    if (s.quit) {
        log_write(LOG_WARN, "second signal, leaving at once");
        _exit(EXIT_CLEAN);
    }
    if (s.draining) {
        options_leave_on_signal(0);
    }
    if (s.pool != NULL && pool_free(s.pool, err) < 0) {
        rc = -1;
    }
    admin_free(s.admin);
    maintainer_free(s.maintainer);
    outbox_free(s.outbox);
    metrics_free(s.metrics);
    if (s.signal_fd >= 0) {
        close(s.signal_fd);
    }
    if (rc == 0) {
        log_write(LOG_INFO, "stopped");
    }
    return rc;
}

int run_check(const struct options *o, struct err *err)
{
    struct worker_settings settings = worker_settings(o);

    if (options_check_admin(&o->common, err) < 0 || check_settings(o, err) < 0 ||
        consume_check(&settings.consume, err) < 0) {
        return -1;
    }
    puts("settings are valid");
    return 0;
}
