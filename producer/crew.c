#include "producer/crew.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/thread.h"
#include "common/wakeup.h"
#include "producer/loop.h"

#define TURN_NS_MAX NS_PER_SEC /* a heartbeat at least so often */

enum worker_end { RUNNING, ENDED, FAILED };

struct worker {
    struct crew *crew;
    pthread_t thread;
    bool started;

    /* The thread's. */
    struct loop *loop;
    struct poller *poller;
    struct site_change *change; /* that the poller is making; NULL: none */
    bool failed;                /* with err */
    struct err err;

    /* From the crew's maker to the thread. */
    int wake_fd; /* it is to look at these */
    atomic_bool drain, leave;

    /* From the thread to the crew's maker. */
    _Atomic int64_t beat_ns;
    atomic_size_t in_flight; /* after the last turn */
    _Atomic enum worker_end end;
};

struct crew {
    struct crew_settings settings;
    struct loader *loader;
    int fd;
    struct worker workers[CREW_LOOPS_MAX];
};

/* --- A loop's thread --- */

static void on_wake(void *context, int fd, unsigned ready)
{
    struct worker *w = context;

    (void)ready;
    wakeup_take(fd);
    if (atomic_exchange(&w->drain, false)) {
        poller_drain(w->poller);
    }
}

static void on_sites(void *context, int fd, unsigned ready)
{
    struct worker *w = context;
    struct crew *c = w->crew;
    size_t part = (size_t)(w - c->workers);

    (void)fd;
    (void)ready;
    if (loader_take(c->loader, part, &w->change, &w->err) < 0) {
        w->failed = true;
    } else if (w->change != NULL) {
        poller_change_sites(w->poller, w->change, part);
    }
}

static int turn(struct worker *w)
{
    const struct crew_settings *settings = &w->crew->settings;
    int64_t now_ns = clock_mono_ns();
    int64_t until_ns = now_ns + TURN_NS_MAX;
    bool may_start = settings->may_start(settings->context);

    atomic_store_explicit(&w->beat_ns, now_ns, memory_order_relaxed);
    if (poller_run_due(w->poller, now_ns, may_start, &w->err) < 0) {
        return -1;
    }
    if (w->change != NULL && !poller_is_changing(w->poller)) {
        w->change = NULL;
        loader_made(w->crew->loader);
    }
    atomic_store_explicit(&w->in_flight, poller_in_flight(w->poller), memory_order_relaxed);

    int64_t due_ns = poller_next_due_ns(w->poller, may_start);

    if (poller_is_done(w->poller)) {
        return 0; /* nothing comes any more that would wake it */
    }
    return loop_turn(w->loop, due_ns < until_ns ? due_ns : until_ns, &w->err);
}

static void *work(void *context)
{
    struct worker *w = context;

    while (!w->failed && !atomic_load(&w->leave) && !poller_is_done(w->poller)) {
        w->failed = turn(w) < 0 || w->failed;
    }
    atomic_store_explicit(&w->beat_ns, INT64_MAX, memory_order_relaxed); /* nobody waits for one */
    atomic_store(&w->end, w->failed ? FAILED : ENDED);
    wakeup_ring(w->crew->fd);
    return NULL;
}

/* --- Life and death --- */

static int worker_make(struct crew *c, size_t part, struct metrics *m, struct err *err)
{
    struct worker *w = &c->workers[part];
    struct poller_settings settings = c->settings.poller;
    int64_t loops = (int64_t)c->settings.loops;

    settings.in_flight_max =
        settings.in_flight_max / loops + ((int64_t)part < settings.in_flight_max % loops);
    settings.quiet = part > 0;
    settings.part = part;
    atomic_store(&w->beat_ns, clock_mono_ns());
    w->loop = loop_new(err);
    if (w->loop == NULL) {
        return -1;
    }
    w->wake_fd = wakeup_open(err);
    if (w->wake_fd < 0) {
        return -1;
    }
    w->poller = poller_new(&settings, w->loop, m, c->settings.emit, c->settings.context, err);
    if (w->poller == NULL || loop_watch(w->loop, w->wake_fd, LOOP_READ, on_wake, w, err) < 0 ||
        loop_watch(w->loop, loader_fd(c->loader, part), LOOP_READ, on_sites, w, err) < 0) {
        return -1;
    }
    return 0;
}

static int worker_start(struct worker *w, struct err *err)
{
    char name[24];

    snprintf(name, sizeof(name), "loop %td", w - w->crew->workers);
    if (thread_start(&w->thread, name, work, w, err) < 0) {
        return -1;
    }
    w->started = true;
    return 0;
}

struct crew *crew_new(const struct crew_settings *settings, struct loader *loader,
                      struct metrics *m, struct err *err)
{
    struct crew *c = mem_alloc(1, sizeof(*c));

    assert(settings->loops >= 1 && settings->loops <= CREW_LOOPS_MAX);
    assert((int64_t)settings->loops <= settings->poller.in_flight_max);
    c->settings = *settings;
    c->loader = loader;
    for (size_t i = 0; i < settings->loops; i++) {
        c->workers[i].crew = c;
        c->workers[i].wake_fd = -1;
    }
    c->fd = wakeup_open(err);
    if (c->fd < 0) {
        goto fail;
    }
    for (size_t i = 0; i < settings->loops; i++) {
        if (worker_make(c, i, m, err) < 0) {
            goto fail;
        }
    }
    return c;

fail:
    crew_free(c);
    return NULL;
}

int crew_start(struct crew *c, struct err *err)
{
    for (size_t i = 0; i < c->settings.loops; i++) {
        if (worker_start(&c->workers[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}

void crew_free(struct crew *c)
{
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < c->settings.loops; i++) {
        atomic_store(&c->workers[i].leave, true);
    }
    crew_wake(c);
    for (size_t i = 0; i < c->settings.loops; i++) {
        struct worker *w = &c->workers[i];

        if (w->started) {
            pthread_join(w->thread, NULL);
        }
        poller_free(w->poller);
        loop_free(w->loop);
        if (w->wake_fd >= 0) {
            close(w->wake_fd);
        }
    }
    if (c->fd >= 0) {
        close(c->fd);
    }
    free(c);
}

/* --- Orders, and how it stands --- */

void crew_wake(struct crew *c)
{
    for (size_t i = 0; i < c->settings.loops; i++) {
        if (c->workers[i].wake_fd >= 0) { /* not yet, when making the crew failed half-way */
            wakeup_ring(c->workers[i].wake_fd);
        }
    }
}

void crew_drain(struct crew *c)
{
    for (size_t i = 0; i < c->settings.loops; i++) {
        atomic_store(&c->workers[i].drain, true);
    }
    crew_wake(c);
}

int crew_fd(const struct crew *c)
{
    return c->fd;
}

bool crew_is_done(const struct crew *c)
{
    for (size_t i = 0; i < c->settings.loops; i++) {
        if (atomic_load(&c->workers[i].end) == RUNNING) {
            return false;
        }
    }
    return true;
}

int crew_check(const struct crew *c, struct err *err)
{
    for (size_t i = 0; i < c->settings.loops; i++) {
        if (atomic_load(&c->workers[i].end) == FAILED) {
            *err = c->workers[i].err;
            return -1;
        }
    }
    return 0;
}

size_t crew_in_flight(const struct crew *c)
{
    size_t sum = 0;

    for (size_t i = 0; i < c->settings.loops; i++) {
        sum += atomic_load_explicit(&c->workers[i].in_flight, memory_order_relaxed);
    }
    return sum;
}

int64_t crew_beat_ns(const struct crew *c)
{
    int64_t oldest_ns = INT64_MAX;

    for (size_t i = 0; i < c->settings.loops; i++) {
        int64_t beat_ns = atomic_load_explicit(&c->workers[i].beat_ns, memory_order_relaxed);

        oldest_ns = beat_ns < oldest_ns ? beat_ns : oldest_ns;
    }
    return oldest_ns;
}
