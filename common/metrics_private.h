/*
 * metrics_private - what common/metrics counts in, and common/metrics_text shows.
 */
#ifndef COMMON_METRICS_PRIVATE_H
#define COMMON_METRICS_PRIVATE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "common/metrics.h"

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
    size_t collector_count;
    struct metrics_collector *collectors;
};

/* The value of metric.sum_bits. */
double metric_double_of_bits(uint64_t bits);

#endif
