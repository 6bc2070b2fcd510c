/*
 * judge - from what was measured to a verdict: up, degraded, down or unknown, and why.
 *
 * Pure: no I/O, no clock. The order is fixed: a failed transfer, the status code, the headers, the
 * patterns, the JSON, then what only degrades. The first that speaks decides.
 */
#ifndef PRODUCER_JUDGE_H
#define PRODUCER_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/event.h"
#include "common/jsonpath.h"
#include "common/pattern.h"
#include "common/site.h"
#include "producer/probe.h"

/* What of a site is compiled; each may be NULL. */
struct judge_patterns {
    struct pattern *present;
    struct pattern *absent;
    struct pattern *header;
    struct jsonpath *json;
};

struct verdict {
    enum check_status status;
    enum error_type error; /* ERROR_NONE when up or degraded */
    enum check_phase phase;
    char message[512]; /* "" when up; for degraded says why */
    bool pattern_searched;
    bool pattern_matched;
    struct answers answers; /* owned; freed by verdict_free */
};

/* Whether the body is looked at at all. */
bool judge_wants_body(const struct judge_patterns *patterns);

/* real_now_s: Unix time, for the certificate's days left. */
void judge(const struct site *site, const struct judge_patterns *patterns,
           const struct probe_result *result, int64_t real_now_s, struct verdict *verdict);
void verdict_free(struct verdict *verdict);

#endif
