/*
 * holding - the partitions that the group gave this worker, and how far each was read.
 *
 * Pure. A partition is held from the group's word to its revocation. It is claimed once Postgres
 * has named the offset to start at and our epoch; only then are its messages taken. `next` is a
 * reading position: how far it is stored is known to Postgres and to the batches on their way.
 */
#ifndef CONSUMER_HOLDING_H
#define CONSUMER_HOLDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct held {
    char *topic;
    int32_t partition;
    bool claimed;
    int64_t claim_ns; /* not to be claimed earlier (CLOCK_MONOTONIC) */
    int64_t epoch;    /* of our claim */
    int64_t next;     /* the first offset not read yet */
};

struct holding {
    struct held *held;
    size_t count;
    size_t latest; /* where the last look-up found its partition: messages come in runs */
};

void holding_init(struct holding *h);
void holding_free(struct holding *h);

/* Unclaimed. A partition that is held already is not held twice; its claim is forgotten. */
void holding_add(struct holding *h, const char *topic, int32_t partition);
void holding_remove(struct holding *h, const char *topic, int32_t partition);

/* NULL when it is not held. The pointer is good until the next add or remove. */
struct held *holding_find(struct holding *h, const char *topic, int32_t partition);

/* Whether a message at this offset is to be taken: held, claimed, and not read before (what came
 * from an earlier assignment is not). *held is then set; the caller moves its `next` on. */
bool holding_take(struct holding *h, const char *topic, int32_t partition, int64_t offset,
                  struct held **held);

size_t holding_unclaimed(const struct holding *h);

#endif
