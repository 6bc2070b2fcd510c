/*
 * How nothing is missed: a row of site_changes carries the id of its transaction, and a look reads
 * the rows whose transaction is visible to it and was not to the look before. Ids and times are
 * not in the order of commits, and the oldest transaction that runs may run for hours; snapshots
 * tell which transactions ended in between whatever their order, so that each row is read by
 * exactly one look, the first after its commit. The comparison and the rows are of one statement,
 * and so of one snapshot. What the event says of the site is read there too: as it is at that
 * moment, not when it changed.
 *
 * A connection made anew may lead to a server that has lost the newest transactions: the clients
 * are told to load anew, and the looks begin again. The same where there are too many changes.
 *
 * What time alone changes, a location that falls silent or is heard of again, makes no row: silence
 * finds it.
 */
#include "api/events.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/feed.h"
#include "api/silence.h"
#include "api/token.h"
#include "common/clock.h"
#include "common/digits.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/thread.h"
#include "common/wakeup.h"

#define LOOK_MS 500
#define END_MS 2000      /* for clients to read the end of their stream */
#define AGAIN_MS 1000    /* after a look that failed */
#define CHANGES_MAX 1000 /* of a look; more: load all anew */
#define SILENT_EVERY_S 5 /* and no more than one part in SILENT_SHARE of the time */
#define SILENT_SHARE 50
#define TOKENS_EVERY_S 2
#define BEAT_EVERY_S 15

struct events {
    const char *dsn;
    struct feed *feed;
    pthread_t thread;
    int stop_fd; /* wakeup: it is to end */
    PGconn *conn;
    char *snapshot; /* of the last look; NULL: none with this connection */
    struct silence *silence;
    int64_t silence_ns, tokens_ns, beat_ns; /* when it is time for them */
    bool waits;                             /* the last look failed, and that was said */
    struct metric *states, *sites;
};

/* --- Looks --- */

/* The state as GET /websites/{id} has it. Needs: website_id of `c`. */
#define STATE_JSON                                                                                 \
    "SELECT json_strip_nulls(json_build_object('id', w.website_id, 'name', w.name,"                \
    " 'state', t.status, 'since', coalesce(CASE WHEN t.status = 'down' THEN"                       \
    "   (SELECT incident_slot FROM site_overall WHERE website_id = w.website_id) END, l.since),"   \
    " 'last_slot', t.last_slot,"                                                                   \
    " 'locations', coalesce(l.all, '[]')))::text AS json"                                          \
    " FROM websites w JOIN site_status t USING (website_id)"                                       \
    " CROSS JOIN LATERAL ("                                                                        \
    "   SELECT json_agg(json_build_object('location', location, 'status', status)"                 \
    "       ORDER BY location) AS all,"                                                            \
    "     max(since) FILTER (WHERE status = t.status AND NOT stale) AS since"                      \
    "   FROM site_locations WHERE website_id = w.website_id) l"                                    \
    " WHERE w.website_id = c.website_id AND w.deleted_at IS NULL"

static void put_rows(struct events *e, const PGresult *rows, int change, int id, int json)
{
    for (int i = 0; i < PQntuples(rows); i++) {
        const char *what = PQgetvalue(rows, i, change);
        char data[96];

        if (strcmp(what, "state") == 0) {
            if (!PQgetisnull(rows, i, json)) { /* else it was deleted since */
                feed_put(e->feed, "state", PQgetvalue(rows, i, json));
                metric_add(e->states, 1);
            }
        } else if (what[0] != '\0') {
            snprintf(data, sizeof(data), "{\"id\":%s,\"change\":\"%s\"}", PQgetvalue(rows, i, id),
                     what);
            feed_put(e->feed, "site", data);
            metric_add(e->sites, 1);
        }
    }
}

static void begin_anew(struct events *e)
{
    uint64_t epoch;

    randombytes_buf(&epoch, sizeof(epoch));
    feed_begin(e->feed, epoch);
}

#define ROWS_MAX DIGITS(CHANGES_MAX) " + 1"

/* A row at the least: the snapshot, and NULLs where nothing has changed. */
static int look(struct events *e, struct err *err)
{
    static const char sql[] =
        "SELECT pg_current_snapshot()::text, c.change, c.website_id, s.json"
        " FROM (SELECT) one LEFT JOIN ("
        "   SELECT max(change_id) AS n, website_id, change FROM site_changes"
        "   WHERE xid >= pg_snapshot_xmin($1::pg_snapshot)"
        "   AND NOT pg_visible_in_snapshot(xid, $1::pg_snapshot)"
        "   GROUP BY website_id, change ORDER BY n LIMIT " ROWS_MAX ") c ON true"
        " LEFT JOIN LATERAL (" STATE_JSON ") s ON c.change = 'state' ORDER BY c.n";
    struct pg_params p = {0};
    bool begins = e->snapshot == NULL;
    PGresult *rows;

    if (begins) {
        rows = pg_query(e->conn, "begin to look for changes", "SELECT pg_current_snapshot()::text",
                        NULL, NULL, err);
    } else {
        pg_add_text(&p, e->snapshot);
        rows = pg_query(e->conn, "look for changes", sql, &p, NULL, err);
    }

    if (rows == NULL) {
        return -1;
    }
    free(e->snapshot);
    e->snapshot = mem_copy_string(PQgetvalue(rows, 0, 0));

    bool anew = begins || PQntuples(rows) > CHANGES_MAX;

    for (int i = 0; i < PQntuples(rows) && !anew; i++) {
        anew = strcmp(PQgetvalue(rows, i, 1), "many") == 0;
    }
    if (anew) {
        begin_anew(e);
    } else {
        put_rows(e, rows, 1, 2, 3);
    }
    PQclear(rows);
    return 0;
}

/* --- Silence --- */

static int tell_states(struct events *e, const struct pg_array *ids, struct err *err)
{
    struct pg_params p = {0};

    pg_add_array(&p, ids);

    PGresult *rows = pg_query(e->conn, "read states",
                              "SELECT 'state', c.website_id, s.json"
                              " FROM (SELECT DISTINCT unnest($1::bigint[])) c (website_id)"
                              " CROSS JOIN LATERAL (" STATE_JSON ") s",
                              &p, NULL, err);

    if (rows == NULL) {
        return -1;
    }
    put_rows(e, rows, 0, 1, 2);
    PQclear(rows);
    return 0;
}

static int compare_with_last(struct events *e, struct err *err)
{
    struct pg_array ids;
    bool many;

    pg_array_init(&ids, PG_INT8);

    int rc = silence_look(e->silence, e->conn, &ids, &many, err);

    if (rc == 0 && (many || ids.count > CHANGES_MAX)) {
        begin_anew(e);
    } else if (rc == 0 && ids.count > 0) {
        rc = tell_states(e, &ids, err);
    }
    pg_array_free(&ids);
    return rc;
}

static int look_for_silence(struct events *e, int64_t now_ns, struct err *err)
{
    if (now_ns < e->silence_ns) {
        return 0;
    }
    if (compare_with_last(e, err) < 0) {
        return -1;
    }
    int64_t after_ns = clock_mono_ns();
    int64_t pause_ns = SILENT_SHARE * (after_ns - now_ns);

    e->silence_ns =
        after_ns +
        (pause_ns > SILENT_EVERY_S * NS_PER_SEC ? pause_ns : SILENT_EVERY_S * NS_PER_SEC);
    return 0;
}

/* --- Tokens --- */

static int look_at_tokens(struct events *e, int64_t now_ns, struct err *err)
{
    if (now_ns < e->tokens_ns) {
        return 0;
    }
    e->tokens_ns = now_ns + TOKENS_EVERY_S * NS_PER_SEC;

    size_t count;
    int64_t *ids = feed_tokens(e->feed, &count);
    int rc = token_keep_invalid(e->conn, ids, &count, err);

    for (size_t i = 0; rc == 0 && i < count; i++) {
        feed_drop(e->feed, ids[i]);
    }
    free(ids);
    return rc;
}

/* --- The thread --- */

static void disconnect(struct events *e)
{
    PQfinish(e->conn);
    e->conn = NULL;
    free(e->snapshot);
    e->snapshot = NULL;
    silence_forget(e->silence);
}

static int connect_anew(struct events *e, struct err *err)
{
    if (e->conn == NULL) {
        e->conn = db_connect(e->dsn, err);
    }
    return e->conn == NULL ? -1 : 0;
}

/* How long to wait before the next. */
static int turn(struct events *e)
{
    int64_t now_ns = clock_mono_ns();
    struct err why;

    if (now_ns >= e->beat_ns) {
        e->beat_ns = now_ns + BEAT_EVERY_S * NS_PER_SEC;
        feed_beat(e->feed);
    }
    if (connect_anew(e, &why) < 0 || look(e, &why) < 0 || look_at_tokens(e, now_ns, &why) < 0 ||
        look_for_silence(e, clock_mono_ns(), &why) < 0) {
        if (!e->waits) {
            log_write(LOG_WARN, "events wait for Postgres", LOG_S("reason", why.message));
        }
        e->waits = true;
        disconnect(e);
        return AGAIN_MS;
    }
    if (e->waits) {
        log_write(LOG_INFO, "events go on");
    }
    e->waits = false;
    return LOOK_MS;
}

/* True: it is to end. */
static bool wait_ms(const struct events *e, int ms)
{
    struct pollfd fd = {.fd = e->stop_fd, .events = POLLIN};

    if (poll(&fd, 1, ms) < 0 && errno != EINTR) {
        abort(); /* EFAULT or EINVAL: our own fault */
    }
    return fd.revents != 0;
}

static void *run_events(void *arg)
{
    struct events *e = arg;

    while (!wait_ms(e, turn(e))) {
    }
    return NULL;
}

static void release(struct events *e)
{
    disconnect(e);
    silence_free(e->silence);
    feed_free(e->feed);
    if (e->stop_fd >= 0) {
        close(e->stop_fd);
    }
    free(e);
}

struct events *events_new(const char *dsn, int clients_max, struct metrics *m, struct err *err)
{
    static const char name[] = "sitewatch_api_events";
    static const char help[] = "Events that clients were told";
    struct events *e = mem_alloc(1, sizeof(*e));

    e->dsn = dsn;
    e->feed = feed_new(clients_max, m);
    e->silence = silence_new();
    e->states = metrics_counter(m, name, help, "event=\"state\"");
    e->sites = metrics_counter(m, name, help, "event=\"site\"");
    e->stop_fd = wakeup_open(err);
    if (e->stop_fd < 0) {
        release(e);
        return NULL;
    }
    turn(e); /* who comes first finds the looks begun */
    if (thread_start(&e->thread, "events", run_events, e, err) < 0) {
        release(e);
        return NULL;
    }
    return e;
}

void events_end(struct events *e)
{
    if (e != NULL) {
        feed_end(e->feed, clock_mono_ns() + END_MS * NS_PER_MS);
    }
}

void events_free(struct events *e)
{
    if (e == NULL) {
        return;
    }
    wakeup_ring(e->stop_fd);
    pthread_join(e->thread, NULL);
    release(e);
}

/* --- The route --- */

static ssize_t on_read(void *context, char *out, size_t size)
{
    return feed_read(context, out, size);
}

static void on_listen(void *context, void (*wake)(void *), void *wake_context)
{
    feed_listen(context, wake, wake_context);
}

static void on_close(void *context)
{
    feed_leave(context);
}

void events_get(const struct api *api, PGconn *conn, const struct request *r, struct answer *a)
{
    struct feed_client *client =
        feed_join(api->events->feed, r->token_id, request_header(r, "Last-Event-ID"));

    (void)conn;
    if (client == NULL) {
        answer_problem(a, 503, "as many clients read events as may, try again later");
        answer_header(a, "Retry-After", "5");
        return;
    }
    answer_stream(a, "text/event-stream",
                  &(struct answer_stream){on_read, on_listen, on_close, client});
    answer_header(a, "X-Accel-Buffering", "no"); /* a proxy in between is to pass them on at once */
}
