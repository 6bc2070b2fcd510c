/*
 * retry - failed attempts, each with the event that tells of it: those that wait to be made again,
 * and those of which it is not known yet whether they are the site's fault.
 *
 * Whether an attempt was the last one of its slot is known when the next one starts or is given
 * up. Its event is kept until then, so that each event is made once and says the truth. It decides
 * nothing, makes no check and reads no clock.
 */
#ifndef PRODUCER_RETRY_H
#define PRODUCER_RETRY_H

#include <stddef.h>
#include <stdint.h>

#include "common/event.h"
#include "producer/alarm.h"
#include "producer/siteset.h"

struct retries {
    struct alarms alarms;
    size_t count;
};

struct retry {
    struct alarm alarm;
    struct retry *next; /* of the same site; of those that wait for something else: its owner's */
    struct member *member;
    struct event event; /* of the attempt that failed */
    int64_t slot_ns;    /* its slot, by the monotonic clock */
    int64_t began_ns, ended_ns;
    char *final_url, *message, *answers, *peer;
};

void retries_init(struct retries *r);
/* None may wait. */
void retries_clear(struct retries *r);

/* Keeps a copy of what lives in the event for a moment only, and holds the member. */
struct retry *retry_new(struct member *member, const struct event *event);

/* Takes it over. */
void retries_add(struct retries *r, struct retry *retry, int64_t due_ns);

/* TIME_NEVER when none waits. */
int64_t retries_next_due_ns(const struct retries *r);

/* Take one that is due, any one, or one of a site; NULL when there is none. The caller owns it, and
 * it still holds its member. */
struct retry *retries_take_due(struct retries *r, int64_t now_ns);
struct retry *retries_take_any(struct retries *r);
struct retry *retries_take_of(struct retries *r, const struct member *member);

/* Also lets go of the member, which may be freed by that. */
void retry_free(struct retry *retry);

#endif
