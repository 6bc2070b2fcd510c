/*
 * alarm - a heap of times at which something must be looked at although nothing happened.
 *
 * An alarm is a member of whatever is to be looked at, and is owned by it. It reads no clock.
 */
#ifndef PRODUCER_ALARM_H
#define PRODUCER_ALARM_H

#include <stddef.h>
#include <stdint.h>

struct alarm {
    int64_t due_ns;
    size_t place; /* in the heap, from 1; 0: not in it */
};

struct alarms {
    struct alarm **heap;
    size_t count, capacity;
};

/* capacity: how many are set at a time, as far as is known; it grows when there are more. */
void alarms_init(struct alarms *alarms, size_t capacity);
void alarms_free(struct alarms *alarms);
/* Set it, or set it anew. */
void alarm_set(struct alarms *alarms, struct alarm *alarm, int64_t due_ns);
void alarm_clear(struct alarms *alarms, struct alarm *alarm);
/* TIME_NEVER when none is set. */
int64_t alarms_next_due_ns(const struct alarms *alarms);
/* Take one that is due, or NULL. */
struct alarm *alarms_take_due(struct alarms *alarms, int64_t now_ns);

#endif
