/*
 * sitepool - what the sites of a set have in common, kept once: texts, lists, expressions.
 *
 * A million sites with the same headers, most often those of the file's defaults, have one copy of
 * them, and one compiled expression for each loop, as a pattern is for one thread. Used by the
 * thread that owns the set alone; what it hands out may be read by any.
 */
#ifndef PRODUCER_SITEPOOL_H
#define PRODUCER_SITEPOOL_H

#include <stddef.h>

#include "common/site.h"
#include "producer/judge.h"

struct sitepool;

/* parts: the loops. */
struct sitepool *sitepool_new(size_t parts);
/* All was released. */
void sitepool_free(struct sitepool *pool);

/* Puts shared texts in the place of the site's own, but for url and name, and compiles what it has
 * to match. The site must not be freed before sitepool_release. */
void sitepool_share(struct sitepool *pool, size_t part, struct site *site,
                    struct judge_patterns *patterns);
/* Takes them out again: the site has what is left, for site_free. */
void sitepool_release(struct sitepool *pool, size_t part, struct site *site);

#endif
