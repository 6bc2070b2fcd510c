/*
 * State and incidents, in the batch's transaction, after its rows. The batch's checks are put
 * together by site and location (a key), each key's state is locked, in the order of keys, and:
 *
 * advanced: it was up, or degraded, and all its checks say the same again. That is most keys, and
 * nothing but the slot of the last check changes: the statement that locks them sees to it.
 *
 * in order: all its checks are newer than what its state has seen. They are folded into it.
 *
 * late: some are not, or may have been stored before. What lies between the success before the
 * first of them and the success after the last is read back and folded anew (store_late.c).
 *
 * When an incident of a key began, ended or was withdrawn by that, its site is counted over all
 * locations (store_overall.c).
 */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "consumer/store_state.h"

#define uthash_malloc(size) mem_alloc(1, (size))
#include <uthash.h>

struct known_key {
    struct state_key_id id;
    UT_hash_handle hh;
};

/* --- Rows of site_state are there before the batch --- */

static bool is_known(const struct store *s, const struct state_key_id *id)
{
    struct known_key *found;

    /* clang-tidy 14 forgets the id's bytes when uthash reads them one by one. */
    HASH_FIND(hh, s->state_keys, id, sizeof(*id), found); /* NOLINT(clang-analyzer-core.*) */
    return found != NULL;
}

static void note_known(struct store *s, const struct state_key_id *id)
{
    struct known_key *entry = mem_alloc(1, sizeof(*entry));

    entry->id = *id;
    HASH_ADD(hh, s->state_keys, id, sizeof(entry->id), entry);
}

void store_state_forget(struct store *s)
{
    struct known_key *entry, *next;

    HASH_ITER (hh, s->state_keys, entry, next) {
        HASH_DEL(s->state_keys, entry);
        free(entry);
    }
}

static int compare_checks(const void *left, const void *right)
{
    const struct state_check *a = left;
    const struct state_check *b = right;

#define BY(field)                                                                                  \
    if (a->field != b->field) {                                                                    \
        return a->field < b->field ? -1 : 1;                                                       \
    }
    BY(id.website_id)
    BY(id.location_id)
    BY(check.slot_us)
    BY(attempt)
#undef BY
    return 0;
}

static bool same_key(const struct state_key_id *a, const struct state_key_id *b)
{
    return a->website_id == b->website_id && a->location_id == b->location_id;
}

static void collect_checks(struct state_work *work, const struct batch *batch)
{
    work->checks = mem_alloc(batch->rows_count + 1, sizeof(*work->checks));
    for (size_t i = 0; i < batch->rows_count; i++) {
        const struct batch_row *row = &batch->rows[i];

        if (!store_row_is_live(batch, row) || !row->event.final) {
            continue;
        }
        work->checks[work->checks_count++] = (struct state_check){
            .id = {.website_id = row->website_id, .location_id = row->location_id},
            .attempt = row->event.attempt,
            .check =
                {
                    .slot_us = row->event.slot_us,
                    .status = row->event.status,
                    .error_type =
                        row->event.error == ERROR_NONE ? NULL : error_type_name(row->event.error),
                    .error_message = row->event.error_message,
                },
        };
    }
    qsort(work->checks, work->checks_count, sizeof(*work->checks), compare_checks);
}

/* One key for each site and location; of a slot only the first final attempt counts. */
static void collect_keys(struct state_work *work)
{
    work->keys = mem_alloc(work->checks_count + 1, sizeof(*work->keys));
    work->folded = mem_alloc(work->checks_count + 1, sizeof(*work->folded));
    for (size_t i = 0; i < work->checks_count; i++) {
        const struct state_check *c = &work->checks[i];
        struct state_key *key = work->keys_count > 0 ? &work->keys[work->keys_count - 1] : NULL;

        if (key == NULL || !same_key(&key->id, &c->id)) {
            key = &work->keys[work->keys_count++];
            *key = (struct state_key){
                .id = c->id,
                .checks = &work->folded[work->folded_count],
                .changed_us = FOLD_NEVER,
            };
        } else if (key->checks[key->count - 1].slot_us == c->check.slot_us) {
            continue;
        }
        work->folded[work->folded_count++] = c->check;
        key->count++;
    }
}

static void collect(struct state_work *work, const struct batch *batch)
{
    *work = (struct state_work){0};
    collect_checks(work, batch);
    collect_keys(work);
}

static void work_free(struct state_work *work)
{
    for (size_t i = 0; i < work->keys_count; i++) {
        fold_incidents_free(&work->keys[i].incidents);
    }
    PQclear(work->rows);
    free(work->late);
    free(work->checks);
    free(work->folded);
    free(work->keys);
}

int store_state_resolve(struct store *s, const struct batch *batch, struct err *err)
{
    static const char sql[] = "INSERT INTO site_state (website_id, location_id)"
                              " SELECT w, l FROM unnest($1::bigint[], $2::bigint[]) AS k (w, l)"
                              " ORDER BY w, l ON CONFLICT DO NOTHING";
    struct pg_params p = {0};
    struct pg_array websites, locations;
    int rc = 0;

    if (HASH_COUNT(s->state_keys) >= STORE_NAMES_CACHED_MAX) {
        store_state_forget(s);
    }
    pg_array_init(&websites, PG_INT8);
    pg_array_init(&locations, PG_INT8);
    for (size_t i = 0; i < batch->rows_count; i++) {
        const struct batch_row *row = &batch->rows[i];
        const struct state_key_id id = {row->website_id, row->location_id};

        if (store_row_is_live(batch, row) && row->event.final && !is_known(s, &id)) {
            pg_array_int8(&websites, id.website_id);
            pg_array_int8(&locations, id.location_id);
            note_known(s, &id); /* once a batch; forgotten should the statement fail */
        }
    }
    if (websites.count > 0) {
        pg_add_array(&p, &websites);
        pg_add_array(&p, &locations);
        rc = pg_execute(s->conn, "make rows of state", sql, &p, NULL, &s->fault, err);
    }
    if (rc < 0) {
        store_state_forget(s);
    }
    pg_array_free(&websites);
    pg_array_free(&locations);
    return rc < 0 ? store_outage(err) : 0;
}

/* --- In the batch's transaction --- */

/* Columns of what is written. */
#define SINCE STORE_SLOT("k.since")
#define LAST STORE_SLOT("k.last")
#define INCIDENT STORE_SLOT("k.incident")
#define OPENED STORE_SLOT("k.opened")
#define CLOSED STORE_SLOT("k.closed")

static int write_states(struct store *s, const struct state_work *work, struct err *err)
{
    static const char sql[] =
        "UPDATE site_state s SET status = k.status, since = " SINCE ", last_slot = " LAST ","
        "   failures_in_a_row = k.failures, silent_slot = NULL, stale = false,"
        "   incident_slot = " INCIDENT
        " FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[],"
        "   $6::bigint[], $7::bigint[]) AS k (w, l, status, since, last, failures, incident)"
        " WHERE s.website_id = k.w AND s.location_id = k.l";
    struct pg_params p = {0};
    struct pg_array columns[7];

    for (size_t i = 0; i < 7; i++) {
        pg_array_init(&columns[i], i == 2 ? PG_TEXT : PG_INT8);
    }
    for (size_t i = 0; i < work->keys_count; i++) {
        const struct state_key *key = &work->keys[i];

        if (key->advanced) {
            continue;
        }
        pg_array_int8(&columns[0], key->id.website_id);
        pg_array_int8(&columns[1], key->id.location_id);
        pg_array_text(&columns[2], check_status_name(key->state.status));
        pg_array_int8(&columns[3], key->state.since_us);
        pg_array_int8(&columns[4], key->state.last_slot_us);
        pg_array_int8(&columns[5], key->state.failures);
        pg_array_int8(&columns[6], key->state.incident_us);
    }
    for (size_t i = 0; i < 7; i++) {
        pg_add_array(&p, &columns[i]);
    }
    int rc = columns[0].count == 0
                 ? 0
                 : pg_execute(s->conn, "write state", sql, &p, NULL, &s->fault, err);

    for (size_t i = 0; i < 7; i++) {
        pg_array_free(&columns[i]);
    }
    return rc;
}

/* Those that are new (or were withdrawn before), or those that go on. */
static int write_incidents(struct store *s, const struct state_work *work, bool is_new,
                           struct err *err)
{
    static const char new_sql[] =
        "INSERT INTO incidents (website_id, location_id, opened_slot, closed_slot, checks,"
        "   error_type, error_message)"
        " SELECT k.w, k.l, " OPENED ", " CLOSED ", k.checks, k.type, k.message"
        " FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],"
        "   $6::text[], $7::text[]) AS k (w, l, opened, closed, checks, type, message)"
        " ON CONFLICT (website_id, location_id, opened_slot) DO UPDATE SET withdrawn = false,"
        "   closed_slot = excluded.closed_slot, checks = excluded.checks,"
        "   error_type = excluded.error_type, error_message = excluded.error_message";
    static const char old_sql[] =
        "UPDATE incidents i SET checks = k.checks, closed_slot = " CLOSED
        " FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])"
        "   AS k (w, l, opened, closed, checks)"
        " WHERE i.website_id = k.w AND i.location_id = k.l AND i.opened_slot = " OPENED;
    struct pg_params p = {0};
    struct pg_array columns[7];
    size_t used = is_new ? 7 : 5;
    int rc = 0;

    for (size_t i = 0; i < used; i++) {
        pg_array_init(&columns[i], i < 5 ? PG_INT8 : PG_TEXT);
    }
    for (size_t i = 0; i < work->keys_count; i++) {
        const struct state_key *key = &work->keys[i];

        for (size_t n = 0; n < key->incidents.count; n++) {
            const struct fold_incident *incident = &key->incidents.items[n];

            if (incident->is_new != is_new) {
                continue;
            }
            pg_array_int8(&columns[0], key->id.website_id);
            pg_array_int8(&columns[1], key->id.location_id);
            pg_array_int8(&columns[2], incident->opened_us);
            pg_array_int8(&columns[3], incident->closed_us);
            pg_array_int8(&columns[4], incident->checks);
            if (is_new) {
                pg_array_text(&columns[5], incident->error_type);
                pg_array_text(&columns[6], incident->error_message);
            }
        }
    }
    for (size_t i = 0; i < used; i++) {
        pg_add_array(&p, &columns[i]);
    }
    if (columns[0].count > 0) {
        rc = pg_execute(s->conn, "write incidents", is_new ? new_sql : old_sql, &p, NULL, &s->fault,
                        err);
    }
    for (size_t i = 0; i < used; i++) {
        pg_array_free(&columns[i]);
    }
    return rc;
}

void store_state_change(struct state_key *key, int64_t from_us)
{
    if (key->changed_us == FOLD_NEVER || from_us < key->changed_us) {
        key->changed_us = from_us;
    }
}

static void fold_in_order(struct state_key *key)
{
    fold_checks(&key->state, key->checks, key->count, key->failures_max, &key->incidents);
    for (size_t i = 0; i < key->incidents.count; i++) {
        const struct fold_incident *incident = &key->incidents.items[i];

        if (incident->is_new) {
            store_state_change(key, incident->opened_us);
        } else if (incident->closed_us != FOLD_NEVER) {
            store_state_change(key, incident->closed_us);
        }
    }
}

static int write_work(struct store *s, struct state_work *work, bool all_late, struct err *err)
{
    size_t late = 0;

    if (store_state_lock(s, work, all_late, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < work->keys_count; i++) {
        struct state_key *key = &work->keys[i];

        if (key->advanced) {
            continue;
        }
        key->late = all_late || key->old.last_slot_us == FOLD_NEVER ||
                    key->checks[0].slot_us <= key->old.last_slot_us;
        if (key->late) {
            late++;
        } else {
            fold_in_order(key);
        }
    }
    if (late > 0 && store_late_fold(s, work, err) < 0) {
        return -1;
    }
    return write_states(s, work, err) < 0 || write_incidents(s, work, false, err) < 0 ||
                   write_incidents(s, work, true, err) < 0 || store_overall_write(s, work, err) < 0
               ? -1
               : 0;
}

int store_state_write(struct store *s, const struct batch *batch, bool all_late, struct err *err)
{
    struct state_work work;

    collect(&work, batch);

    int rc = 0;

    if (work.keys_count > 0 &&
        (write_work(s, &work, all_late, err) < 0 || store_marks_write(s, &work, err) < 0)) {
        rc = -1;
    }

    work_free(&work);
    return rc < 0 ? store_outage(err) : 0;
}
