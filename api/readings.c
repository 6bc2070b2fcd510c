#include "api/readings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *label, *value; /* label: NULL: every series of this name */
} series[READINGS] = {
    [READING_CHECKS] = {"sitewatch_checks_total", NULL, NULL},
    [READING_SITES] = {"sitewatch_sites", NULL, NULL},
    [READING_IN_FLIGHT] = {"sitewatch_checks_in_flight", NULL, NULL},
    [READING_MISSED] = {"sitewatch_slots_missed_total", NULL, NULL},
    [READING_SHARDS_READ] = {"sitewatch_shards", "state", "read"},
    [READING_SHARDS_READING] = {"sitewatch_shards", "state", "reading"},
    [READING_WAITING] = {"sitewatch_events_waiting", NULL, NULL},
    [READING_SPOOL_EVENTS] = {"sitewatch_spool_events", NULL, NULL},
    [READING_SPOOL_BYTES] = {"sitewatch_spool_bytes", NULL, NULL},
    [READING_DROPPED] = {"sitewatch_events_dropped_total", NULL, NULL},
    [READING_ROWS] = {"sitewatch_rows_total", NULL, NULL},
    [READING_LAG] = {"sitewatch_consumer_lag", NULL, NULL},
    [READING_PARTITIONS] = {"sitewatch_consumer_partitions", NULL, NULL},
    [READING_OUTAGES] = {"sitewatch_outages_total", NULL, NULL},
    [READING_LETTERS] = {"sitewatch_dead_letters_total", NULL, NULL},
    [READING_SKIPPED] = {"sitewatch_offsets_skipped_total", NULL, NULL},
};

static const char lag_name[] = "sitewatch_schedule_lag_seconds_bucket";

/* name{labels} value */
struct sample {
    const char *name, *labels; /* labels: what is between the braces */
    size_t name_len, labels_len;
    double value;
};

/* Where the quoted value that begins at `at` ends, NULL when it does not. */
static const char *end_of_value(const char *at, const char *end)
{
    for (; at < end && *at != '"'; at++) {
        at += *at == '\\'; /* and what it escapes */
    }
    return at < end ? at : NULL;
}

/* Past the closing brace, NULL when the labels do not close. */
static const char *skip_labels(const char *at, const char *end)
{
    while (at < end && *at != '}') {
        if (*at++ == '"') {
            at = end_of_value(at, end);
            if (at == NULL) {
                return NULL;
            }
            at++;
        }
    }
    return at < end ? at + 1 : NULL;
}

/* `line` ends in a NUL. False: it is no sample. */
static bool parse(const char *line, size_t len, struct sample *s)
{
    const char *end = line + len;
    const char *at = line + strcspn(line, "{ ");
    char *value_end = NULL;

    *s = (struct sample){.name = line, .name_len = (size_t)(at - line)};
    if (*at == '{') {
        const char *past = skip_labels(at + 1, end);

        if (past == NULL) {
            return false;
        }
        s->labels = at + 1;
        s->labels_len = (size_t)(past - at - 2);
        at = past;
    }
    if (s->name_len == 0 || *at != ' ') {
        return false;
    }
    s->value = strtod(at + 1, &value_end);
    return value_end != at + 1 && (*value_end == '\0' || *value_end == ' ') && !isnan(s->value);
}

static bool is_named(const struct sample *s, const char *name)
{
    return s->name_len == strlen(name) && memcmp(s->name, name, s->name_len) == 0;
}

/* The text between the quotes, *len long; NULL: there is no such label. */
static const char *label_value(const struct sample *s, const char *name, size_t *len)
{
    const char *at = s->labels;
    const char *end = at == NULL ? NULL : at + s->labels_len;
    size_t name_len = strlen(name);

    while (at != NULL && at < end) {
        const char *equals = memchr(at, '=', (size_t)(end - at));
        const char *value = equals == NULL || equals + 1 >= end ? NULL : equals + 2;
        const char *past = value == NULL ? NULL : end_of_value(value, end);

        if (past == NULL) {
            return NULL;
        }
        if ((size_t)(equals - at) == name_len && memcmp(at, name, name_len) == 0) {
            *len = (size_t)(past - value);
            return value;
        }
        at = past + 1 < end && past[1] == ',' ? past + 2 : end;
    }
    return NULL;
}

static void add_bucket(struct readings *r, const struct sample *s)
{
    size_t len = 0;
    const char *le = label_value(s, "le", &len);
    char *end = NULL;
    double bound = le == NULL ? NAN : strtod(le, &end); /* it ends at the quote */

    if (isnan(bound) || end == le) {
        return;
    }
    size_t i = 0;

    while (i < r->bounds_count && r->bounds[i] < bound) {
        i++;
    }
    if (i == r->bounds_count || r->bounds[i] != bound) {
        if (r->bounds_count == READINGS_BOUNDS_MAX) {
            return;
        }
        memmove(&r->bounds[i + 1], &r->bounds[i], (r->bounds_count - i) * sizeof(r->bounds[0]));
        memmove(&r->counts[i + 1], &r->counts[i], (r->bounds_count - i) * sizeof(r->counts[0]));
        r->bounds_count++;
        r->bounds[i] = bound;
        r->counts[i] = 0;
    }
    r->counts[i] += s->value;
}

static void add_sample(struct readings *r, const struct sample *s)
{
    if (is_named(s, lag_name)) {
        add_bucket(r, s);
        return;
    }
    for (size_t i = 0; i < READINGS; i++) {
        size_t len = 0;
        const char *value = series[i].label == NULL ? NULL : label_value(s, series[i].label, &len);

        if (is_named(s, series[i].name) &&
            (series[i].label == NULL || (value != NULL && len == strlen(series[i].value) &&
                                         memcmp(value, series[i].value, len) == 0))) {
            r->has[i] = true;
            r->values[i] += s->value;
        }
    }
}

static void take_line(struct readings_reader *reader)
{
    struct sample s;

    reader->line[reader->len] = '\0';
    if (strcmp(reader->line, "# EOF") == 0 || strncmp(reader->line, "probe_", 6) == 0) {
        reader->ended = true;
    } else if (reader->line[0] != '#' && parse(reader->line, reader->len, &s)) {
        add_sample(reader->into, &s);
    }
}

void readings_begin(struct readings_reader *reader, struct readings *into)
{
    *into = (struct readings){0};
    reader->into = into;
    reader->len = 0;
    reader->too_long = reader->ended = false;
}

void readings_take(struct readings_reader *reader, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len && !reader->ended; i++) {
        if (bytes[i] == '\n') {
            if (!reader->too_long) {
                take_line(reader);
            }
            reader->len = 0;
            reader->too_long = false;
        } else if (reader->len + 1 == sizeof(reader->line)) {
            reader->too_long = true;
        } else {
            reader->line[reader->len++] = bytes[i];
        }
    }
}

double readings_rise(const struct readings *now, const struct readings *before, enum reading which)
{
    double rise = now->values[which] - before->values[which];

    return rise >= 0 ? rise : now->values[which];
}

double readings_quantile(const struct readings *now, const struct readings *before, double share)
{
    const struct readings none = {0};
    size_t last = now->bounds_count;

    if (last == 0) {
        return -1;
    }
    if (before->bounds_count != last || before->counts[last - 1] > now->counts[last - 1]) {
        before = &none;
    }
    double all = now->counts[last - 1] - before->counts[last - 1];

    if (all <= 0) {
        return -1;
    }
    for (size_t i = 0; i < last; i++) {
        if (now->counts[i] - before->counts[i] >= share * all) {
            return now->bounds[i];
        }
    }
    return now->bounds[last - 1];
}
