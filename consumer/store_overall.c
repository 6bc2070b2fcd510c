/*
 * Sites over all their locations. How they are counted is written in SQL (sql/0009_overall.sql);
 * here it is said which ones, in the batch's transaction, and from time to time those that no batch
 * counts: a location that is stale sends nothing that could be counted. What they are over all,
 * which sites are chosen by (sql/0012_standing.sql), is looked at from time to time alone.
 */
#include "common/clock.h"
#include "common/digits.h"
#include "consumer/store_state.h"

#define STALE_INTERVAL_NS (INT64_C(10) * NS_PER_SEC)
/* All states are looked at: that may take one part of so many of the time. */
#define STALE_SHARE 100

void store_overall_metrics(struct store *s, struct metrics *m)
{
    s->sites_stale = metrics_gauge(m, "sitewatch_sites_stale",
                                   "Sites, at a location each, of which nothing came for three "
                                   "intervals and a minute.",
                                   NULL);
}

int store_overall_write(struct store *s, const struct state_work *work, struct err *err)
{
    static const char sql[] = "SELECT site_overall_count($1::bigint[], $2::timestamptz[])";
    struct pg_params p = {0};
    struct pg_array websites, firsts;
    int rc = 0;

    pg_array_init(&websites, PG_INT8);
    pg_array_init(&firsts, PG_TIMESTAMPTZ);
    for (size_t i = 0; i < work->keys_count; i++) {
        if (work->keys[i].changed_us != FOLD_NEVER) {
            pg_array_int8(&websites, work->keys[i].id.website_id);
            pg_array_timestamptz(&firsts, work->keys[i].changed_us);
        }
    }
    pg_add_array(&p, &websites);
    pg_add_array(&p, &firsts);
    if (websites.count > 0) {
        PGresult *result = pg_query(s->conn, "count locations", sql, &p, &s->fault, err);

        rc = result == NULL ? -1 : 0;
        PQclear(result);
    }
    pg_array_free(&websites);
    pg_array_free(&firsts);
    return rc;
}

static int count_stale(struct store *s, struct err *err)
{
    static const char sql[] = "SELECT count(*) FROM site_state s JOIN websites w USING (website_id)"
                              " WHERE w.enabled AND w.deleted_at IS NULL"
                              " AND s.last_slot < now() - site_stale_after(w.monitoring_interval)";
    int64_t begun_ns = clock_mono_ns();
    PGresult *result = pg_query(s->conn, "count stale sites", sql, NULL, &s->fault, err);

    if (result == NULL) {
        return store_outage(err);
    }
    metric_set(s->sites_stale, pg_int(result, 0, 0));
    PQclear(result);

    int64_t ended_ns = clock_mono_ns();
    int64_t wait_ns = (ended_ns - begun_ns) * STALE_SHARE;

    s->sites_stale_ns = ended_ns + (wait_ns > STALE_INTERVAL_NS ? wait_ns : STALE_INTERVAL_NS);
    return 0;
}

/* A portion of the sites that are to be looked at; *more: there may be others. */
static int turn(struct store *s, const char *what, const char *sql, int64_t sites_max, bool *more,
                struct err *err)
{
    PGresult *result = pg_query(s->conn, what, sql, NULL, &s->fault, err);

    if (result == NULL) {
        return store_outage(err);
    }
    *more = *more || pg_int(result, 0, 0) >= sites_max; /* NULL reads as 0: another one does it */
    PQclear(result);
    return 0;
}

int store_stale(struct store *s, bool *more, struct err *err)
{
    static const char overall_sql[] = "SELECT site_overall_turn(" DIGITS(STORE_OVERALL_SITES) ")";
    static const char standing_sql[] =
        "SELECT site_standing_turn(" DIGITS(STORE_STANDING_SITES) ")";

    *more = false;
    if (!store_is_connected(s)) {
        return err_set(err, ERR_RETRY, "not connected to Postgres");
    }
    if (turn(s, "count sites anew", overall_sql, STORE_OVERALL_SITES, more, err) < 0 ||
        turn(s, "look at sites anew", standing_sql, STORE_STANDING_SITES, more, err) < 0) {
        return -1;
    }
    return clock_mono_ns() < s->sites_stale_ns ? 0 : count_stale(s, err);
}
