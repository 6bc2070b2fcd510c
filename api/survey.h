/*
 * survey - one look at the whole pipeline: the programs that a setting names, at their admin
 * endpoints, and Postgres. It keeps the looks of the last minute, to tell what came in between.
 * One thread uses it.
 */
#ifndef API_SURVEY_H
#define API_SURVEY_H

#include <stdint.h>

#include "api/db.h"
#include "api/scrape.h"
#include "common/metrics.h"

#define SURVEY_SECONDS_MIN 5    /* between two looks */
#define SURVEY_WINDOW_S 60      /* figures that rise are told of so long */
#define SURVEY_LOCATIONS_MAX 50 /* told of */
#define SURVEY_GROUPS_MAX 20

struct survey;

/* programs: as scrape.h has them, or NULL. NULL, ERR_FATAL. */
struct survey *survey_new(struct db *db, const char *programs, struct metrics *m, struct err *err);
void survey_free(struct survey *s);

/* The answer to GET /pipeline, which the caller frees; NULL when Postgres failed, which is logged.
 * *database_ns: how long Postgres took. */
char *survey_take(struct survey *s, int64_t *database_ns);

#endif
