/*
 * store_internal - what the files of the store share: its struct and the steps of store_write.
 * Nothing else includes it.
 *
 * store.c        connection, claims, and store_write, which puts the steps together
 * store_fence.c  begin a transaction under the fence, commit, look into an unknown commit
 * store_rows.c   the rows: COPY, the way of duplicates, halving
 * store_copy.c   rows and letters in COPY form, in our tables' columns
 * store_names.c  ids of sites and locations
 * store_days.c   partitions of checks
 * store_state.c  state and incidents (store_state_lock.c: locks; store_late.c: checks that come
 * late; store_overall.c: sites over all their locations)
 * store_marks.c  hours whose rollups are stale, marked
 * store_rollups.c  rollups put together
 * store_retention.c  what is dropped and deleted by age
 */
#ifndef CONSUMER_STORE_INTERNAL_H
#define CONSUMER_STORE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/pg.h"
#include "common/pgline.h"
#include "consumer/copyrows.h"
#include "consumer/store.h"

/* A failed step of store_write that is to be done once more in another way. */
enum store_again {
    AGAIN_NO,
    AGAIN_STAGED, /* a key was there already */
    AGAIN_HALVED, /* Postgres refused a row */
    AGAIN_DAYS,   /* a day's partition is gone */
};

/* One partition of a transaction whose COMMIT was sent and not answered. */
struct sent_partition {
    char *topic;
    int32_t partition;
    int64_t epoch, stored, next;
};

/* What a look into kafka_offsets says about it. */
enum commit_outcome {
    COMMIT_STORED,
    COMMIT_LOST,
    COMMIT_TAKEN, /* others claimed every partition since: whichever it was, the fence knows */
    COMMIT_OUTCOMES
};
extern const char *const store_commit_outcomes[COMMIT_OUTCOMES];

struct sent_commit {
    struct sent_partition *partitions; /* by (topic, partition) */
    size_t count;                      /* 0: there is none */
    uint64_t rows, duplicates;         /* counted once it is known to be in */
};

/* Rows that are to become letters, by row. */
struct store_refusals {
    struct batch_refusal *items;
    size_t count, size;
};

struct known_key; /* store_state.c */
struct name_id;   /* store_names.c */
struct site_id;

/* Where a row belongs among those that are copied with it. */
struct copy_place {
    int64_t website_id, slot_us;
    const struct batch_row *row;
};

struct store {
    struct store_settings settings; /* its strings are ours */
    PGconn *conn;
    struct pgline line;    /* what store_cut cuts */
    struct pg_fault fault; /* why the last step failed */

    struct metric *rows_total, *duplicates_total, *commit_seconds, *batch_rows;
    struct metric *partitions_dropped, *letters_deleted, *incidents_deleted, *rollups_deleted;
    struct metric *changes_deleted, *sites_deleted;
    struct metric *rollups_put[2], *rollups_backlog[2], *rollups_marks; /* [0]: hours, [1]: days */
    struct metric *rollups_seconds;
    int64_t rollups_backlog_ns; /* when to count it again */
    struct metric *sites_stale;
    int64_t sites_stale_ns; /* as rollups_backlog_ns */
    struct metric *commits_in_doubt[COMMIT_OUTCOMES];

    struct copyrows copy;
    struct copy_place *places; /* of the rows that are being copied */
    size_t places_size;
    struct name_id *sites, *locations; /* by name */
    struct site_id *site_ids;
    bool listens;                 /* for ids that are gone */
    struct known_key *state_keys; /* that have a row of site_state */
    int32_t *days;                /* known to have a partition: days since 1970 */
    size_t days_count, days_size;
    struct sent_commit sent;
};

/* One try to write a batch. */
struct store_try {
    struct batch *batch;
    bool staged, halved;
    size_t live;     /* rows of partitions that are not dropped */
    size_t inserted; /* of them */
    struct store_refusals refused;
    bool refused_too_many;
    enum store_again again; /* what would mend it, when it failed */
};

static inline bool store_row_is_live(const struct batch *batch, const struct batch_row *row)
{
    return !batch->partitions[row->partition].dropped;
}

static inline bool store_letter_is_live(const struct batch *batch,
                                        const struct batch_letter *letter)
{
    return !batch->partitions[letter->partition].dropped;
}

/* Whatever Postgres said, outside the rows it is an outage. Always -1. */
static inline int store_outage(struct err *err)
{
    err->kind = ERR_RETRY;
    return -1;
}

/* store.c. Close the connection. */
void store_disconnect(struct store *s);

/* How many of rows[from..to) are of partitions that are not dropped. */
size_t store_live_rows(const struct batch *batch, size_t from, size_t to);

/* 22xxx, and 23xxx but a key that is there already and a row without a partition. */
bool store_is_row_fault(const struct pg_fault *fault);

/*
 * store_fence.c. BEGIN and the fence in one round trip. Outside a transaction afterwards on -1
 * and when *fenced; lost[] as in store_write.
 */
int store_fence_prepare(struct store *s, struct err *err) MUST_CHECK;
int store_fence_begin(struct store *s, const struct batch *batch, bool *fenced, uint32_t *lost,
                      size_t *lost_count, struct err *err) MUST_CHECK;
void store_rollback(struct store *s); /* whatever state it is in; closes it when that fails */

/* COMMIT, of which s->sent keeps a note until the answer is there. */
int store_commit(struct store *s, const struct batch *batch, uint64_t rows, uint64_t duplicates,
                 struct err *err) MUST_CHECK;

/* After an unanswered COMMIT of this batch: *in tells whether it took place. False when there is
 * no such COMMIT, and when no partition can tell any more: then the fence refuses them all. */
int store_commit_look(struct store *s, const struct batch *batch, bool *in,
                      struct err *err) MUST_CHECK;
void store_commit_forget(struct store *s);

/* store_rows.c. Put the rows into checks. On -1 t->again says what would mend it. */
int store_rows_write(struct store *s, struct store_try *t, struct err *err) MUST_CHECK;

/* store_copy.c. COPY rows[from..to) into `table`; the letters into dead_letters. */
extern const char store_check_columns[];
int store_copy_rows(struct store *s, const char *table, const struct batch *batch, size_t from,
                    size_t to, struct err *err) MUST_CHECK;
int store_copy_letters(struct store *s, const struct batch *batch, struct err *err) MUST_CHECK;

/* store_names.c. Every live row gets its ids, or becomes a letter. */
int store_names_resolve(struct store *s, struct batch *batch, struct err *err) MUST_CHECK;
void store_names_forget(struct store *s);
/* Told by NOTIFY when rows of websites were deleted: what is remembered of names is forgotten. */
#define STORE_SITES_GONE "sites_gone"

/* store_days.c. Every live row has a partition afterwards, or became a letter: one that is older
 * than retention or far in the future must not make partitions. */
int store_days_resolve(struct store *s, struct batch *batch, struct err *err) MUST_CHECK;
void store_days_forget(struct store *s);

/* The first day, counted from 1970, that may have a partition; a day before it is dropped. */
int32_t store_days_first(const struct store *s);

/* store_state.c. Every final row's site and location has a row of site_state afterwards; then, in
 * the batch's transaction, what the rows make of it, and the marks of their hours. all_late: some
 * may have been stored before. */
int store_state_resolve(struct store *s, const struct batch *batch, struct err *err) MUST_CHECK;
int store_state_write(struct store *s, const struct batch *batch, bool all_late,
                      struct err *err) MUST_CHECK;
void store_state_forget(struct store *s);

/* store_rollups.c, store_overall.c. */
void store_rollups_metrics(struct store *s, struct metrics *m);
void store_overall_metrics(struct store *s, struct metrics *m);

void store_refuse(struct store_refusals *list, size_t row, const char *reason, const char *detail);
void store_refusals_free(struct store_refusals *list);

#endif
