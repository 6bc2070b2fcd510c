#include "producer/backlog.h"

#include <stdlib.h>

static bool is_behind(const struct backlog *b, const struct backlog_lane *l)
{
    const struct lane *lane = l->lane;

    return l->behind || ((lane->waiting >= BACKLOG_WAITING_MAX ||
                          lane->waiting_bytes >= BACKLOG_WAITING_BYTES_MAX) &&
                         spool_has_room(b->spool));
}

bool backlog_add(struct backlog *b, unsigned lane, struct held *held, int64_t now_ns)
{
    struct backlog_lane *l = &b->lanes[lane];

    held->born_ns = now_ns;
    if (b->spool == NULL) {
        lane_append(l->lane, held);
        return true;
    }
    held->seq = spool_number(b->spool);
    l->behind = is_behind(b, l);
    if (!l->behind) {
        l->after = held->seq;
        lane_append(l->lane, held);
        return true;
    }
    spool_put(b->spool, held->seq, lane, &held->message, false);
    l->put_since = true;
    held_free(held);
    return false;
}

void backlog_forget(struct backlog *b, const struct held *held)
{
    if (held->saved) {
        spool_delete(b->spool, held->seq);
    }
}

/* --- Saving --- */

static void lane_save(struct backlog *b, unsigned lane, int64_t born_until_ns)
{
    struct lane *events = b->lanes[lane].lane;
    struct held *held;

    while ((held = events->unsaved) != NULL && held->born_ns <= born_until_ns) {
        spool_put(b->spool, held->seq, lane, &held->message, true);
        lane_saved(events);
    }
}

static int64_t save_due_ns(const struct backlog_lane *l)
{
    if (l->lane->unsaved == NULL) {
        return TIME_NEVER;
    }
    return l->save_all ? 0 : l->lane->unsaved->born_ns + BACKLOG_SAVE_NS;
}

static void save(struct backlog *b, int64_t now_ns)
{
    for (unsigned i = 0; i < SPOOL_LANES && spool_has_room(b->spool); i++) {
        struct backlog_lane *l = &b->lanes[i];

        if (save_due_ns(l) <= now_ns) {
            lane_save(b, i, l->save_all ? now_ns : now_ns - BACKLOG_SAVE_NS + BACKLOG_SLACK_NS);
        }
        l->save_all = false;
    }
}

int64_t backlog_due_ns(const struct backlog *b)
{
    int64_t due_ns = TIME_NEVER;

    if (b->spool == NULL || !spool_has_room(b->spool)) {
        return due_ns; /* it wakes us when it has room again */
    }
    for (unsigned i = 0; i < SPOOL_LANES; i++) {
        int64_t lane_ns = save_due_ns(&b->lanes[i]);

        due_ns = lane_ns < due_ns ? lane_ns : due_ns;
    }
    return due_ns;
}

int backlog_save(struct backlog *b, struct err *err)
{
    for (unsigned i = 0; i < SPOOL_LANES; i++) {
        lane_save(b, i, TIME_NEVER);
    }
    return spool_sync(b->spool, err);
}

/* --- Reading back --- */

static void portion_take(struct backlog *b, unsigned lane)
{
    struct backlog_lane *l = &b->lanes[lane];
    struct spool_rows rows;
    struct spool_row *row;
    bool last;

    if (!l->reading || !spool_take(b->spool, lane, &rows, &last)) {
        return;
    }
    l->reading = false;
    while ((row = STAILQ_FIRST(&rows)) != NULL) {
        STAILQ_REMOVE_HEAD(&rows, link);
        l->after = row->seq;
        lane_append(l->lane, held_restore(&row->message, row->seq, l->owner));
        free(row);
    }
    l->behind = !last || l->put_since;
}

static void portion_ask(struct backlog *b, unsigned lane)
{
    struct backlog_lane *l = &b->lanes[lane];

    if (l->behind && !l->reading && !b->ending && l->lane->waiting == 0) {
        l->reading = true;
        l->put_since = false;
        spool_read(b->spool, lane, l->after);
    }
}

/* Events of an earlier run are read from the first on. Some of this run that are in the file as
 * well may so go out twice, with the same ids. */
static void backlog_found(struct backlog *b)
{
    for (unsigned i = 0; i < SPOOL_LANES; i++) {
        b->lanes[i].behind = true;
        b->lanes[i].after = 0;
    }
}

void backlog_turn(struct backlog *b, int64_t now_ns)
{
    if (b->spool == NULL) {
        return;
    }
    for (unsigned i = 0; i < SPOOL_LANES; i++) {
        portion_take(b, i);
    }
    if (!b->lanes[0].reading && !b->lanes[1].reading && spool_take_backlog(b->spool)) {
        backlog_found(b);
    }
    save(b, now_ns);
}

void backlog_ask(struct backlog *b)
{
    for (unsigned i = 0; b->spool != NULL && i < SPOOL_LANES; i++) {
        portion_ask(b, i);
    }
}

bool backlog_is_behind(const struct backlog *b)
{
    return b->lanes[0].behind || b->lanes[1].behind;
}

bool backlog_has_room(const struct backlog *b)
{
    return b->spool != NULL && spool_has_room(b->spool);
}
