#include "api/day.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define P95 0.95
#define US_PER_MS 1000.0

/* From good to bad: an hour has the letter of the worst of its checks. */
static const char letters[] = "-?udx";

void day_init(struct day *d)
{
    *d = (struct day){0};
    memset(d->bars, '-', DAY_HOURS);
}

static void add_letter(struct day *d, const struct day_hour *h)
{
    char letter = h->down > 0       ? 'x'
                  : h->degraded > 0 ? 'd'
                  : h->up > 0       ? 'u'
                  : h->unknown > 0  ? '?'
                                    : '-';

    if (strchr(letters, letter) > strchr(letters, d->bars[h->hour])) {
        d->bars[h->hour] = letter;
    }
}

/* A time above the last bucket is in the last one, as there is none above a day. */
static void add_histogram(struct day *d, const char *text)
{
    char *end;

    for (const char *at = text + strcspn(text, "0123456789-"); *at != '\0';
         at = end + strcspn(end, "0123456789-")) {
        long bucket = strtol(at, &end, 10);

        if (*end != ',') {
            return;
        }
        long count = strtol(end + 1, &end, 10);

        bucket = bucket < 0 ? 0 : bucket >= DAY_BUCKETS ? DAY_BUCKETS - 1 : bucket;
        d->buckets[bucket] += count;
        d->responses += count;
    }
}

void day_add(struct day *d, const struct day_hour *h)
{
    if (h->hour < 0 || h->hour >= DAY_HOURS) {
        return;
    }
    add_letter(d, h);
    add_histogram(d, h->histogram);
    d->up += h->up + h->degraded;
    d->judged += h->up + h->degraded + h->down;
    if (h->lowest_us > 0 && (d->lowest_us == 0 || h->lowest_us < d->lowest_us)) {
        d->lowest_us = h->lowest_us;
    }
    if (h->highest_us > d->highest_us) {
        d->highest_us = h->highest_us;
    }
}

/* As histogram_percentiles() of sql/0003_rollups.sql: the first bucket with that share below its
 * end, and never beyond what was measured. */
static double p95_us(const struct day *d, const double bucket_us[DAY_BUCKETS])
{
    int64_t wanted = (int64_t)ceil(P95 * (double)d->responses);
    int64_t seen = d->buckets[0];
    size_t i = 0;

    while (seen < wanted && i + 1 < DAY_BUCKETS) {
        seen += d->buckets[++i];
    }
    return fmin(fmax(bucket_us[i], (double)d->lowest_us), (double)d->highest_us);
}

void day_print(FILE *out, const struct day *d, const double bucket_us[DAY_BUCKETS],
               const char *cert)
{
    fprintf(out, "{\"bars\":\"%s\"", d->bars);
    if (d->judged > 0) {
        fprintf(out, ",\"uptime_24h\":%.9g", (double)d->up / (double)d->judged);
    }
    if (d->responses > 0) {
        fprintf(out, ",\"p95_ms\":%.6g", p95_us(d, bucket_us) / US_PER_MS);
    }
    if (cert[0] != '\0') {
        fprintf(out, ",\"cert_not_after\":\"%s\"", cert);
    }
    fprintf(out, "}");
}
