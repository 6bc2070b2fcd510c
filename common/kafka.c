#include "common/kafka.h"

#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/kafka_files.h"
#include "common/kafka_words.h"

#define REASON_SIZE 400
#define VALUE_SIZE 256
#define LOG_REPEAT_NS (10 * NS_PER_SEC) /* the same line of librdkafka's, once in so long */
#define LOG_SLOTS 64                    /* different lines that are remembered for that */

/* Whether the value of a property may be shown, in an error for example. */
static bool is_secret(const char *name)
{
    static const char *const parts[] = {"password", "secret",   ".pem", "oauthbearer",
                                        "jaas",     "username", "ssl_"};

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strcasestr(name, parts[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* Sets what we wrote ourselves, or what came from a setting of its own. */
static int property_set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *err)
{
    char reason[REASON_SIZE];

    if (rd_kafka_conf_set(conf, name, value, reason, sizeof(reason)) != RD_KAFKA_CONF_OK) {
        return err_set(err, ERR_INVALID, "Kafka property %s: %s", name, reason);
    }
    return 0;
}

static int operator_property_set(rd_kafka_conf_t *conf, const char *name, const char *value,
                                 struct err *err)
{
    char reason[REASON_SIZE];

    switch (rd_kafka_conf_set(conf, name, value, reason, sizeof(reason))) {
    case RD_KAFKA_CONF_OK:
        return 0;
    case RD_KAFKA_CONF_UNKNOWN:
        return err_set(err, ERR_INVALID, "kafka-properties: librdkafka has no property \"%s\"",
                       name);
    default:
        /* The reason may quote the value. */
        return err_set(err, ERR_INVALID, "kafka-properties: %s: %s", name,
                       is_secret(name) ? "the value is refused" : reason);
    }
}

static int operator_properties_set(rd_kafka_conf_t *conf, const struct kafka_settings *settings,
                                   struct err *err)
{
    for (size_t i = 0; i < settings->properties.count; i++) {
        if (operator_property_set(conf, settings->properties.names[i],
                                  settings->properties.values[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int settings_apply(rd_kafka_conf_t *conf, const struct kafka_settings *settings,
                          const char *client_id, struct err *err)
{
    const struct {
        const char *name;
        const char *value; /* NULL: not set */
    } rows[] = {
        {"client.id", client_id},
        {"bootstrap.servers", settings->bootstrap_servers},
        {"security.protocol", settings->ca_file == NULL ? NULL : "ssl"},
        {"ssl.ca.location", settings->ca_file},
        {"ssl.certificate.location", settings->cert_file},
        {"ssl.key.location", settings->key_file},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].value != NULL && property_set(conf, rows[i].name, rows[i].value, err) != 0) {
            return -1;
        }
    }
    return operator_properties_set(conf, settings, err);
}

/* Lines that were written, by what they say, so that a repeat is known. */
struct log_seen {
    uint64_t hash;
    struct log_limit limit;
};

static struct {
    pthread_mutex_t lock;
    struct log_seen slots[LOG_SLOTS];
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* FNV-1a, up to the parenthesis in which librdkafka puts what differs each time: "(after 12ms in
 * state CONNECT, 3 identical error(s) suppressed)". */
static uint64_t line_hash(const char *facility, const char *text)
{
    const char *end = strstr(text, " (");
    size_t len = end == NULL ? strlen(text) : (size_t)(end - text);
    uint64_t hash = UINT64_C(14695981039346656037);

    for (const char *c = facility; *c != '\0'; c++) {
        hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
    }
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(1099511628211);
    }
    return hash;
}

/* librdkafka calls us from several of its threads. */
static bool line_allowed(const char *facility, const char *text, uint64_t *held)
{
    uint64_t hash = line_hash(facility, text);
    struct log_seen *slot = &seen.slots[hash % LOG_SLOTS];

    pthread_mutex_lock(&seen.lock);
    if (slot->hash != hash) {
        *slot = (struct log_seen){.hash = hash, .limit = {.interval_ns = LOG_REPEAT_NS}};
    }

    bool allowed = log_limit_allows(&slot->limit, clock_mono_ns(), held);

    pthread_mutex_unlock(&seen.lock);
    return allowed;
}

/* librdkafka's own line does not tell a wrong name from a wrong CA. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the type is librdkafka's */
static int on_verify(rd_kafka_t *rk, const char *broker, int32_t broker_id, int *error, int depth,
                     const char *cert, size_t cert_len, char *reason, size_t reason_size,
                     void *context)
{
    const char *why = X509_verify_cert_error_string(*error);
    uint64_t held = 0;

    (void)rk;
    (void)broker_id;
    (void)depth;
    (void)cert;
    (void)cert_len;
    (void)context;
    if (*error == X509_V_OK) {
        return 1;
    }
    snprintf(reason, reason_size, "%s", why);
    if (line_allowed(broker, why, &held)) {
        log_write(LOG_ERROR, "the certificate of a Kafka broker is refused",
                  LOG_S("broker", broker), LOG_S("reason", why),
                  LOG_S("fix", kafka_words_of_certificate(*error)), LOG_I("held_back", held));
    }
    return 0;
}

/* What on_verify has said already, or librdkafka itself: a consumer's failure once more as an
 * error, with the client's name before it. */
static bool is_said(const char *facility, const char *text)
{
    return strcmp(facility, "SSLCERTVRFY") == 0 ||
           strstr(text, "certificate verify failed") != NULL ||
           (strcmp(facility, "ERROR") == 0 && kafka_words_of_line(text) != NULL);
}

void kafka_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    /* By syslog's severities, which rdkafka.h does not name: 3 is an error, 4 a warning. */
    static const enum log_level levels[] = {LOG_ERROR, LOG_ERROR, LOG_ERROR, LOG_ERROR,
                                            LOG_WARN,  LOG_INFO,  LOG_INFO};
    enum log_level ours = level >= 0 && level <= 6 ? levels[level] : LOG_DEBUG;
    const char *fix = kafka_words_of_line(text);
    uint64_t held = 0;

    (void)rk;
    if (!log_enabled(ours) || is_said(facility, text)) {
        return;
    }
    /* Who turned debugging on wants every line. */
    if (ours != LOG_DEBUG && !line_allowed(facility, text, &held)) {
        return;
    }
    if (fix != NULL) {
        log_write(ours, "librdkafka says", LOG_S("facility", facility), LOG_S("text", text),
                  LOG_S("fix", fix), LOG_I("held_back", held));
    } else {
        log_write(ours, "librdkafka says", LOG_S("facility", facility), LOG_S("text", text),
                  LOG_I("held_back", held));
    }
}

rd_kafka_conf_t *kafka_conf_new(const struct kafka_settings *settings, const char *client_id,
                                struct err *err)
{
    if (kafka_files_check(settings, err) < 0) {
        return NULL;
    }

    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    rd_kafka_conf_set_log_cb(conf, kafka_log);
    rd_kafka_conf_set_ssl_cert_verify_cb(conf, on_verify);
    if (settings_apply(conf, settings, client_id, err) != 0) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    return conf;
}

/*
 * What the operator's properties make of `name` = `value`. Comparing what librdkafka holds in the
 * end sees through other names (request.required.acks) and other spellings (-1, all).
 */
static int operator_value(const struct kafka_settings *settings, const char *name,
                          const char *value, char ours[VALUE_SIZE], char theirs[VALUE_SIZE],
                          struct err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    size_t ours_size = VALUE_SIZE, theirs_size = VALUE_SIZE;
    int result = -1;

    ours[0] = theirs[0] = '\0';
    if (property_set(conf, name, value, err) == 0) {
        rd_kafka_conf_get(conf, name, ours, &ours_size);
        result = operator_properties_set(conf, settings, err);
        rd_kafka_conf_get(conf, name, theirs, &theirs_size);
    }
    rd_kafka_conf_destroy(conf);
    return result;
}

int kafka_conf_require(rd_kafka_conf_t *conf, const struct kafka_settings *settings,
                       const char *name, const char *value, struct err *err)
{
    char ours[VALUE_SIZE], theirs[VALUE_SIZE];

    if (operator_value(settings, name, value, ours, theirs, err) != 0) {
        return -1;
    }
    if (strcmp(ours, theirs) != 0) {
        return err_set(err, ERR_INVALID, "kafka-properties: %s=%s is not allowed, it must be %s",
                       name, theirs, value);
    }
    return property_set(conf, name, value, err);
}

int kafka_conf_default(rd_kafka_conf_t *conf, const struct kafka_settings *settings,
                       const char *name, const char *value, struct err *err)
{
    /* The operator's once more: they may name the property by another of its names. */
    if (property_set(conf, name, value, err) != 0) {
        return -1;
    }
    return operator_properties_set(conf, settings, err);
}

int kafka_topic_check(const char *name, const char *setting, struct err *err)
{
    static const char legal[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t len = strlen(name);

    if (len == 0 || len > KAFKA_TOPIC_BYTES_MAX || strspn(name, legal) != len ||
        strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return err_set(err, ERR_INVALID,
                       "%s: \"%s\" is no topic name: 1 to %d letters, digits, '.', '_' and '-'",
                       setting, name, KAFKA_TOPIC_BYTES_MAX);
    }
    return 0;
}
