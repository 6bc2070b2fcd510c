#include "consumer/maintainer.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/cond.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/thread.h"
#include "common/wakeup.h"

#define RETENTION_INTERVAL_NS (INT64_C(3600) * NS_PER_SEC)
#define RETENTION_RETRY_NS (INT64_C(60) * NS_PER_SEC)
#define ROLLUPS_INTERVAL_NS NS_PER_SEC
#define STALE_INTERVAL_NS (INT64_C(10) * NS_PER_SEC)
#define BACKOFF_FIRST_MS 1000
#define BACKOFF_MAX_MS 60000

/* What is done in portions, every so often. */
struct task {
    int (*run)(struct store *s, bool *more, struct err *err);
    const char *waits, *goes_on; /* log lines, at the beginning and the end of an outage */
    int64_t interval_ns;
    int64_t due_ns;
    struct backoff backoff;
    bool failed; /* last time */
};

struct maintainer {
    struct store *store;
    pthread_t thread;
    int fd; /* wakeup: it is done */
    pthread_mutex_t mutex;
    pthread_cond_t stop_asked;
    atomic_bool stop; /* set under the mutex */
    atomic_bool done;

    int64_t retention_ns; /* when it is due */
    struct task rollups, stale;
};

/* What fails once it is to end may have been cut: nothing that somebody could mend. */
static void say_failure(const struct maintainer *m, const char *what, const struct err *why)
{
    if (!atomic_load(&m->stop)) {
        log_write(LOG_WARN, what, LOG_S("reason", why->message));
    }
}

/* --- Days and retention --- */

static int64_t retry_retention(const struct maintainer *m, const char *what, const struct err *why)
{
    say_failure(m, what, why);
    return RETENTION_RETRY_NS;
}

/* How long to wait before the next time. */
static int64_t keep_days(struct maintainer *m)
{
    struct err why;
    bool more = false;

    if (store_connect(m->store, &why) < 0 ||
        store_days_ahead(m->store, STORE_DAYS_AHEAD, &why) < 0) {
        return retry_retention(m, "partitions for the next days could not be made", &why);
    }
    if (store_retain(m->store, &more, &why) < 0) {
        return retry_retention(m, "what is past its retention is kept for now", &why);
    }
    return more ? 0 : RETENTION_INTERVAL_NS;
}

/* --- Tasks --- */

static void init_task(struct task *t, int (*run)(struct store *s, bool *more, struct err *err),
                      int64_t interval_ns, const char *waits, const char *goes_on)
{
    *t = (struct task){.run = run, .interval_ns = interval_ns, .waits = waits, .goes_on = goes_on};
    backoff_init(&t->backoff, BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
}

/* How long to wait before the next time. While there is more, half of the time is left to others.
 */
static int64_t run_task(struct maintainer *m, struct task *t)
{
    int64_t begun_ns = clock_mono_ns();
    struct err why;
    bool more = false;

    if (store_connect(m->store, &why) < 0 || t->run(m->store, &more, &why) < 0) {
        if (!t->failed) {
            say_failure(m, t->waits, &why);
        }
        t->failed = true;
        return backoff_next_ms(&t->backoff) * NS_PER_MS;
    }
    if (t->failed) {
        log_write(LOG_INFO, t->goes_on);
    }
    t->failed = false;
    backoff_reset(&t->backoff);
    return more ? clock_mono_ns() - begun_ns : t->interval_ns;
}

static void run_when_due(struct maintainer *m, struct task *t)
{
    if (clock_mono_ns() >= t->due_ns && !atomic_load(&m->stop)) {
        int64_t wait_ns = run_task(m, t);

        t->due_ns = clock_mono_ns() + wait_ns;
    }
}

/* --- The thread --- */

/* True when it is to end. */
static bool wait_until(struct maintainer *m, int64_t ns)
{
    pthread_mutex_lock(&m->mutex);
    while (!atomic_load(&m->stop) && clock_mono_ns() < ns) {
        cond_wait_until(&m->stop_asked, &m->mutex, ns);
    }
    pthread_mutex_unlock(&m->mutex);
    return atomic_load(&m->stop);
}

static int64_t next_due(const struct maintainer *m)
{
    int64_t due_ns = m->retention_ns;

    due_ns = m->rollups.due_ns < due_ns ? m->rollups.due_ns : due_ns;
    return m->stale.due_ns < due_ns ? m->stale.due_ns : due_ns;
}

static void *run_maintainer(void *arg)
{
    struct maintainer *m = arg;

    while (!wait_until(m, next_due(m))) {
        if (clock_mono_ns() >= m->retention_ns) {
            int64_t wait_ns = keep_days(m);

            m->retention_ns = clock_mono_ns() + wait_ns;
        }
        run_when_due(m, &m->rollups);
        run_when_due(m, &m->stale);
    }
    atomic_store(&m->done, true);
    wakeup_ring(m->fd);
    return NULL;
}

static void release(struct maintainer *m)
{
    if (m->fd >= 0) {
        close(m->fd);
    }
    pthread_cond_destroy(&m->stop_asked);
    pthread_mutex_destroy(&m->mutex);
    store_free(m->store);
    free(m);
}

struct maintainer *maintainer_new(const struct store_settings *settings, struct metrics *metrics,
                                  struct err *err)
{
    struct maintainer *m = mem_alloc(1, sizeof(*m));

    m->store = store_new(settings, metrics);
    init_task(&m->rollups, store_rollup, ROLLUPS_INTERVAL_NS, "rollups wait", "rollups go on");
    init_task(&m->stale, store_stale, STALE_INTERVAL_NS, "stale sites are not looked for",
              "stale sites are looked for again");
    cond_init(&m->stop_asked);
    pthread_mutex_init(&m->mutex, NULL);
    m->fd = wakeup_open(err);
    if (m->fd < 0 || thread_start(&m->thread, "maintainer", run_maintainer, m, err) < 0) {
        release(m);
        return NULL;
    }
    return m;
}

void maintainer_stop(struct maintainer *m)
{
    pthread_mutex_lock(&m->mutex);
    atomic_store(&m->stop, true);
    pthread_cond_signal(&m->stop_asked);
    pthread_mutex_unlock(&m->mutex);
}

void maintainer_cut(struct maintainer *m)
{
    store_cut(m->store);
}

bool maintainer_is_done(const struct maintainer *m)
{
    return atomic_load(&m->done);
}

int maintainer_fd(const struct maintainer *m)
{
    return m->fd;
}

void maintainer_free(struct maintainer *m)
{
    if (m == NULL) {
        return;
    }
    maintainer_stop(m);
    pthread_join(m->thread, NULL);
    release(m);
}
