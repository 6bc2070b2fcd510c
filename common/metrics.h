/*
 * metrics - counters, gauges and histograms, and their text: in OpenMetrics 1.0
 * (https://prometheus.io/docs/specs/om/open_metrics_spec/), or in the older text format 0.0.4 for
 * who asks for that.
 *
 * All series are made before threads start; after that any thread may count (relaxed atomics, no
 * lock) while the admin endpoint reads. A series is a family name and a fixed set of labels.
 * Families whose series come and go have a collector, which writes them when they are read.
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
int64_t metric_level(const struct metric *metric);        /* gauge */
void metric_change(struct metric *metric, int64_t by);    /* gauge that several add up to */
void metric_observe(struct metric *metric, double value); /* histogram; below 0 counts as 0 */

/* Seconds, 1-2-5 steps from 1 ms to 60 s: for durations of checks and commits. */
extern const double metrics_seconds_bounds[];
extern const size_t metrics_seconds_bounds_count;

/* --- Families that are written when they are read --- */

#define METRICS_COLLECT_BYTES 65536 /* of one call of collect */

/*
 * begin starts one reading, which several threads may do at a time; end frees it. collect writes
 * the next whole lines, at most METRICS_COLLECT_BYTES, and returns their length, 0 when there are
 * no more. It writes gauges alone, whose text is the same in both formats, and all lines of a
 * family before the next one's.
 */
struct metrics_collector {
    void *(*begin)(void *context);
    size_t (*collect)(void *reading, char *out);
    void (*end)(void *reading);
    void *context;
};

/* Before any reading, as the other families. The collector is copied. */
void metrics_collect(struct metrics *m, const struct metrics_collector *collector);

/* The length of text as a label's value; writes at most twice its bytes, without a terminator. */
size_t metrics_escape(const char *text, size_t len, char *out);

/* --- The text --- */

enum metrics_format { METRICS_OPENMETRICS, METRICS_TEXT };

/* What an Accept header (NULL: none) asks for: the text format when it names text/plain and not
 * OpenMetrics, else OpenMetrics. */
enum metrics_format metrics_format_of(const char *accept);
const char *metrics_content_type(enum metrics_format format);

/*
 * One reading of all there is, piece by piece, so that its size does not matter. The counters and
 * histograms are those of the moment of metrics_read_begin.
 */
struct metrics_reading;
struct metrics_reading *metrics_read_begin(const struct metrics *m, enum metrics_format format);
/* The next bytes, at most size; 0 at the end. */
size_t metrics_read(struct metrics_reading *reading, char *out, size_t size);
void metrics_read_end(struct metrics_reading *reading);

/* The whole of it, terminated. The caller frees. */
char *metrics_render(const struct metrics *m, enum metrics_format format, size_t *len);

#endif
