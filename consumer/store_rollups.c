/*
 * Rollups. What a turn does is written in SQL (sql/0003_rollups.sql), where psql and tests can call
 * it too; here it is called, counted and timed.
 */
#include "common/clock.h"
#include "common/digits.h"
#include "consumer/store_internal.h"

#define MARKS_A_TURN 200 /* batches, as sql/0003_rollups.sql has it */
#define BACKLOG_INTERVAL_NS (INT64_C(10) * NS_PER_SEC)
#define BACKLOG_MAX "100000" /* counted no further */

void store_rollups_metrics(struct store *s, struct metrics *m)
{
    static const char *const labels[] = {"step=\"hour\"", "step=\"day\""};

    for (size_t i = 0; i < 2; i++) {
        s->rollups_put[i] =
            metrics_counter(m, "sitewatch_rollups", "Rollups put together from checks.", labels[i]);
        s->rollups_backlog[i] =
            metrics_gauge(m, "sitewatch_rollup_backlog",
                          "Rollups that are due, of a site at a location each.", labels[i]);
    }
    s->rollups_marks = metrics_gauge(m, "sitewatch_rollup_marks",
                                     "Batches whose marks were not looked at yet.", NULL);
    s->rollups_seconds = metrics_histogram(
        m, "sitewatch_rollup_seconds", "Time of a transaction that puts rollups together.", NULL,
        metrics_seconds_bounds, metrics_seconds_bounds_count);
    s->rollups_deleted = metrics_counter(m, "sitewatch_rollups_deleted",
                                         "Rows of rollups deleted by their age.", NULL);
}

static int count_backlog(struct store *s, struct err *err)
{
    static const char sql[] =
        "SELECT (SELECT count(*) FROM (SELECT FROM rollup_stale_hours WHERE due <= now()"
        "   LIMIT " BACKLOG_MAX ") h),"
        "  (SELECT count(*) FROM (SELECT FROM rollup_stale_days WHERE due <= now()"
        "   LIMIT " BACKLOG_MAX ") d),"
        "  (SELECT count(*) FROM (SELECT FROM rollup_marks LIMIT " BACKLOG_MAX ") m)";
    PGresult *result = pg_query(s->conn, "count stale rollups", sql, NULL, &s->fault, err);

    if (result == NULL) {
        return store_outage(err);
    }
    metric_set(s->rollups_backlog[0], pg_int(result, 0, 0));
    metric_set(s->rollups_backlog[1], pg_int(result, 0, 1));
    metric_set(s->rollups_marks, pg_int(result, 0, 2));
    PQclear(result);
    return 0;
}

/* NULLs, which read as 0, while another transaction does it. */
static int take_turn(struct store *s, bool *more, struct err *err)
{
    static const char sql[] = "SELECT marks, hours, days FROM rollups_turn(" DIGITS(
        STORE_ROLLUP_KEYS) ", make_interval(secs => $1::double precision))";
    struct pg_params p = {0};
    int64_t begun_ns = clock_mono_ns();

    pg_add_int(&p, s->settings.rollup_delay_seconds);

    PGresult *result = pg_query(s->conn, "put rollups together", sql, &p, &s->fault, err);

    if (result == NULL) {
        return store_outage(err);
    }
    int64_t marks = pg_int(result, 0, 0);
    int64_t hours = pg_int(result, 0, 1);
    int64_t days = pg_int(result, 0, 2);

    PQclear(result);
    metric_add(s->rollups_put[0], (uint64_t)hours);
    metric_add(s->rollups_put[1], (uint64_t)days);
    if (hours + days > 0) {
        metric_observe(s->rollups_seconds, (double)(clock_mono_ns() - begun_ns) / NS_PER_SEC);
    }
    *more = marks >= MARKS_A_TURN || hours >= STORE_ROLLUP_KEYS || days >= STORE_ROLLUP_KEYS;
    return 0;
}

int store_rollup(struct store *s, bool *more, struct err *err)
{
    int64_t now_ns = clock_mono_ns();

    *more = false;
    if (!store_is_connected(s)) {
        return err_set(err, ERR_RETRY, "not connected to Postgres");
    }
    if (take_turn(s, more, err) < 0) {
        return -1;
    }
    if (now_ns < s->rollups_backlog_ns) {
        return 0;
    }
    s->rollups_backlog_ns = now_ns + BACKLOG_INTERVAL_NS;
    return count_backlog(s, err);
}
