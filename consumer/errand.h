/*
 * errand - a thread that does one thing at a time for its owner, who goes on meanwhile.
 *
 * It knows nothing of what it does. What the errand touches is the thread's from errand_begin on,
 * and the owner's again once errand_wait has said that it is done. One thread, the owner, calls
 * these functions.
 */
#ifndef CONSUMER_ERRAND_H
#define CONSUMER_ERRAND_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct errand;

typedef void errand_fn(void *context);

/* Starts the thread. NULL, ERR_FATAL. */
struct errand *errand_new(struct err *err);
/* Waits for what it does. */
void errand_free(struct errand *e);

/* Nothing may be on its way. */
void errand_begin(struct errand *e, errand_fn *run, void *context);
/* Whether nothing is on its way: said once it is so, or at deadline_ns (CLOCK_MONOTONIC; 0: at
 * once). */
bool errand_wait(struct errand *e, int64_t deadline_ns);

#endif
