/*
 * siterows - put sites into the table websites, many at once. It knows no transaction: the caller
 * begins and ends it.
 */
#ifndef COMMON_SITEROWS_H
#define COMMON_SITEROWS_H

#include <stddef.h>

#include "common/err.h"
#include "common/pg.h"
#include "common/seal.h"
#include "common/site.h"

struct siterows_counts {
    size_t inserted, updated, unchanged;
};

/*
 * A site is known by its name: a new one is inserted, a changed one updated (version + 1), an equal
 * one left alone; a deleted one is revived. `source` is websites.source of those that are written.
 * Counts are added to. Sites have different names.
 */
int siterows_put(PGconn *conn, const struct site *sites, size_t count, const char *source,
                 const struct seal *seal, struct siterows_counts *counts,
                 struct err *err) MUST_CHECK;

#endif
