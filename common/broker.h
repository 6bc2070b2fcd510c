/*
 * broker - what programs ask of Kafka and have it do: topics and their settings, the ends of a
 * partition, and who holds which partition of a group.
 *
 * One client, one thread; nothing is kept between calls. Errors: ERR_RETRY when no broker answers
 * in time, ERR_FATAL when it refuses, ERR_INVALID for a property of the client.
 */
#ifndef COMMON_BROKER_H
#define COMMON_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/kafka.h"

#define BROKER_TIMEOUT_MS 10000 /* what a person waits for */

struct broker;

/* client_id is shown in the broker's logs; each answer is waited for so long. */
struct broker *broker_new(const struct kafka_settings *kafka, const char *client_id, int timeout_ms,
                          struct err *err);
void broker_free(struct broker *b);

/* *count of 0: there is no such topic. */
int broker_partitions(struct broker *b, const char *topic, int32_t *count,
                      struct err *err) MUST_CHECK;

struct broker_topic {
    const char *name;
    int32_t partitions;
    int32_t replicas; /* 0: as many as the broker makes by itself */
    bool compacted;
};

/* *made is false when it was there already. */
int broker_make_topic(struct broker *b, const struct broker_topic *topic, bool *made,
                      struct err *err) MUST_CHECK;

/* Whether the topic keeps only the latest message of a key. */
int broker_is_compacted(struct broker *b, const char *topic, bool *compacted,
                        struct err *err) MUST_CHECK;

/* 0 when the topic is there and compacted. Otherwise, or when it cannot be found out, -1: Kafka
 * would forget sites of another topic with time. For one question: the client is its own. A broker
 * is waited for as long as an answer is, and no longer than until stop_fd (common/wakeup) is
 * readable; without one it is ERR_RETRY. */
int broker_require_compacted(const struct kafka_settings *kafka, const char *client_id,
                             int timeout_ms, const char *topic, int stop_fd,
                             struct err *err) MUST_CHECK;

/* First offset in the log and one past the last. */
int broker_watermarks(struct broker *b, const char *topic, int32_t partition, int64_t *low,
                      int64_t *high, struct err *err) MUST_CHECK;

/* holders[0..count): for each partition of the topic the host of the group's member that has it,
 * or NULL. The caller frees each. */
int broker_holders(struct broker *b, const char *group, const char *topic, char **holders,
                   size_t count, struct err *err) MUST_CHECK;

#endif
