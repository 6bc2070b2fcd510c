/*
 * run - the producer as a service: where the sites come from, where the events go, signals, the
 * admin endpoint. It joins shards, loader, crew and publish; none knows of the next one. The checks
 * are made in the crew's threads; this one takes delivery reports, so that no check waits for them.
 *
 * Life: start, run until SIGTERM or SIGINT (or, with --once, until every site was checked), drain
 * to a deadline, flush, stop. SIGHUP reads the targets file again; an invalid one leaves the old
 * set running and says why. A second SIGTERM leaves at once.
 */
#ifndef PRODUCER_RUN_H
#define PRODUCER_RUN_H

#include "common/err.h"
#include "producer/options.h"

/* version is for the User-Agent. *any_down: with --once, a site was found down or unknown. */
int run(const struct options *options, const char *version, bool *any_down,
        struct err *err) MUST_CHECK;

/* --check-config: whether settings and sites are valid; says how many. Connects nowhere. */
int run_check(const struct options *options, struct err *err) MUST_CHECK;

#endif
