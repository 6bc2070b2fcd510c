/*
 * seed - put the sites of a targets file into the table websites.
 *
 * A site is known by its name: a new one is inserted, a changed one updated (version + 1), an
 * equal one left alone, all in one transaction. Sites that are not in the file stay. A site that
 * came from an event or the API and stands in the file is the file's from then on; a deleted one
 * is revived.
 */
#ifndef CONSUMER_SEED_H
#define CONSUMER_SEED_H

#include "common/err.h"
#include "common/seal.h"
#include "common/siterows.h"
#include "common/targets.h"

/* `seal` NULL: without the sites' secrets, and a warning. *counts is set on success. ERR_RETRY: the
 * server is away; ERR_INVALID: the DSN does not parse, or Postgres refuses a site; ERR_FATAL:
 * anything else it says. */
int seed_run(const char *dsn, const struct targets *targets, const struct seal *seal,
             struct siterows_counts *counts, struct err *err) MUST_CHECK;

#endif
