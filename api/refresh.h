/*
 * refresh - a thread that makes a thing anew while somebody asks for it, and leaves a pause after
 * each making; and the lock of the last one that was made. It knows nothing of what it makes.
 */
#ifndef API_REFRESH_H
#define API_REFRESH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct refresh;

struct refresh_settings {
    const char *name; /* of what is made, for the error of refresh_new */
    /* In the thread, without the lock. Returns for how many ns none is made after this one. */
    int64_t (*make)(void *context, struct refresh *r);
    /* Right after, with the lock: puts it in the place of the one before. */
    void (*keep)(void *context);
    void *context;
};

/* Starts the thread. NULL and ERR_FATAL. */
struct refresh *refresh_new(const struct refresh_settings *settings, struct err *err);
/* Waits for the making that is on its way. NULL is fine. */
void refresh_free(struct refresh *r);

/* For a making that takes long: it may stop, and keep what it likes. */
bool refresh_is_ending(struct refresh *r);

/* Somebody asks: another is made as soon as it may be. */
void refresh_want(struct refresh *r);

void refresh_lock(struct refresh *r);
void refresh_unlock(struct refresh *r);
/* With the lock, let go meanwhile: until something was made, or for nothing. False: it is past
 * until_ns (CLOCK_MONOTONIC). */
bool refresh_wait(struct refresh *r, int64_t until_ns);
/* With the lock: when the next may be made (CLOCK_MONOTONIC). */
int64_t refresh_next_ns(const struct refresh *r);

#endif
