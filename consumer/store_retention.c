/*
 * What is older than its retention goes: days of checks, and rows of the tables beside it.
 *
 * A day goes in three steps, each of which may be the last one before a crash: its table gets a
 * mark, is detached, is dropped. DETACH ... CONCURRENTLY takes no lock that an insert or a read of
 * checks waits for; it waits itself for those who read the day, and not for long: what it leaves
 * half done then (a detach that is pending) is finished by a later turn, of whichever consumer.
 * The mark tells a table that was detached to be dropped from one that a person detached to keep.
 */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "consumer/store_internal.h"

#define MARK "sitewatch: past its retention, to be dropped"
#define LOCK_ARGUMENTS PG_LOCK_CLASS ", " PG_LOCK_RETENTION
#define PORTION_ROWS "10000" /* deleted by one statement */
#define PORTION_ROWS_COUNT 10000
#define CHANGES_HOURS 1
#define DAYS_OF_GRACE 2 /* a day of checks goes when all of it is older, and one day more */
#define CHANGES_ROWS 1000000
#define IDENTIFIER_BYTES_MAX 300 /* schema and table, quoted */

static int run_step(struct store *s, const char *step, const char *sql, struct err *err)
{
    return pg_execute(s->conn, step, sql, NULL, NULL, &s->fault, err) < 0 ? store_outage(err) : 0;
}

/* --- Days --- */

struct old_day {
    char table[IDENTIFIER_BYTES_MAX]; /* schema-qualified, quoted */
    char day[16];
    bool attached, pending, is_ours; /* is_ours: to be dropped, not only to be detached */
};

/* The next day to work on. One whose detach is pending comes first: Postgres lets no other be
 * detached before. */
static int find_day(struct store *s, bool *found, struct old_day *old, struct err *err)
{
    static const char sql[] =
        "SELECT format('%I.%I', n.nspname, c.relname), to_char(to_date(right(c.relname, 8),"
        "   'YYYYMMDD'), 'YYYY-MM-DD'), (i.inhrelid IS NOT NULL)::int,"
        "  coalesce(i.inhdetachpending, false)::int, (old OR marked)::int"
        " FROM pg_class p JOIN pg_namespace n ON n.oid = p.relnamespace"
        " JOIN pg_class c ON c.relnamespace = p.relnamespace AND c.relkind = 'r'"
        "   AND c.relname ~ '^checks_[0-9]{8}$'"
        " LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = p.oid"
        " CROSS JOIN LATERAL (SELECT i.inhrelid IS NOT NULL AND right(c.relname, 8)"
        "     < to_char(date '1970-01-01' + $1::integer, 'YYYYMMDD') AS old,"
        "   coalesce(obj_description(c.oid, 'pg_class') = '" MARK "', false) AS marked) d"
        " WHERE p.oid = 'checks'::regclass AND (old OR marked OR i.inhdetachpending)"
        " ORDER BY i.inhdetachpending DESC NULLS LAST, c.relname LIMIT 1";
    struct pg_params p = {0};

    pg_add_int(&p, store_days_first(s));

    PGresult *result = pg_query(s->conn, "find an old day", sql, &p, &s->fault, err);

    if (result == NULL) {
        return store_outage(err);
    }
    *found = PQntuples(result) == 1;
    if (*found) {
        snprintf(old->table, sizeof(old->table), "%s", PQgetvalue(result, 0, 0));
        snprintf(old->day, sizeof(old->day), "%s", PQgetvalue(result, 0, 1));
        old->attached = pg_int(result, 0, 2) != 0;
        old->pending = pg_int(result, 0, 3) != 0;
        old->is_ours = pg_int(result, 0, 4) != 0;
    }
    PQclear(result);
    return 0;
}

static int detach_day(struct store *s, const struct old_day *old, struct err *err)
{
    char sql[IDENTIFIER_BYTES_MAX + 128];

    if (old->pending) {
        snprintf(sql, sizeof(sql), "ALTER TABLE checks DETACH PARTITION %s FINALIZE", old->table);
        return run_step(s, "finish to detach a day", sql, err);
    }
    snprintf(sql, sizeof(sql), "COMMENT ON TABLE %s IS '" MARK "'", old->table);
    if (run_step(s, "mark a day", sql, err) < 0) {
        return -1;
    }
    snprintf(sql, sizeof(sql), "ALTER TABLE checks DETACH PARTITION %s CONCURRENTLY", old->table);
    return run_step(s, "detach a day", sql, err);
}

static int drop_day(struct store *s, bool *more, struct err *err)
{
    char sql[IDENTIFIER_BYTES_MAX + 32];
    struct old_day old;

    if (find_day(s, more, &old, err) < 0) {
        return -1;
    }
    if (!*more) {
        return 0;
    }
    if (old.attached && detach_day(s, &old, err) < 0) {
        return err_context(err, "%s", old.day);
    }
    if (!old.is_ours) {
        return 0; /* somebody else's detach is finished, so that ours are not in its way */
    }
    snprintf(sql, sizeof(sql), "DROP TABLE %s", old.table);
    if (run_step(s, "drop a day", sql, err) < 0) {
        return err_context(err, "%s", old.day);
    }
    metric_add(s->partitions_dropped, 1);
    log_write(LOG_INFO, "day dropped", LOG_S("day", old.day),
              LOG_I("retention_days", s->settings.retention_days));
    return 0;
}

/* --- Rows --- */

/* Ids rise with time, so that the oldest rows are found by them, without an index of times. */
static const char letters_by_age_sql[] =
    "DELETE FROM dead_letters WHERE id IN"
    " (SELECT id FROM dead_letters ORDER BY id LIMIT " PORTION_ROWS ")"
    " AND received_at < now() - make_interval(days => $1::integer)";
static const char letters_by_count_sql[] =
    "DELETE FROM dead_letters WHERE id IN"
    " (SELECT id FROM dead_letters WHERE id <="
    "   (SELECT id FROM dead_letters ORDER BY id DESC OFFSET $1 LIMIT 1)"
    "  ORDER BY id LIMIT " PORTION_ROWS ")";

/* Of incidents those that are over. */
#define OVER "(closed_slot IS NOT NULL OR withdrawn)"
#define INCIDENTS_BY_AGE(table)                                                                    \
    "DELETE FROM " table " WHERE incident_id IN"                                                   \
    " (SELECT incident_id FROM " table " WHERE " OVER "  ORDER BY incident_id LIMIT " PORTION_ROWS \
    ")"                                                                                            \
    " AND coalesce(closed_slot, opened_slot) < now() - make_interval(days => $1::integer)"
#define INCIDENTS_BY_COUNT(table)                                                                  \
    "DELETE FROM " table " WHERE incident_id IN"                                                   \
    " (SELECT incident_id FROM " table " WHERE " OVER " AND incident_id <="                        \
    "   (SELECT incident_id FROM " table " ORDER BY incident_id DESC OFFSET $1 LIMIT 1)"           \
    "  ORDER BY incident_id LIMIT " PORTION_ROWS ")"
static const char incidents_by_age_sql[] = INCIDENTS_BY_AGE("incidents");
static const char incidents_by_count_sql[] = INCIDENTS_BY_COUNT("incidents");
static const char site_incidents_by_age_sql[] = INCIDENTS_BY_AGE("site_incidents");
static const char site_incidents_by_count_sql[] = INCIDENTS_BY_COUNT("site_incidents");

/* Whoever shows changes reads them within seconds. */
static const char changes_by_age_sql[] =
    "DELETE FROM site_changes WHERE change_id IN"
    " (SELECT change_id FROM site_changes ORDER BY change_id LIMIT " PORTION_ROWS ")"
    " AND made_at < now() - make_interval(hours => $1::integer)";
static const char changes_by_count_sql[] =
    "DELETE FROM site_changes WHERE change_id IN"
    " (SELECT change_id FROM site_changes WHERE change_id <="
    "   (SELECT change_id FROM site_changes ORDER BY change_id DESC OFFSET $1 LIMIT 1)"
    "  ORDER BY change_id LIMIT " PORTION_ROWS ")";

#define ROLLUPS_BY_AGE(table)                                                                      \
    "DELETE FROM " table " WHERE ctid = ANY (ARRAY("                                               \
    " SELECT ctid FROM " table " WHERE begins < now() - make_interval(days => $1::integer)"        \
    " ORDER BY begins LIMIT " PORTION_ROWS "))"
static const char hours_by_age_sql[] = ROLLUPS_BY_AGE("rollups_1h");
static const char days_by_age_sql[] = ROLLUPS_BY_AGE("rollups_1d");

/* One portion; *more when it was a whole one. */
static int delete_rows(struct store *s, const char *sql, int64_t limit, struct metric *deleted,
                       bool *more, struct err *err)
{
    struct pg_params p = {0};
    int64_t affected;

    if (limit <= 0) {
        return 0;
    }
    pg_add_int(&p, limit);
    if (pg_execute(s->conn, "delete old rows", sql, &p, &affected, &s->fault, err) < 0) {
        return store_outage(err);
    }
    metric_add(deleted, (uint64_t)affected);
    *more = *more || affected == PORTION_ROWS_COUNT;
    return 0;
}

/*
 * The sites that were deleted so long ago that no check of theirs is retained, with what is known
 * of them now; their incidents and rollups go by the retention of these. One whose end the topic of
 * the sites was not told yet stays, and so does one of which checks still came. Other stores are
 * told to forget the ids. A row is locked before it is judged for good: it may be revived
 * meanwhile.
 */
static int delete_sites(struct store *s, bool *more, struct err *err)
{
    static const char sql[] =
        "WITH gone AS MATERIALIZED ("
        "  SELECT website_id FROM websites w"
        "  WHERE deleted_at < now() - make_interval(days => $1::integer)"
        "  AND NOT EXISTS (SELECT FROM site_outbox o WHERE o.website_id = w.website_id)"
        "  AND NOT EXISTS (SELECT FROM site_state s WHERE s.website_id = w.website_id"
        "    AND s.last_slot >= now() - make_interval(days => $1::integer))"
        "  ORDER BY website_id LIMIT " PORTION_ROWS " FOR UPDATE OF w SKIP LOCKED"
        "), states AS (DELETE FROM site_state s USING gone g WHERE s.website_id = g.website_id"
        "), overall AS (DELETE FROM site_overall o USING gone g WHERE o.website_id = g.website_id"
        "), sites AS (DELETE FROM websites w USING gone g WHERE w.website_id = g.website_id"
        "  RETURNING w.website_id)"
        " SELECT count(*), CASE WHEN count(*) > 0 THEN pg_notify('" STORE_SITES_GONE "', '') END"
        " FROM sites";
    struct pg_params p = {0};

    if (store_days_first(s) == INT32_MIN) {
        return 0;
    }
    pg_add_int(&p, s->settings.retention_days + DAYS_OF_GRACE);

    PGresult *result = pg_query(s->conn, "delete sites", sql, &p, &s->fault, err);

    if (result == NULL) {
        return store_outage(err);
    }
    int64_t deleted = pg_int(result, 0, 0);

    PQclear(result);
    metric_add(s->sites_deleted, (uint64_t)deleted);
    *more = *more || deleted == PORTION_ROWS_COUNT;
    return 0;
}

static int delete_all(struct store *s, bool *more, struct err *err)
{
    const struct store_settings *limits = &s->settings;
    const struct {
        const char *sql;
        int64_t limit;
        struct metric *deleted;
    } portions[] = {
        {letters_by_age_sql, limits->dead_letter_days, s->letters_deleted},
        {letters_by_count_sql, limits->dead_letter_rows, s->letters_deleted},
        {incidents_by_age_sql, limits->incident_days, s->incidents_deleted},
        {incidents_by_count_sql, limits->incident_rows, s->incidents_deleted},
        {site_incidents_by_age_sql, limits->incident_days, s->incidents_deleted},
        {site_incidents_by_count_sql, limits->incident_rows, s->incidents_deleted},
        {changes_by_age_sql, CHANGES_HOURS, s->changes_deleted},
        {changes_by_count_sql, CHANGES_ROWS, s->changes_deleted},
        {hours_by_age_sql, limits->rollup_days, s->rollups_deleted},
        {days_by_age_sql, limits->rollup_days, s->rollups_deleted},
    };

    for (size_t i = 0; i < sizeof(portions) / sizeof(portions[0]); i++) {
        if (delete_rows(s, portions[i].sql, portions[i].limit, portions[i].deleted, more, err) <
            0) {
            return -1;
        }
    }
    return delete_sites(s, more, err);
}

/* --- One consumer at a time --- */

static int take_turn(struct store *s, bool *ours, struct err *err)
{
    PGresult *result =
        pg_query(s->conn, "take the turn", "SELECT pg_try_advisory_lock(" LOCK_ARGUMENTS ")::int",
                 NULL, &s->fault, err);

    if (result == NULL) {
        return store_outage(err);
    }
    *ours = pg_int(result, 0, 0) != 0;
    PQclear(result);
    return 0;
}

/* Both are tried: what keeps a day from being dropped must not let tables grow. */
static int retain(struct store *s, bool *more, struct err *err)
{
    bool more_rows = false;
    bool more_days = false;
    int rc = delete_all(s, &more_rows, err);

    if (store_days_first(s) != INT32_MIN && drop_day(s, &more_days, err) < 0) {
        rc = -1;
    }
    *more = more_rows || more_days;
    return rc;
}

int store_retain(struct store *s, bool *more, struct err *err)
{
    static const char end_sql[] = "SET lock_timeout = '" STORE_LOCK_SECONDS "s';"
                                  "SELECT pg_advisory_unlock(" LOCK_ARGUMENTS ")";
    bool ours = false;
    struct err why;

    *more = false;
    if (!store_is_connected(s)) {
        return err_set(err, ERR_RETRY, "not connected to Postgres");
    }
    if (take_turn(s, &ours, err) < 0) {
        return -1;
    }
    if (!ours) {
        return 0;
    }
    int rc = pg_run(s->conn, "SET lock_timeout = '" STORE_RETENTION_LOCK_MS "ms'", err);

    if (rc == 0) {
        rc = retain(s, more, err);
    }
    if (pg_run(s->conn, end_sql, &why) < 0 && rc == 0) {
        *err = why;
        rc = -1;
    }
    return rc < 0 ? store_outage(err) : 0;
}
