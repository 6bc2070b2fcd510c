#include "consumer/pool.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/thread.h"
#include "common/wakeup.h"

struct member {
    struct pool *pool;
    struct worker *worker;
    pthread_t thread;
    bool started;
    _Atomic int64_t turn_ns; /* the end of the latest turn */
    _Atomic bool ready;
    /* set before `drained`, read after it */
    int outcome; /* 0 or -1, with err */
    struct err err;
    _Atomic bool drained; /* nothing more will be stored */
    _Atomic bool done;
};

struct pool {
    int fd; /* wakeup: a member is done */
    _Atomic bool draining;
    _Atomic int64_t deadline_ns;
    size_t count;
    struct member members[];
};

static void *run_member(void *arg)
{
    struct member *m = arg;
    struct pool *p = m->pool;

    while (m->outcome == 0 && !atomic_load(&p->draining)) {
        m->outcome = worker_turn(m->worker, &m->err);
        atomic_store(&m->ready, worker_is_ready(m->worker));
        atomic_store(&m->turn_ns, clock_mono_ns());
    }
    if (m->outcome == 0) {
        m->outcome = worker_drain(m->worker, atomic_load(&p->deadline_ns), &m->err);
    }
    atomic_store(&m->drained, true);
    worker_free(m->worker); /* leaves the group, so that the others take over at once */
    m->worker = NULL;
    atomic_store(&m->done, true);
    wakeup_ring(p->fd);
    return NULL;
}

struct pool *pool_new(const struct worker_settings *settings, int count, struct metrics *metrics,
                      struct err *err)
{
    struct pool *p = mem_alloc(1, sizeof(*p) + (size_t)count * sizeof(p->members[0]));
    struct err ignored;

    p->count = (size_t)count;
    p->fd = wakeup_open(err);
    if (p->fd < 0) {
        goto fail;
    }
    for (int i = 0; i < count; i++) {
        p->members[i].pool = p;
        p->members[i].worker = worker_new(settings, i, metrics, err);
        if (p->members[i].worker == NULL) {
            goto fail;
        }
        atomic_store(&p->members[i].turn_ns, clock_mono_ns());
    }
    for (int i = 0; i < count; i++) {
        struct member *m = &p->members[i];
        char name[24];

        snprintf(name, sizeof(name), "worker %d", i);
        if (thread_start(&m->thread, name, run_member, m, err) < 0) {
            goto fail;
        }
        m->started = true;
    }
    return p;

fail:
    pool_drain(p, clock_mono_ns());
    if (pool_free(p, &ignored) < 0) {
        log_write(LOG_WARN, "a worker did not stop cleanly", LOG_S("reason", ignored.message));
    }
    return NULL;
}

int pool_fd(const struct pool *p)
{
    return p->fd;
}

bool pool_failure(struct pool *p)
{
    for (size_t i = 0; i < p->count; i++) {
        if (atomic_load(&p->members[i].done) && p->members[i].outcome < 0) {
            return true;
        }
    }
    return false;
}

bool pool_is_ready(struct pool *p, int64_t *oldest_turn_ns)
{
    bool ready = true;

    *oldest_turn_ns = TIME_NEVER;
    for (size_t i = 0; i < p->count; i++) {
        int64_t turn_ns = atomic_load(&p->members[i].turn_ns);

        *oldest_turn_ns = turn_ns < *oldest_turn_ns ? turn_ns : *oldest_turn_ns;
        ready = ready && atomic_load(&p->members[i].ready);
    }
    return ready;
}

void pool_drain(struct pool *p, int64_t deadline_ns)
{
    atomic_store(&p->deadline_ns, deadline_ns);
    atomic_store(&p->draining, true);
}

bool pool_is_done(struct pool *p)
{
    wakeup_take(p->fd);
    for (size_t i = 0; i < p->count; i++) {
        if (!atomic_load(&p->members[i].done)) {
            return false;
        }
    }
    return true;
}

bool pool_has_stored(struct pool *p)
{
    for (size_t i = 0; i < p->count; i++) {
        if (!atomic_load(&p->members[i].drained) || p->members[i].outcome < 0) {
            return false;
        }
    }
    return true;
}

int pool_free(struct pool *p, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < p->count; i++) {
        if (p->members[i].started) {
            pthread_join(p->members[i].thread, NULL);
        } else {
            worker_free(p->members[i].worker);
        }
        if (rc == 0 && p->members[i].outcome < 0) {
            *err = p->members[i].err;
            rc = err_context(err, "worker %zu", i);
        }
    }
    if (p->fd >= 0) {
        close(p->fd);
    }
    free(p);
    return rc;
}
