/*
 * still_clock - the clocks of a test's process, which it stops while others are to get somewhere,
 * however long that takes them, and moves by hand. What then runs out of time does so where the
 * test wants it, on any machine.
 *
 * It defines clock_gettime for the program and its libraries. The kernel's own waits (poll,
 * epoll_wait) take the time that they take.
 */
#ifndef TESTS_UNIT_STILL_CLOCK_H
#define TESTS_UNIT_STILL_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STILL_CLOCKS 8 /* ids below: realtime, monotonic, raw, coarse ones, boottime */
#define STILL_NS_PER_SEC INT64_C(1000000000)

static struct {
    _Atomic bool is_still;
    _Atomic int64_t at_ns[STILL_CLOCKS];    /* while it is still */
    _Atomic int64_t ahead_ns[STILL_CLOCKS]; /* of the kernel's, while it goes */
} still_clock;

static inline int64_t still_clock_kernel_ns(clockid_t id)
{
    struct timespec ts = {0};

    syscall(SYS_clock_gettime, id, &ts);
    return ts.tv_sec * STILL_NS_PER_SEC + ts.tv_nsec;
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
    if (id < 0 || id >= STILL_CLOCKS) {
        return (int)syscall(SYS_clock_gettime, id, ts);
    }
    int64_t ns = still_clock.is_still ? still_clock.at_ns[id]
                                      : still_clock_kernel_ns(id) + still_clock.ahead_ns[id];

    ts->tv_sec = ns / STILL_NS_PER_SEC;
    ts->tv_nsec = ns % STILL_NS_PER_SEC;
    return 0;
}

static inline void still_clock_stop(void)
{
    for (clockid_t id = 0; id < STILL_CLOCKS; id++) {
        still_clock.at_ns[id] = still_clock_kernel_ns(id) + still_clock.ahead_ns[id];
    }
    still_clock.is_still = true;
}

/* It must be still. */
static inline void still_clock_move(int64_t ns)
{
    for (clockid_t id = 0; id < STILL_CLOCKS; id++) {
        still_clock.at_ns[id] += ns;
    }
}

/* From where it stands. */
static inline void still_clock_go(void)
{
    for (clockid_t id = 0; id < STILL_CLOCKS; id++) {
        still_clock.ahead_ns[id] = still_clock.at_ns[id] - still_clock_kernel_ns(id);
    }
    still_clock.is_still = false;
}

#endif
