#include "consumer/sitetopic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/broker.h"
#include "common/mem.h"

#define CLIENT_ID "sitewatch-outbox"
#define TIMEOUT_MS 10000
#define TRANSACTIONAL_ID_PREFIX "sitewatch-outbox-"
#define TRANSACTIONAL_ID_SIZE (sizeof(TRANSACTIONAL_ID_PREFIX) + KAFKA_TOPIC_BYTES_MAX)

struct sitetopic {
    const char *topic;
    rd_kafka_t *producer;
};

static rd_kafka_t *producer_new(const struct kafka_settings *kafka, const char *topic,
                                struct err *err)
{
    char id[TRANSACTIONAL_ID_SIZE], reason[256];
    rd_kafka_conf_t *conf = kafka_conf_new(kafka, CLIENT_ID, err);

    if (conf == NULL) {
        return NULL;
    }
    snprintf(id, sizeof(id), TRANSACTIONAL_ID_PREFIX "%s", topic);
    if (kafka_conf_require(conf, kafka, "transactional.id", id, err) < 0 ||
        kafka_conf_require(conf, kafka, "partitioner", "murmur2_random", err) < 0 ||
        kafka_conf_require(conf, kafka, "allow.auto.create.topics", "false", err) < 0 ||
        kafka_conf_default(conf, kafka, "transaction.timeout.ms", "10000", err) < 0 ||
        kafka_conf_default(conf, kafka, "message.timeout.ms", "8000", err) < 0 ||
        kafka_conf_default(conf, kafka, "linger.ms", "0", err) < 0) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));

    if (producer == NULL) {
        rd_kafka_conf_destroy(conf);
        err_set(err, ERR_FATAL, "Kafka client for the sites: %s", reason);
    }
    return producer;
}

/* 0, or the failure of a step of a transaction, freed. */
static int judge(rd_kafka_error_t *error, const char *topic, const char *step, struct err *err)
{
    if (error == NULL) {
        return 0;
    }
    err_set(err, ERR_RETRY, "topic %s: %s: %s", topic, step, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return -1;
}

struct sitetopic *sitetopic_open(const struct kafka_settings *kafka, const char *topic, int stop_fd,
                                 struct err *err)
{
    /* A topic that Kafka made by itself would forget sites with time. */
    if (broker_require_compacted(kafka, CLIENT_ID, TIMEOUT_MS, topic, stop_fd, err) < 0) {
        return NULL;
    }
    struct sitetopic *t = mem_alloc(1, sizeof(*t));

    t->topic = topic;
    t->producer = producer_new(kafka, topic, err);
    if (t->producer == NULL || judge(rd_kafka_init_transactions(t->producer, TIMEOUT_MS), topic,
                                     "opening its transactions", err) < 0) {
        sitetopic_free(t);
        return NULL;
    }
    return t;
}

void sitetopic_free(struct sitetopic *t)
{
    if (t == NULL) {
        return;
    }
    if (t->producer != NULL) {
        rd_kafka_destroy(t->producer);
    }
    free(t);
}

static int add(const struct sitetopic *t, const struct sitetopic_message *message, struct err *err)
{
    const char *value = message->value;
    size_t len = value == NULL ? 0 : strlen(value);
    rd_kafka_resp_err_t code =
        rd_kafka_producev(t->producer, RD_KAFKA_V_TOPIC(t->topic),
                          RD_KAFKA_V_KEY((void *)(uintptr_t)message->key, strlen(message->key)),
                          RD_KAFKA_V_VALUE((void *)(uintptr_t)value, len),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);

    return code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? 0
               : err_set(err, ERR_RETRY, "topic %s: %s", t->topic, rd_kafka_err2str(code));
}

int sitetopic_send(struct sitetopic *t, const struct sitetopic_message *messages, size_t count,
                   struct err *err)
{
    if (judge(rd_kafka_begin_transaction(t->producer), t->topic, "beginning a transaction", err) <
        0) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (add(t, &messages[i], err) < 0) {
            return -1; /* the broker ends the transaction of a client that is gone */
        }
    }
    /* It waits for the acknowledgements first. */
    return judge(rd_kafka_commit_transaction(t->producer, TIMEOUT_MS), t->topic,
                 "committing a transaction", err);
}
