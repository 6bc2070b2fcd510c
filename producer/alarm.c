#include "producer/alarm.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"

/* A binary heap from index 1: the parent of i is i / 2. Each alarm knows its place, so that one
 * that is no longer needed is taken out from the middle. */

void alarms_init(struct alarms *alarms, size_t capacity)
{
    *alarms = (struct alarms){
        .heap = mem_alloc(capacity + 1, sizeof(struct alarm *)),
        .capacity = capacity,
    };
}

void alarms_free(struct alarms *alarms)
{
    free(alarms->heap);
    *alarms = (struct alarms){0};
}

static void put(struct alarms *alarms, size_t place, struct alarm *alarm)
{
    alarms->heap[place] = alarm;
    alarm->place = place;
}

static void move_up(struct alarms *alarms, struct alarm *alarm)
{
    size_t place = alarm->place;

    while (place > 1 && alarms->heap[place / 2]->due_ns > alarm->due_ns) {
        put(alarms, place, alarms->heap[place / 2]);
        place /= 2;
    }
    put(alarms, place, alarm);
}

static void move_down(struct alarms *alarms, struct alarm *alarm)
{
    size_t place = alarm->place;

    for (size_t child = place * 2; child <= alarms->count; child = place * 2) {
        if (child < alarms->count &&
            alarms->heap[child + 1]->due_ns < alarms->heap[child]->due_ns) {
            child++;
        }
        if (alarms->heap[child]->due_ns >= alarm->due_ns) {
            break;
        }
        put(alarms, place, alarms->heap[child]);
        place = child;
    }
    put(alarms, place, alarm);
}

void alarm_clear(struct alarms *alarms, struct alarm *alarm)
{
    if (alarm->place == 0) {
        return;
    }
    struct alarm *last = alarms->heap[alarms->count--];

    if (last != alarm) {
        put(alarms, alarm->place, last);
        move_up(alarms, last);
        move_down(alarms, last);
    }
    alarm->place = 0;
}

void alarm_set(struct alarms *alarms, struct alarm *alarm, int64_t due_ns)
{
    alarm_clear(alarms, alarm);
    if (alarms->count == alarms->capacity) {
        alarms->capacity = 2 * alarms->capacity + 1;
        alarms->heap = mem_resize(alarms->heap, alarms->capacity + 1, sizeof(alarms->heap[0]));
    }
    alarm->due_ns = due_ns;
    alarm->place = ++alarms->count;
    move_up(alarms, alarm);
}

int64_t alarms_next_due_ns(const struct alarms *alarms)
{
    return alarms->count == 0 ? TIME_NEVER : alarms->heap[1]->due_ns;
}

struct alarm *alarms_take_due(struct alarms *alarms, int64_t now_ns)
{
    struct alarm *first = alarms->count == 0 ? NULL : alarms->heap[1];

    if (first == NULL || first->due_ns > now_ns) {
        return NULL;
    }
    alarm_clear(alarms, first);
    return first;
}
