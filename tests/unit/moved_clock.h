/*
 * moved_clock - the monotonic clocks of a test's process, which it moves on by hand. A check gets a
 * time that is long for any machine, and runs out of it at once, where the test wants it.
 *
 * It defines clock_gettime for the program and its libraries. The kernel's own waits (poll,
 * epoll_wait) take the time that they take.
 */
#ifndef TESTS_UNIT_MOVED_CLOCK_H
#define TESTS_UNIT_MOVED_CLOCK_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MOVED_NS_PER_SEC INT64_C(1000000000)

static _Atomic int64_t moved_clock_ns; /* by so much */

static inline int64_t moved_clock_kernel_ns(clockid_t id)
{
    struct timespec ts = {0};

    syscall(SYS_clock_gettime, id, &ts);
    return ts.tv_sec * MOVED_NS_PER_SEC + ts.tv_nsec;
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
    int64_t ns = moved_clock_kernel_ns(id);

    if (id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_RAW || id == CLOCK_MONOTONIC_COARSE) {
        ns += moved_clock_ns;
    }
    ts->tv_sec = ns / MOVED_NS_PER_SEC;
    ts->tv_nsec = ns % MOVED_NS_PER_SEC;
    return 0;
}

static inline void moved_clock_move(int64_t ns)
{
    moved_clock_ns += ns;
}

#endif
