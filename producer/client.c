#include "producer/client.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/wakeup.h"

#define END_NS (NS_PER_SEC / 2) /* for the last reports, twice */
#define REASON_SIZE 400

/* NULL on failure. */
static rd_kafka_conf_t *conf_make(const struct kafka_settings *settings, struct err *err)
{
    static const struct {
        const char *name, *value;
        int (*set)(rd_kafka_conf_t *conf, const struct kafka_settings *settings, const char *name,
                   const char *value, struct err *err);
    } rows[] = {
        {"enable.idempotence", "true", kafka_conf_require},
        {"acks", "all", kafka_conf_require},
        /* An event is held until it is delivered, so librdkafka need not give it up: it begins a
         * new epoch for what it gives up, and gets it back a moment later. */
        {"message.timeout.ms", "0", kafka_conf_default},
        {"compression.codec", "lz4", kafka_conf_default},
        {"linger.ms", "50", kafka_conf_default},
        {"queue.buffering.max.messages", "100000", kafka_conf_default},
        {"queue.buffering.max.kbytes", "65536", kafka_conf_default},
        {"message.max.bytes", "1048576", kafka_conf_default},
        /* All our programs and the Java clients agree on it. */
        {"partitioner", "murmur2_random", kafka_conf_default},
    };

    rd_kafka_conf_t *conf = kafka_conf_new(settings, "sitewatch-producer", err);

    for (size_t i = 0; conf != NULL && i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].set(conf, settings, rows[i].name, rows[i].value, err) != 0) {
            rd_kafka_conf_destroy(conf);
            conf = NULL;
        }
    }
    return conf;
}

/* Takes conf. NULL on failure. */
static rd_kafka_t *producer_make(rd_kafka_conf_t *conf, struct err *err)
{
    char reason[REASON_SIZE];
    rd_kafka_t *kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));

    if (kafka == NULL) {
        bool refused = rd_kafka_last_error() == RD_KAFKA_RESP_ERR__INVALID_ARG;

        rd_kafka_conf_destroy(conf); /* rd_kafka_new keeps it only when it succeeds */
        err_set(err, refused ? ERR_INVALID : ERR_FATAL, "Kafka producer: %s", reason);
    }
    return kafka;
}

int client_check(const struct kafka_settings *settings, struct err *err)
{
    rd_kafka_conf_t *conf = conf_make(settings, err);

    if (conf == NULL) {
        return -1;
    }
    /* Some properties are only refused together, when a producer is made. */
    rd_kafka_conf_set(conf, "bootstrap.servers", "", NULL, 0);
    rd_kafka_conf_set(conf, "log_level", "3", NULL, 0); /* it would be warned of no servers */

    rd_kafka_t *kafka = producer_make(conf, err);

    if (kafka == NULL) {
        return -1;
    }
    rd_kafka_destroy(kafka);
    return 0;
}

int client_init(struct client *client, const struct kafka_settings *settings,
                const char *const names[CLIENT_TOPICS], const struct client_callbacks *callbacks,
                struct err *err)
{
    *client = (struct client){0};
    for (size_t i = 0; i < CLIENT_TOPICS; i++) {
        client->names[i] = mem_copy_string(names[i]);
    }
    /* That nobody is held up who writes to it matters here: librdkafka does, and holds a lock. */
    client->fd = wakeup_open(err);
    if (client->fd < 0) {
        return -1;
    }
    client->conf = conf_make(settings, err);
    if (client->conf == NULL) {
        return -1;
    }
    rd_kafka_conf_set_opaque(client->conf, callbacks->opaque);
    rd_kafka_conf_set_dr_msg_cb(client->conf, callbacks->on_delivery);
    rd_kafka_conf_set_error_cb(client->conf, callbacks->on_error);
    return client_start(client, err);
}

void client_clear(struct client *client)
{
    client_end(client);
    for (size_t i = 0; i < CLIENT_TOPICS; i++) {
        free(client->names[i]);
    }
    if (client->conf != NULL) {
        rd_kafka_conf_destroy(client->conf);
    }
    if (client->fd >= 0) {
        close(client->fd);
    }
}

int client_start(struct client *client, struct err *err)
{
    static const uint64_t one = 1; /* an eventfd takes exactly eight bytes */

    client->kafka = producer_make(rd_kafka_conf_dup(client->conf), err);
    if (client->kafka == NULL) {
        return -1;
    }
    for (size_t i = 0; i < CLIENT_TOPICS; i++) {
        client->topics[i] = rd_kafka_topic_new(client->kafka, client->names[i], NULL);
        assert(client->topics[i] != NULL); /* only a wrong name is refused, and ours were checked */
    }
    client->queue = rd_kafka_queue_get_main(client->kafka);
    rd_kafka_queue_io_event_enable(client->queue, client->fd, &one, sizeof(one));
    wakeup_ring(client->fd); /* for what came into the queue before that */
    return 0;
}

/* Takes in reports until there is one for each message, or for END_NS. */
static void take_reports(struct client *client)
{
    int64_t until_ns = clock_mono_ns() + END_NS;

    rd_kafka_poll(client->kafka, 0);
    while (rd_kafka_outq_len(client->kafka) > 0 && clock_mono_ns() < until_ns) {
        rd_kafka_poll(client->kafka, 10);
    }
}

void client_end(struct client *client)
{
    if (client->kafka == NULL) {
        return;
    }
    /* What is with a broker at this moment is most likely to be acknowledged yet: to give it up
     * at once would send it twice. */
    rd_kafka_purge(client->kafka, RD_KAFKA_PURGE_F_QUEUE);
    take_reports(client);
    rd_kafka_purge(client->kafka, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    take_reports(client);

    rd_kafka_queue_io_event_enable(client->queue, -1, NULL, 0);
    rd_kafka_queue_destroy(client->queue);
    for (size_t i = 0; i < CLIENT_TOPICS; i++) {
        rd_kafka_topic_destroy(client->topics[i]);
    }
    rd_kafka_destroy(client->kafka);
    client->kafka = NULL;
}
