/*
 * sitetopic - messages to the topic of the sites, in Kafka transactions: all that was added
 * arrives, or nothing that a reader sees. It knows no table.
 *
 * The transactional id is made from the topic's name: when another client opens it, this one is
 * fenced, and what it still had on its way is discarded by the broker (KIP-98).
 */
#ifndef CONSUMER_SITETOPIC_H
#define CONSUMER_SITETOPIC_H

#include <stddef.h>

#include "common/err.h"
#include "common/kafka.h"

struct sitetopic;

/*
 * Looks whether the topic is there and compacted, and fences whoever had it. ERR_RETRY when the
 * broker does not answer; ERR_FATAL when the topic is missing or not compacted, or the client's
 * properties are wrong. While there is no broker it waits for one, and no longer than until stop_fd
 * is readable, which is ERR_RETRY too.
 */
struct sitetopic *sitetopic_open(const struct kafka_settings *kafka, const char *topic, int stop_fd,
                                 struct err *err);
void sitetopic_free(struct sitetopic *t);

struct sitetopic_message {
    const char *key;
    const char *value; /* NULL: a tombstone */
};

/*
 * Send them, in order, and wait until they are committed. On failure nothing of them is seen, and
 * the client is to be freed: ERR_RETRY, also when it was fenced.
 */
int sitetopic_send(struct sitetopic *t, const struct sitetopic_message *messages, size_t count,
                   struct err *err) MUST_CHECK;

#endif
