/*
 * pool - the workers, each in a thread of its own; they share the metrics and nothing else.
 */
#ifndef CONSUMER_POOL_H
#define CONSUMER_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "consumer/worker.h"

struct pool;

/* Start `count` workers and their threads. NULL when one cannot start; none is left then. */
struct pool *pool_new(const struct worker_settings *settings, int count, struct metrics *m,
                      struct err *err);

/* Readable when a worker ended. */
int pool_fd(const struct pool *p);
/* A worker ended by a failure; pool_free will say which. */
bool pool_failure(struct pool *p);

/* Every worker ready; and the oldest time any of them ended a turn (CLOCK_MONOTONIC). */
bool pool_is_ready(struct pool *p, int64_t *oldest_turn_ns);

/* Ask all to drain; they end by deadline_ns. Returns at once. */
void pool_drain(struct pool *p, int64_t deadline_ns);

/* All have drained and stored what they held; what is left is to leave the group. */
bool pool_has_stored(struct pool *p);

/* All ended. */
bool pool_is_done(struct pool *p);

/* Waits for the threads. The first failure of a worker; ERR_RETRY when it is that not all it held
 * could be stored. */
int pool_free(struct pool *p, struct err *err);

#endif
