/*
 * run - the server from its settings to its end.
 */
#ifndef API_RUN_H
#define API_RUN_H

#include "api/options.h"

/* Serve until SIGTERM or SIGINT. */
int run(const struct options *options, struct err *err) MUST_CHECK;

/* Whether the settings are valid, without the database. */
int run_check(const struct options *options, struct err *err) MUST_CHECK;

#endif
