/*
 * backlog - which events are on disk, beside or instead of in memory.
 *
 * An event goes into its lane, and from there to Kafka. It is copied into the spool when it is
 * BACKLOG_SAVE_NS old, or when a delivery failed. When a lane cannot hand over what it has, what
 * comes after goes to disk alone, and is read back in order, a portion at a time, once the lane
 * is empty of what waits: so memory holds what librdkafka's queue does and a portion more.
 * After a start the events of the earlier run come first, and new ones go to disk behind them.
 *
 * Without a spool all events are in their lanes. Part of producer/publish.
 */
#ifndef PRODUCER_BACKLOG_H
#define PRODUCER_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"
#include "producer/lane.h"
#include "producer/spool.h"

#define BACKLOG_SAVE_NS (500 * NS_PER_MS)
#define BACKLOG_SLACK_NS (100 * NS_PER_MS) /* so much younger ones are saved along */
#define BACKLOG_WAITING_MAX 1000           /* in a lane, before events go to disk alone */
#define BACKLOG_WAITING_BYTES_MAX (1024 * 1024)

struct backlog_lane {
    struct lane *lane;
    void *owner;    /* of what is read back */
    bool behind;    /* there are events on disk alone, and new ones go there too */
    bool reading;   /* a portion is asked for */
    bool put_since; /* since it was asked for */
    bool save_all;  /* of the lane, whatever their age */
    uint64_t after; /* the last number that was in the lane */
};

struct backlog {
    struct spool *spool; /* NULL: none */
    bool ending;         /* nothing more is read back */
    struct backlog_lane lanes[SPOOL_LANES];
};

/* Takes an event: into the lane, or onto the disk (false), and then it is freed. */
bool backlog_add(struct backlog *b, unsigned lane, struct held *held, int64_t now_ns);

/* An event that left its lane will not come back: it was delivered, or given up. */
void backlog_forget(struct backlog *b, const struct held *held);

/* Copies to disk what is old enough, and takes in what was read back. */
void backlog_turn(struct backlog *b, int64_t now_ns);
/* Has the next portion read, when the lane has room for it. */
void backlog_ask(struct backlog *b);

/* When backlog_turn has something to save, or TIME_NEVER. */
int64_t backlog_due_ns(const struct backlog *b);

/* Whether a check may be started though events wait. */
bool backlog_has_room(const struct backlog *b);
bool backlog_is_behind(const struct backlog *b);

/* At the end: copies all that is left to disk, and waits until it is there. ERR_RETRY: it is not.
 */
int backlog_save(struct backlog *b, struct err *err) MUST_CHECK;

#endif
