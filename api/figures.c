#include "api/figures.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "api/day.h"
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
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t asked, changed;
    bool ending;
    bool wanted;         /* since the last making began */
    int64_t next_ns;     /* not before */
    bool waited;         /* somebody did for the first ones, in vain */
    struct held *newest; /* NULL: none yet; the thread is one of its holders */
    double bucket_us[DAY_BUCKETS];
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

static bool is_ending(struct figures *f)
{
    pthread_mutex_lock(&f->lock);

    bool ending = f->ending;

    pthread_mutex_unlock(&f->lock);
    return ending;
}

static int read_portions(struct figures *f, int64_t first_s, struct figures_made *made,
                         struct err *err)
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
    } while (made->count == before + PORTION && made->count < FIGURES_SITES_MAX && !is_ending(f));
    return 0;
}

/* NULL when the database failed, which is logged. */
static struct held *make(struct figures *f)
{
    struct held *held = mem_alloc(1, sizeof(*held));
    int64_t now_s = clock_real_ns() / NS_PER_SEC;
    int64_t first_s = now_s - now_s % HOUR_S - (DAY_HOURS - 1) * HOUR_S;
    struct err err;

    held->holders = 1;
    held->made.at_ms = now_s * MS_PER_SEC;
    if (read_buckets(f, &err) < 0 || read_portions(f, first_s, &held->made, &err) < 0) {
        log_write(LOG_WARN, "no figures of the last day", LOG_S("reason", err.message));
        held_drop(held);
        return NULL;
    }
    return held;
}

/* With the lock. True: somebody wants others, and it is time; false: we are ending. */
static bool wait_until_wanted(struct figures *f)
{
    while (!f->ending) {
        struct timespec at = {.tv_sec = f->next_ns / NS_PER_SEC,
                              .tv_nsec = f->next_ns % NS_PER_SEC};

        if (!f->wanted) {
            pthread_cond_wait(&f->asked, &f->lock);
        } else if (clock_mono_ns() < f->next_ns) {
            pthread_cond_timedwait(&f->asked, &f->lock, &at);
        } else {
            return true;
        }
    }
    return false;
}

static void *run_figures(void *context)
{
    struct figures *f = context;

    pthread_mutex_lock(&f->lock);
    while (wait_until_wanted(f)) {
        f->wanted = false;
        pthread_mutex_unlock(&f->lock);

        int64_t began_ns = clock_mono_ns();
        struct held *held = make(f);
        int64_t now_ns = clock_mono_ns();
        int64_t rest_ns = (now_ns - began_ns) * FIGURES_SHARE;

        pthread_mutex_lock(&f->lock);
        f->next_ns = now_ns + (rest_ns > FIGURES_SECONDS_MIN * NS_PER_SEC
                                   ? rest_ns
                                   : FIGURES_SECONDS_MIN * NS_PER_SEC);
        if (held != NULL) {
            held_drop(f->newest);
            f->newest = held;
        }
        pthread_cond_broadcast(&f->changed);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

/* --- The thread, and handing them out --- */

static void free_parts(struct figures *f)
{
    held_drop(f->newest);
    pthread_cond_destroy(&f->asked);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

struct figures *figures_new(struct db *db, struct err *err)
{
    struct figures *f = mem_alloc(1, sizeof(*f));
    pthread_condattr_t attr;

    f->db = db;
    pthread_mutex_init(&f->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&f->asked, &attr);
    pthread_cond_init(&f->changed, &attr);
    pthread_condattr_destroy(&attr);

    int code = pthread_create(&f->thread, NULL, run_figures, f);

    if (code != 0) {
        err_set(err, ERR_FATAL, "thread of the figures: %s", strerror(code));
        free_parts(f);
        return NULL;
    }
    return f;
}

void figures_free(struct figures *f)
{
    if (f == NULL) {
        return;
    }
    pthread_mutex_lock(&f->lock);
    f->ending = true;
    pthread_cond_signal(&f->asked);
    pthread_mutex_unlock(&f->lock);
    pthread_join(f->thread, NULL);
    free_parts(f);
}

const struct figures_made *figures_take(struct figures *f, int64_t wait_ms)
{
    int64_t until_ns = clock_mono_ns() + wait_ms * NS_PER_MS;
    struct timespec until = {.tv_sec = until_ns / NS_PER_SEC, .tv_nsec = until_ns % NS_PER_SEC};
    int code = 0;

    pthread_mutex_lock(&f->lock);
    f->wanted = true;
    pthread_cond_signal(&f->asked);
    while (f->newest == NULL && !f->waited && code == 0) {
        code = pthread_cond_timedwait(&f->changed, &f->lock, &until);
    }
    f->waited = true;
    struct held *held = f->newest;

    if (held != NULL) {
        held->holders++;
    }
    pthread_mutex_unlock(&f->lock);
    return held == NULL ? NULL : &held->made;
}

void figures_give(struct figures *f, const struct figures_made *made)
{
    if (made == NULL) {
        return;
    }
    pthread_mutex_lock(&f->lock);
    held_drop((struct held *)made); /* its first member */
    pthread_mutex_unlock(&f->lock);
}
