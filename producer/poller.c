#include "producer/poller.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/wakeup.h"
#include "producer/clock_step.h"
#include "producer/doubt.h"
#include "producer/judge.h"
#include "producer/probe.h"
#include "producer/retry.h"
#include "producer/schedule.h"
#include "producer/siteset.h"
#include "producer/tls.h"

#define ONCE_INTERVAL_MS (INT64_C(86400) * MS_PER_SEC) /* no second turn while --once runs */
#define SLICE_NS NS_PER_MS                             /* of a change of sites, in one turn */

/* One check in flight. */
struct check {
    struct member *member; /* NULL: idle */
    int64_t slot_ms;
    int64_t slot_ns; /* the same by the monotonic clock */
    int32_t attempt; /* from 1 */
    int64_t lag_us;
    int64_t time_us; /* realtime when it began */
    struct check *next_idle;
};

struct poller_metrics {
    struct metric *checks[4]; /* by enum check_status */
    struct metric *duration, *lag, *missed, *retries, *clock_steps;
};

struct poller {
    struct poller_settings settings;
    poller_emit_fn *emit;
    void *context;
    struct schedule *schedule;
    const struct site_change *change; /* that is being made; NULL: none */
    struct site_steps *steps;         /* our part of it */
    struct resolver *resolver;
    struct tls *tls;
    struct probe *probe;
    struct check *checks; /* in_flight_max of them */
    struct check *idle;
    struct retries retries;
    struct doubts doubts;
    struct clock_step *clock_step;
    bool loaded; /* the first sites are there */
    bool draining;
    struct poller_metrics metrics;
};

static int64_t real_offset_ns(void)
{
    return clock_real_ns() - clock_mono_ns();
}

/* --- From a check to its event --- */

static void fill_event(const struct poller *p, const struct member *member, int64_t slot_ms,
                       struct event *event)
{
    event_init(event);
    event->site_name = member->site.name;
    event->site_url = member->site.url;
    event->site_id = member->site.id;
    event->location = p->settings.location;
    event->observer = p->settings.observer;
    event->slot_us = slot_ms * US_PER_MS;
    event->attempt = 1;
    event->final = true;
    event->interval_s = member->site.seconds;
}

static void fill_measured(const struct probe_result *result, const struct verdict *verdict,
                          struct event *event)
{
    event->status = verdict->status;
    event->http_status = result->http_status;
    event->http_version = result->http_version;
    event->redirects = result->redirects;
    event->body_bytes = result->body_bytes;
    event->final_url = result->final_url;
    event->timing = result->timing;
    event->peer = result->peer;
    event->tls_version = result->tls_version;
    event->cert_not_after_s = result->cert_not_after_s;
    event->has_pattern = verdict->pattern_searched;
    event->pattern_matched = verdict->pattern_matched;
    event->answers_json = verdict->answers.json;
    event->answers_json_len = verdict->answers.json_len;
    event->answers_cut = verdict->answers.cut;
    event->error = verdict->error;
    event->error_phase = verdict->phase;
    event->error_message = verdict->error == ERROR_NONE ? NULL : verdict->message;
}

static void emit(struct poller *p, struct member *member, const struct event *event)
{
    if (event->final) {
        metric_add(p->metrics.checks[event->status], 1);
        if (p->settings.latest != NULL && !member->gone) {
            member->latest =
                latest_put(p->settings.latest, p->settings.part, member->latest, event);
        }
    }
    if (log_enabled(LOG_DEBUG)) {
        log_write(LOG_DEBUG, "check", LOG_S("site", event->site_name),
                  LOG_S("status", check_status_name(event->status)),
                  LOG_I("attempt", event->attempt), LOG_S("error", error_type_name(event->error)),
                  LOG_I("http_status", event->http_status),
                  LOG_I("total_us", event->timing.total_us), LOG_I("lag_us", event->lag_us));
    }
    p->emit(p->context, event);
}

/* Only what says that the site is down is worth asking again. */
static bool wants_retry(const struct poller *p, const struct member *member,
                        const struct event *event)
{
    return event->status == CHECK_DOWN && event->attempt <= member->site.retries && !p->draining &&
           !member->gone;
}

/* The event of an attempt that waited for the next one. */
static void emit_kept(struct poller *p, struct retry *retry, bool final)
{
    retry->event.final = final;
    emit(p, retry->member, &retry->event);
}

static void give_up(struct poller *p, struct retry *retry)
{
    emit_kept(p, retry, true);
    retry_free(retry);
}

static struct retry *keep(const struct check *check, const struct event *event, int64_t now_ns)
{
    struct retry *retry = retry_new(check->member, event);

    retry->slot_ns = check->slot_ns;
    retry->began_ns = check->slot_ns + check->lag_us * NS_PER_US;
    retry->ended_ns = now_ns;
    return retry;
}

static void wait_for_next(struct poller *p, struct retry *retry)
{
    retries_add(&p->retries, retry,
                retry->ended_ns + retry->member->site.retry_seconds * NS_PER_SEC);
}

static void conclude(struct poller *p, const struct check *check, const struct event *event,
                     int64_t now_ns)
{
    if (wants_retry(p, check->member, event)) {
        wait_for_next(p, keep(check, event, now_ns));
    } else {
        emit(p, check->member, event);
    }
}

/* --- Whose fault a failure is --- */

static void settle(struct poller *p, struct check *check, struct event *event, int64_t now_ns)
{
    int64_t began_ns = check->slot_ns + check->lag_us * NS_PER_US;

    if (doubts_judge(&p->doubts, event, began_ns, now_ns) == DOUBT_KEEPS) {
        doubts_keep(&p->doubts, keep(check, event, now_ns));
    } else {
        conclude(p, check, event, now_ns);
    }
}

static void settle_kept(struct poller *p, struct retry *retry)
{
    enum doubt doubt = doubts_judge(&p->doubts, &retry->event, retry->began_ns, retry->ended_ns);

    if (doubt == DOUBT_KEEPS) {
        doubts_keep(&p->doubts, retry);
    } else if (wants_retry(p, retry->member, &retry->event)) {
        wait_for_next(p, retry);
    } else {
        give_up(p, retry);
    }
}

static void on_more_known(void *context, int fd, unsigned ready)
{
    struct poller *p = context;
    struct retry *retry = doubts_take(&p->doubts);

    (void)ready;
    wakeup_take(fd);
    while (retry != NULL) {
        struct retry *next = retry->next;

        settle_kept(p, retry);
        retry = next;
    }
}

/* --- The end of a check --- */

static void on_done(void *context, void *tag, const struct probe_result *result)
{
    struct poller *p = context;
    struct check *check = tag;
    int64_t now_ns = clock_mono_ns();
    struct event event;
    struct verdict verdict;

    judge(&check->member->site, &check->member->patterns, result, clock_real_ns() / NS_PER_SEC,
          &verdict);
    fill_event(p, check->member, check->slot_ms, &event);
    event.time_us = check->time_us;
    event.lag_us = check->lag_us;
    event.attempt = check->attempt;
    fill_measured(result, &verdict, &event);
    metric_observe(p->metrics.duration, (double)result->timing.total_us / (double)US_PER_SEC);
    settle(p, check, &event, now_ns);
    verdict_free(&verdict);
    member_end_check(check->member);
    check->member = NULL;
    check->next_idle = p->idle;
    p->idle = check;
}

/* One event stands for all slots of a gap: a producer that was stopped for an hour says so in one
 * line a site, not in a burst. */
static void emit_missed(struct poller *p, struct member *member, const struct schedule_turn *turn)
{
    struct event event;
    char message[96];

    metric_add(p->metrics.missed, turn->missed);
    snprintf(message, sizeof(message), "%" PRIu64 " slot%s passed before a check could start",
             turn->missed, turn->missed == 1 ? "" : "s");
    fill_event(p, member, turn->missed_slot_ms, &event);
    event.time_us = clock_real_ns() / NS_PER_US;
    event.lag_us = event.time_us - event.slot_us < 0 ? 0 : event.time_us - event.slot_us;
    event.status = CHECK_UNKNOWN;
    event.error = ERROR_SLOT_MISSED;
    event.error_message = message;
    emit(p, member, &event);
}

/* --- Starting checks --- */

static void start_check(struct poller *p, struct member *member, int64_t slot_ms, int64_t slot_ns,
                        int32_t attempt, int64_t now_ns)
{
    struct check *check = p->idle;
    int64_t lag_us = (now_ns - slot_ns) / NS_PER_US;

    p->idle = check->next_idle;
    *check = (struct check){
        .member = member,
        .slot_ms = slot_ms,
        .slot_ns = slot_ns,
        .attempt = attempt,
        .lag_us = lag_us,
        .time_us = slot_ms * US_PER_MS + lag_us,
    };
    member_begin_check(member);
    probe_start(p->probe, &member->site, judge_wants_body(&member->patterns), check, now_ns);
}

static void start_first(struct poller *p, const struct schedule_turn *turn, int64_t now_ns)
{
    metric_observe(p->metrics.lag, (double)turn->lag_us / (double)US_PER_SEC);
    start_check(p, turn->tag, turn->slot_ms, now_ns - turn->lag_us * NS_PER_US, 1, now_ns);
}

static void start_retry(struct poller *p, struct retry *retry, int64_t now_ns)
{
    metric_add(p->metrics.retries, 1);
    emit_kept(p, retry, false);
    start_check(p, retry->member, retry->event.slot_us / US_PER_MS, retry->slot_ns,
                retry->event.attempt + 1, now_ns);
    retry_free(retry); /* now that the check holds the member too */
}

static bool may_start_one(const struct poller *p)
{
    return !p->draining && p->idle != NULL && probe_has_room(p->probe);
}

static void start_due(struct poller *p, int64_t now_ns)
{
    struct schedule_turn turn;
    struct retry *retry;

    /* What began first: their slot's time runs out. */
    while (may_start_one(p) && (retry = retries_take_due(&p->retries, now_ns)) != NULL) {
        start_retry(p, retry, now_ns);
    }
    while (may_start_one(p) && schedule_take_due(p->schedule, now_ns, &turn)) {
        struct member *member = turn.tag;

        if (turn.missed > 0) {
            emit_missed(p, member, &turn);
        }
        if (p->settings.once) {
            schedule_remove(p->schedule, turn.entry);
        }
        start_first(p, &turn, now_ns);
    }
}

void poller_drain(struct poller *p)
{
    struct retry *retry;

    p->draining = true;
    while ((retry = retries_take_any(&p->retries)) != NULL) {
        give_up(p, retry);
    }
}

size_t poller_in_flight(const struct poller *p)
{
    return probe_in_flight(p->probe);
}

bool poller_is_done(const struct poller *p)
{
    bool no_more = p->draining || (p->settings.once && p->loaded && p->change == NULL &&
                                   schedule_count(p->schedule) == 0);

    return no_more && probe_in_flight(p->probe) == 0 && p->retries.count == 0 &&
           p->doubts.first == NULL;
}

/* --- The sites --- */

/* A file that is not what it was when its sites were loaded: what was read of it before stays. */
static void read_files(struct poller *p, const struct site_files *files, size_t count)
{
    struct err err;

    for (size_t i = 0; i < count; i++) {
        const struct site_files *f = &files[i];

        if (f->ca_file != NULL && tls_trust(p->tls, f->ca_file, &err) < 0 && !p->settings.quiet) {
            log_write(LOG_WARN, "a ca_file cannot be used", LOG_S("reason", err.message));
        }
        if (f->cert_file != NULL && tls_identify(p->tls, f->cert_file, f->key_file, &err) < 0 &&
            !p->settings.quiet) {
            log_write(LOG_WARN, "a cert_file cannot be used", LOG_S("reason", err.message));
        }
    }
}

/* The wall-clock time of a site's first check off the grid, 0 for its next slot on it. Many sites
 * are spread over a millisecond each, so that neither a start nor a reload is a burst. */
static int64_t first_slot_ms(const struct poller *p, const struct member *member, bool at_once)
{
    const struct site *site = &member->site;
    int64_t real_ms = clock_real_ns() / NS_PER_MS;
    int64_t spread_ms = (int64_t)(at_once ? p->change->at_once : p->change->started_with);

    if (p->settings.once) {
        return real_ms;
    }
    if (!at_once && site->seconds <= p->settings.start_seconds) {
        return 0;
    }
    if (spread_ms > site->seconds * MS_PER_SEC) {
        spread_ms = site->seconds * MS_PER_SEC;
    }
    return real_ms + member->phase_ms % spread_ms;
}

static void add_site(struct poller *p, struct member *member, bool at_once)
{
    int64_t interval_ms = p->settings.once ? ONCE_INTERVAL_MS : member->site.seconds * MS_PER_SEC;

    member->entry = schedule_add(p->schedule, member->phase_ms, interval_ms,
                                 first_slot_ms(p, member, at_once), member, clock_mono_ns());
}

static void remove_site(struct poller *p, struct member *member)
{
    struct retry *retry;

    while ((retry = retries_take_of(&p->retries, member)) != NULL) {
        give_up(p, retry);
    }
    schedule_remove(p->schedule, member->entry);
    if (p->settings.latest != NULL) {
        latest_remove(p->settings.latest, p->settings.part, member->latest);
    }
    member_leave(member);
}

static void change_slice(struct poller *p)
{
    int64_t until_ns = clock_mono_ns() + SLICE_NS;

    while (p->steps->made < p->steps->count) {
        const struct site_step *step = &p->steps->steps[p->steps->made++];

        if (step->leaves != NULL) {
            remove_site(p, step->leaves);
        }
        if (step->enters != NULL) {
            add_site(p, step->enters, step->at_once);
        }
        if (clock_mono_ns() >= until_ns) {
            return;
        }
    }
    p->change = NULL;
    p->loaded = true;
}

void poller_change_sites(struct poller *p, struct site_change *change, size_t part)
{
    assert(p->change == NULL);
    read_files(p, change->files, change->file_count);
    p->change = change;
    p->steps = &change->parts[part];
}

bool poller_is_changing(const struct poller *p)
{
    return p->change != NULL;
}

/* --- Its turn --- */

static int64_t earlier(int64_t a_ns, int64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

int64_t poller_next_due_ns(const struct poller *p, bool may_start)
{
    int64_t due_ns = earlier(probe_next_due_ns(p->probe), resolver_next_due_ns(p->resolver));

    if (p->change != NULL) {
        return 0; /* the next slice, once the loop has looked at its descriptors */
    }
    if (may_start && may_start_one(p)) {
        due_ns = earlier(due_ns, schedule_next_due_ns(p->schedule));
        due_ns = earlier(due_ns, retries_next_due_ns(&p->retries));
    }
    return due_ns;
}

int poller_run_due(struct poller *p, int64_t now_ns, bool may_start, struct err *err)
{
    if (p->change != NULL) {
        change_slice(p);
    }
    if (may_start) {
        start_due(p, now_ns);
    }
    resolver_run_due(p->resolver, now_ns);
    return probe_run_due(p->probe, now_ns, err);
}

/* --- The clock --- */

static void on_clock_step(void *context)
{
    struct poller *p = context;

    if (!p->settings.quiet) {
        metric_add(p->metrics.clock_steps, 1);
        log_write(LOG_WARN, "the wall clock was stepped, slots are placed anew");
    }
    schedule_step(p->schedule, real_offset_ns(), clock_mono_ns());
}

/* --- Life and death --- */

static void register_metrics(struct poller *p, struct metrics *m)
{
    char labels[32];

    for (int status = CHECK_UP; status <= CHECK_UNKNOWN; status++) {
        snprintf(labels, sizeof(labels), "status=\"%s\"",
                 check_status_name((enum check_status)status));
        p->metrics.checks[status] =
            metrics_counter(m, "sitewatch_checks", "Checks by what they found", labels);
    }
    p->metrics.duration =
        metrics_histogram(m, "sitewatch_check_duration_seconds", "Time of one check, all hops",
                          NULL, metrics_seconds_bounds, metrics_seconds_bounds_count);
    p->metrics.lag = metrics_histogram(m, "sitewatch_schedule_lag_seconds",
                                       "Time from a check's slot to its start", NULL,
                                       metrics_seconds_bounds, metrics_seconds_bounds_count);
    p->metrics.missed = metrics_counter(m, "sitewatch_slots_missed",
                                        "Slots that passed before a check could start", NULL);
    p->metrics.retries = metrics_counter(
        m, "sitewatch_retries", "Attempts made because the one before found the site down", NULL);
    p->metrics.clock_steps =
        metrics_counter(m, "sitewatch_clock_steps", "Steps of the wall clock", NULL);
}

static void make_checks(struct poller *p)
{
    size_t count = (size_t)p->settings.in_flight_max;

    p->checks = mem_alloc(count, sizeof(p->checks[0]));
    for (size_t i = 0; i < count; i++) {
        p->checks[i].next_idle = p->idle;
        p->idle = &p->checks[i];
    }
}

struct poller *poller_new(const struct poller_settings *settings, struct loop *loop,
                          struct metrics *m, poller_emit_fn *emit_fn, void *context,
                          struct err *err)
{
    struct probe_settings probe = {
        .in_flight_max = (size_t)settings->in_flight_max,
        .user_agent = settings->user_agent,
    };
    struct poller *p = mem_alloc(1, sizeof(*p));
    struct err why;

    p->settings = *settings;
    p->emit = emit_fn;
    p->context = context;
    doubts_init(&p->doubts, settings->self, loop);
    register_metrics(p, m);
    make_checks(p);
    p->schedule = schedule_new(real_offset_ns());
    retries_init(&p->retries);
    p->tls = tls_new(m);
    if (tls_trust(p->tls, NULL, &why) < 0 && !settings->quiet) {
        log_write(LOG_WARN, "no system trust store, https sites without a ca_file cannot be judged",
                  LOG_S("reason", why.message));
    }
    p->resolver = resolver_new(&settings->resolver, loop, m, err);
    if (p->resolver == NULL) {
        goto fail;
    }
    p->probe = probe_new(&probe, loop, p->resolver, p->tls, m, on_done, p, err);
    if (p->probe == NULL) {
        goto fail;
    }
    p->clock_step = clock_step_new(loop, on_clock_step, p, err);
    if (p->clock_step == NULL || doubts_watch(&p->doubts, on_more_known, p, err) < 0) {
        goto fail;
    }
    return p;

fail:
    poller_free(p);
    return NULL;
}

void poller_free(struct poller *p)
{
    if (p == NULL) {
        return;
    }
    clock_step_free(p->clock_step);
    probe_free(p->probe); /* ends what is in flight; the members it borrows are freed after */
    resolver_free(p->resolver);
    tls_free(p->tls);
    for (size_t i = 0; i < (size_t)p->settings.in_flight_max; i++) {
        if (p->checks[i].member != NULL) { /* cut off by probe_free */
            member_end_check(p->checks[i].member);
        }
    }
    for (struct retry *retry; (retry = retries_take_any(&p->retries)) != NULL;) {
        retry_free(retry);
    }
    retries_clear(&p->retries);
    doubts_clear(&p->doubts);
    schedule_free(p->schedule);
    free(p->checks);
    free(p);
}
