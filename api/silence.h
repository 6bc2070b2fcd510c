/*
 * silence - which locations of sites nothing is heard of, compared with those of the look before:
 * time alone makes a location silent, so that no row tells of it. It does not know who is told.
 */
#ifndef API_SILENCE_H
#define API_SILENCE_H

#include <stdbool.h>

#include "common/pg.h"

#define SILENCE_LOCATIONS_MAX 10000 /* of sites, that are compared */

struct silence;

struct silence *silence_new(void);
void silence_free(struct silence *s);

/* Adds to `ids`, of PG_INT8, the site of each location that fell silent or was heard of again since
 * the last look; at the first look none. *many: such locations have become too many to compare, or
 * are no longer, and any site may be one of theirs. */
int silence_look(struct silence *s, PGconn *conn, struct pg_array *ids, bool *many,
                 struct err *err) MUST_CHECK;

/* The next look is the first. */
void silence_forget(struct silence *s);

#endif
