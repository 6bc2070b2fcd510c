/*
 * latest - what the last check of each site found, for others to read while checks go on.
 *
 * Each loop has a part, in which it alone writes: a place a site, taken at the site's first result
 * and given back when the site leaves. Any thread may read at any time. Nobody waits for another:
 * a place is written under a turn (a count that is odd meanwhile), and who reads a place that
 * changed under its eyes reads it again. A name that is given back is freed when no reader is at
 * work, which latest_enter and latest_leave say.
 *
 * It knows nothing of schedules, and not who reads it.
 */
#ifndef PRODUCER_LATEST_H
#define PRODUCER_LATEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/event.h"
#include "common/metrics.h"

#define LATEST_NONE 0            /* no place */
#define LATEST_ABSENT UINT32_MAX /* of a time that was not measured */
#define LATEST_HISTORY 32        /* checks that a history goes back */
#define LATEST_MESSAGE_BYTES 128 /* with a NUL; more is cut */
#define LATEST_SITES_MAX 1000000

struct latest;

struct latest_settings {
    size_t parts;
    size_t sites_max; /* places of all parts */
    bool messages;    /* keep error messages too */
};

/* Times in us; one over 71 minutes counts as that. */
struct latest_result {
    int64_t time_us;          /* when the check began, since the epoch */
    int64_t cert_not_after_s; /* or EVENT_ABSENT */
    uint64_t history;         /* statuses, 2 bits each, the latest in the lowest */
    uint32_t dns_us, connect_us, tls_us, wait_us, transfer_us, total_us; /* or LATEST_ABSENT */
    uint32_t lag_us;                    /* time from its slot to its start */
    uint32_t http_status;               /* 0: no response */
    uint8_t checks;                     /* in history */
    uint8_t status, error, error_phase; /* as the event's */
};

/* Counts sitewatch_results_not_shown_total: results without a place, as all were taken. */
struct latest *latest_new(const struct latest_settings *settings, struct metrics *m);
/* Nobody writes or reads any more. */
void latest_free(struct latest *l);

/* --- For the loop of a part --- */

/* The result of a site's final event. place: what the last call for this site returned,
 * LATEST_NONE before the first. Returns its place, or LATEST_NONE when all places are taken. */
uint32_t latest_put(struct latest *l, size_t part, uint32_t place, const struct event *event);
/* The site leaves. LATEST_NONE is fine. */
void latest_remove(struct latest *l, size_t part, uint32_t place);

/* --- For readers --- */

/* Sites that have a place. */
size_t latest_count(const struct latest *l);

/* Where a reading of all sites is. It sees those that had a place when it began and still have it:
 * a site that leaves and comes again meanwhile is not seen twice. */
struct latest_cursor {
    uint64_t generation;
    size_t part, at;
};

/* The first begins a reading, the second begins it again, with the same sites. */
void latest_begin(struct latest *l, struct latest_cursor *cursor);
void latest_rewind(struct latest_cursor *cursor);

/* name[0..len) is not terminated. It and the message are there until latest_leave. */
struct latest_site {
    const char *name;
    size_t len;
    struct latest_result result;
    char message[LATEST_MESSAGE_BYTES]; /* "" without one */
};

/* Around calls of latest_next; not for long, as what is given back waits for it. */
void latest_enter(struct latest *l);
void latest_leave(struct latest *l);
/* False: there are no more. */
bool latest_next(struct latest *l, struct latest_cursor *cursor, struct latest_site *site);

#endif
