/*
 * options - the settings of the producer: one table, from which file, environment, flags, --help
 * and the man page all come.
 */
#ifndef PRODUCER_OPTIONS_H
#define PRODUCER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/kafka.h"
#include "common/options.h"
#include "common/settings.h"

enum output { OUTPUT_AUTO, OUTPUT_KAFKA, OUTPUT_JSON };

#define PRODUCER_LISTEN "127.0.0.1:9101"

struct options {
    struct common_options common;
    char *url;
    int64_t seconds;
    char *pattern;
    char *targets_file;
    char *targets_topic, *topic_sites; /* producer/source says which of them counts */
    char *sites_secret_key;            /* NULL: secrets of the topic's sites do not open */
    bool once, watch;
    int output; /* enum output */
    char *location;
    char *observer;     /* NULL: the host's name */
    int check_on_start; /* enum setting_maybe */
    int64_t threads;
    int64_t in_flight_max;
    int64_t site_metrics_max;
    int64_t drain_seconds;
    char *dns_servers;
    int64_t dns_timeout_ms, dns_tries, dns_ttl_min_s, dns_ttl_max_s, dns_negative_ttl_s;
    char *probe_self; /* NULL: off */
    struct kafka_settings kafka;
    char *topic_success, *topic_failure;
    char *spool_file; /* NULL: the default; SPOOL_OFF: none */
    int64_t spool_max_mb;
};

#define SPOOL_OFF "off"

extern const struct settings_table producer_options;

/* What goes together. ERR_INVALID. */
int options_check(const struct options *o, struct err *err) MUST_CHECK;
/* Whether events go to Kafka. */
bool options_want_kafka(const struct options *o);

#endif
