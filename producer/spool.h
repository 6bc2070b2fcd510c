/*
 * spool - events that Kafka has not taken yet, kept on disk.
 *
 * A thread of its own does the disk's work (producer/spool_file), because a commit waits for the
 * disk for as long as the disk likes, and no check shall be late for it. What is handed in here
 * goes into a queue; the thread writes what is in it at most SPOOL_COMMIT_NS after it came, all
 * in one transaction. Reading goes through the same queue, so that it sees what was put before.
 *
 * A disk that refuses is tried again each second; the queue keeps what it did not take, and
 * spool_has_room() is false meanwhile: that is said in the log once a change of state, and
 * counted. A file that is damaged is set aside and a new one begun. A file that has grown to
 * bytes_max loses its oldest events.
 *
 * It knows no Kafka: events have a number, which is their order, and a lane. Part of
 * producer/publish, which calls from one thread at a time.
 *
 * Counts sitewatch_events_dropped_total{reason="spool_full"}, sitewatch_spool_failures_total
 * {reason="refused|corrupt"}, and the gauges sitewatch_spool_bytes and sitewatch_spool_events.
 */
#ifndef PRODUCER_SPOOL_H
#define PRODUCER_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/metrics.h"
#include "producer/spool_file.h"

#define SPOOL_COMMIT_NS (200 * NS_PER_MS)
#define SPOOL_QUEUE_BYTES_MAX (16 * 1024 * 1024) /* then there is no room */
#define SPOOL_PORTION_EVENTS 1000
#define SPOOL_PORTION_BYTES (1024 * 1024)

struct spool;

/*
 * Opens the file or makes it. wake_fd (common/wakeup, which must outlive the spool) is written to
 * when a portion is there, or when the state changed. NULL, ERR_FATAL when the file is in use by
 * another process, or not one of ours: a disk that refuses is no reason to fail.
 */
struct spool *spool_new(const char *path, int64_t bytes_max, int wake_fd, struct metrics *m,
                        struct err *err);
/* Shows the bytes of a producer that has none: 0. */
void spool_show_none(struct metrics *m);
/* Writes what is in the queue, if the disk takes it. spool_free(NULL) does nothing. */
void spool_free(struct spool *s);

/* A number above all that are in the file or were given before. */
uint64_t spool_number(struct spool *s);

/* Copies the message. `held`: it is in the caller's memory too, and need not be read back. */
void spool_put(struct spool *s, uint64_t seq, unsigned lane, const struct message *message,
               bool held);
void spool_delete(struct spool *s, uint64_t seq);

/* Whether it makes sense to put more. */
bool spool_has_room(const struct spool *s);

/* Whether a file with events of an earlier run was opened since the last call. */
bool spool_take_backlog(struct spool *s);

/* Asks for the next events of a lane after that number. One request at a time and lane. */
void spool_read(struct spool *s, unsigned lane, uint64_t after);

/* Whether the answer is there; its rows are the caller's then. *last: there are no more, but for
 * those put since the request. */
bool spool_take(struct spool *s, unsigned lane, struct spool_rows *rows, bool *last);

/* Waits until all that was put is on disk; ERR_RETRY when the disk does not take it. */
int spool_sync(struct spool *s, struct err *err) MUST_CHECK;

#endif
