/*
 * scrape - asks programs at their admin endpoints how they are: /readyz and /metrics of all of
 * them at once, within a bound of time. It knows nothing of what the figures mean.
 */
#ifndef API_SCRAPE_H
#define API_SCRAPE_H

#include <stdbool.h>

#include "api/readings.h"
#include "common/err.h"

#define SCRAPE_PROGRAMS_MAX 64
#define SCRAPE_MS_MAX 2000
#define SCRAPE_ERROR_SIZE 128

struct scrape;

struct scrape_found {
    const char *address; /* as it was given; of the scrape */
    bool reached;
    char error[SCRAPE_ERROR_SIZE]; /* why not */
    bool ready;                    /* /readyz was 200 */
    struct readings readings;
};

/* "HOST:PORT, HOST:PORT": ERR_INVALID when it is not that. NULL is an empty list. */
int scrape_check(const char *programs, struct err *err) MUST_CHECK;

/* programs has been checked. NULL, ERR_FATAL. */
struct scrape *scrape_new(const char *programs, struct err *err);
void scrape_free(struct scrape *s);
size_t scrape_count(const struct scrape *s);

/* Fills found[0..scrape_count). */
void scrape_run(struct scrape *s, struct scrape_found *found);

#endif
