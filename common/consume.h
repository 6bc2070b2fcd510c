/*
 * consume - our membership of a consumer group, and the messages of the partitions we started.
 *
 * The group gives and takes partitions (cooperative: only those that change hands). That is noted
 * as a change, answered at once so that the group never waits for what a start takes, and handed to
 * the caller, who starts a partition at an offset of its own (never Kafka's), through the list
 * given to rd_kafka_incremental_assign. Stopped partitions give no more messages.
 *
 * It knows Kafka and nothing of what is in the messages. One thread uses it.
 */
#ifndef COMMON_CONSUME_H
#define COMMON_CONSUME_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/kafka.h"

struct consume;

#define CONSUME_TOPICS_MAX 2
#define CONSUME_PROPERTIES_MAX 8

/* What one program asks of librdkafka beyond what all do. */
struct consume_property {
    const char *name, *value; /* NULL: no more */
    bool required;            /* the operator's properties must not say otherwise */
};

struct consume_settings {
    const struct kafka_settings *kafka;
    const char *client_id;
    const char *group;
    const char *topics[CONSUME_TOPICS_MAX]; /* NULL: no more */
    struct consume_property properties[CONSUME_PROPERTIES_MAX];
    int64_t fetch_mb; /* ceiling of librdkafka's fetch queue */
};

enum consume_change_kind {
    CONSUME_GIVEN,   /* ours from now on, not started yet */
    CONSUME_REVOKED, /* to be given up: write what is held, then consume_give_up */
    CONSUME_LOST,    /* gone already: another member may have it; drop what is held */
};

struct consume_change {
    enum consume_change_kind kind;
    rd_kafka_topic_partition_list_t *partitions; /* owned by the caller of consume_next_change */
};

/* Joins the group. NULL, ERR_INVALID for a property, ERR_FATAL otherwise. */
struct consume *consume_new(const struct consume_settings *settings, struct err *err);

/* Whether consume_new would take the settings; connects nowhere. ERR_INVALID. */
int consume_check(const struct consume_settings *settings, struct err *err) MUST_CHECK;

/* Leaves the group, at the latest after some seconds. */
void consume_free(struct consume *c);

/*
 * At most `max` messages; waits up to timeout_ms for the first. Each is the caller's to destroy,
 * and may be an error (message->err). Returns early when the group gave or took partitions.
 */
size_t consume_poll(struct consume *c, rd_kafka_message_t **messages, size_t max, int timeout_ms);

/*
 * librdkafka before 2.2 stops fetching when its queue is full, and looks again a second later, or
 * when something is to be sent to the broker. The queue would have to hold more than a second's
 * messages, 200 MB and more. So something is sent when nothing came since the last poll although
 * the log has more: `lag`, messages of all partitions that were not taken yet, is more than the
 * queue has. To be called after each poll, with the partition that has most of them.
 */
void consume_wake(struct consume *c, const char *topic, int32_t partition, int64_t lag);

/* The next change noted by consume_poll, false when there is none. Handle all of them before the
 * next consume_poll. */
bool consume_next_change(struct consume *c, struct consume_change *change);

/* First offset in the log and one past the last. ERR_RETRY when the broker does not say. */
int consume_watermarks(struct consume *c, const char *topic, int32_t partition, int64_t *low,
                       int64_t *high, struct err *err) MUST_CHECK;
/* Whether the group has given our partitions to others; what consume_poll notes next says so. */
bool consume_is_lost(struct consume *c);
/* Whether the group has us, be it without a partition. */
bool consume_is_member(struct consume *c);
/* One past the last offset as of the latest fetch, -1 when not known; asks nobody. */
int64_t consume_known_end(struct consume *c, const char *topic, int32_t partition);

/* Give us messages of these partitions from the offsets in the list on, also of one that was
 * started before. ERR_FATAL. */
int consume_start(struct consume *c, rd_kafka_topic_partition_list_t *at,
                  struct err *err) MUST_CHECK;
/* Answer a REVOKED or LOST change: stop them and let the group have them. */
void consume_give_up(struct consume *c, const rd_kafka_topic_partition_list_t *partitions);

/* Hold the started partitions, or let them go on, while membership is kept by polling. */
void consume_pause(struct consume *c);
void consume_resume(struct consume *c);

/* Tell Kafka where we are, for lag tools only; failures are not reported. */
void consume_report_offsets(struct consume *c, const rd_kafka_topic_partition_list_t *offsets);

#endif
