/* The value of a series as /metrics shows it. */
#ifndef TESTS_UNIT_SERIES_H
#define TESTS_UNIT_SERIES_H

#include <stdlib.h>
#include <string.h>

#include "common/metrics.h"

/* series: what stands before the value, with the space: "sitewatch_x_total{a=\"b\"} ". It is there.
 */
static inline int64_t series_value(const struct metrics *m, const char *series)
{
    size_t len;
    char *text = metrics_render(m, METRICS_OPENMETRICS, &len);
    const char *at = strstr(text, series);

    assert_non_null(at);

    int64_t value = strtoll(at + strlen(series), NULL, 10);

    free(text);
    return value;
}

#endif
