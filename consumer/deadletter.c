#include "consumer/deadletter.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

#define SEND_TIMEOUT_MS 10000
#define LETTER_BYTES_MAX "104857600" /* our side never refuses; the topic's own limit decides */

struct deadletter {
    rd_kafka_t *producer;
    const char *topic;
    struct metric *refused;
    /* what the delivery reports of the running deadletter_send said */
    size_t waiting;
    rd_kafka_resp_err_t failure;
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct deadletter *d = opaque;
    struct batch_letter *letter = message->_private;

    (void)rk;
    d->waiting--;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        letter->in_topic = true;
    } else if (message->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
        letter->refused = true;
        metric_add(d->refused, 1);
    } else {
        d->failure = message->err;
    }
}

rd_kafka_t *deadletter_client(const struct kafka_settings *kafka, const char *client_id,
                              deadletter_report_fn *on_report, void *opaque, struct err *err)
{
    char reason[256];
    rd_kafka_conf_t *conf = kafka_conf_new(kafka, client_id, err);

    if (conf == NULL) {
        return NULL;
    }
    if (kafka_conf_require(conf, kafka, "acks", "all", err) < 0 ||
        kafka_conf_require(conf, kafka, "message.max.bytes", LETTER_BYTES_MAX, err) < 0 ||
        kafka_conf_default(conf, kafka, "message.timeout.ms", "8000", err) < 0 ||
        kafka_conf_default(conf, kafka, "topic.metadata.propagation.max.ms", "4000", err) < 0 ||
        kafka_conf_default(conf, kafka, "partitioner", "murmur2_random", err) < 0) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_conf_set_opaque(conf, opaque);
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);

    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));

    if (producer == NULL) {
        rd_kafka_conf_destroy(conf);
        err_set(err, ERR_INVALID, "Kafka client %s: %s", client_id, reason);
    }
    return producer;
}

struct deadletter *deadletter_new(const struct kafka_settings *kafka, const char *topic,
                                  struct metrics *m, struct err *err)
{
    struct deadletter *d = mem_alloc(1, sizeof(*d));

    d->topic = topic;
    d->refused =
        metrics_counter(m, "sitewatch_dead_letters_refused",
                        "Dead letters that the topic would not have; kept in the table", NULL);
    d->producer = deadletter_client(kafka, "sitewatch-consumer-dead-letters", on_delivery, d, err);
    if (d->producer == NULL) {
        deadletter_free(d);
        return NULL;
    }
    return d;
}

void deadletter_free(struct deadletter *d)
{
    if (d == NULL) {
        return;
    }
    if (d->producer != NULL) {
        rd_kafka_destroy(d->producer);
    }
    free(d);
}

static rd_kafka_resp_err_t produce(struct deadletter *d, const struct batch *batch,
                                   struct batch_letter *letter)
{
    const struct batch_partition *from = &batch->partitions[letter->partition];
    char partition[16];
    char offset[24];

    snprintf(partition, sizeof(partition), "%" PRId32, from->partition);
    snprintf(offset, sizeof(offset), "%" PRId64, letter->offset);
    return rd_kafka_producev(d->producer, RD_KAFKA_V_TOPIC(d->topic),
                             RD_KAFKA_V_KEY(letter->key, letter->key_len),
                             RD_KAFKA_V_VALUE((void *)letter->payload, letter->payload_len),
                             RD_KAFKA_V_HEADER("dlq.reason", letter->reason, -1),
                             RD_KAFKA_V_HEADER("dlq.topic", from->topic, -1),
                             RD_KAFKA_V_HEADER("dlq.partition", partition, -1),
                             RD_KAFKA_V_HEADER("dlq.offset", offset, -1),
                             RD_KAFKA_V_HEADER("dlq.detail", letter->detail, -1),
                             RD_KAFKA_V_OPAQUE(letter), RD_KAFKA_V_END);
}

/* Hand over one letter; when the local queue is full, give the broker time to take some. */
static int send_one(struct deadletter *d, const struct batch *batch, struct batch_letter *letter,
                    int64_t deadline_ns, struct err *err)
{
    for (;;) {
        rd_kafka_resp_err_t code = produce(d, batch, letter);

        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            d->waiting++;
            return 0;
        }
        if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
            letter->refused = true;
            metric_add(d->refused, 1);
            return 0;
        }
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL || clock_mono_ns() > deadline_ns) {
            return err_set(err, ERR_RETRY, "dead-letter topic %s: %s", d->topic,
                           rd_kafka_err2str(code));
        }
        rd_kafka_poll(d->producer, 100);
    }
}

int deadletter_send(struct deadletter *d, struct batch *batch, struct err *err)
{
    int64_t deadline_ns = clock_mono_ns() + SEND_TIMEOUT_MS * NS_PER_MS;
    int rc = 0;

    d->failure = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (size_t i = 0; i < batch->letters_count && rc == 0; i++) {
        struct batch_letter *letter = &batch->letters[i];

        if (!batch->partitions[letter->partition].dropped && !letter->in_topic &&
            !letter->refused) {
            rc = send_one(d, batch, letter, deadline_ns, err);
        }
    }
    while (d->waiting > 0 && clock_mono_ns() < deadline_ns) {
        rd_kafka_poll(d->producer, 100);
    }
    if (d->waiting > 0) {
        /* The reports name letters of this batch: none may come after we return. */
        rd_kafka_purge(d->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        while (d->waiting > 0) {
            rd_kafka_poll(d->producer, 100);
        }
    }
    if (rc == 0 && (d->failure == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
                    d->failure == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)) {
        rc = err_set(err, ERR_RETRY,
                     "there is no topic %s (KAFKA_TOPIC_DEAD_LETTER); " KAFKA_TOPIC_FIX, d->topic);
    } else if (rc == 0 && d->failure != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rc = err_set(err, ERR_RETRY, "dead-letter topic %s: %s", d->topic,
                     rd_kafka_err2str(d->failure));
    }
    return rc;
}
