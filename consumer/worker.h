/*
 * worker - one member of the consumer group with its own connection to Postgres: takes messages,
 * makes batches of them, and has each stored once (docs/delivery.md).
 *
 * Life: worker_new (start) joins the group; worker_turn (run) is called again and again;
 * worker_drain stores what is held; worker_free (stop) leaves the group. Two batches are enough:
 * one is filled while the other is stored, by a thread of the worker's own, or waits for it. While
 * Postgres, or the dead-letter topic, is away, partitions are paused, polling goes on so that the
 * group keeps its member, and the batch that waits is tried again with backoff.
 *
 * One thread uses it; it has the other one wait for Postgres. It wires consume, intake, batch and
 * store, and is the only one that knows all of them.
 */
#ifndef CONSUMER_WORKER_H
#define CONSUMER_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/consume.h"
#include "common/err.h"
#include "common/metrics.h"
#include "consumer/store.h"

struct worker;

struct worker_settings {
    struct store_settings store;
    struct consume_settings consume;
    const char *topic_dead_letter;
    int64_t batch_rows;
    int64_t batch_bytes;
    int64_t batch_ms;  /* the age at which a batch is stored though it is not full */
    int64_t answer_ms; /* what storing one may take; then the connection is given up */
};

/* number: 0.., for log lines and metrics. Borrows the strings. NULL on failure. */
struct worker *worker_new(const struct worker_settings *settings, int number, struct metrics *m,
                          struct err *err);
void worker_free(struct worker *w);

/* Everything there is to do now, waiting at most some 100 ms for messages. ERR_FATAL: stop. */
int worker_turn(struct worker *w, struct err *err) MUST_CHECK;

/* Store what is held. ERR_RETRY: not all of it by deadline_ns (CLOCK_MONOTONIC); nothing is lost,
 * it is read again by whoever gets the partitions. */
int worker_drain(struct worker *w, int64_t deadline_ns, struct err *err) MUST_CHECK;

/* In the group, with what it gave us claimed (be it nothing), and not in an outage. */
bool worker_is_ready(const struct worker *w);

#endif
