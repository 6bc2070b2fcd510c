/*
 * pipeline - GET /pipeline: whether each part of the pipeline is well, and why. The api has no
 * connection to Kafka: it asks the programs that a setting names at their admin endpoints, and
 * Postgres. A thread does it, while somebody asks, every few seconds at the most; who asks gets
 * what was found last.
 */
#ifndef API_PIPELINE_H
#define API_PIPELINE_H

#include "api/route.h"

struct pipeline;

/* programs: as scrape.h has them, or NULL. NULL, ERR_FATAL. */
struct pipeline *pipeline_new(struct db *db, const char *programs, struct metrics *m,
                              struct err *err);
void pipeline_free(struct pipeline *p);

/* Somebody asks: a look is taken soon, unless the last one is new. */
void pipeline_want(struct pipeline *p);

route_handle pipeline_get;

#endif
