/*
 * show - what the standard output has of the checks: JSON lines, a table for a person, the live
 * view of --watch, or nothing.
 *
 * Events come from the threads of all loops; the rest is for the main thread. Where the view
 * cannot be, because the standard output is no terminal or NO_COLOR is set, there is a row a
 * check instead.
 */
#ifndef PRODUCER_SHOW_H
#define PRODUCER_SHOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/event.h"
#include "common/metrics.h"
#include "producer/latest.h"
#include "producer/loop.h"
#include "producer/options.h"

struct show;

struct show *show_new(const struct options *options);
void show_free(struct show *s);

/* Gives the terminal back; before the process ends without show_free. */
void show_end(struct show *s);

/* Whether it draws from producer/latest. */
bool show_wants_latest(const struct show *s);

/*
 * Checks are about to begin. latest is NULL where it is not wanted. Borrows loop, latest and m, of
 * which it shows sitewatch_sites and sitewatch_slots_missed_total. ERR_FATAL when the standard
 * output takes nothing.
 */
int show_begin(struct show *s, struct loop *loop, struct latest *latest, struct metrics *m,
               struct err *err) MUST_CHECK;

/* From any thread. */
void show_event(struct show *s, const struct event *event);

/* When show_run_due wants to be called, or TIME_NEVER. */
int64_t show_next_due_ns(const struct show *s);
/* ERR_FATAL when the standard output took nothing any more: of show_event. */
int show_check(struct show *s, struct err *err) MUST_CHECK;
/* The same, and when the view finds it. */
int show_run_due(struct show *s, size_t in_flight, bool draining, int64_t now_ns,
                 struct err *err) MUST_CHECK;

#endif
