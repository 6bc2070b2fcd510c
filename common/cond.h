/*
 * cond - condition variables that wait until a time of CLOCK_MONOTONIC, in nanoseconds.
 */
#ifndef COMMON_COND_H
#define COMMON_COND_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"

/* Free it with pthread_cond_destroy. */
static inline void cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

/* With the mutex. False: it is past until_ns. It may return true for nothing, as
 * pthread_cond_wait may. TIME_NEVER: without an end. */
static inline bool cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ns)
{
    const struct timespec until = {.tv_sec = until_ns / NS_PER_SEC,
                                   .tv_nsec = until_ns % NS_PER_SEC};

    if (until_ns == TIME_NEVER) {
        return pthread_cond_wait(cond, mutex) == 0;
    }
    return pthread_cond_timedwait(cond, mutex, &until) != ETIMEDOUT;
}

#endif
