/*
 * message - an event as Kafka carries it: the JSON, the key, and the headers of CloudEvents 1.0 in
 * its binary mode (docs/events.md).
 *
 * Part of producer/publish, which alone decides when a message is handed over. No I/O.
 */
#ifndef PRODUCER_MESSAGE_H
#define PRODUCER_MESSAGE_H

#include <librdkafka/rdkafka.h>
#include <stddef.h>

#include "common/event.h"
#include "common/ident.h"
#include "common/timestamp.h"

struct message {
    char *key;    /* the site's name */
    char *source; /* "/sitewatch/LOCATION/OBSERVER", percent-encoded */
    char *json;
    size_t json_len;
    char id[IDENT_UUID_SIZE];
    char time[TIMESTAMP_SIZE];
};

/* Keeps nothing of event. */
void message_init(struct message *message, const struct event *event);
void message_clear(struct message *message);

/* What it takes in memory, near enough. */
size_t message_bytes(const struct message *message);

/*
 * Hand it to librdkafka, which does not copy the JSON: the message must stay until its delivery
 * report came or `kafka` is destroyed. The report carries `opaque`. Whatever is returned but
 * RD_KAFKA_RESP_ERR_NO_ERROR, nothing was handed over and no report comes.
 */
rd_kafka_resp_err_t message_produce(const struct message *message, rd_kafka_t *kafka,
                                    rd_kafka_topic_t *topic, void *opaque);

#endif
