#include "consumer/letterscan.h"

#include <inttypes.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

#define ASK_TIMEOUT_MS 15000
#define QUIET_NS (30 * NS_PER_SEC) /* without a message or an end: the broker is away */
#define CLOCKS_APART_MS (INT64_C(3600) * MS_PER_SEC) /* of the producer's host and ours */

struct scan {
    rd_kafka_t *consumer;
    const struct letter *const *letters;
    bool *found;
    size_t count, left;
    int32_t partitions, ended;
    letterscan_found_fn *on_found;
    void *context;
};

/* --- Start --- */

static rd_kafka_t *make_consumer(const struct kafka_settings *kafka, struct err *err)
{
    char reason[256];
    rd_kafka_conf_t *conf = kafka_conf_new(kafka, "sitewatch-consumer-replay", err);

    if (conf == NULL) {
        return NULL;
    }
    /* The group is never joined, but librdkafka wants its name. */
    if (kafka_conf_require(conf, kafka, "group.id", "sitewatch-replay", err) < 0 ||
        kafka_conf_require(conf, kafka, "enable.auto.commit", "false", err) < 0 ||
        kafka_conf_require(conf, kafka, "enable.partition.eof", "true", err) < 0 ||
        kafka_conf_require(conf, kafka, "auto.offset.reset", "earliest", err) < 0 ||
        kafka_conf_default(conf, kafka, "queued.max.messages.kbytes", "16384", err) < 0) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));

    if (consumer == NULL) {
        rd_kafka_conf_destroy(conf);
        err_set(err, ERR_INVALID, "Kafka client: %s", reason);
        return NULL;
    }
    rd_kafka_poll_set_consumer(consumer);
    return consumer;
}

static int count_partitions(struct scan *s, const char *topic, struct err *err)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(s->consumer, topic, NULL);

    if (handle == NULL) {
        return err_set(err, ERR_INVALID, "topic %s: %s", topic,
                       rd_kafka_err2str(rd_kafka_last_error()));
    }
    rd_kafka_resp_err_t code = rd_kafka_metadata(s->consumer, 0, handle, &metadata, ASK_TIMEOUT_MS);

    rd_kafka_topic_destroy(handle);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return err_set(err, ERR_RETRY, "%s: %s", topic, rd_kafka_err2str(code));
    }
    s->partitions = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
    rd_kafka_metadata_destroy(metadata);
    return 0;
}

/* A letter is younger than its message. */
static int64_t oldest_ms(const struct scan *s)
{
    int64_t oldest = INT64_MAX;

    for (size_t i = 0; i < s->count; i++) {
        const char *text = s->letters[i]->message_time;
        struct err ignored;
        int64_t at_us = 0;

        if (timestamp_parse_us(text, strlen(text), &at_us, &ignored) < 0) {
            return 0;
        }
        if (at_us / US_PER_MS < oldest) {
            oldest = at_us / US_PER_MS;
        }
    }
    return oldest > CLOCKS_APART_MS ? oldest - CLOCKS_APART_MS : 0;
}

static int assign(struct scan *s, const char *topic, struct err *err)
{
    rd_kafka_topic_partition_list_t *at = rd_kafka_topic_partition_list_new(s->partitions);
    int64_t from_ms = oldest_ms(s);

    for (int32_t i = 0; i < s->partitions; i++) {
        rd_kafka_topic_partition_list_add(at, topic, i)->offset = from_ms;
    }
    /* Where nothing is that young it answers with the end. */
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(s->consumer, at, ASK_TIMEOUT_MS);

    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = rd_kafka_assign(s->consumer, at);
    }
    rd_kafka_topic_partition_list_destroy(at);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? 0
               : err_set(err, ERR_RETRY, "%s: %s", topic, rd_kafka_err2str(code));
}

/* --- Messages --- */

static bool header_is(const rd_kafka_headers_t *headers, const char *name, const char *wanted)
{
    const void *value;
    size_t len;

    return rd_kafka_header_get_last(headers, name, &value, &len) == RD_KAFKA_RESP_ERR_NO_ERROR &&
           len == strlen(wanted) && memcmp(value, wanted, len) == 0;
}

static bool is_letter(const struct letter *l, const rd_kafka_message_t *message,
                      const rd_kafka_headers_t *headers)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char partition[16];
    char offset[24];

    if ((int64_t)message->len != l->payload_bytes) {
        return false;
    }
    snprintf(partition, sizeof(partition), "%" PRId32, l->partition);
    snprintf(offset, sizeof(offset), "%" PRId64, l->offset);
    if (!header_is(headers, "dlq.topic", l->topic) ||
        !header_is(headers, "dlq.partition", partition) ||
        !header_is(headers, "dlq.offset", offset)) {
        return false;
    }
    SHA256(message->payload, message->len, digest);
    return memcmp(digest, l->sha256, sizeof(digest)) == 0;
}

static int take(struct scan *s, const rd_kafka_message_t *message, struct err *err)
{
    rd_kafka_headers_t *headers;

    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return 0;
    }
    for (size_t i = 0; i < s->count; i++) {
        if (!s->found[i] && is_letter(s->letters[i], message, headers)) {
            s->found[i] = true;
            s->left--;
            return s->on_found(s->context, s->letters[i], message, err);
        }
    }
    return 0;
}

static int take_any(struct scan *s, const rd_kafka_message_t *message, int64_t *heard_ns,
                    struct err *err)
{
    switch (message->err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        *heard_ns = clock_mono_ns();
        return take(s, message, err);
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        *heard_ns = clock_mono_ns();
        s->ended++;
        return 0;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        return err_set(err, ERR_FATAL, "dead-letter topic: %s", rd_kafka_message_errstr(message));
    default:
        return 0; /* librdkafka tries again; QUIET_NS ends it */
    }
}

static int read_to_end(struct scan *s, struct err *err)
{
    int64_t heard_ns = clock_mono_ns();
    int rc = 0;

    while (rc == 0 && s->left > 0 && s->ended < s->partitions) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(s->consumer, 200);

        if (message != NULL) {
            rc = take_any(s, message, &heard_ns, err);
            rd_kafka_message_destroy(message);
        } else if (clock_mono_ns() - heard_ns > QUIET_NS) {
            rc = err_set(err, ERR_RETRY, "dead-letter topic: no answer");
        }
    }
    return rc;
}

int letterscan_run(const struct kafka_settings *kafka, const char *topic,
                   const struct letter *const *letters, size_t count, letterscan_found_fn *on_found,
                   void *context, struct err *err)
{
    struct scan s = {
        .consumer = make_consumer(kafka, err),
        .letters = letters,
        .count = count,
        .left = count,
        .on_found = on_found,
        .context = context,
    };
    int rc = -1;

    if (s.consumer == NULL) {
        return -1;
    }
    s.found = mem_alloc(count, sizeof(*s.found));
    if (count_partitions(&s, topic, err) == 0) {
        rc = s.partitions == 0 || assign(&s, topic, err) == 0 ? 0 : -1;
    }
    if (rc == 0) {
        rc = read_to_end(&s, err);
    }
    rd_kafka_consumer_close(s.consumer);
    rd_kafka_destroy(s.consumer);
    free(s.found);
    return rc;
}
