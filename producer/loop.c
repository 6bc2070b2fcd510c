/*
 * Each descriptor that becomes watched gets a new generation, which travels with its number
 * through epoll. Handlers run while events fetched before them still wait in the turn's list: one
 * whose generation is not that of the descriptor any more was meant for somebody who is gone.
 *
 * A descriptor that rests stays with epoll: most are soon watched again, for the same, or closed,
 * and then the kernel takes them out. An event that comes for one meanwhile ends that.
 */
#include "producer/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"

#define EVENTS_PER_TURN 256
#define WATCHES_MIN 64
#define WAIT_MS_MAX 60000 /* a longer wait is several turns of the caller */

struct watch {
    loop_ready_fn *on_ready; /* NULL: not watched */
    void *context;
    uint32_t generation;
    unsigned events;
    uint32_t registered; /* what epoll waits for; 0: it does not have it */
};

struct loop {
    int epoll_fd;
    uint32_t generation; /* the last one given out */
    size_t watches_count;
    struct watch *watches; /* by descriptor */
};

struct loop *loop_new(struct err *err)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    if (epoll_fd < 0) {
        err_set(err, ERR_FATAL, "epoll_create1: %s", strerror(errno));
        return NULL;
    }
    struct loop *l = mem_alloc(1, sizeof(*l));

    l->epoll_fd = epoll_fd;
    return l;
}

void loop_free(struct loop *l)
{
    if (l == NULL) {
        return;
    }
    close(l->epoll_fd);
    free(l->watches);
    free(l);
}

static struct watch *find_watch(struct loop *l, int fd)
{
    return fd < 0 || (size_t)fd >= l->watches_count ? NULL : &l->watches[fd];
}

/* The ceiling of the table is the process's limit of descriptors: fd is an open one. */
static struct watch *make_room(struct loop *l, int fd)
{
    size_t count = l->watches_count > WATCHES_MIN ? l->watches_count : WATCHES_MIN;

    if ((size_t)fd < l->watches_count) {
        return &l->watches[fd];
    }
    while (count <= (size_t)fd) {
        count *= 2;
    }
    l->watches = mem_resize(l->watches, count, sizeof(l->watches[0]));
    memset(&l->watches[l->watches_count], 0, (count - l->watches_count) * sizeof(l->watches[0]));
    l->watches_count = count;
    return &l->watches[fd];
}

/* A peer that ends its side is seen as input (the end of it); EPOLLRDHUP is not asked for, because
 * one who only waits to write would be woken by it without end. */
static uint32_t epoll_events(unsigned events)
{
    return ((events & LOOP_READ) ? (uint32_t)EPOLLIN : 0u) |
           ((events & LOOP_WRITE) ? (uint32_t)EPOLLOUT : 0u) | (uint32_t)EPOLLERR;
}

static int register_watch(struct loop *l, int fd, const struct watch *watch, uint32_t events,
                          struct err *err)
{
    struct epoll_event event = {.events = events,
                                .data.u64 = (uint64_t)watch->generation << 32 | (uint32_t)fd};
    int rc =
        epoll_ctl(l->epoll_fd, watch->registered != 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);

    if (rc < 0 && watch->registered != 0 && errno == ENOENT) {
        /* It was closed without loop_unwatch, and its number is in use again. */
        rc = epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    }
    return rc < 0 ? err_set(err, ERR_FATAL, "epoll_ctl of descriptor %d: %s", fd, strerror(errno))
                  : 0;
}

int loop_watch(struct loop *l, int fd, unsigned events, loop_ready_fn *on_ready, void *context,
               struct err *err)
{
    const struct watch none = {0};
    const struct watch *watch = find_watch(l, fd) == NULL ? &none : find_watch(l, fd);
    uint32_t wanted = epoll_events(events);
    bool rested = watch->on_ready == NULL && watch->registered != 0;
    bool same = rested || (watch->on_ready == on_ready && watch->context == context);
    struct watch next = {
        .on_ready = on_ready,
        .context = context,
        .generation = same ? watch->generation : ++l->generation,
        .events = events | LOOP_FAIL,
        .registered = watch->registered,
    };

    assert(on_ready != NULL);
    if (!(rested && watch->registered == wanted) && register_watch(l, fd, &next, wanted, err) < 0) {
        return -1;
    }
    next.registered = wanted;
    *make_room(l, fd) = next;
    return 0;
}

void loop_unwatch(struct loop *l, int fd)
{
    struct watch *watch = find_watch(l, fd);

    if (watch == NULL || watch->registered == 0) {
        return;
    }
    *watch = (struct watch){0};
    epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, fd, NULL); /* fails when it is closed: gone already */
}

void loop_rest(struct loop *l, int fd)
{
    struct watch *watch = find_watch(l, fd);

    if (watch != NULL) {
        watch->on_ready = NULL;
    }
}

void loop_forget(struct loop *l, int fd)
{
    struct watch *watch = find_watch(l, fd);

    if (watch != NULL) {
        *watch = (struct watch){0};
    }
}

static int wait_ms(int64_t until_ns)
{
    if (until_ns == TIME_NEVER) {
        return -1;
    }
    int64_t now_ns = clock_mono_ns();

    if (until_ns <= now_ns) {
        return 0;
    }
    if (until_ns - now_ns >= WAIT_MS_MAX * NS_PER_MS) {
        return WAIT_MS_MAX;
    }
    return (int)((until_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS); /* down would spin */
}

static void serve(struct loop *l, const struct epoll_event *event)
{
    int fd = (int)(uint32_t)event->data.u64;
    const struct watch *watch = find_watch(l, fd);

    if (watch == NULL || watch->registered == 0 ||
        watch->generation != (uint32_t)(event->data.u64 >> 32)) {
        return;
    }
    if (watch->on_ready == NULL) {
        loop_unwatch(l, fd); /* it rests, and would wake us again and again */
        return;
    }
    unsigned ready = ((event->events & EPOLLIN) ? LOOP_READ : 0u) |
                     ((event->events & EPOLLOUT) ? LOOP_WRITE : 0u) |
                     ((event->events & (EPOLLERR | EPOLLHUP)) ? LOOP_FAIL : 0u);

    ready &= watch->events; /* an earlier handler may have changed what is waited for */
    if (ready != 0) {
        watch->on_ready(watch->context, fd, ready);
    }
}

int loop_turn(struct loop *l, int64_t until_ns, struct err *err)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int n = epoll_wait(l->epoll_fd, events, EVENTS_PER_TURN, wait_ms(until_ns));

    if (n < 0 && errno != EINTR) {
        return err_set(err, ERR_FATAL, "epoll_wait: %s", strerror(errno));
    }
    for (int i = 0; i < n; i++) {
        serve(l, &events[i]);
    }
    return 0;
}
