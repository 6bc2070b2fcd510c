/*
 * clock - the two times we use, never mixed: monotonic to schedule and to measure, realtime only
 * to stamp an event for people and for the database, and to place a slot.
 *
 * Pure modules take `now_ns` as an argument and never call these, so that a test passes the time
 * it wants.
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>
#include <time.h>

#define US_PER_MS INT64_C(1000)
#define US_PER_SEC INT64_C(1000000)
#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_SEC INT64_C(1000000000)
#define MS_PER_SEC INT64_C(1000)
#define TIME_NEVER INT64_MAX

static inline int64_t clock_read_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts); /* cannot fail for the two clocks below */
    return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

static inline int64_t clock_mono_ns(void)
{
    return clock_read_ns(CLOCK_MONOTONIC);
}

static inline int64_t clock_real_ns(void)
{
    return clock_read_ns(CLOCK_REALTIME);
}

#endif
