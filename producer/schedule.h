/*
 * schedule - which site is to be checked next, when, and for which slot.
 *
 * Slots are wall-clock: phase + k x interval since the epoch (common/ident), so that a producer
 * that restarts, or another one, has the same. Waiting is monotonic: a slot is due when the
 * monotonic clock reaches slot - offset, where offset = realtime - monotonic is given by the
 * caller, who also says when realtime was stepped.
 *
 * A min-heap; it does no I/O and reads no clock.
 */
#ifndef PRODUCER_SCHEDULE_H
#define PRODUCER_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCHEDULE_INTERVAL_MS_MAX INT64_C(86400000) /* a day */

struct schedule;

struct schedule_turn {
    uint32_t entry; /* as schedule_add returned it */
    void *tag;
    int64_t slot_ms;        /* since the epoch; never the same twice for one entry */
    int64_t lag_us;         /* how late we are for it; >= 0 */
    uint64_t missed;        /* slots of this entry skipped since its last turn */
    int64_t missed_slot_ms; /* the first of them */
};

/* offset_ns: CLOCK_REALTIME - CLOCK_MONOTONIC now. */
struct schedule *schedule_new(int64_t offset_ns);
void schedule_free(struct schedule *s);

/*
 * Add a site, due at its next grid slot after now. With first_slot_ms > 0 it is due first at that
 * wall-clock time, off the grid, and then on the grid (a new or changed site; a check on start).
 * Returns the entry, a small number that is free for reuse after schedule_remove.
 * 0 <= phase_ms < interval_ms <= SCHEDULE_INTERVAL_MS_MAX.
 */
uint32_t schedule_add(struct schedule *s, int64_t phase_ms, int64_t interval_ms,
                      int64_t first_slot_ms, void *tag, int64_t now_ns);
void schedule_remove(struct schedule *s, uint32_t entry);

/*
 * Take the most overdue entry and place its next turn. False when none is due at now_ns. Slots
 * that passed are skipped, never run in a burst: an entry with a 10 s interval found 35 s late is
 * given its latest slot, with missed = 3.
 */
bool schedule_take_due(struct schedule *s, int64_t now_ns, struct schedule_turn *turn);

/* When the next entry is due (monotonic), or TIME_NEVER. */
int64_t schedule_next_due_ns(const struct schedule *s);

/*
 * Realtime was stepped: the new offset. Every entry waits for its next grid slot by the new time;
 * one that waits for its first slot off the grid keeps its moment, and the slot moves with the
 * clock. Slots that were due before the step and not taken count as missed, those that the step
 * leapt over do not. Slots that this process used already (a step back) get + 1 ms until free.
 */
void schedule_step(struct schedule *s, int64_t offset_ns, int64_t now_ns);

size_t schedule_count(const struct schedule *s);

#endif
