#include "producer/judge.h"

#include <stdio.h>

#include "common/clock.h"

#define SECONDS_PER_DAY INT64_C(86400)

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

void judge(const struct site *site, const struct judge_patterns *patterns,
           const struct probe_result *result, int64_t real_now_s, struct verdict *verdict)
{
    *verdict = (struct verdict){.status = CHECK_UP};
    if (result->error != ERROR_NONE) {
        verdict->error = result->error;
        verdict->phase = result->error_phase;
        verdict->status = error_type_status(result->error);
        snprintf(verdict->message, sizeof(verdict->message), "%s",
                 result->error_message == NULL ? "" : result->error_message);
        return;
    }
    judge_status(site, result, verdict);
    if (patterns->present != NULL) {
        judge_present(patterns->present, result, verdict);
    }
    if (patterns->absent != NULL && verdict->error == ERROR_NONE) {
        judge_absent(patterns->absent, result, verdict);
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
