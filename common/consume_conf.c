#include "common/consume_conf.h"

#include <stdio.h>
#include <stdlib.h>

#define FETCH_BACKOFF_MS "10" /* when its queue is full */
#define METADATA_MS "10000"
#define ANSWER_SHARE 4 /* of the queue's ceiling */

/*
 * Kafka's answers are bounded as they come over the wire, and what is unpacked from one waits in
 * memory with what is in the queue: events that were packed together shrink to a quarter. No less
 * than a message, on which librdkafka insists. One partition may fill an answer: what was left
 * behind is then read partition by partition, and rows of few sites go into the database together.
 */
static int bound_answers(rd_kafka_conf_t *conf, const struct consume_settings *s, struct err *err)
{
    char text[24] = "";
    size_t size = sizeof(text);
    long long bytes = (long long)s->fetch_mb * 1024 * 1024 / ANSWER_SHARE;

    if (rd_kafka_conf_get(conf, "message.max.bytes", text, &size) == RD_KAFKA_CONF_OK) {
        long long message_bytes = strtoll(text, NULL, 10);

        bytes = bytes > message_bytes ? bytes : message_bytes;
    }
    snprintf(text, sizeof(text), "%lld", bytes);
    if (kafka_conf_default(conf, s->kafka, "fetch.max.bytes", text, err) < 0) {
        return -1;
    }
    return kafka_conf_default(conf, s->kafka, "max.partition.fetch.bytes", text, err);
}

static int set_conf(rd_kafka_conf_t *conf, const struct consume_settings *s, struct err *err)
{
    char fetch_kb[24];

    snprintf(fetch_kb, sizeof(fetch_kb), "%lld", (long long)s->fetch_mb * 1024);
    if (kafka_conf_require(conf, s->kafka, "group.id", s->group, err) < 0 ||
        kafka_conf_require(conf, s->kafka, "enable.auto.commit", "false", err) < 0 ||
        kafka_conf_require(conf, s->kafka, "enable.auto.offset.store", "false", err) < 0 ||
        kafka_conf_require(conf, s->kafka, "auto.offset.reset", "error", err) < 0 ||
        kafka_conf_require(conf, s->kafka, "partition.assignment.strategy", "cooperative-sticky",
                           err) < 0) {
        return -1;
    }
    if (rd_kafka_version() >= CONSUME_BACKOFF_VERSION &&
        kafka_conf_default(conf, s->kafka, "fetch.queue.backoff.ms", FETCH_BACKOFF_MS, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < CONSUME_PROPERTIES_MAX && s->properties[i].name != NULL; i++) {
        const struct consume_property *p = &s->properties[i];
        int rc = p->required ? kafka_conf_require(conf, s->kafka, p->name, p->value, err)
                             : kafka_conf_default(conf, s->kafka, p->name, p->value, err);

        if (rc < 0) {
            return -1;
        }
    }
    if (kafka_conf_default(conf, s->kafka, "queued.min.messages", "1000000", err) < 0 ||
        kafka_conf_default(conf, s->kafka, "queued.max.messages.kbytes", fetch_kb, err) < 0 ||
        kafka_conf_default(conf, s->kafka, "session.timeout.ms", "10000", err) < 0 ||
        kafka_conf_default(conf, s->kafka, "fetch.wait.max.ms", "100", err) < 0) {
        return -1;
    }
    /* So that new topics and partitions are seen soon. */
    if (kafka_conf_default(conf, s->kafka, "topic.metadata.refresh.interval.ms", METADATA_MS, err) <
        0) {
        return -1;
    }
    return bound_answers(conf, s, err);
}

rd_kafka_conf_t *consume_conf_new(const struct consume_settings *s, struct err *err)
{
    rd_kafka_conf_t *conf = kafka_conf_new(s->kafka, s->client_id, err);

    if (conf != NULL && set_conf(conf, s, err) < 0) {
        rd_kafka_conf_destroy(conf);
        conf = NULL;
    }
    return conf;
}

int consume_check(const struct consume_settings *s, struct err *err)
{
    rd_kafka_conf_t *conf = consume_conf_new(s, err);

    if (conf == NULL) {
        return -1;
    }
    rd_kafka_conf_destroy(conf);
    return 0;
}
