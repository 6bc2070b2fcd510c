/*
 * lane - the events on their way to one topic, in the order in which they came.
 *
 * Each is either queued (with librdkafka) or waits to be handed over, and keeps its place until
 * it is delivered: events of one site go out in their order also after some of them failed. It
 * also knows which is the first that is in memory alone, not saved on disk.
 * Pure bookkeeping: it knows no Kafka, no disk and no time. Part of producer/publish.
 */
#ifndef PRODUCER_LANE_H
#define PRODUCER_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/event.h"
#include "producer/message.h"

struct held {
    TAILQ_ENTRY(held) link;
    uint64_t number; /* place in its lane */
    size_t bytes;
    uint64_t seq;    /* its number in the spool, whether it is there or not */
    int64_t born_ns; /* when it was handed in */
    bool saved;      /* there is a copy on disk, or on its way there */
    bool queued;
    bool alone;  /* its request was refused for its size: to be sent with nothing beside it */
    void *owner; /* whatever who handed it in wants to find again */
    struct message message;
};

TAILQ_HEAD(held_list, held);

struct held *held_new(const struct event *event, void *owner);
/* Of a message that was read back from disk, which is taken. */
struct held *held_restore(const struct message *message, uint64_t seq, void *owner);
void held_free(struct held *held);

struct lane {
    struct held_list events;
    struct held *next;    /* the first that waits; NULL when none does */
    struct held *unsaved; /* the first that is not saved; NULL when all are */
    size_t count, waiting, waiting_bytes;
    uint64_t number;   /* of the last one */
    bool alone_queued; /* the one that is queued must stay alone */
};

void lane_init(struct lane *lane);
/* Frees the events. */
void lane_clear(struct lane *lane);

/* Takes held, which waits. */
void lane_append(struct lane *lane, struct held *held);

/* The event that may be handed over now, or NULL: none waits, or it must wait for others first. */
struct held *lane_peek(const struct lane *lane);

/* The event of lane_peek was handed over. */
void lane_queued(struct lane *lane);

/* There is a copy of lane->unsaved on disk now. */
void lane_saved(struct lane *lane);

/* A queued event failed and waits again, in its old place. */
void lane_failed(struct lane *lane, struct held *held);
/* All that is queued failed. */
void lane_failed_all(struct lane *lane);

/* An event leaves the lane; the caller owns it again. */
void lane_remove(struct lane *lane, struct held *held);

#endif
