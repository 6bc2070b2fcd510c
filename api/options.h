/*
 * options - the settings of the api: one table, from which file, environment, flags, --help and
 * the man page all come.
 */
#ifndef API_OPTIONS_H
#define API_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/options.h"

#define API_LISTEN "127.0.0.1:8080"

struct options {
    struct common_options common;
    char *postgres_dsn;
    int64_t threads;
    int64_t connections, connections_per_address;
    int64_t event_clients;
    int64_t timeout_seconds;
    int64_t body_kb, import_kb;
    int64_t rate;
    char *cert_file, *key_file;
    char *cors_origin;
    char *public_tag;
    char *programs;
    char *allow_options;
    char *sites_secret_key;
    int scope; /* 0: read, 1: write */
    char *owner;
    int64_t days;
};

extern const struct settings_table api_options;

#endif
