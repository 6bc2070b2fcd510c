/*
 * poller - the site poller: has each site checked when it is due, and emits one event a check.
 *
 * It joins schedule, probe and judge; whose sites it has, producer/siteset says. Life: poller_new
 * (start), poller_run_due in every turn of the loop (run), poller_drain (no new checks; those in
 * flight end), poller_free (stop).
 *
 * An attempt that finds a site down is made again as the site's `retries` ask. Its event is kept
 * until the next attempt starts, and is then not final; it is final when there is no next one: the
 * last was made, the site has left or changed, or the poller drains.
 *
 * A check that reached nothing at all may be our own network's fault. With a selfprobe its event is
 * kept until that is known, which takes a few seconds at the most: then it is `unknown`, and no
 * attempt more is made.
 *
 * It knows nothing of Kafka: where events go is the emit function's. A process may have several,
 * each in a thread of its own.
 *
 * Counts sitewatch_checks_total{status} (final events), sitewatch_check_duration_seconds,
 * sitewatch_schedule_lag_seconds, sitewatch_slots_missed_total, sitewatch_retries_total,
 * sitewatch_clock_steps_total.
 */
#ifndef PRODUCER_POLLER_H
#define PRODUCER_POLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/event.h"
#include "common/metrics.h"
#include "producer/latest.h"
#include "producer/loop.h"
#include "producer/resolver.h"
#include "producer/selfprobe.h"
#include "producer/siteset.h"

/* The event's strings live during the call only. */
typedef void poller_emit_fn(void *context, const struct event *event);

struct poller_settings {
    int64_t in_flight_max;
    const char *location;
    const char *observer; /* this host */
    const char *user_agent;
    struct resolver_settings resolver;
    struct selfprobe *self; /* NULL: whatever fails is the site's fault */
    int64_t start_seconds;  /* a site with a longer interval is checked when a start finds it */
    bool once;              /* each site is checked once, now, and then no more */
    bool quiet;             /* another poller of the process says and counts what all of them see */
    struct latest *latest;  /* where results are kept for others to read; NULL: nowhere */
    size_t part;            /* ours in it */
};

struct poller;

/* Borrows the strings and the loop. NULL and an err on failure. */
struct poller *poller_new(const struct poller_settings *settings, struct loop *loop,
                          struct metrics *m, poller_emit_fn *emit, void *context, struct err *err);
void poller_free(struct poller *p);

/*
 * Make one part of a change of sites, in slices of a millisecond, one in each poller_run_due, so
 * that no check is late for it. The change stays the caller's, and is there until
 * poller_is_changing says false; there is none in the making. Sites that enter at once are checked
 * so, many of them spread over a millisecond each, the others at their next slot (see
 * start_seconds); sites that leave end, with what they have in flight.
 */
void poller_change_sites(struct poller *p, struct site_change *change, size_t part);
bool poller_is_changing(const struct poller *p);

/* When poller_run_due wants to be called. may_start: whether new checks are welcome. */
int64_t poller_next_due_ns(const struct poller *p, bool may_start);

/* Start what is due, if new checks are welcome, and see to those in flight. ERR_FATAL. */
int poller_run_due(struct poller *p, int64_t now_ns, bool may_start, struct err *err) MUST_CHECK;

/* Start no more checks. Of those that wait for a retry the attempt that was made counts. */
void poller_drain(struct poller *p);
size_t poller_in_flight(const struct poller *p);
/* Nothing in flight and nothing more to start: drained, or once and all done. */
bool poller_is_done(const struct poller *p);

#endif
