/*
 * The rows of a batch go straight into checks. Two things can be wrong with rows, and each makes
 * the whole transaction be done again in another way:
 *
 * staged: a key is there already, because two producers overlapped. The rows go into a temporary
 * table, and from there those into checks that are new.
 *
 * halved: Postgres refused a row. Under a savepoint a range of rows is tried, and its halves when
 * it is refused, until single rows are left: those become letters.
 *
 * Neither costs anything while nothing is wrong.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "consumer/store_internal.h"

#define CHECKS "checks"
#define STAGE "checks_stage"

#define REFUSED_ROWS_MIN 5     /* so many may always be refused */
#define REFUSED_PERCENT_MAX 10 /* of a batch */
#define WARNING_INTERVAL_NS (3600 * NS_PER_SEC)

#define DUPLICATE_KEY "23505"
#define CHECK_VIOLATION "23514"

/* A row for which there is no partition: the one check violation that names no constraint. */
static bool is_without_partition(const struct pg_fault *fault)
{
    return strcmp(fault->sqlstate, CHECK_VIOLATION) == 0 && !fault->in_constraint;
}

bool store_is_row_fault(const struct pg_fault *fault)
{
    return pg_kind(fault->sqlstate) == ERR_INVALID && strcmp(fault->sqlstate, DUPLICATE_KEY) != 0 &&
           !is_without_partition(fault);
}

/* When the next warning may be written: two hosts that check as one location are a mistake in the
 * configuration, and each duplicate shows it again. One line an hour from the whole process. */
static _Atomic int64_t warning_next_ns;

static bool warning_is_due(int64_t now_ns)
{
    return now_ns >= atomic_load(&warning_next_ns);
}

/* OFFSET 0 makes the planner look each staged row up by the key. */
static int warn_of_observers(struct store *s, struct err *err)
{
    static const char sql[] =
        "SELECT w.name, l.name, c.observer, t.observer FROM " STAGE " t"
        " CROSS JOIN LATERAL (SELECT observer FROM " CHECKS " WHERE website_id = t.website_id"
        "   AND slot = t.slot AND location_id = t.location_id AND attempt = t.attempt OFFSET 0) c"
        " LEFT JOIN websites w ON w.website_id = t.website_id"
        " LEFT JOIN locations l ON l.location_id = t.location_id"
        " WHERE c.observer <> t.observer LIMIT 1";

    int64_t now_ns = clock_mono_ns();

    if (!warning_is_due(now_ns)) {
        return 0;
    }
    PGresult *result = pg_query(s->conn, "compare observers", sql, NULL, &s->fault, err);

    if (result == NULL) {
        return -1;
    }
    if (PQntuples(result) == 1) {
        atomic_store(&warning_next_ns, now_ns + WARNING_INTERVAL_NS);
        log_write(LOG_WARN, "two hosts check the same location",
                  LOG_S("site", PQgetvalue(result, 0, 0)),
                  LOG_S("location", PQgetvalue(result, 0, 1)),
                  LOG_S("observer_stored", PQgetvalue(result, 0, 2)),
                  LOG_S("observer_left_out", PQgetvalue(result, 0, 3)));
    }
    PQclear(result);
    return 0;
}

/* In the order of the key, so that two consumers with the same rows do not wait in a circle. */
static int put_staged(struct store *s, struct store_try *t, size_t from, size_t to, struct err *err)
{
    char sql[1024];
    int64_t inserted;

    snprintf(sql, sizeof(sql),
             "INSERT INTO " CHECKS " (%s) SELECT %s FROM " STAGE
             " ORDER BY website_id, slot, location_id, attempt ON CONFLICT DO NOTHING",
             store_check_columns, store_check_columns);
    if (store_copy_rows(s, STAGE, t->batch, from, to, err) < 0 ||
        pg_execute(s->conn, "insert staged rows", sql, NULL, &inserted, &s->fault, err) < 0) {
        return -1;
    }
    if ((size_t)inserted < store_live_rows(t->batch, from, to) && warn_of_observers(s, err) < 0) {
        return -1;
    }
    t->inserted += (size_t)inserted;
    return pg_execute(s->conn, "empty the stage", "TRUNCATE " STAGE, NULL, NULL, &s->fault, err);
}

static int put_range(struct store *s, struct store_try *t, size_t from, size_t to, struct err *err)
{
    if (t->staged) {
        return put_staged(s, t, from, to, err);
    }
    if (store_copy_rows(s, CHECKS, t->batch, from, to, err) < 0) {
        return -1;
    }
    t->inserted += store_live_rows(t->batch, from, to);
    return 0;
}

/* Note the refusal of one row, of which s->fault says why. */
static int refuse(struct store *s, struct store_try *t, size_t row, struct err *err)
{
    char reason[32];

    snprintf(reason, sizeof(reason), "sqlstate_%s", s->fault.sqlstate);
    store_refuse(&t->refused, row, reason, s->fault.message);

    size_t refused = t->refused.count;

    if (refused <= REFUSED_ROWS_MIN || refused * 100 <= t->live * REFUSED_PERCENT_MAX) {
        return 0;
    }
    t->refused_too_many = true;
    return err_set(
        err, ERR_FATAL, "Postgres refused %zu of the first %zu rows of a batch of %zu, first: %s",
        refused, store_live_rows(t->batch, 0, row + 1), t->live, t->refused.items[0].detail);
}

static int put_halved(struct store *s, struct store_try *t, size_t from, size_t to, struct err *err)
{
    static const char savepoint[] = "SAVEPOINT halving";
    static const char release[] = "RELEASE SAVEPOINT halving";
    static const char back[] = "ROLLBACK TO SAVEPOINT halving; RELEASE SAVEPOINT halving";

    if (store_live_rows(t->batch, from, to) == 0) {
        return 0;
    }
    if (pg_execute(s->conn, savepoint, savepoint, NULL, NULL, &s->fault, err) < 0) {
        return -1;
    }
    if (put_range(s, t, from, to, err) == 0) {
        return pg_execute(s->conn, release, release, NULL, NULL, &s->fault, err);
    }
    if (!store_is_row_fault(&s->fault)) {
        return -1;
    }
    if (pg_run(s->conn, back, err) < 0) {
        s->fault = (struct pg_fault){0};
        return -1;
    }
    if (to - from == 1) {
        return refuse(s, t, from, err);
    }
    size_t middle = from + (to - from) / 2;

    return put_halved(s, t, from, middle, err) < 0 || put_halved(s, t, middle, to, err) < 0 ? -1
                                                                                            : 0;
}

/* What would mend a failed try, by s->fault. */
static enum store_again mend(const struct store *s, const struct store_try *t)
{
    if (strcmp(s->fault.sqlstate, DUPLICATE_KEY) == 0) {
        return t->staged ? AGAIN_NO : AGAIN_STAGED;
    }
    if (is_without_partition(&s->fault)) {
        return AGAIN_DAYS;
    }
    return store_is_row_fault(&s->fault) && !t->halved ? AGAIN_HALVED : AGAIN_NO;
}

int store_rows_write(struct store *s, struct store_try *t, struct err *err)
{
    static const char stage_sql[] = "CREATE TEMP TABLE " STAGE " (LIKE " CHECKS ") ON COMMIT DROP";
    int rc;

    if (t->staged && pg_run(s->conn, stage_sql, err) < 0) {
        return store_outage(err);
    }
    s->fault = (struct pg_fault){0};
    if (t->halved) {
        rc = put_halved(s, t, 0, t->batch->rows_count, err);
    } else {
        rc = put_range(s, t, 0, t->batch->rows_count, err);
    }
    if (rc == 0 || t->refused_too_many) {
        return rc;
    }
    t->again = mend(s, t);
    return store_outage(err);
}
