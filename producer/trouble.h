/*
 * trouble - what the log says of the way to Kafka: changes of state once each, repeats seldom.
 *
 * It decides nothing. Part of producer/publish.
 */
#ifndef PRODUCER_TROUBLE_H
#define PRODUCER_TROUBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/log.h"
#include "producer/message.h"

#define TROUBLE_LOG_NS (INT64_C(60) * 1000000000) /* between two lines about the same trouble */

/* Of the whole publisher. */
struct trouble {
    bool full, down, over_ceiling; /* the states */
    bool full_logged;
    int64_t full_since_ns;
    uint64_t full_events; /* that found it full */
    struct log_limit full_limit, restart_limit;
};

/* Of one topic. */
struct trouble_topic {
    const char *topic;
    const char *setting; /* that names the topic */
    struct log_limit failed_limit, dropped_limit;
};

/* How it stands. */
struct trouble_facts {
    size_t pending, waiting, waiting_bytes, waiting_bytes_max;
    bool brokers_down, delivered; /* since the last time */
    bool behind;                  /* events are on disk alone */
    bool spooling;                /* what waits does so on disk, and no check for it */
};

void trouble_init(struct trouble *t);
void trouble_topic_init(struct trouble_topic *t, const char *topic, const char *setting);

/* The queue has no room. Ends in trouble_settle, when nothing waits any more. */
void trouble_full(struct trouble *t, const struct trouble_facts *facts, int64_t now_ns);

/* Says what changed. */
void trouble_settle(struct trouble *t, const struct trouble_facts *facts, int64_t now_ns);

/* The producer failed for good, or (made_anew false) could not be made anew. */
void trouble_restart(struct trouble *t, bool made_anew, const char *reason, size_t waiting,
                     int64_t now_ns);

enum trouble_kind { TROUBLE_DELIVERY, TROUBLE_NO_TOPIC, TROUBLE_REQUEST_SIZE };

void trouble_failed(struct trouble_topic *t, enum trouble_kind kind, const char *reason,
                    size_t waiting, int64_t now_ns);
void trouble_dropped(struct trouble_topic *t, const struct message *message, int64_t now_ns);

#endif
