/*
 * client - the librdkafka producer, which can be ended and made anew with the same settings.
 *
 * It knows no events. Part of producer/publish, which gives it its callbacks. The descriptor
 * stays the same from one producer to the next.
 */
#ifndef PRODUCER_CLIENT_H
#define PRODUCER_CLIENT_H

#include <librdkafka/rdkafka.h>
#include <stddef.h>

#include "common/err.h"
#include "common/kafka.h"

#define CLIENT_TOPICS 2

struct client {
    rd_kafka_conf_t *conf; /* copied for each producer that is made */
    char *names[CLIENT_TOPICS];
    rd_kafka_t *kafka; /* NULL when there is none */
    rd_kafka_topic_t *topics[CLIENT_TOPICS];
    rd_kafka_queue_t *queue; /* where reports and errors come */
    int fd;                  /* librdkafka writes here when queue stops being empty */
};

struct client_callbacks {
    void (*on_delivery)(rd_kafka_t *kafka, const rd_kafka_message_t *report, void *opaque);
    void (*on_error)(rd_kafka_t *kafka, int code, const char *reason, void *opaque);
    void *opaque;
};

/* Whether a producer could be made of these settings; it is, without any broker. ERR_INVALID. */
int client_check(const struct kafka_settings *settings, struct err *err) MUST_CHECK;

/* Makes the configuration and starts the first producer. Keeps nothing of settings and names.
 * ERR_INVALID for a property, ERR_FATAL otherwise; client_clear is to be called in any case. */
int client_init(struct client *client, const struct kafka_settings *settings,
                const char *const names[CLIENT_TOPICS], const struct client_callbacks *callbacks,
                struct err *err) MUST_CHECK;
void client_clear(struct client *client);

/* There must be none. */
int client_start(struct client *client, struct err *err) MUST_CHECK;

/* Ends the producer, if there is one. on_delivery is called for what it says in its last second
 * at most; there is no report of any other message. */
void client_end(struct client *client);

#endif
