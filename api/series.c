/* What the checks of a site come to, step by step: rollups where they serve, rows where not. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/monitoring.h"
#include "common/clock.h"

#define STEP_MIN_S 60
#define STEP_MAX_S (366 * 86400)
#define POINTS_MAX 2000
#define POINTS_USUAL 200
#define RANGE_USUAL_US (INT64_C(86400) * US_PER_SEC)
#define PHASES_RANGE_MAX_S (INT64_C(7) * 86400) /* phases are in the rows alone */

const struct route_parameter monitoring_series_query[] = {
    {"from", "{\"type\":\"string\",\"format\":\"date-time\"}",
     "not before this time; by itself: a day before to", false},
    {"to", "{\"type\":\"string\",\"format\":\"date-time\"}", "before this time; by itself: now",
     false},
    {"step", "{\"type\":\"integer\",\"minimum\":60,\"maximum\":31622400}",
     "seconds of a point; by itself: so that there are about 200. Whole hours and days cost less",
     false},
    {"location", ROUTE_TEXT, "only checks from there", false},
    {0},
};

struct series {
    int64_t from_us, to_us, step_s;
};

/* A step that people know, of which about POINTS_USUAL fill the range. */
static int64_t usual_step_s(int64_t range_s)
{
    static const int64_t steps_s[] = {60, 300, 900, 3600, 6 * 3600, 86400, 7 * 86400, 28 * 86400};
    size_t last = sizeof(steps_s) / sizeof(steps_s[0]) - 1;
    size_t i = 0;

    while (i < last && range_s / steps_s[i] > POINTS_USUAL) {
        i++;
    }
    return steps_s[i];
}

/* range_max_s 0: as long as may be. */
static bool read_series(const struct request *r, int64_t range_max_s, struct series *series,
                        struct answer *a)
{
    int64_t now_us = clock_real_ns() / NS_PER_US;
    char detail[100];

    if (!request_time(r, "to", now_us, &series->to_us, a) ||
        !request_time(r, "from", series->to_us - RANGE_USUAL_US, &series->from_us, a)) {
        return false;
    }
    if (series->from_us >= series->to_us) {
        answer_problem_at(a, 422, "parameter", "from", "from: is not before to");
        return false;
    }
    int64_t range_s = (series->to_us - series->from_us) / US_PER_SEC;

    if (range_max_s > 0 && range_s > range_max_s) {
        snprintf(detail, sizeof(detail), "from: is more than %" PRId64 " days before to",
                 range_max_s / 86400);
        answer_problem_at(a, 422, "parameter", "from", detail);
        return false;
    }
    if (!request_int(r, "step", STEP_MIN_S, STEP_MAX_S, usual_step_s(range_s), &series->step_s,
                     a)) {
        return false;
    }
    if (range_s / series->step_s > POINTS_MAX) {
        snprintf(detail, sizeof(detail), "step: is too small for this range, %d points at the most",
                 POINTS_MAX);
        answer_problem_at(a, 422, "parameter", "step", detail);
        return false;
    }
    return true;
}

static void answer_series(const PGresult *result, const struct series *series, struct answer *a)
{
    struct answer_text t;

    answer_text_begin(&t);
    fprintf(t.out, "{\"step\":%" PRId64 ",", series->step_s);
    db_print_items(t.out, result, 0, INT64_MAX);
    fprintf(t.out, "}");
    answer_text_end(&t);
    answer_body(a, 200, ANSWER_JSON, t.text, t.len);
}

/* A statement of a site, the range, the step and a location. No row: there is no such site. NULL:
 * it has no checks in the range. */
static void query_series(PGconn *conn, const char *sql, int64_t range_max_s,
                         const struct request *r, struct answer *a)
{
    struct pg_params p = {0};
    struct series series;
    struct err err;
    int64_t id;

    if (!request_id(r, &id, a) || !read_series(r, range_max_s, &series, a)) {
        return;
    }
    pg_add_int(&p, id);
    pg_add_int(&p, series.from_us);
    pg_add_int(&p, series.to_us);
    pg_add_int(&p, series.step_s);
    pg_add_text(&p, request_query(r, "location"));

    PGresult *result = pg_query(conn, "read series", sql, &p, NULL, &err);

    if (result == NULL) {
        db_fail(&err, a);
    } else if (PQntuples(result) == 0) {
        answer_problem(a, 404, "there is no such site");
    } else {
        answer_series(result, &series, a);
    }
    PQclear(result);
}

void monitoring_series(const struct api *api, PGconn *conn, const struct request *r,
                       struct answer *a)
{
    static const char sql[] =
        "SELECT CASE WHEN p.begins IS NOT NULL THEN jsonb_strip_nulls(jsonb_build_object('begins', "
        "p.begins, 'checks', p.checks,"
        " 'uptime', p.uptime, 'matched', p.matched, 'min_ms', p.min_ms, 'mean_ms', p.mean_ms,"
        " 'p50_ms', p.p50_ms, 'p95_ms', p.p95_ms, 'p99_ms', p.p99_ms, 'max_ms', p.max_ms,"
        " 'status_codes', ("
        "   SELECT coalesce(jsonb_object_agg(p.http_statuses[i], p.http_statuses[i + 1]), '{}')"
        "   FROM generate_series(1, cardinality(p.http_statuses), 2) i))) END"
        " FROM websites w LEFT JOIN LATERAL site_series($1, "
        "   to_timestamp(0) + $2::bigint * interval '1 microsecond',"
        "   to_timestamp(0) + $3::bigint * interval '1 microsecond',"
        "   make_interval(secs => $4::integer),"
        "   (SELECT location_id FROM locations WHERE name = $5)) p"
        "   ON $5::text IS NULL OR EXISTS (SELECT FROM locations WHERE name = $5)"
        " WHERE w.website_id = $1::bigint AND w.deleted_at IS NULL";

    (void)api;
    query_series(conn, sql, 0, r, a);
}

void monitoring_phases(const struct api *api, PGconn *conn, const struct request *r,
                       struct answer *a)
{
    /* Rows as above. Only checks with a response are in it, each slot once, as in the rollups. */
    static const char sql[] =
        "SELECT CASE WHEN p.begins IS NOT NULL THEN jsonb_strip_nulls(jsonb_build_object('begins', "
        "p.begins, 'checks', p.checks, 'dns_ms', p.dns, 'connect_ms', p.connect, 'tls_ms', p.tls,"
        " 'wait_ms', p.wait, 'transfer_ms', p.transfer, 'total_ms', p.total)) END"
        " FROM websites w LEFT JOIN LATERAL ("
        "   SELECT date_bin(make_interval(secs => $4::integer), slot, 'epoch') AS begins,"
        "     count(*) AS checks, round(avg(coalesce(dns_us, 0)) / 1000, 3) AS dns,"
        "     round(avg(coalesce(connect_us, 0)) / 1000, 3) AS connect, "
        "     round(avg(coalesce(tls_us, 0)) / 1000, 3) AS tls,"
        "     round(avg(coalesce(wait_us, 0)) / 1000, 3) AS wait,"
        "     round(avg(coalesce(transfer_us, 0)) / 1000, 3) AS transfer,"
        "     round(avg(response_time_us) / 1000, 3) AS total"
        "   FROM (SELECT DISTINCT ON (c.slot, c.location_id) c.* FROM checks c"
        "     WHERE c.website_id = $1 AND c.final"
        "       AND c.slot >= date_bin(make_interval(secs => $4::integer),"
        "         to_timestamp(0) + $2::bigint * interval '1 microsecond', 'epoch')"
        "       AND c.slot < to_timestamp(0) + $3::bigint * interval '1 microsecond'"
        "       AND ($5::text IS NULL"
        "         OR c.location_id = (SELECT location_id FROM locations WHERE name = $5))"
        "     ORDER BY c.slot, c.location_id, c.attempt) c"
        "   WHERE http_status IS NOT NULL AND response_time_us IS NOT NULL"
        "   GROUP BY 1 ORDER BY 1) p ON true"
        " WHERE w.website_id = $1::bigint AND w.deleted_at IS NULL";

    (void)api;
    query_series(conn, sql, PHASES_RANGE_MAX_S, r, a);
}
