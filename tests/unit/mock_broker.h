/* librdkafka's own cluster of one broker, in this process. */
#ifndef TESTS_UNIT_MOCK_BROKER_H
#define TESTS_UNIT_MOCK_BROKER_H

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

struct mock_broker {
    rd_kafka_t *host; /* of the cluster; it is the producer, too */
    rd_kafka_mock_cluster_t *cluster;
};

/* -1: there is none. End it with rd_kafka_destroy(host). */
static inline int mock_broker_start(struct mock_broker *broker)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char reason[200];

    rd_kafka_conf_set(conf, "test.mock.num.brokers", "1", reason, sizeof(reason));
    rd_kafka_conf_set(conf, "log_level", "3", reason, sizeof(reason));
    broker->host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    if (broker->host == NULL) {
        return -1;
    }
    broker->cluster = rd_kafka_handle_mock_cluster(broker->host);
    return 0;
}

#endif
