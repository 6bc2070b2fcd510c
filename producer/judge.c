#include "producer/judge.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"

#define SECONDS_PER_DAY INT64_C(86400)
#define JSON_SHOWN_MAX 72 /* bytes of a path, a value or what it should be, in a message */
#define URL_SHOWN_MAX 120 /* bytes of a URL, in a message */

/* "200-299,301", as it is written in the site. */
static void status_set_text(const struct status_set *set, char *out, size_t size)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < set->count && used < size; i++) {
        unsigned first = set->ranges[i].first, last = set->ranges[i].last;
        const char *comma = i == 0 ? "" : ",";
        int len = first == last ? snprintf(out + used, size - used, "%s%u", comma, first)
                                : snprintf(out + used, size - used, "%s%u-%u", comma, first, last);

        used += (size_t)len;
    }
}

static void find_down(struct verdict *verdict, enum error_type error)
{
    verdict->error = error;
    verdict->phase = PHASE_CHECK;
    verdict->status = error_type_status(error);
}

static void judge_status(const struct site *site, const struct probe_result *result,
                         struct verdict *verdict)
{
    char wanted[SITE_STATUS_RANGES_MAX * sizeof("100-599,")];

    if (status_set_has(&site->status, result->http_status)) {
        return;
    }
    status_set_text(&site->status, wanted, sizeof(wanted));
    find_down(verdict, ERROR_STATUS);
    snprintf(verdict->message, sizeof(verdict->message), "status %d is not in %s",
             (int)result->http_status, wanted);
}

/* Where redirects led to is told beside the response: without one, the message has to. */
static void describe_failure(const struct probe_result *result, struct verdict *verdict)
{
    const char *words = result->error_message == NULL ? "" : result->error_message;

    if (result->final_url == NULL || result->http_status != 0) {
        snprintf(verdict->message, sizeof(verdict->message), "%s", words);
        return;
    }
    snprintf(verdict->message, sizeof(verdict->message), "redirected to %.*s%s: %s", URL_SHOWN_MAX,
             result->final_url, strlen(result->final_url) > URL_SHOWN_MAX ? "..." : "", words);
}

/* A HEAD or an empty answer has no body: the pattern is then searched in nothing. */
static enum pattern_result search(struct pattern *pattern, const struct probe_result *result,
                                  struct answers *answers)
{
    const char *body = result->body == NULL ? "" : result->body;

    return pattern_search(pattern, body, result->body == NULL ? 0 : result->body_len, answers);
}

/* The answers are kept also when the status has decided already. */
static void judge_present(struct pattern *pattern, const struct probe_result *result,
                          struct verdict *verdict)
{
    enum pattern_result found = search(pattern, result, &verdict->answers);

    verdict->pattern_searched = found != PATTERN_LIMIT;
    verdict->pattern_matched = found == PATTERN_MATCHED;
    if (verdict->error != ERROR_NONE || found == PATTERN_MATCHED) {
        return;
    }
    if (found == PATTERN_LIMIT) {
        find_down(verdict, ERROR_PATTERN_LIMIT);
        snprintf(verdict->message, sizeof(verdict->message),
                 "the pattern took too many steps on this body");
        return;
    }
    find_down(verdict, ERROR_PATTERN);
    snprintf(verdict->message, sizeof(verdict->message),
             "the pattern was not found in the body of %zu bytes", result->body_len);
}

static void judge_absent(struct pattern *pattern, const struct probe_result *result,
                         struct verdict *verdict)
{
    enum pattern_result found = search(pattern, result, NULL);

    if (found == PATTERN_LIMIT) {
        find_down(verdict, ERROR_PATTERN_LIMIT);
        snprintf(verdict->message, sizeof(verdict->message),
                 "pattern_absent took too many steps on this body");
    } else if (found == PATTERN_MATCHED) {
        find_down(verdict, ERROR_PATTERN);
        snprintf(verdict->message, sizeof(verdict->message),
                 "pattern_absent was found in the body");
    }
}

static void judge_header(struct pattern *pattern, const struct probe_result *result,
                         struct verdict *verdict)
{
    switch (pattern_search(pattern, result->headers, result->headers_len, NULL)) {
    case PATTERN_MATCHED:
        return;
    case PATTERN_LIMIT:
        find_down(verdict, ERROR_PATTERN_LIMIT);
        snprintf(verdict->message, sizeof(verdict->message),
                 "header_pattern took too many steps on these headers");
        return;
    case PATTERN_ABSENT:
        find_down(verdict, ERROR_HEADER);
        snprintf(verdict->message, sizeof(verdict->message),
                 "header_pattern was not found in the headers of %zu bytes", result->headers_len);
    }
}

static void describe_missing(const struct jsonpath *path, size_t steps, struct verdict *verdict)
{
    struct jsonpath next = {.count = 1, .steps = {path->steps[steps]}};
    char there[JSON_SHOWN_MAX], lacking[JSON_SHOWN_MAX];

    jsonpath_text(path, steps, there, sizeof(there));
    jsonpath_text(&next, 1, lacking, sizeof(lacking));
    snprintf(verdict->message, sizeof(verdict->message), "%s has no %s", there, lacking + 1);
}

static void describe_other(const struct jsonpath *path, const struct jsonpath_match *match,
                           const char *wanted, struct verdict *verdict)
{
    char there[JSON_SHOWN_MAX];
    int shown = match->len < JSON_SHOWN_MAX ? (int)match->len : JSON_SHOWN_MAX;

    jsonpath_text(path, path->count, there, sizeof(there));
    snprintf(verdict->message, sizeof(verdict->message), "%s is %.*s%s, not %.*s", there, shown,
             match->text, (size_t)shown < match->len ? "..." : "", JSON_SHOWN_MAX, wanted);
}

static void judge_json(const struct site *site, const struct jsonpath *path,
                       const struct probe_result *result, struct verdict *verdict)
{
    const char *body = result->body == NULL ? "" : result->body;
    struct jsonpath_match match;

    jsonpath_find(path, body, result->body == NULL ? 0 : result->body_len, &match);
    if (match.outcome == JSONPATH_FOUND &&
        (site->json_value == NULL || jsonpath_value_is(&match, site->json_value))) {
        return;
    }
    find_down(verdict, ERROR_JSON);
    switch (match.outcome) {
    case JSONPATH_FOUND:
        describe_other(path, &match, site->json_value, verdict);
        return;
    case JSONPATH_MISSING:
        describe_missing(path, match.steps, verdict);
        return;
    case JSONPATH_NOT_JSON:
        snprintf(verdict->message, sizeof(verdict->message), "not JSON at offset %zu",
                 match.offset);
        return;
    case JSONPATH_TOO_DEEP:
        snprintf(verdict->message, sizeof(verdict->message), "JSON more than %d deep at offset %zu",
                 JSONPATH_DEPTH_MAX, match.offset);
    }
}

static void judge_time(const struct site *site, const struct probe_result *result,
                       struct verdict *verdict)
{
    if (site->slow_ms == 0 || result->timing.total_us <= site->slow_ms * US_PER_MS) {
        return;
    }
    verdict->status = CHECK_DEGRADED;
    snprintf(verdict->message, sizeof(verdict->message), "took %lld ms, slower than %d ms",
             (long long)(result->timing.total_us / US_PER_MS), (int)site->slow_ms);
}

static void judge_certificate(const struct site *site, const struct probe_result *result,
                              int64_t real_now_s, struct verdict *verdict)
{
    int64_t left_s = result->cert_not_after_s - real_now_s;
    long long days = (long long)((left_s < 0 ? -left_s : left_s) / SECONDS_PER_DAY);
    const char *plural = days == 1 ? "" : "s";

    if (site->cert_days == 0 || result->cert_not_after_s == EVENT_ABSENT ||
        left_s >= site->cert_days * SECONDS_PER_DAY) {
        return;
    }
    verdict->status = CHECK_DEGRADED;
    if (left_s < 0) {
        snprintf(verdict->message, sizeof(verdict->message), "certificate ended %lld day%s ago",
                 days, plural);
    } else if (days == 0) {
        snprintf(verdict->message, sizeof(verdict->message), "certificate ends within a day");
    } else {
        snprintf(verdict->message, sizeof(verdict->message), "certificate ends in %lld day%s", days,
                 plural);
    }
}

bool judge_wants_body(const struct judge_patterns *patterns)
{
    return patterns->present != NULL || patterns->absent != NULL || patterns->json != NULL;
}

void judge(const struct site *site, const struct judge_patterns *patterns,
           const struct probe_result *result, int64_t real_now_s, struct verdict *verdict)
{
    *verdict = (struct verdict){.status = CHECK_UP};
    if (result->error != ERROR_NONE) {
        verdict->error = result->error;
        verdict->phase = result->error_phase;
        verdict->status = error_type_status(result->error);
        describe_failure(result, verdict);
        return;
    }
    judge_status(site, result, verdict);
    if (patterns->header != NULL && verdict->error == ERROR_NONE) {
        judge_header(patterns->header, result, verdict);
    }
    if (patterns->present != NULL) {
        judge_present(patterns->present, result, verdict);
    }
    if (patterns->absent != NULL && verdict->error == ERROR_NONE) {
        judge_absent(patterns->absent, result, verdict);
    }
    if (patterns->json != NULL && verdict->error == ERROR_NONE) {
        judge_json(site, patterns->json, result, verdict);
    }
    if (verdict->error == ERROR_NONE) {
        judge_time(site, result, verdict);
    }
    if (verdict->status == CHECK_UP) {
        judge_certificate(site, result, real_now_s, verdict);
    }
}

void verdict_free(struct verdict *verdict)
{
    answers_free(&verdict->answers);
}
