/*
 * The states that a batch touches are locked and read, by one statement, which also writes what
 * changes of most of them.
 */
#include "consumer/store_state.h"

/* Of a key whose state stands and whose checks in the batch are all newer and say the same. One
 * that was stale is another: its mark is to be taken away. */
#define STEADY                                                                                     \
    "s.status = k.status AND s.last_slot < k.first AND s.failures_in_a_row = 0"                    \
    " AND s.incident_slot IS NULL AND NOT s.stale"
/* The rest of such a row, to be read; NULL of the others. */
#define CHANGES(column) " CASE WHEN s.failures_in_a_row < 0 THEN" column " END"
#define CHANGES_US(column) CHANGES(STORE_US(column))
#define STATE_OF_CHANGES                                                                           \
    CHANGES(" s.status")                                                                           \
    "," CHANGES_US("s.last_slot") "," CHANGES_US("s.since") "," CHANGES_US(                        \
        "s.incident_slot") "," CHANGES_US("s.silent_slot")

/* The success that all checks of a key in order say, or CHECK_UNKNOWN. */
static enum check_status steady_status(const struct state_key *key)
{
    enum check_status status = key->checks[0].status;

    for (size_t i = 0; i < key->count; i++) {
        if (key->checks[i].status != status || status == CHECK_DOWN) {
            return CHECK_UNKNOWN;
        }
    }
    return status;
}

static int64_t us_or_never(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) != 0 ? FOLD_NEVER : pg_int(result, row, column);
}

static int read_states(struct store *s, struct state_work *work, const PGresult *result,
                       struct err *err)
{
    if ((size_t)PQntuples(result) != work->keys_count) {
        store_state_forget(s); /* somebody deleted rows: the next try makes them */
        return err_set(err, ERR_RETRY, "rows of site_state are missing");
    }
    for (int row = 0; row < PQntuples(result); row++) {
        struct state_key *key = &work->keys[pg_int(result, row, 0) - 1];
        int32_t failures = (int32_t)pg_int(result, row, 1);
        struct fold_state *state = &key->old;

        key->advanced = failures >= 0;
        if (key->advanced) {
            continue;
        }
        fold_state_init(state);
        state->last_slot_us = us_or_never(result, row, 3);
        state->incident_us = us_or_never(result, row, 5);
        if (state->last_slot_us != FOLD_NEVER) {
            check_status_find(PQgetvalue(result, row, 2), &state->status);
            state->since_us = us_or_never(result, row, 4);
            state->failures = -1 - failures;
        }
        key->state = *state;
        key->failures_max = 1;
        if (PQgetisnull(result, row, 6) == 0) { /* it was stale, and is heard of again */
            store_state_change(key, pg_int(result, row, 6));
        }
    }
    return 0;
}

/* Keys come in their order, which is to be the order of the locks, and is when rows are looked up
 * one by one. Two statements, first for some keys and then for the others, could wait in a circle
 * with those of another worker. */
static int lock_states(struct store *s, struct state_work *work, bool all_late, struct err *err)
{
    static const char in_order_sql[] =
        "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off";
    static const char any_order_sql[] = "RESET enable_hashjoin; RESET enable_mergejoin";
    /* What is not advanced comes back with its failures f as -1 - f, until it is written. */
    static const char sql[] =
        "UPDATE site_state s SET"
        " last_slot = CASE WHEN " STEADY " THEN k.last ELSE s.last_slot END,"
        " failures_in_a_row = CASE WHEN " STEADY " THEN 0 ELSE -1 - s.failures_in_a_row END"
        " FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::timestamptz[],"
        "   $5::timestamptz[]) WITH ORDINALITY AS k (w, l, status, first, last, n)"
        " WHERE s.website_id = k.w AND s.location_id = k.l"
        " RETURNING k.n, s.failures_in_a_row," STATE_OF_CHANGES;
    struct pg_params p = {0};
    struct pg_array columns[5];
    int rc = pg_run(s->conn, in_order_sql, err);

    if (rc < 0) {
        return -1;
    }
    pg_array_init(&columns[0], PG_INT8);
    pg_array_init(&columns[1], PG_INT8);
    pg_array_init(&columns[2], PG_TEXT);
    pg_array_init(&columns[3], PG_TIMESTAMPTZ);
    pg_array_init(&columns[4], PG_TIMESTAMPTZ);
    for (size_t i = 0; i < work->keys_count; i++) {
        const struct state_key *key = &work->keys[i];
        enum check_status status = all_late ? CHECK_UNKNOWN : steady_status(key);

        pg_array_int8(&columns[0], key->id.website_id);
        pg_array_int8(&columns[1], key->id.location_id);
        pg_array_text(&columns[2], status == CHECK_UNKNOWN ? NULL : check_status_name(status));
        pg_array_timestamptz(&columns[3], key->checks[0].slot_us);
        pg_array_timestamptz(&columns[4], key->checks[key->count - 1].slot_us);
    }
    for (size_t i = 0; i < 5; i++) {
        pg_add_array(&p, &columns[i]);
    }
    PGresult *result = pg_query(s->conn, "lock state", sql, &p, &s->fault, err);

    rc = result == NULL || pg_run(s->conn, any_order_sql, err) < 0
             ? -1
             : read_states(s, work, result, err);
    PQclear(result);
    for (size_t i = 0; i < 5; i++) {
        pg_array_free(&columns[i]);
    }
    return rc;
}

/* How many failures in a row open an incident, of the keys whose state may change. */
static int read_failures_max(struct store *s, struct state_work *work, struct err *err)
{
    static const char sql[] =
        "SELECT k.n, (w.config->>'failures')::integer"
        " FROM unnest($1::bigint[], $2::bigint[]) AS k (w, n) JOIN websites w ON w.website_id = k.w"
        " WHERE w.config->>'failures' ~ '^[1-9][0-9]{0,3}$'";
    struct pg_params p = {0};
    struct pg_array websites, numbers;
    PGresult *result = NULL;

    pg_array_init(&websites, PG_INT8);
    pg_array_init(&numbers, PG_INT8);
    for (size_t i = 0; i < work->keys_count; i++) {
        if (!work->keys[i].advanced) {
            pg_array_int8(&websites, work->keys[i].id.website_id);
            pg_array_int8(&numbers, (int64_t)i);
        }
    }
    pg_add_array(&p, &websites);
    pg_add_array(&p, &numbers);

    int rc = 0;

    if (websites.count > 0) {
        result = pg_query(s->conn, "read failures", sql, &p, &s->fault, err);
        rc = result == NULL ? -1 : 0;
    }
    for (int row = 0; result != NULL && row < PQntuples(result); row++) {
        work->keys[pg_int(result, row, 0)].failures_max = (int32_t)pg_int(result, row, 1);
    }
    PQclear(result);
    pg_array_free(&websites);
    pg_array_free(&numbers);
    return rc;
}

int store_state_lock(struct store *s, struct state_work *work, bool all_late, struct err *err)
{
    return lock_states(s, work, all_late, err) < 0 || read_failures_max(s, work, err) < 0 ? -1 : 0;
}
