/*
 * readings - what of a program's /metrics (OpenMetrics, or the text format 0.0.4) tells whether it
 * is well. The text is read as it comes, line by line, and not kept. It knows no network.
 */
#ifndef API_READINGS_H
#define API_READINGS_H

#include <stdbool.h>
#include <stddef.h>

#define READINGS_LINE_BYTES_MAX 4096 /* a longer one is passed over */
#define READINGS_BOUNDS_MAX 32

/* One a series or the sum of several; the names are in readings.c. */
enum reading {
    READING_CHECKS, /* of a producer */
    READING_SITES,
    READING_IN_FLIGHT,
    READING_MISSED,
    READING_SHARDS_READ,
    READING_SHARDS_READING,
    READING_WAITING,
    READING_SPOOL_EVENTS,
    READING_SPOOL_BYTES,
    READING_DROPPED,
    READING_ROWS, /* of a consumer */
    READING_LAG,
    READING_PARTITIONS,
    READING_OUTAGES,
    READING_LETTERS,
    READING_SKIPPED,
    READINGS
};

struct readings {
    bool has[READINGS];
    double values[READINGS];
    /* Of sitewatch_schedule_lag_seconds, all its series together. */
    size_t bounds_count;
    double bounds[READINGS_BOUNDS_MAX]; /* the last is infinite */
    double counts[READINGS_BOUNDS_MAX]; /* at or below the bound */
};

struct readings_reader {
    struct readings *into;
    char line[READINGS_LINE_BYTES_MAX];
    size_t len;
    bool too_long; /* what is left of the line is passed over */
    bool ended;    /* "# EOF", or the series of sites began, which come last */
};

void readings_begin(struct readings_reader *reader, struct readings *into);
/* The next piece of the text. */
void readings_take(struct readings_reader *reader, const char *bytes, size_t len);

/* What came in between; a counter that went down belongs to a program that was started anew. */
double readings_rise(const struct readings *now, const struct readings *before, enum reading which);

/* The bound below which `share` of what the histogram counted in between lies; -1: it counted
 * nothing. */
double readings_quantile(const struct readings *now, const struct readings *before, double share);

#endif
