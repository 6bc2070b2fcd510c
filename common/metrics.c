#include "common/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/mem.h"

enum kind { COUNTER, GAUGE, HISTOGRAM };

struct metric {
    struct metric *next; /* of its family, in the order of registration */
    enum kind kind;
    char *labels; /* "" when there are none */

    _Atomic uint64_t count; /* counter */
    _Atomic int64_t level;  /* gauge */

    /* A histogram: buckets[i] counts what is above bounds[i - 1] and up to bounds[i]; the last one
     * is +Inf's. They are summed up when shown, so that an observation touches one of them. */
    size_t bounds_count;
    double *bounds;
    _Atomic uint64_t *buckets;
    _Atomic uint64_t sum_bits; /* of a double */
};

struct family {
    enum kind kind;
    const char *name, *help;
    struct metric *first, *last;
};

struct metrics {
    size_t count;
    struct family *families;
};

/* 60 stands in for 50: a minute is what people ask about. */
const double metrics_seconds_bounds[] = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2,
                                         0.5,   1,     2,     5,    10,   20,   60};
const size_t metrics_seconds_bounds_count =
    sizeof(metrics_seconds_bounds) / sizeof(metrics_seconds_bounds[0]);

struct metrics *metrics_new(void)
{
    return mem_alloc(1, sizeof(struct metrics));
}

void metrics_free(struct metrics *m)
{
    if (m == NULL) {
        return;
    }
    for (size_t i = 0; i < m->count; i++) {
        struct metric *metric = m->families[i].first;

        while (metric != NULL) {
            struct metric *next = metric->next;

            free(metric->labels);
            free(metric->bounds);
            free(metric->buckets);
            free(metric);
            metric = next;
        }
    }
    free(m->families);
    free(m);
}

static struct family *family_get(struct metrics *m, enum kind kind, const char *name,
                                 const char *help)
{
    for (size_t i = 0; i < m->count; i++) {
        if (strcmp(m->families[i].name, name) == 0) {
            assert(m->families[i].kind == kind);
            return &m->families[i];
        }
    }
    m->families = mem_resize(m->families, m->count + 1, sizeof(*m->families));
    m->families[m->count] = (struct family){.kind = kind, .name = name, .help = help};
    return &m->families[m->count++];
}

/* The series of these labels: two of the same would make the exposition invalid. */
static struct metric *series_get(struct metrics *m, enum kind kind, const char *name,
                                 const char *help, const char *labels)
{
    struct family *family = family_get(m, kind, name, help);
    const char *wanted = labels == NULL ? "" : labels;

    for (struct metric *metric = family->first; metric != NULL; metric = metric->next) {
        if (strcmp(metric->labels, wanted) == 0) {
            return metric;
        }
    }

    struct metric *metric = mem_alloc(1, sizeof(*metric));

    metric->kind = kind;
    metric->labels = mem_copy_string(wanted);
    if (family->last == NULL) {
        family->first = metric;
    } else {
        family->last->next = metric;
    }
    family->last = metric;
    return metric;
}

struct metric *metrics_counter(struct metrics *m, const char *name, const char *help,
                               const char *labels)
{
    return series_get(m, COUNTER, name, help, labels);
}

struct metric *metrics_gauge(struct metrics *m, const char *name, const char *help,
                             const char *labels)
{
    return series_get(m, GAUGE, name, help, labels);
}

struct metric *metrics_histogram(struct metrics *m, const char *name, const char *help,
                                 const char *labels, const double *bounds, size_t bounds_count)
{
    struct metric *metric = series_get(m, HISTOGRAM, name, help, labels);

    if (metric->buckets != NULL) {
        return metric;
    }
    for (size_t i = 1; i < bounds_count; i++) {
        assert(bounds[i - 1] < bounds[i]);
    }
    metric->bounds = mem_alloc(bounds_count, sizeof(*bounds));
    memcpy(metric->bounds, bounds, bounds_count * sizeof(*bounds));
    metric->bounds_count = bounds_count;
    metric->buckets = mem_alloc(bounds_count + 1, sizeof(*metric->buckets));
    return metric;
}

void metric_add(struct metric *metric, uint64_t n)
{
    assert(metric->kind == COUNTER);
    atomic_fetch_add_explicit(&metric->count, n, memory_order_relaxed);
}

uint64_t metric_value(const struct metric *metric)
{
    assert(metric->kind == COUNTER);
    return atomic_load_explicit(&metric->count, memory_order_relaxed);
}

void metric_set(struct metric *metric, int64_t value)
{
    assert(metric->kind == GAUGE);
    atomic_store_explicit(&metric->level, value, memory_order_relaxed);
}

void metric_change(struct metric *metric, int64_t by)
{
    assert(metric->kind == GAUGE);
    atomic_fetch_add_explicit(&metric->level, by, memory_order_relaxed);
}

static double double_of_bits(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint64_t bits_of_double(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* Counts in nano-units would overflow 64 bits with rows and bytes, so the sum is a double. */
static void sum_add(_Atomic uint64_t *sum, double value)
{
    uint64_t old = atomic_load_explicit(sum, memory_order_relaxed);

    while (!atomic_compare_exchange_weak_explicit(sum, &old,
                                                  bits_of_double(double_of_bits(old) + value),
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

void metric_observe(struct metric *metric, double value)
{
    assert(metric->kind == HISTOGRAM);

    /* A negative one would take the sum down, and a NaN would stay in it for ever. */
    double counted = value > 0 ? value : 0;
    size_t bucket = 0;

    while (bucket < metric->bounds_count && counted > metric->bounds[bucket]) {
        bucket++;
    }
    atomic_fetch_add_explicit(&metric->buckets[bucket], 1, memory_order_relaxed);
    sum_add(&metric->sum_bits, counted);
}

struct text {
    char *bytes;
    size_t len, size;
};

static void text_add(struct text *text, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void text_add(struct text *text, const char *fmt, ...)
{
    va_list args, again;

    va_start(args, fmt);
    va_copy(again, args);

    size_t len = (size_t)vsnprintf(NULL, 0, fmt, args);

    if (text->len + len + 1 > text->size) {
        text->size = 2 * (text->len + len + 1);
        text->bytes = mem_resize(text->bytes, text->size, 1);
    }
    vsnprintf(text->bytes + text->len, len + 1, fmt, again);
    text->len += len;
    va_end(again);
    va_end(args);
}

/* The shortest digits that read back as the same number, and always a float: "1.0", "+Inf". */
static void text_add_number(struct text *text, double value)
{
    char digits[40];

    if (isinf(value)) {
        text_add(text, "%s", value > 0 ? "+Inf" : "-Inf");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof(digits), "%.*g", precision, value);
        if (strtod(digits, NULL) == value) {
            break;
        }
    }
    text_add(text, "%s%s", digits, strpbrk(digits, ".e") == NULL ? ".0" : "");
}

static void text_add_escaped(struct text *text, const char *help)
{
    for (const char *c = help; *c != '\0'; c++) {
        if (*c == '\n') {
            text_add(text, "\\n");
        } else {
            text_add(text, "%s%c", *c == '\\' || *c == '"' ? "\\" : "", *c);
        }
    }
}

/* A unit must be the end of the name; these two are the ones that our names end with. */
static const char *family_unit(const struct family *family)
{
    static const char *const units[] = {"seconds", "bytes"};
    size_t name_len = strlen(family->name);

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t len = strlen(units[i]);

        if (name_len > len + 1 && family->name[name_len - len - 1] == '_' &&
            strcmp(family->name + name_len - len, units[i]) == 0) {
            return units[i];
        }
    }
    return NULL;
}

static void render_head(struct text *text, const struct family *family)
{
    static const char *const types[] = {
        [COUNTER] = "counter", [GAUGE] = "gauge", [HISTOGRAM] = "histogram"};
    const char *unit = family_unit(family);

    text_add(text, "# TYPE %s %s\n", family->name, types[family->kind]);
    if (unit != NULL) {
        text_add(text, "# UNIT %s %s\n", family->name, unit);
    }
    text_add(text, "# HELP %s ", family->name);
    text_add_escaped(text, family->help);
    text_add(text, "\n");
}

static void render_name(struct text *text, const char *name, const char *suffix,
                        const struct metric *metric)
{
    text_add(text, "%s%s", name, suffix);
    if (metric->labels[0] != '\0') {
        text_add(text, "{%s}", metric->labels);
    }
    text_add(text, " ");
}

static void render_histogram(struct text *text, const char *name, const struct metric *metric)
{
    uint64_t total = 0;

    for (size_t i = 0; i <= metric->bounds_count; i++) {
        total += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
        text_add(text, "%s_bucket{%s%sle=\"", name, metric->labels,
                 metric->labels[0] == '\0' ? "" : ",");
        text_add_number(text, i < metric->bounds_count ? metric->bounds[i] : INFINITY);
        text_add(text, "\"} %" PRIu64 "\n", total);
    }
    /* The count is the +Inf bucket as just shown, also while another thread observes. */
    render_name(text, name, "_count", metric);
    text_add(text, "%" PRIu64 "\n", total);
    render_name(text, name, "_sum", metric);
    text_add_number(text,
                    double_of_bits(atomic_load_explicit(&metric->sum_bits, memory_order_relaxed)));
    text_add(text, "\n");
}

static void render_metric(struct text *text, const char *name, const struct metric *metric)
{
    switch (metric->kind) {
    case COUNTER:
        render_name(text, name, "_total", metric);
        text_add(text, "%" PRIu64 "\n", metric_value(metric));
        break;
    case GAUGE:
        render_name(text, name, "", metric);
        text_add(text, "%" PRId64 "\n", atomic_load_explicit(&metric->level, memory_order_relaxed));
        break;
    case HISTOGRAM:
        render_histogram(text, name, metric);
        break;
    }
}

char *metrics_render(const struct metrics *m, size_t *len)
{
    struct text text = {0};

    for (size_t i = 0; i < m->count; i++) {
        render_head(&text, &m->families[i]);
        for (const struct metric *metric = m->families[i].first; metric != NULL;
             metric = metric->next) {
            render_metric(&text, m->families[i].name, metric);
        }
    }
    text_add(&text, "# EOF\n");
    *len = text.len;
    return text.bytes;
}
