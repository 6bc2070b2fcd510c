/*
 * How a slot is never given twice although the clock may be stepped back.
 *
 * All times here are wall-clock milliseconds by the current offset. While the clock only moves
 * forward, the next slot of an entry is always one after now, and every slot given was at or
 * before its now: none comes twice. A step back below the highest slot given (`taken_ms`) makes
 * the slots up to it (`reused_ms`) suspect: those are given with `bumps` ms added, and the later
 * ones on the grid. bumps is higher than any that was used in the range that time passes through
 * again: 1 when the step ends above every bumped slot given so far (`bumped_ms`), else one more
 * than ever before. So it stays small on a machine whose clock is stepped back every minute.
 *
 * This is kept for the whole schedule and not for each entry: it costs no memory, and a site that
 * was removed and added again (a reload) does not use its old slots anew either.
 *
 * The one slot of an entry that is off the grid, its first, has some rest above the grid; bumps
 * leave that rest out (bumped_rest).
 */
#include "producer/schedule.h"

#include <assert.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"

#define ENTRIES_MIN 64
#define NO_ENTRY UINT32_MAX

struct entry {
    void *tag;
    int64_t slot_ms;        /* the next one */
    int64_t missed_slot_ms; /* the first of `missed` */
    uint32_t interval_ms;   /* 0: the entry is free */
    uint32_t phase_ms;
    uint32_t place;         /* in the heap; of a free entry: the next free one */
    uint32_t first_rest_ms; /* of the first slot above the grid; 0: on the grid, or none */
    uint32_t missed;        /* slots that were late when the clock was stepped */
    bool first;             /* slot_ms is the first slot, off the grid */
};

struct schedule {
    int64_t offset_ns;
    int64_t taken_ms;
    int64_t reused_ms;
    int64_t bumped_ms;
    uint32_t bumps;
    uint32_t bumps_max;
    uint32_t entries_count; /* in use or free */
    uint32_t entries_room;
    uint32_t free_entry; /* NO_ENTRY: none */
    uint32_t count;      /* in the heap */
    struct entry *entries;
    uint32_t *heap; /* entries; heap[0] is due first */
};

/* --- Slots --- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

static int64_t now_ms(const struct schedule *s, int64_t now_ns)
{
    return floor_div(now_ns + s->offset_ns, NS_PER_MS);
}

/* Which interval of the entry's grid the time is in. */
static int64_t grid_index(const struct entry *e, int64_t ms)
{
    return floor_div(ms - e->phase_ms, e->interval_ms);
}

static int64_t grid_start(const struct entry *e, int64_t index)
{
    return index * e->interval_ms + e->phase_ms;
}

/* What is added to a suspect slot of this entry. */
static int64_t bumped_rest(const struct schedule *s, const struct entry *e)
{
    bool skip = e->first_rest_ms != 0 && s->bumps >= e->first_rest_ms;

    return (int64_t)s->bumps + (skip ? 1 : 0);
}

/* The slot of one interval of the grid. */
static int64_t slot_at(const struct schedule *s, const struct entry *e, int64_t index)
{
    int64_t start = grid_start(e, index);

    return start <= s->reused_ms ? start + bumped_rest(s, e) : start;
}

/* The interval whose slot is the first one after ms. */
static int64_t index_after(const struct schedule *s, const struct entry *e, int64_t ms)
{
    int64_t rest = bumped_rest(s, e);
    int64_t bumped = grid_index(e, ms - rest) + 1;

    /* With every millisecond of the interval used, the suspect slots are left out. */
    if (rest < e->interval_ms && grid_start(e, bumped) <= s->reused_ms) {
        return bumped;
    }
    return grid_index(e, ms > s->reused_ms ? ms : s->reused_ms) + 1;
}

/* How many slots from the entry's next one on are at or before ms, and the last of them. */
static int64_t count_due(const struct schedule *s, const struct entry *e, int64_t ms,
                         int64_t *last_ms)
{
    if (e->slot_ms > ms) {
        return 0;
    }
    int64_t begin = e->first ? index_after(s, e, e->slot_ms) : grid_index(e, e->slot_ms);
    int64_t end = index_after(s, e, ms);

    *last_ms = end > begin ? slot_at(s, e, end - 1) : e->slot_ms;
    return end - begin + (e->first ? 1 : 0);
}

/* Begin on the grid, at the first of its times after ms. */
static void set_grid_slot(const struct schedule *s, struct entry *e, int64_t ms)
{
    int64_t index = index_after(s, e, ms);

    /* A suspect slot whose own time has passed, but not yet its bumps, was checked just now. */
    e->slot_ms = slot_at(s, e, grid_start(e, index) <= ms ? index + 1 : index);
}

static void set_first_slot(struct entry *e, int64_t slot_ms)
{
    e->first = true;
    e->slot_ms = slot_ms;
    e->first_rest_ms = (uint32_t)(slot_ms - grid_start(e, grid_index(e, slot_ms)));
}

/* --- The heap --- */

static void heap_put(struct schedule *s, uint32_t place, uint32_t entry)
{
    s->heap[place] = entry;
    s->entries[entry].place = place;
}

static void sift_up(struct schedule *s, uint32_t place)
{
    uint32_t entry = s->heap[place];
    int64_t slot_ms = s->entries[entry].slot_ms;

    while (place > 0) {
        uint32_t parent = (place - 1) / 2;

        if (s->entries[s->heap[parent]].slot_ms <= slot_ms) {
            break;
        }
        heap_put(s, place, s->heap[parent]);
        place = parent;
    }
    heap_put(s, place, entry);
}

static void sift_down(struct schedule *s, uint32_t place)
{
    uint32_t entry = s->heap[place];
    int64_t slot_ms = s->entries[entry].slot_ms;

    for (;;) {
        uint32_t child = 2 * place + 1;

        if (child >= s->count) {
            break;
        }
        if (child + 1 < s->count &&
            s->entries[s->heap[child + 1]].slot_ms < s->entries[s->heap[child]].slot_ms) {
            child++;
        }
        if (s->entries[s->heap[child]].slot_ms >= slot_ms) {
            break;
        }
        heap_put(s, place, s->heap[child]);
        place = child;
    }
    heap_put(s, place, entry);
}

/* --- What the header promises --- */

struct schedule *schedule_new(int64_t offset_ns)
{
    struct schedule *s = mem_alloc(1, sizeof(*s));

    s->offset_ns = offset_ns;
    s->taken_ms = INT64_MIN;
    s->reused_ms = INT64_MIN;
    s->bumped_ms = INT64_MIN;
    s->free_entry = NO_ENTRY;
    return s;
}

void schedule_free(struct schedule *s)
{
    if (s == NULL) {
        return;
    }
    free(s->entries);
    free(s->heap);
    free(s);
}

static uint32_t take_free_entry(struct schedule *s)
{
    uint32_t entry = s->free_entry;

    if (entry != NO_ENTRY) {
        s->free_entry = s->entries[entry].place;
        return entry;
    }
    if (s->entries_count == s->entries_room) {
        assert(s->entries_room <= UINT32_MAX / 4);
        s->entries_room = s->entries_room == 0 ? ENTRIES_MIN : s->entries_room * 2;
        s->entries = mem_resize(s->entries, s->entries_room, sizeof(s->entries[0]));
        s->heap = mem_resize(s->heap, s->entries_room, sizeof(s->heap[0]));
    }
    return s->entries_count++;
}

uint32_t schedule_add(struct schedule *s, int64_t phase_ms, int64_t interval_ms,
                      int64_t first_slot_ms, void *tag, int64_t now_ns)
{
    assert(interval_ms > 0 && interval_ms <= SCHEDULE_INTERVAL_MS_MAX);
    assert(phase_ms >= 0 && phase_ms < interval_ms);
    uint32_t entry = take_free_entry(s);
    struct entry *e = &s->entries[entry];

    *e = (struct entry){
        .tag = tag,
        .interval_ms = (uint32_t)interval_ms,
        .phase_ms = (uint32_t)phase_ms,
    };
    if (first_slot_ms > 0) {
        set_first_slot(e, first_slot_ms);
    } else {
        set_grid_slot(s, e, now_ms(s, now_ns));
    }
    s->heap[s->count] = entry;
    sift_up(s, s->count++);
    return entry;
}

void schedule_remove(struct schedule *s, uint32_t entry)
{
    assert(entry < s->entries_count && s->entries[entry].interval_ms != 0);
    uint32_t place = s->entries[entry].place;
    uint32_t last = s->heap[--s->count];

    if (last != entry) {
        heap_put(s, place, last);
        sift_up(s, place);
        sift_down(s, s->entries[last].place);
    }
    s->entries[entry] = (struct entry){.place = s->free_entry};
    s->free_entry = entry;
}

bool schedule_take_due(struct schedule *s, int64_t now_ns, struct schedule_turn *turn)
{
    int64_t ms = now_ms(s, now_ns);
    int64_t last_ms = ms;

    if (s->count == 0 || s->entries[s->heap[0]].slot_ms > ms) {
        return false;
    }
    struct entry *e = &s->entries[s->heap[0]];
    uint64_t skipped = (uint64_t)count_due(s, e, ms, &last_ms) - 1;

    *turn = (struct schedule_turn){
        .entry = s->heap[0],
        .tag = e->tag,
        .slot_ms = last_ms,
        .lag_us = (now_ns + s->offset_ns - last_ms * NS_PER_MS) / NS_PER_US,
        .missed = e->missed + skipped,
    };
    if (turn->missed > 0) {
        turn->missed_slot_ms = e->missed > 0 ? e->missed_slot_ms : e->slot_ms;
    }
    if (last_ms > s->taken_ms) {
        s->taken_ms = last_ms;
    }
    if (last_ms <= s->reused_ms + (int64_t)s->bumps + 1 && last_ms > s->bumped_ms) {
        s->bumped_ms = last_ms;
    }
    e->missed = 0;
    e->first = false;
    e->slot_ms = slot_at(s, e, index_after(s, e, ms));
    sift_down(s, 0);
    return true;
}

int64_t schedule_next_due_ns(const struct schedule *s)
{
    if (s->count == 0) {
        return TIME_NEVER;
    }
    return s->entries[s->heap[0]].slot_ms * NS_PER_MS - s->offset_ns;
}

/* Slots that were due by the old time and not taken yet: the step must not lose them unseen. */
static void note_late(const struct schedule *s, struct entry *e, int64_t old_ms)
{
    int64_t last_ms;
    int64_t late = e->first ? 0 : count_due(s, e, old_ms, &last_ms);

    if (late > 0) {
        e->missed_slot_ms = e->missed > 0 ? e->missed_slot_ms : e->slot_ms;
        e->missed = late > UINT32_MAX - e->missed ? UINT32_MAX : e->missed + (uint32_t)late;
    }
}

void schedule_step(struct schedule *s, int64_t offset_ns, int64_t now_ns)
{
    int64_t moved_ns = offset_ns - s->offset_ns;
    int64_t old_ms = now_ms(s, now_ns);

    for (uint32_t i = 0; i < s->count; i++) {
        note_late(s, &s->entries[s->heap[i]], old_ms);
    }
    s->offset_ns = offset_ns;
    int64_t ms = now_ms(s, now_ns);

    if (moved_ns < 0 && ms < s->taken_ms) {
        s->bumps = ms >= s->bumped_ms ? 1 : s->bumps_max + 1;
        s->bumps_max = s->bumps > s->bumps_max ? s->bumps : s->bumps_max;
        s->reused_ms = s->taken_ms;
    }
    for (uint32_t i = 0; i < s->count; i++) {
        struct entry *e = &s->entries[s->heap[i]];

        if (e->first) {
            /* It waits for a moment, not for a time of day: the moment stays what it was. */
            set_first_slot(e, floor_div(e->slot_ms * NS_PER_MS + moved_ns, NS_PER_MS));
        } else {
            set_grid_slot(s, e, ms);
        }
    }
    for (uint32_t i = s->count / 2; i-- > 0;) {
        sift_down(s, i);
    }
}

size_t schedule_count(const struct schedule *s)
{
    return s->count;
}
