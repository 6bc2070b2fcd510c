/*
 * topics - the topics that the programs need: make those that are missing, check the others.
 *
 * A topic is never changed: more partitions would send a site's events to another partition, and
 * compaction cannot be taken back.
 */
#ifndef CONSUMER_TOPICS_H
#define CONSUMER_TOPICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"
#include "common/kafka.h"

#define TOPICS_CHECKS_PARTITIONS 12
#define TOPICS_SITES_PARTITIONS 64

struct topics_settings {
    const struct kafka_settings *kafka;
    const char *success, *failure, *dead_letter, *sites;
    int32_t replicas; /* 0: as the broker says */
};

/* The names alone. ERR_INVALID when one is none, or two are the same: dead letters on a topic that
 * is read would come back for ever. */
int topics_check(const struct topics_settings *settings, struct err *err) MUST_CHECK;

/*
 * Prints one line a topic. ERR_INVALID as topics_check; ERR_RETRY when no
 * broker answers; ERR_FATAL, after all were looked at, when the broker refuses one, `sites` is not
 * compacted, or another is.
 */
int topics_ensure(const struct topics_settings *settings, FILE *out, struct err *err) MUST_CHECK;

/* Judge a topic that exists: NULL when it will do, else what is wrong with it. */
const char *topics_judge(bool compacted, bool should_be);

#endif
