/*
 * crew - the loops that make the checks, a thread each.
 *
 * Each loop has a poller to itself, and with it schedule, resolver, trust stores and libcurl
 * handles, and its part of the sites from producer/loader: a site belongs to one loop, by its
 * name. Loops share the metrics, the loader and the functions given here, which are called in
 * their threads, several at a time; nothing else.
 *
 * Who made the crew asks for the end, from one thread, and never waits for a loop: what became of
 * one is known when crew_fd() is readable.
 *
 * It knows nothing of Kafka and of signals.
 */
#ifndef PRODUCER_CREW_H
#define PRODUCER_CREW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/metrics.h"
#include "producer/loader.h"
#include "producer/poller.h"

#define CREW_LOOPS_MAX 64

struct crew_settings {
    size_t loops;                  /* 1 .. CREW_LOOPS_MAX, and no more than checks in flight */
    struct poller_settings poller; /* in_flight_max is divided among the loops */
    poller_emit_fn *emit;
    bool (*may_start)(void *context); /* whether new checks are welcome */
    void *context;
};

struct crew;

/* Borrows the strings and the loader, which has a part for each loop. NULL and ERR_FATAL on
 * failure. */
struct crew *crew_new(const struct crew_settings *settings, struct loader *loader,
                      struct metrics *m, struct err *err);
/* Starts the threads: checks are made from here on. Once; ERR_FATAL on failure. */
int crew_start(struct crew *c, struct err *err) MUST_CHECK;
/* Ends the threads, with what they have in flight. */
void crew_free(struct crew *c);

/* Readable when a loop has ended. */
int crew_fd(const struct crew *c);
/* Every loop has ended: drained, or each site was checked once. */
bool crew_is_done(const struct crew *c);
/* ERR_FATAL when a loop failed. */
int crew_check(const struct crew *c, struct err *err) MUST_CHECK;

/* New checks may be welcome again: each loop asks may_start at once. From any thread. */
void crew_wake(struct crew *c);

/* No more checks are started; the loops end with those in flight. */
void crew_drain(struct crew *c);

size_t crew_in_flight(const struct crew *c);
/* CLOCK_MONOTONIC of the last turn of the loop that has had none for the longest time; in the
 * future when all have ended. */
int64_t crew_beat_ns(const struct crew *c);

#endif
