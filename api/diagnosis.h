/*
 * diagnosis - whether each part of the pipeline is well, and why, from figures: rows of one
 * sentence each. It knows no network, no database and no clock. The bounds are in
 * docs/dashboard.md too.
 */
#ifndef API_DIAGNOSIS_H
#define API_DIAGNOSIS_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "api/scrape.h"

/* What is beyond is not well. */
#define DIAGNOSIS_LAG_S 0.1          /* 99 of 100 checks begin within, from their slot */
#define DIAGNOSIS_LAG_MESSAGES 10000 /* in Kafka that no consumer has read */
#define DIAGNOSIS_OUTBOX_S 60        /* that a change of a site waits for its topic */
#define DIAGNOSIS_ROLLUP_S 900       /* that a rollup is overdue */

enum wellness { WELL, UNKNOWN, NOT_WELL, WELLNESSES };
extern const char *const wellness_names[WELLNESSES];

/* Rows: [{"part", "subject", "what", "state", "value", "why"}]. */
struct diagnosis {
    cJSON *rows;
    size_t counts[WELLNESSES];
};

void diagnosis_begin(struct diagnosis *d);
/* The worst of the rows. */
enum wellness diagnosis_state(const struct diagnosis *d);

/* A program as it is now, and its figures `seconds` before; those may be zeros: since its start,
 * seconds is then 0. */
void diagnosis_program(struct diagnosis *d, const struct scrape_found *now,
                       const struct readings *before, double seconds);
/* No program is named. */
void diagnosis_no_programs(struct diagnosis *d);

struct diagnosis_location {
    const char *name, *observers; /* observers: who made its newest checks */
    int64_t sites, stale;
    double age_s; /* of the newest check; below 0: there is none */
};
void diagnosis_location(struct diagnosis *d, const struct diagnosis_location *location);

/* Of the last hour, not put back; reasons: "3 json, 1 field", or "". */
void diagnosis_letters(struct diagnosis *d, int64_t count, const char *reasons);
void diagnosis_outbox(struct diagnosis *d, int64_t count, double oldest_s);
void diagnosis_rollups(struct diagnosis *d, int64_t count, double overdue_s);
/* A group of consumers: messages whose offsets were stored in between. */
void diagnosis_stored(struct diagnosis *d, const char *group, int64_t partitions, int64_t messages,
                      double seconds);

#endif
