/*
 * options - the settings of the consumer: one table, from which file, environment, flags, --help
 * and the man page all come.
 */
#ifndef CONSUMER_OPTIONS_H
#define CONSUMER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/kafka.h"
#include "common/options.h"
#include "common/settings.h"

#define CONSUMER_LISTEN "127.0.0.1:9102"
#define OPTIONS_LIMIT_DEFAULT 50 /* dead letters on a page */

struct options {
    struct common_options common;
    char *postgres_dsn;
    struct kafka_settings kafka;
    char *kafka_group;
    char *topic_success, *topic_failure, *topic_dead_letter;
    int64_t workers;
    int64_t batch_rows, batch_mb, batch_ms;
    int64_t answer_seconds;
    int64_t fetch_mb;
    int64_t retention_days, dead_letter_days, dead_letter_rows;
    int64_t incident_days, incident_rows;
    int64_t rollup_retention_days, rollup_delay_seconds;
    int64_t max_auto_sites;
    int64_t drain_seconds;
    bool no_migrate;
    /* of single commands; consumer/command.c says which takes which */
    char *topic_sites;
    char *sites_secret_key;
    bool topics;
    int64_t replication_factor; /* 0: the broker's own */
    char *topic, *partition, *to;
    char *reason, *since, *until;
    int64_t before, limit;
    int output; /* enum letters_format */
    bool all, execute, force;
};

extern const struct settings_table consumer_options;

#endif
