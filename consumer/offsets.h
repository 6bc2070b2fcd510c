/*
 * offsets - move the stored offsets of a topic by an operator's word: `consumer offsets reset`.
 *
 * A move raises the epoch of each partition, so that a batch that was read before it is refused
 * (docs/delivery.md, invariant 2), whoever holds the partition and whatever Kafka says of it.
 */
#ifndef CONSUMER_OFFSETS_H
#define CONSUMER_OFFSETS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"
#include "common/kafka.h"

struct offsets_settings {
    const char *dsn;
    const struct kafka_settings *kafka;
    const char *group;
    const char *topic;
    const char *partition; /* a number; NULL: all of the topic */
    const char *to;        /* "earliest", "latest", or an offset */
    bool execute;          /* false: only show what would change */
    bool force;            /* also what a consumer holds */
};

/* Where `to` is in a log; ERR_INVALID when it is no place in it. */
int offsets_target(const char *to, int64_t low, int64_t high, int64_t *offset,
                   struct err *err) MUST_CHECK;

/* Prints a line for each partition: stored before and after. All partitions are moved, or none.
 * ERR_INVALID for what was asked, ERR_FATAL when there is no such topic or a consumer holds one,
 * else as broker and pg. */
int offsets_reset(const struct offsets_settings *settings, FILE *out, struct err *err) MUST_CHECK;

#endif
