/*
 * loader - reads the sites and finds what changed about them, in a thread of its own.
 *
 * Sites come as a list (producer/source) and as news of the topic, which another thread hands over.
 * To parse a million sites takes seconds, in which no check may be late: the thread gives way to
 * the loops (its nice value), and what they get is a list of steps that is ready to be made. The
 * thread owns the set of sites; it reads the list again whenever loader_request was called after it
 * began, and takes the next news, but not before every loop has made its part of the last change.
 *
 * A list of sites that is not right changes nothing; the thread says so and counts it
 * (sitewatch_reloads_total{result}), but for the first one, which is the caller's to report. It
 * sets sitewatch_sites, sitewatch_topic_sites and sitewatch_sites_name_taken, and counts the news
 * that it takes (sitewatch_site_messages_total{result}). It knows nothing of checks and schedules,
 * nor of Kafka.
 */
#ifndef PRODUCER_LOADER_H
#define PRODUCER_LOADER_H

#include <stddef.h>

#include "common/err.h"
#include "common/metrics.h"
#include "common/targets.h"
#include "producer/news.h"
#include "producer/options.h"
#include "producer/siteset.h"

struct loader;

/* Begins to load the list at once, where the options have one, for so many loops. Borrows options.
 * NULL and ERR_FATAL on failure. */
struct loader *loader_new(const struct options *options, size_t parts, struct metrics *m,
                          struct err *err);
/* Waits until the thread has read to its end. The loops must have given back what left. */
void loader_free(struct loader *l);

/* Read the list as the thread would, and no more: for --check-config. */
int loader_check(const struct options *options, struct targets *targets,
                 struct err *err) MUST_CHECK;

/* Whether the first list is there, for all loops to take: 1, or 0 for not yet. -1 and why when it
 * was refused. */
int loader_first(struct loader *l, struct err *err) MUST_CHECK;

/* Read the list again. */
void loader_request(struct loader *l);

/* News of the topic, from one thread. Takes the sites out of the list, which is empty afterwards;
 * waits while earlier ones are not begun. */
void loader_tell(struct loader *l, struct news_list *list);
/* Wait until the loops have made all that was told. */
void loader_settle(struct loader *l);
/* Nothing is to come any more, as the loops end: the two above drop what they get, and never wait
 * again. */
void loader_close(struct loader *l);

/* Readable when loader_take has something for the loop of this part. */
int loader_fd(const struct loader *l, size_t part);

/* The change that waits for this part, or NULL when there is none. -1 and why when the first load
 * was refused. The change lives until the loops of all parts have called loader_made. */
int loader_take(struct loader *l, size_t part, struct site_change **change,
                struct err *err) MUST_CHECK;
void loader_made(struct loader *l);

#endif
