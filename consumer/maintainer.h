/*
 * maintainer - what the database needs beside batches: days made ahead, what is past its retention
 * dropped, rollups put together. One thread with a connection of its own, so that workers are
 * never held up. Of many consumers one at a time does a thing; the store sees to that.
 */
#ifndef CONSUMER_MAINTAINER_H
#define CONSUMER_MAINTAINER_H

#include <stdbool.h>

#include "common/err.h"
#include "common/metrics.h"
#include "consumer/store.h"

struct maintainer;

/* Starts the thread. It waits out whatever Postgres does, and says so in the log. */
struct maintainer *maintainer_new(const struct store_settings *settings, struct metrics *m,
                                  struct err *err);

/* Ask it to end after the statement that runs. Returns at once. */
void maintainer_stop(struct maintainer *m);
/* Give up the statement that it waits for, should the server not answer. What was begun is rolled
 * back. After maintainer_stop; again while it is not done: it may have connected meanwhile. */
void maintainer_cut(struct maintainer *m);
bool maintainer_is_done(const struct maintainer *m);
/* Readable when it ended. */
int maintainer_fd(const struct maintainer *m);

/* Stops it, if that was not done, and waits for its end. */
void maintainer_free(struct maintainer *m);

#endif
