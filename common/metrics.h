/*
 * metrics - counters, gauges and histograms, and their text in OpenMetrics 1.0
 * (https://prometheus.io/docs/specs/om/open_metrics_spec/).
 *
 * All series are made before threads start; after that any thread may count (relaxed atomics, no
 * lock) while the admin endpoint reads. A series is a family name and a fixed set of labels.
 */
#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H

#include <stddef.h>
#include <stdint.h>

struct metrics;
struct metric;

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

/*
 * name and help are kept by pointer and must outlive m; labels ("status=\"up\"" already in
 * exposition syntax, or NULL) is copied. A counter's name is given without "_total". Families
 * stay together in the output whatever the order of registration; help of the first one counts.
 * The same name and labels again give the series that there is.
 */
struct metric *metrics_counter(struct metrics *m, const char *name, const char *help,
                               const char *labels);
struct metric *metrics_gauge(struct metrics *m, const char *name, const char *help,
                             const char *labels);
/* bounds: upper bounds in ascending order, in the unit of the name, copied; +Inf is added. */
struct metric *metrics_histogram(struct metrics *m, const char *name, const char *help,
                                 const char *labels, const double *bounds, size_t bounds_count);

void metric_add(struct metric *metric, uint64_t n);       /* counter */
uint64_t metric_value(const struct metric *metric);       /* counter, for tests and log lines */
void metric_set(struct metric *metric, int64_t value);    /* gauge */
void metric_change(struct metric *metric, int64_t by);    /* gauge that several add up to */
void metric_observe(struct metric *metric, double value); /* histogram; below 0 counts as 0 */

/* Seconds, 1-2-5 steps from 1 ms to 60 s: for durations of checks and commits. */
extern const double metrics_seconds_bounds[];
extern const size_t metrics_seconds_bounds_count;

#define METRICS_CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* The whole exposition, ending in "# EOF\n". The caller frees. */
char *metrics_render(const struct metrics *m, size_t *len);

#endif
