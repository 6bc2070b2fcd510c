/*
 * publish - hand events to Kafka, and learn of each one's fate.
 *
 * Idempotent, acks=all, compressed, keyed by the site's name, with CloudEvents headers. librdkafka
 * has threads of its own; we meet them at one descriptor: watch publish_fd() in the loop and call
 * publish_poll() when it is ready. An event is held until it is delivered: one that librdkafka's
 * queue has no room for, or whose delivery failed, waits here in order and is handed over again.
 * While any waits, publish_has_room() is false and no new check should be started: back-pressure,
 * counted and logged, instead of loss. With a spool (producer/spool) what waits is on disk, and
 * checks go on as long as the disk takes it (producer/backlog says which events are where). After a
 * fatal error of the idempotent producer it is made anew, and what was not acknowledged is sent
 * again; ids make repeats harmless.
 *
 * publish_event and publish_has_room are for any thread, the others for the one that polls. There
 * is one lock, which is not held while the event's text is made; a queue to the polling thread
 * would wake it for each event.
 *
 * It never gives an event up but for two reasons: it is too large for Kafka, alone in its request;
 * or it is among the oldest of a full spool.
 *
 * Counts sitewatch_events_total{topic,result="delivered|retried"},
 * sitewatch_events_dropped_total{reason="too_large"}, sitewatch_queue_full_total,
 * sitewatch_producer_restarts_total, and the gauges sitewatch_events_queued (with librdkafka) and
 * sitewatch_events_waiting (here).
 */
#ifndef PRODUCER_PUBLISH_H
#define PRODUCER_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/event.h"
#include "common/kafka.h"
#include "common/metrics.h"

/* Room is given again only when nothing waits. What waits is bounded by what librdkafka held
 * (queue.buffering.max.kbytes) and the checks in flight when the room ended, as long as nothing
 * more is started without room; past this much it is said in the log. */
#define PUBLISH_WAITING_BYTES_MAX (64 * 1024 * 1024)

/* Room was made after there was none. Called with a lock held, in any thread that calls in here:
 * it is to note it down, and to call nothing of ours but publish_has_room. */
typedef void publish_room_fn(void *context);

struct publish_settings {
    struct kafka_settings kafka;
    const char *topic_success, *topic_failure;
    const char *spool_file; /* NULL: no spool */
    int64_t spool_bytes_max;
    publish_room_fn *on_room; /* NULL: nobody waits for it */
    void *context;
};

struct publish;

/* Whether a producer could be made of these settings, of which the spool is not looked at; nothing
 * is sent to a broker. ERR_INVALID. */
int publish_check(const struct publish_settings *settings, struct err *err) MUST_CHECK;

/* Keeps nothing of settings. NULL, ERR_INVALID for a property or a topic's name, ERR_FATAL
 * otherwise, also for a spool that another process uses. */
struct publish *publish_new(const struct publish_settings *settings, struct metrics *m,
                            struct err *err);

/* What is neither delivered nor in the spool is lost: call publish_flush first.
 * publish_free(NULL) does nothing. */
void publish_free(struct publish *p);

/* Takes the event whatever the queue's state. Which topic: by event->status. */
void publish_event(struct publish *p, const struct event *event);

bool publish_has_room(const struct publish *p);

/* Stays the same descriptor as long as p lives. */
int publish_fd(const struct publish *p);
/* Takes in delivery reports, hands over what waits, acts on errors. Never blocks, but for the
 * moment in which a producer that failed is ended. */
void publish_poll(struct publish *p);
/* Ends librdkafka's producer and makes one anew, which reads the certificates again; what was not
 * acknowledged is sent again. */
void publish_renew(struct publish *p);
/* When publish_poll wants to be called though the descriptor is not ready, or TIME_NEVER. An event
 * that wants it earlier makes the descriptor ready. */
int64_t publish_next_due_ns(struct publish *p);

/* Events handed in and not delivered yet, but for those that are on disk alone. */
size_t publish_pending(struct publish *p);

/* Wait for delivery of everything in memory; with a spool what is left after timeout_ms is put
 * there, at once when no broker is reached. ERR_RETRY says how many are neither. */
int publish_flush(struct publish *p, int64_t timeout_ms, struct err *err) MUST_CHECK;

#endif
