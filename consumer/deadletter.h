/*
 * deadletter - send what is not a valid event to the dead-letter topic, bytes and key unchanged,
 * with headers dlq.reason, dlq.topic, dlq.partition, dlq.offset and dlq.detail.
 *
 * A letter counts as sent when the broker has acknowledged it. A letter that the topic refuses
 * for good (too large) is not in the topic and says so; the table has its first 64 KiB.
 *
 * Each consumer worker has its own; it is used from one thread.
 */
#ifndef CONSUMER_DEADLETTER_H
#define CONSUMER_DEADLETTER_H

#include "common/err.h"
#include "common/kafka.h"
#include "common/metrics.h"
#include "consumer/batch.h"

struct deadletter;

typedef void deadletter_report_fn(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque);

/* A producer as dead letters need it, for those that send them: every message acknowledged by all
 * replicas, none too large for our side. NULL, ERR_INVALID for a property. */
rd_kafka_t *deadletter_client(const struct kafka_settings *kafka, const char *client_id,
                              deadletter_report_fn *on_report, void *opaque, struct err *err);

/* Borrows the strings. Counts sitewatch_dead_letters_refused_total (the topic would not have
 * them). NULL, ERR_INVALID for a property, ERR_FATAL otherwise. */
struct deadletter *deadletter_new(const struct kafka_settings *kafka, const char *topic,
                                  struct metrics *m, struct err *err);
void deadletter_free(struct deadletter *d);

/*
 * Send every letter of the batch that is not dropped, wait until each is acknowledged or refused
 * for good, and set in_topic. Letters that an earlier call got acknowledged are not sent again.
 * ERR_RETRY when the broker does not answer in time, or the topic does not exist.
 */
int deadletter_send(struct deadletter *d, struct batch *batch, struct err *err) MUST_CHECK;

#endif
