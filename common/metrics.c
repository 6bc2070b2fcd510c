#include "common/metrics.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/metrics_private.h"

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
    free(m->collectors);
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

int64_t metric_level(const struct metric *metric)
{
    assert(metric->kind == GAUGE);
    return atomic_load_explicit(&metric->level, memory_order_relaxed);
}

void metric_change(struct metric *metric, int64_t by)
{
    assert(metric->kind == GAUGE);
    atomic_fetch_add_explicit(&metric->level, by, memory_order_relaxed);
}

double metric_double_of_bits(uint64_t bits)
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

    while (!atomic_compare_exchange_weak_explicit(
        sum, &old, bits_of_double(metric_double_of_bits(old) + value), memory_order_relaxed,
        memory_order_relaxed)) {
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

void metrics_collect(struct metrics *m, const struct metrics_collector *collector)
{
    m->collectors = mem_resize(m->collectors, m->collector_count + 1, sizeof(m->collectors[0]));
    m->collectors[m->collector_count++] = *collector;
}
