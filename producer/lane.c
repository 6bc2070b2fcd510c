#include "producer/lane.h"

#include <assert.h>
#include <stdlib.h>

#include "common/mem.h"

struct held *held_new(const struct event *event, void *owner)
{
    struct held *held = mem_alloc(1, sizeof(*held));

    message_init(&held->message, event);
    held->bytes = sizeof(*held) + message_bytes(&held->message);
    held->owner = owner;
    return held;
}

struct held *held_restore(const struct message *message, uint64_t seq, void *owner)
{
    struct held *held = mem_alloc(1, sizeof(*held));

    held->message = *message;
    held->bytes = sizeof(*held) + message_bytes(message);
    held->owner = owner;
    held->seq = seq;
    held->saved = true;
    return held;
}

void held_free(struct held *held)
{
    message_clear(&held->message);
    free(held);
}

void lane_init(struct lane *lane)
{
    *lane = (struct lane){0};
    TAILQ_INIT(&lane->events);
}

void lane_clear(struct lane *lane)
{
    struct held *held;

    while ((held = TAILQ_FIRST(&lane->events)) != NULL) {
        lane_remove(lane, held);
        held_free(held);
    }
}

static void waits(struct lane *lane, struct held *held)
{
    lane->waiting++;
    lane->waiting_bytes += held->bytes;
    if (lane->next == NULL || held->number < lane->next->number) {
        lane->next = held;
    }
}

/* lane->next is not to be handed over any more: find the one after it. */
static void waits_no_more(struct lane *lane)
{
    lane->waiting--;
    lane->waiting_bytes -= lane->next->bytes;
    if (lane->waiting == 0) {
        lane->next = NULL; /* and no search to the end of what is queued */
        return;
    }
    do {
        lane->next = TAILQ_NEXT(lane->next, link);
    } while (lane->next->queued);
}

void lane_append(struct lane *lane, struct held *held)
{
    held->number = ++lane->number;
    TAILQ_INSERT_TAIL(&lane->events, held, link);
    lane->count++;
    waits(lane, held);
    if (lane->unsaved == NULL && !held->saved) {
        lane->unsaved = held;
    }
}

static void unsaved_skip(struct lane *lane)
{
    do {
        lane->unsaved = TAILQ_NEXT(lane->unsaved, link);
    } while (lane->unsaved != NULL && lane->unsaved->saved);
}

void lane_saved(struct lane *lane)
{
    lane->unsaved->saved = true;
    unsaved_skip(lane);
}

struct held *lane_peek(const struct lane *lane)
{
    bool any_queued = lane->count > lane->waiting;

    if (lane->next == NULL || lane->alone_queued || (lane->next->alone && any_queued)) {
        return NULL;
    }
    return lane->next;
}

void lane_queued(struct lane *lane)
{
    lane->next->queued = true;
    lane->alone_queued = lane->next->alone;
    waits_no_more(lane);
}

static void queued_no_more(struct lane *lane, struct held *held)
{
    assert(held->queued);
    held->queued = false;
    if (held->alone) {
        lane->alone_queued = false;
    }
}

void lane_failed(struct lane *lane, struct held *held)
{
    queued_no_more(lane, held);
    waits(lane, held);
}

void lane_failed_all(struct lane *lane)
{
    struct held *held;

    TAILQ_FOREACH(held, &lane->events, link)
    {
        if (held->queued) {
            lane_failed(lane, held);
        }
    }
}

void lane_remove(struct lane *lane, struct held *held)
{
    if (held->queued) {
        queued_no_more(lane, held);
    } else {
        assert(held == lane->next); /* others that wait are never removed */
        waits_no_more(lane);
    }
    if (held == lane->unsaved) {
        unsaved_skip(lane);
    }
    TAILQ_REMOVE(&lane->events, held, link);
    lane->count--;
}
