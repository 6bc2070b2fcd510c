/*
 * day - what the checks of a site came to in 24 hours, put together from hours: a bar, uptime and
 * p95. Pure arithmetic: it knows no clock, no database and no request.
 */
#ifndef API_DAY_H
#define API_DAY_H

#include <stdint.h>
#include <stdio.h>

#define DAY_HOURS 24
#define DAY_BUCKETS 318 /* of histogram_bucket(): up to that of 24 hours */

struct day {
    char bars[DAY_HOURS + 1];
    int64_t up, judged;
    int64_t lowest_us, highest_us; /* 0: no response */
    int64_t responses;
    int64_t buckets[DAY_BUCKETS];
};

/* The checks of an hour at one location, as a row of rollups_1h has them. */
struct day_hour {
    int hour; /* 0 is the oldest of the day; others are passed over */
    int64_t up, degraded, down, unknown;
    int64_t lowest_us, highest_us; /* 0: no response */
    const char *histogram;         /* a tally as Postgres writes it: {136,4,140,1} */
};

void day_init(struct day *d);
void day_add(struct day *d, const struct day_hour *h);

/* The object of a site in /overview; bucket_us[i] is the time that stands for the i-th bucket;
 * `cert` is when the certificate ends, "" when that is not known. */
void day_print(FILE *out, const struct day *d, const double bucket_us[DAY_BUCKETS],
               const char *cert);

#endif
