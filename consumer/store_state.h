/*
 * store_state - what store_state.c (checks in order), store_late.c (checks that are late),
 * store_state_lock.c (locks), store_overall.c (sites over all) and store_marks.c (hours that they
 * touch) share, and nobody else includes.
 */
#ifndef CONSUMER_STORE_STATE_H
#define CONSUMER_STORE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "consumer/fold.h"
#include "consumer/store_internal.h"

/* A slot as microseconds, and back; STORE_NEVER is FOLD_NEVER, and NULL as a slot. */
#define STORE_US(column) " (extract(epoch FROM " column ") * 1000000)::bigint"
#define STORE_NEVER "(-9223372036854775807 - 1)"
#define STORE_SLOT(us)                                                                             \
    "(timestamptz 'epoch' + nullif(" us ", " STORE_NEVER ") * interval '1 microsecond')"

struct state_key_id {
    int64_t website_id;
    int64_t location_id;
};

/* A final check of the batch. */
struct state_check {
    struct state_key_id id;
    int32_t attempt;
    struct fold_check check;
};

/* A site at a location. */
struct state_key {
    struct state_key_id id;
    struct fold_check *checks; /* of the batch, one a slot; in the work's `folded` */
    size_t count;
    int32_t failures_max;
    bool advanced; /* nothing but its last slot changed, and that is written */
    bool late;
    int64_t changed_us; /* from when on the site over all may be another; FOLD_NEVER: it is not */
    struct fold_state old, state;
    struct fold_incidents incidents;
};

struct state_work {
    struct state_check *checks;
    size_t checks_count;
    struct fold_check *folded;
    size_t folded_count;
    struct state_key *keys; /* in order */
    size_t keys_count;
    struct fold_check *late; /* read back; their texts live in rows */
    PGresult *rows;
};

/* store_marks.c. The hours of all its checks are marked: their rollups are stale. */
int store_marks_write(struct store *s, const struct state_work *work, struct err *err) MUST_CHECK;

/* store_state_lock.c. Lock the keys' states, and advance those of which only the last slot changes;
 * the others are read. all_late: none may be advanced. */
int store_state_lock(struct store *s, struct state_work *work, bool all_late,
                     struct err *err) MUST_CHECK;

/* Note that from this time on the key's site may be another over all. */
void store_state_change(struct state_key *key, int64_t from_us);

/* store_overall.c. Sites of which a location's incidents changed are counted anew. */
int store_overall_write(struct store *s, const struct state_work *work, struct err *err) MUST_CHECK;

/* The keys that are late get the state and the incidents that the rows in the table say. */
int store_late_fold(struct store *s, struct state_work *work, struct err *err) MUST_CHECK;

#endif
