/*
 * outbox - tells the topic of the sites what changed in `websites`: a message a site, its key the
 * website_id, its value the site as JSON, no value when it is deleted.
 *
 * A change leaves a row in site_outbox in its own transaction; the one consumer that holds the
 * advisory lock sends the rows in order and deletes each after Kafka has acknowledged it: at least
 * once. Its Kafka transactions keep a former holder, whose messages are still on their way, from
 * overtaking it. One thread, with a connection of its own; it waits out whatever is away.
 */
#ifndef CONSUMER_OUTBOX_H
#define CONSUMER_OUTBOX_H

#include <stdbool.h>

#include "common/err.h"
#include "common/kafka.h"
#include "common/metrics.h"

#define OUTBOX_ROWS_AT_ONCE 500

struct outbox;

struct outbox_settings {
    const char *dsn;
    const struct kafka_settings *kafka;
    const char *topic;
};

/* Starts the thread; keeps the pointers. ERR_FATAL. */
struct outbox *outbox_new(const struct outbox_settings *settings, struct metrics *m,
                          struct err *err);

/* Ask it to end after what it does now. Returns at once. */
void outbox_stop(struct outbox *o);
/* Give up the statement that it waits for, should Postgres not answer; what was sent then is sent
 * again. After outbox_stop; again while it is not done: it may have connected meanwhile. */
void outbox_cut(struct outbox *o);
bool outbox_is_done(const struct outbox *o);
/* Readable when it ended. */
int outbox_fd(const struct outbox *o);

/* Stops it, if that was not done, and waits for its end. */
void outbox_free(struct outbox *o);

#endif
