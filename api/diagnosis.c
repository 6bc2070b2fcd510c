#include "api/diagnosis.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/err.h"

#define TEXT_SIZE 512
#define SPAN_SIZE 48
#define LAG_SHARE 0.99

const char *const wellness_names[WELLNESSES] = {
    [WELL] = "well",
    [UNKNOWN] = "unknown",
    [NOT_WELL] = "not_well",
};

/* Whose row is made. */
struct about {
    const char *part, *subject, *what;
};

static void add(struct diagnosis *d, const struct about *about, enum wellness state,
                const char *value, const char *fmt, ...) PRINTF_LIKE(5, 6);

static void add(struct diagnosis *d, const struct about *about, enum wellness state,
                const char *value, const char *fmt, ...)
{
    cJSON *row = cJSON_CreateObject();
    char why[TEXT_SIZE];
    va_list args;

    va_start(args, fmt);
    vsnprintf(why, sizeof(why), fmt, args);
    va_end(args);
    cJSON_AddStringToObject(row, "part", about->part);
    cJSON_AddStringToObject(row, "subject", about->subject);
    cJSON_AddStringToObject(row, "what", about->what);
    cJSON_AddStringToObject(row, "state", wellness_names[state]);
    cJSON_AddStringToObject(row, "value", value);
    cJSON_AddStringToObject(row, "why", why);
    cJSON_AddItemToArray(d->rows, row);
    d->counts[state]++;
}

void diagnosis_begin(struct diagnosis *d)
{
    *d = (struct diagnosis){.rows = cJSON_CreateArray()};
}

enum wellness diagnosis_state(const struct diagnosis *d)
{
    if (d->counts[NOT_WELL] > 0) {
        return NOT_WELL;
    }
    return d->counts[UNKNOWN] > 0 ? UNKNOWN : WELL;
}

static enum wellness well_if(bool well)
{
    return well ? WELL : NOT_WELL;
}

static const char *count_text(char out[SPAN_SIZE], double count)
{
    snprintf(out, SPAN_SIZE, "%.0f", count);
    return out;
}

static const char *seconds_text(char out[SPAN_SIZE], double seconds)
{
    if (seconds < 1) {
        snprintf(out, SPAN_SIZE, "%.0f ms", seconds * 1000);
    } else if (seconds < 120) {
        snprintf(out, SPAN_SIZE, "%.0f s", seconds);
    } else {
        snprintf(out, SPAN_SIZE, "%.0f min", seconds / 60);
    }
    return out;
}

/* "in 60 s", or "since its start". */
static const char *span_text(char out[SPAN_SIZE], double seconds)
{
    if (seconds > 0) {
        snprintf(out, SPAN_SIZE, "in %.0f s", seconds);
    } else {
        snprintf(out, SPAN_SIZE, "since its start");
    }
    return out;
}

/* --- Programs --- */

/* A program and the time that its figures tell of. */
struct program {
    const struct scrape_found *found;
    const struct readings *now, *before;
    const char *part, *span;
    bool since_start; /* what is wrong may be long over */
};

static enum wellness judge(const struct program *p, bool well)
{
    if (well) {
        return WELL;
    }
    return p->since_start ? UNKNOWN : NOT_WELL;
}

static struct about about(const struct program *p, const char *what)
{
    return (struct about){p->part, p->found->address, what};
}

/* A counter that is not to rise. */
static void add_rise(struct diagnosis *d, const struct program *p, enum reading which,
                     const char *what, const char *words)
{
    struct about row = about(p, what);
    double rise = readings_rise(p->now, p->before, which);
    char value[SPAN_SIZE];

    if (p->now->has[which]) {
        add(d, &row, judge(p, rise <= 0), count_text(value, rise), "%.0f %s %s; well at 0", rise,
            words, p->span);
    }
}

static void add_schedule_lag(struct diagnosis *d, const struct program *p)
{
    struct about row = about(p, "schedule lag");
    double lag = readings_quantile(p->now, p->before, LAG_SHARE);
    char value[SPAN_SIZE], limit[SPAN_SIZE];

    seconds_text(limit, DIAGNOSIS_LAG_S);
    if (lag < 0) {
        add(d, &row, UNKNOWN, "-", "no check was made %s", p->span);
    } else if (isinf(lag)) {
        add(d, &row, judge(p, false), "over 60 s",
            "one of 100 checks and more began over 60 s after their slot %s; well up to %s",
            p->span, limit);
    } else {
        add(d, &row, judge(p, lag <= DIAGNOSIS_LAG_S), seconds_text(value, lag),
            "99 of 100 checks began within %s of their slot %s; well up to %s", value, p->span,
            limit);
    }
}

static void add_producer(struct diagnosis *d, const struct program *p)
{
    const struct readings *r = p->now;
    struct about sites = about(p, "sites");
    struct about spool = about(p, "spool");
    char value[SPAN_SIZE];

    add(d, &sites, WELL, count_text(value, r->values[READING_SITES]),
        "%.0f checks %s, %.0f at this moment", readings_rise(r, p->before, READING_CHECKS), p->span,
        r->values[READING_IN_FLIGHT]);
    if (r->has[READING_SHARDS_READ]) {
        struct about shards = about(p, "shards");
        double reading = r->values[READING_SHARDS_READING];

        add(d, &shards, reading > 0 ? UNKNOWN : WELL,
            count_text(value, r->values[READING_SHARDS_READ]),
            "%.0f shards of the sites are read, %.0f are being read; their sites are not checked "
            "yet",
            r->values[READING_SHARDS_READ], reading);
    }
    add_schedule_lag(d, p);
    add_rise(d, p, READING_MISSED, "slots missed", "slots passed before their check could start");
    if (r->has[READING_SPOOL_EVENTS]) {
        add(d, &spool, well_if(r->values[READING_SPOOL_EVENTS] <= 0),
            count_text(value, r->values[READING_SPOOL_EVENTS]),
            "%.0f events, %.1f MB, are on disk because Kafka has not taken them; well at 0",
            r->values[READING_SPOOL_EVENTS], r->values[READING_SPOOL_BYTES] / 1e6);
    }
    add_rise(d, p, READING_DROPPED, "events given up", "events were given up");
}

static void add_consumer(struct diagnosis *d, const struct program *p)
{
    const struct readings *r = p->now;
    struct about rows = about(p, "rows");
    struct about lag = about(p, "consumer lag");
    double behind = r->values[READING_LAG];
    char value[SPAN_SIZE];

    add(d, &rows, WELL, count_text(value, readings_rise(r, p->before, READING_ROWS)),
        "%.0f rows were stored %s, from %.0f partitions", readings_rise(r, p->before, READING_ROWS),
        p->span, r->values[READING_PARTITIONS]);
    add(d, &lag, well_if(behind <= DIAGNOSIS_LAG_MESSAGES), count_text(value, behind),
        "%.0f messages of its partitions are not read yet; well up to %d", behind,
        DIAGNOSIS_LAG_MESSAGES);
    add_rise(d, p, READING_OUTAGES, "outages", "times storing stopped because a server was away");
    add_rise(d, p, READING_LETTERS, "dead letters", "messages were no valid events");
    add_rise(d, p, READING_SKIPPED, "offsets skipped",
             "offsets were deleted from the log before they were read");
}

void diagnosis_program(struct diagnosis *d, const struct scrape_found *now,
                       const struct readings *before, double seconds)
{
    char span[SPAN_SIZE];
    const struct readings *r = &now->readings;
    struct program p = {now, r, before, "program", span_text(span, seconds), seconds <= 0};
    struct about answers = {"program", now->address, "answers"};

    if (!now->reached) {
        add(d, &answers, NOT_WELL, "no", "%s", now->error);
        return;
    }
    if (r->has[READING_CHECKS]) {
        p.part = "producer";
    } else if (r->has[READING_ROWS]) {
        p.part = "consumer";
    }
    struct about ready = about(&p, "ready");

    add(d, &ready, well_if(now->ready), now->ready ? "yes" : "no", "%s",
        now->ready ? "it does its work" : "/readyz says that it does not do its work: see its log");
    if (r->has[READING_CHECKS]) {
        add_producer(d, &p);
    } else if (r->has[READING_ROWS]) {
        add_consumer(d, &p);
    }
}

void diagnosis_no_programs(struct diagnosis *d)
{
    static const struct about row = {"program", "", "answers"};

    add(d, &row, UNKNOWN, "-",
        "api-programs names no program: what producers and consumers say of themselves is not "
        "known");
}

/* --- The database --- */

void diagnosis_location(struct diagnosis *d, const struct diagnosis_location *l)
{
    struct about row = {"location", l->name, "checks stored"};
    char value[SPAN_SIZE] = "none";

    if (l->age_s >= 0) {
        seconds_text(value, l->age_s);
    }
    add(d, &row, well_if(l->stale == 0), value,
        "%" PRId64 " of %" PRId64 " sites have sent nothing for three intervals and a minute; well"
        " at 0; the newest checks are of %s",
        l->stale, l->sites, l->observers[0] == '\0' ? "nobody" : l->observers);
}

void diagnosis_letters(struct diagnosis *d, int64_t count, const char *reasons)
{
    static const struct about row = {"database", "", "dead letters"};
    char value[SPAN_SIZE];

    add(d, &row, well_if(count == 0), count_text(value, (double)count),
        "%" PRId64 " messages were no valid events in the last hour and are not put back%s%s; well"
        " at 0",
        count, reasons[0] == '\0' ? "" : ": ", reasons);
}

void diagnosis_outbox(struct diagnosis *d, int64_t count, double oldest_s)
{
    static const struct about row = {"database", "", "outbox"};
    char value[SPAN_SIZE], age[SPAN_SIZE];

    add(d, &row, well_if(oldest_s <= DIAGNOSIS_OUTBOX_S), count_text(value, (double)count),
        "%" PRId64 " changes of sites wait for their topic, the oldest for %s; well up to %d s",
        count, seconds_text(age, oldest_s), DIAGNOSIS_OUTBOX_S);
}

void diagnosis_rollups(struct diagnosis *d, int64_t count, double overdue_s)
{
    static const struct about row = {"database", "", "rollups"};
    char value[SPAN_SIZE], age[SPAN_SIZE];

    add(d, &row, well_if(overdue_s <= DIAGNOSIS_ROLLUP_S), count_text(value, (double)count),
        "%" PRId64 " rollups of an hour are due, the oldest for %s; well up to %d min", count,
        seconds_text(age, overdue_s), DIAGNOSIS_ROLLUP_S / 60);
}

void diagnosis_stored(struct diagnosis *d, const char *group, int64_t partitions, int64_t messages,
                      double seconds)
{
    struct about row = {"group", group, "messages stored"};
    char value[SPAN_SIZE], span[SPAN_SIZE];

    if (seconds <= 0) {
        add(d, &row, UNKNOWN, "-", "%" PRId64 " partitions; looked at once so far", partitions);
        return;
    }
    add(d, &row, messages > 0 ? WELL : UNKNOWN, count_text(value, (double)messages),
        "%" PRId64 " messages of %" PRId64 " partitions were stored %s%s", messages, partitions,
        span_text(span, seconds), messages > 0 ? "" : ": none came, or nobody stores them");
}
