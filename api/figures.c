#include "api/figures.h"

#include <stdlib.h>
#include <string.h>

#include "api/day.h"
#include "api/refresh.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

#define PORTION 500 /* sites of one statement */
#define HOUR_S INT64_C(3600)

struct held {
    struct figures_made made; /* first: what is handed out */
    int holders;
};

struct figures {
    struct db *db;
    struct refresh *refresh;
    /* The thread's. */
    struct held *made; /* the last it made; NULL: it failed */
    double bucket_us[DAY_BUCKETS];
    /* With the lock. */
    bool waited;         /* somebody did for the first ones, in vain */
    struct held *newest; /* NULL: none yet; we are one of its holders */
};

static void held_free(struct held *held)
{
    for (size_t i = 0; i < held->made.count; i++) {
        free(held->made.sites[i].json);
    }
    free(held->made.sites);
    free(held);
}

/* With the lock. */
static void held_drop(struct held *held)
{
    if (held != NULL && --held->holders == 0) {
        held_free(held);
    }
}

/* --- Making them --- */

/*
 * A row an hour and location of a site, and one at the least. Whole hours come from the rollups,
 * the present one from the rows, and with it the one or two before it while their rollups are not
 * made. $3 is the first hour that is shown.
 */
static const char portion_sql[] =
    "WITH sites AS MATERIALIZED ("
    "  SELECT website_id FROM websites WHERE deleted_at IS NULL AND website_id > $1"
    "  ORDER BY website_id LIMIT $2"
    "), span AS MATERIALIZED ("
    "  SELECT coalesce((SELECT min(begins) FROM rollup_stale_hours"
    "    WHERE begins >= hour_of(now()) - interval '2 hours'), hour_of(now())) AS rows_from"
    "), hours AS ("
    "  SELECT r.* FROM span CROSS JOIN sites s CROSS JOIN LATERAL ("
    "    SELECT * FROM rollups_1h r WHERE r.website_id = s.website_id"
    "    AND r.begins >= to_timestamp($3::bigint) AND r.begins < span.rows_from OFFSET 0) r"
    "  UNION ALL"
    "  SELECT c.* FROM span CROSS JOIN (SELECT array_agg(website_id) AS ids,"
    "    array_agg(NULL::integer) AS locations FROM sites) k"
    "  CROSS JOIN LATERAL rollups_of_checks(k.ids, k.locations, span.rows_from,"
    "    hour_of(now()) + interval '1 hour', '1 hour') c"
    ")"
    " SELECT s.website_id, to_char((SELECT min(c.cert_not_after) FROM site_state l"
    "     CROSS JOIN LATERAL (SELECT cert_not_after FROM checks c"
    "       WHERE c.website_id = l.website_id AND c.slot = l.last_slot"
    "         AND c.slot >= to_timestamp($3::bigint) AND c.location_id = l.location_id) c"
    "     WHERE l.website_id = s.website_id), 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
    "   coalesce(extract(epoch FROM h.begins)::bigint - $3, -3600) / 3600, h.up, h.degraded,"
    "   h.down, h.unknown, h.response_min_us, h.response_max_us, h.histogram"
    " FROM sites s LEFT JOIN hours h USING (website_id) ORDER BY s.website_id";

enum { ID, CERT, HOUR, UP, DEGRADED, DOWN, UNKNOWN, LOWEST, HIGHEST, HISTOGRAM };

static PGresult *query(struct figures *f, const char *step, const char *sql,
                       const struct pg_params *p, struct err *err)
{
    PGconn *conn = db_take(f->db, err);

    if (conn == NULL) {
        return NULL;
    }
    PGresult *result = pg_query(conn, step, sql, p, NULL, err);

    db_give(f->db, conn);
    return result;
}

/* What stands for each bucket of a histogram: SQL has the one formula. */
static int read_buckets(struct figures *f, struct err *err)
{
    struct pg_params p = {0};

    pg_add_int(&p, DAY_BUCKETS - 1);

    PGresult *result =
        query(f, "read buckets", "SELECT histogram_us(i) FROM generate_series(0, $1::integer) i",
              &p, err);

    if (result == NULL) {
        return -1;
    }
    for (int i = 0; i < DAY_BUCKETS; i++) {
        f->bucket_us[i] = strtod(PQgetvalue(result, i, 0), NULL);
    }
    PQclear(result);
    return 0;
}

static void add_row(struct day *day, const PGresult *result, int row)
{
    struct day_hour hour = {
        .hour = (int)pg_int(result, row, HOUR),
        .up = pg_int(result, row, UP),
        .degraded = pg_int(result, row, DEGRADED),
        .down = pg_int(result, row, DOWN),
        .unknown = pg_int(result, row, UNKNOWN),
        .lowest_us = pg_int(result, row, LOWEST),
        .highest_us = pg_int(result, row, HIGHEST),
        .histogram = PQgetvalue(result, row, HISTOGRAM),
    };

    day_add(day, &hour);
}

/* The sites of a portion, whose rows lie side by side. */
static void keep_portion(const struct figures *f, struct figures_made *made, const PGresult *result)
{
    int rows = PQntuples(result);

    made->sites = mem_resize(made->sites, made->count + PORTION, sizeof(*made->sites));
    for (int row = 0; row < rows;) {
        int64_t id = pg_int(result, row, ID);
        const char *cert = PQgetvalue(result, row, CERT);
        struct answer_text t;
        struct day day;

        day_init(&day);
        for (; row < rows && pg_int(result, row, ID) == id; row++) {
            add_row(&day, result, row);
        }
        answer_text_begin(&t);
        day_print(t.out, &day, f->bucket_us, cert);
        answer_text_end(&t);
        made->sites[made->count++] = (struct figure){.website_id = id, .json = t.text};
    }
}

static int read_portions(struct figures *f, struct refresh *refresh, int64_t first_s,
                         struct figures_made *made, struct err *err)
{
    size_t before;

    do {
        struct pg_params p = {0};

        before = made->count;
        pg_add_int(&p, before == 0 ? 0 : made->sites[before - 1].website_id);
        pg_add_int(&p, PORTION);
        pg_add_int(&p, first_s);

        PGresult *result = query(f, "read figures", portion_sql, &p, err);

        if (result == NULL) {
            return -1;
        }
        keep_portion(f, made, result);
        PQclear(result);
    } while (made->count == before + PORTION && made->count < FIGURES_SITES_MAX &&
             !refresh_is_ending(refresh));
    return 0;
}

/* NULL when the database failed, which is logged. */
static struct held *make(struct figures *f, struct refresh *refresh)
{
    struct held *held = mem_alloc(1, sizeof(*held));
    int64_t now_s = clock_real_ns() / NS_PER_SEC;
    int64_t first_s = now_s - now_s % HOUR_S - (DAY_HOURS - 1) * HOUR_S;
    struct err err;

    held->holders = 1;
    held->made.at_ms = now_s * MS_PER_SEC;
    if (read_buckets(f, &err) < 0 || read_portions(f, refresh, first_s, &held->made, &err) < 0) {
        log_write(LOG_WARN, "no figures of the last day", LOG_S("reason", err.message));
        held_drop(held);
        return NULL;
    }
    return held;
}

static int64_t make_figures(void *context, struct refresh *refresh)
{
    struct figures *f = context;
    int64_t began_ns = clock_mono_ns();

    f->made = make(f, refresh);

    int64_t rest_ns = (clock_mono_ns() - began_ns) * FIGURES_SHARE;
    int64_t least_ns = FIGURES_SECONDS_MIN * NS_PER_SEC;

    return rest_ns > least_ns ? rest_ns : least_ns;
}

static void keep_figures(void *context)
{
    struct figures *f = context;

    if (f->made != NULL) {
        held_drop(f->newest);
        f->newest = f->made;
    }
}

/* --- Handing them out --- */

struct figures *figures_new(struct db *db, struct err *err)
{
    struct figures *f = mem_alloc(1, sizeof(*f));
    const struct refresh_settings settings = {
        .name = "figures", .make = make_figures, .keep = keep_figures, .context = f};

    f->db = db;
    f->refresh = refresh_new(&settings, err);
    if (f->refresh == NULL) {
        free(f);
        return NULL;
    }
    return f;
}

void figures_free(struct figures *f)
{
    if (f == NULL) {
        return;
    }
    refresh_free(f->refresh);
    held_drop(f->newest);
    free(f);
}

const struct figures_made *figures_take(struct figures *f, int64_t wait_ms)
{
    int64_t until_ns = clock_mono_ns() + wait_ms * NS_PER_MS;
    bool in_time = true;

    refresh_want(f->refresh);
    refresh_lock(f->refresh);
    while (f->newest == NULL && !f->waited && in_time) {
        in_time = refresh_wait(f->refresh, until_ns);
    }
    f->waited = true;
    struct held *held = f->newest;

    if (held != NULL) {
        held->holders++;
    }
    refresh_unlock(f->refresh);
    return held == NULL ? NULL : &held->made;
}

void figures_give(struct figures *f, const struct figures_made *made)
{
    if (made == NULL) {
        return;
    }
    refresh_lock(f->refresh);
    held_drop((struct held *)made); /* its first member */
    refresh_unlock(f->refresh);
}
