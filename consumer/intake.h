/*
 * intake - one Kafka message becomes a row of the batch, or a dead letter with its reason.
 *
 * Pure but for the time it is given. Whatever the bytes are, exactly one of the two is added and
 * the partition moves on: bad input stops nothing.
 */
#ifndef CONSUMER_INTAKE_H
#define CONSUMER_INTAKE_H

#include <stddef.h>
#include <stdint.h>

#include "consumer/batch.h"

#define INTAKE_AHEAD_MS_MAX (INT64_C(5) * 60 * 1000) /* a slot further ahead is a wrong clock */

struct intake_message {
    int64_t offset;
    const void *key; /* NULL: none */
    size_t key_len;
    const void *payload; /* NULL: a tombstone, which is no event */
    size_t payload_len;
    int64_t timestamp_ms; /* Kafka's, -1 when unknown */
};

/* Returns NULL for a row, the reason (a static string, a dead letter's) otherwise. real_now_ms:
 * Unix time; a slot or time more than INTAKE_AHEAD_MS_MAX after it is "slot_future", a slot more
 * than retention_days before it "slot_expired". */
const char *intake_message(struct batch *b, uint32_t partition, const struct intake_message *m,
                           int64_t real_now_ms, int64_t retention_days);

#endif
