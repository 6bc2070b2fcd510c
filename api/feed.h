/*
 * feed - recent events in the text of server-sent events (the HTML standard, 9.2), and who reads
 * them. One thread puts events in; any thread reads for a client. It knows no socket and no
 * database.
 *
 * Events are kept once, in a ring of bounded length; a client is a place in it, so that one who
 * does not read takes no memory. Who falls behind the ring, or names an event that is not in it,
 * is told to load all anew (event: reset) and goes on at the end.
 */
#ifndef API_FEED_H
#define API_FEED_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/metrics.h"

#define FEED_EVENTS_MAX 4096 /* in the ring */
#define FEED_BYTES_MAX (4 * 1024 * 1024)

struct feed;
struct feed_client;

typedef void feed_wake(void *context);

struct feed *feed_new(int clients_max, struct metrics *m);
/* Every client has left. */
void feed_free(struct feed *f);

/* All that was before is forgotten, and every client told to load anew. `epoch` sets the ids of
 * what follows apart from those of other programs and times. */
void feed_begin(struct feed *f, uint64_t epoch);

/* `event` is its name; `data` may have several lines. */
void feed_put(struct feed *f, const char *event, const char *data);

/* Clients that have nothing to read get a comment, which tells them and what lies between that the
 * connection lives. */
void feed_beat(struct feed *f);

/* Every client reads its end, and no other comes in. Returns when they have left, or at
 * deadline_ns (CLOCK_MONOTONIC). */
void feed_end(struct feed *f, int64_t deadline_ns);

/* The tokens that clients came with, each once or more; the caller frees. */
int64_t *feed_tokens(struct feed *f, size_t *count);
/* Clients that came with this token read their end. */
void feed_drop(struct feed *f, int64_t token_id);

/* NULL: there are as many as may be. last_id: of the event after which to go on; NULL: from now. */
struct feed_client *feed_join(struct feed *f, int64_t token_id, const char *last_id);
void feed_leave(struct feed_client *c);

/* `on_more` is called, from any thread and with a lock held, when a client that read 0 has more to
 * read. It must not call the feed. Not after feed_leave. */
void feed_listen(struct feed_client *c, feed_wake *on_more, void *context);

/* How many bytes; 0: none now; -1: the end. */
ssize_t feed_read(struct feed_client *c, char *out, size_t size);

#endif
