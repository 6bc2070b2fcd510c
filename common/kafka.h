/*
 * kafka - the librdkafka configuration that all our clients share: brokers, TLS, any property.
 *
 * Order, later wins: our defaults, brokers and certificates, what the caller sets afterwards that
 * its guarantees need, and the operator's properties in between, so that an operator can tune
 * but not undo a guarantee (kafka_conf_require says which were refused).
 */
#ifndef COMMON_KAFKA_H
#define COMMON_KAFKA_H

#include <librdkafka/rdkafka.h>

#include "common/err.h"
#include "common/log.h"
#include "common/settings.h"

#define KAFKA_TOPIC_BYTES_MAX 249 /* of a topic's name; Kafka's own limit */

/* What to do about a topic that is not there, for a log line or an error. */
#define KAFKA_TOPIC_FIX "consumer migrate --topics makes it"

/* The settings that every program with a Kafka client has; put into its own struct. */
struct kafka_settings {
    char *bootstrap_servers;
    char *ca_file, *cert_file, *key_file; /* all or none of cert and key */
    struct setting_pairs properties;
};

/* The rows of the settings table for a `struct kafka_settings` at `field` of `owner`. */
#define KAFKA_SETTINGS_ROWS(owner, field)                                                          \
    {.name = "kafka-bootstrap-servers",                                                            \
     .env = "KAFKA_BOOTSTRAP_SERVERS",                                                             \
     .type = SETTING_TEXT,                                                                         \
     .offset = offsetof(owner, field.bootstrap_servers),                                           \
     .fallback = "localhost:9092",                                                                 \
     .value_name = "HOST:PORT,...",                                                                \
     .help = "brokers to start from"},                                                             \
        {.name = "kafka-cafile",                                                                   \
         .env = "KAFKA_CAFILE",                                                                    \
         .type = SETTING_TEXT,                                                                     \
         .offset = offsetof(owner, field.ca_file),                                                 \
         .value_name = "FILE",                                                                     \
         .help = "CA of the brokers' certificates (PEM); turns TLS on"},                           \
        {.name = "kafka-certfile",                                                                 \
         .env = "KAFKA_CERTFILE",                                                                  \
         .type = SETTING_TEXT,                                                                     \
         .offset = offsetof(owner, field.cert_file),                                               \
         .value_name = "FILE",                                                                     \
         .help = "our client certificate (PEM)"},                                                  \
        {.name = "kafka-keyfile",                                                                  \
         .env = "KAFKA_KEYFILE",                                                                   \
         .env_also = "KAFKA_KEYILE",                                                               \
         .type = SETTING_TEXT,                                                                     \
         .offset = offsetof(owner, field.key_file),                                                \
         .value_name = "FILE",                                                                     \
         .help = "key of our client certificate (PEM)"},                                           \
    {                                                                                              \
        .name = "kafka-properties", .env = "KAFKA_PROPERTIES", .type = SETTING_PAIRS,              \
        .flags = SETTING_SECRET, .offset = offsetof(owner, field.properties),                      \
        .value_name = "A=B;C=D", .help = "any librdkafka properties; wins over the files above"    \
    }

/*
 * A new configuration; `client_id` is shown in the broker's logs. ERR_INVALID names the property
 * that librdkafka refuses, or the certificate file that cannot be used (kafka_files_check). A
 * broker's certificate that is refused is told of in one line. The caller owns it until
 * rd_kafka_new takes it. NULL on failure.
 */
rd_kafka_conf_t *kafka_conf_new(const struct kafka_settings *settings, const char *client_id,
                                struct err *err);

/*
 * Set a property that our guarantees rest on. ERR_INVALID when the operator's properties gave it
 * another value: "kafka-properties: enable.idempotence=false is not allowed, it must be true".
 */
int kafka_conf_require(rd_kafka_conf_t *conf, const struct kafka_settings *settings,
                       const char *name, const char *value, struct err *err) MUST_CHECK;

/* Set a default of ours, unless the operator's properties name it. */
int kafka_conf_default(rd_kafka_conf_t *conf, const struct kafka_settings *settings,
                       const char *name, const char *value, struct err *err) MUST_CHECK;

/* Whether Kafka takes `name` for a topic; then it also needs no escape in a metric's label.
 * ERR_INVALID names `setting`, which it came from. */
int kafka_topic_check(const char *name, const char *setting, struct err *err) MUST_CHECK;

/* Log callback for rd_kafka_conf_set_log_cb: librdkafka's own lines, through common/log, and what
 * to do about them where we know it. */
void kafka_log(const rd_kafka_t *rk, int level, const char *facility, const char *text);

#endif
