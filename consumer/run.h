/*
 * run - the consumer as a service: workers in threads, maintenance, signals, the admin endpoint.
 *
 * Life: migrate (unless --no-migrate), start the workers, run until SIGTERM or SIGINT, drain to a
 * deadline, stop. A second signal leaves at once: nothing is lost by that, what was not stored is
 * read again.
 */
#ifndef CONSUMER_RUN_H
#define CONSUMER_RUN_H

#include "common/err.h"
#include "consumer/options.h"

int run(const struct options *options, struct err *err) MUST_CHECK;

/* --check-config: whether the settings would do, without connecting anywhere. */
int run_check(const struct options *options, struct err *err) MUST_CHECK;

#endif
