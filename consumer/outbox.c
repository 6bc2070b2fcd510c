#include "consumer/outbox.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/backoff.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/pg.h"
#include "common/pgline.h"
#include "common/thread.h"
#include "common/wakeup.h"
#include "consumer/sitetopic.h"

#define LOOK_AGAIN_MS 5000 /* whether the lock is free, or a notice was missed */
#define BACKOFF_FIRST_MS 500
#define BACKOFF_MAX_MS 30000

struct outbox {
    struct outbox_settings settings;
    pthread_t thread;
    int stop_fd; /* wakeup: it is to end */
    int done_fd; /* wakeup: it ended */
    atomic_bool stop, done;
    PGconn *conn;
    struct pgline line;
    bool holds_lock;
    struct sitetopic *topic; /* only with the lock */
    struct backoff backoff;
    bool waits; /* it failed last time, and that was said */
    struct metric *published, *queued;
};

/* --- One round --- */

/* A connection that listens; the lock came and went with the one before. */
static int connect_anew(struct outbox *o, struct err *err)
{
    if (o->conn != NULL && PQstatus(o->conn) == CONNECTION_OK) {
        return 0;
    }
    pgline_set(&o->line, -1);
    PQfinish(o->conn);
    o->holds_lock = false;
    o->conn = pg_connect(o->settings.dsn, NULL, err);
    if (o->conn == NULL) {
        return -1;
    }
    pgline_set(&o->line, PQsocket(o->conn));
    return pg_run(o->conn, "LISTEN site_outbox", err);
}

static int try_lock(struct outbox *o, struct err *err)
{
    if (o->holds_lock) {
        return 0;
    }
    PGresult *result = pg_query(
        o->conn, "lock the outbox",
        "SELECT pg_try_advisory_lock(" PG_LOCK_CLASS ", " PG_LOCK_OUTBOX ")", NULL, NULL, err);

    if (result == NULL) {
        return -1;
    }
    o->holds_lock = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    if (o->holds_lock) {
        log_write(LOG_INFO, "telling the topic of the sites", LOG_S("topic", o->settings.topic));
    }
    return 0;
}

static int send_rows(struct outbox *o, const PGresult *rows, struct err *err)
{
    size_t count = (size_t)PQntuples(rows);
    struct sitetopic_message *messages = mem_alloc(count, sizeof(*messages));

    for (size_t i = 0; i < count; i++) {
        messages[i].key = PQgetvalue(rows, (int)i, 1);
        messages[i].value = PQgetisnull(rows, (int)i, 2) ? NULL : PQgetvalue(rows, (int)i, 2);
    }
    int rc = sitetopic_send(o->topic, messages, count, err);

    free(messages);
    if (rc == 0) {
        metric_add(o->published, count);
    }
    return rc;
}

/* A row that was queued anew since it was read has another id, and stays. */
static int delete_rows(struct outbox *o, const PGresult *rows, struct err *err)
{
    struct pg_params p = {0};
    struct pg_array ids;

    pg_array_init(&ids, PG_INT8);
    for (int i = 0; i < PQntuples(rows); i++) {
        pg_array_int8(&ids, pg_int(rows, i, 0));
    }
    pg_add_array(&p, &ids);

    int rc = pg_execute(o->conn, "empty the outbox",
                        "DELETE FROM site_outbox WHERE outbox_id = ANY($1::bigint[])", &p, NULL,
                        NULL, err);

    pg_array_free(&ids);
    return rc;
}

static int count_rows(struct outbox *o, struct err *err)
{
    PGresult *result =
        pg_query(o->conn, "count the outbox", "SELECT count(*) FROM site_outbox", NULL, NULL, err);

    if (result == NULL) {
        return -1;
    }
    metric_set(o->queued, pg_int(result, 0, 0));
    PQclear(result);
    return 0;
}

/* *more: there may be more to send at once. */
static int publish_some(struct outbox *o, bool *more, struct err *err)
{
    struct pg_params p = {0};

    pg_add_int(&p, OUTBOX_ROWS_AT_ONCE);

    PGresult *rows = pg_query(o->conn, "read the outbox",
                              "SELECT o.outbox_id, w.website_id, site_message(w)"
                              " FROM site_outbox o JOIN websites w USING (website_id)"
                              " ORDER BY o.outbox_id LIMIT $1",
                              &p, NULL, err);

    if (rows == NULL) {
        return -1;
    }
    *more = PQntuples(rows) == OUTBOX_ROWS_AT_ONCE;

    int rc = 0;

    if (PQntuples(rows) > 0) {
        if (o->topic == NULL) {
            o->topic = sitetopic_open(o->settings.kafka, o->settings.topic, o->stop_fd, err);
        }
        rc = o->topic == NULL || send_rows(o, rows, err) < 0 ? -1 : delete_rows(o, rows, err);
    }
    PQclear(rows);
    return rc < 0 ? -1 : count_rows(o, err);
}

/* --- The thread --- */

/* Whether a change was told of; statements read notices on the side. */
static bool take_notices(PGconn *conn)
{
    bool took = false;
    PGnotify *notice;

    while (conn != NULL && (notice = PQnotifies(conn)) != NULL) {
        PQfreemem(notice);
        took = true;
    }
    return took;
}

/* Until a change is told of, the time is over, or it is to end, which is true. */
static bool wait_ms(struct outbox *o, int64_t ms)
{
    struct pollfd fds[2] = {
        {.fd = o->stop_fd, .events = POLLIN},
        {.fd = o->conn == NULL ? -1 : PQsocket(o->conn), .events = POLLIN},
    };

    if (poll(fds, 2, take_notices(o->conn) ? 0 : (int)ms) < 0 && errno != EINTR) {
        abort(); /* EFAULT or EINVAL: our own fault */
    }
    if (fds[1].revents != 0) {
        PQconsumeInput(o->conn); /* a lost connection shows in its status */
        take_notices(o->conn);
    }
    return fds[0].revents != 0;
}

/* How long to wait before the next round. */
static int64_t turn(struct outbox *o)
{
    struct err why;
    bool more = false;

    if (connect_anew(o, &why) < 0 || try_lock(o, &why) < 0 ||
        (o->holds_lock && publish_some(o, &more, &why) < 0)) {
        if (!o->waits && !atomic_load(&o->stop)) { /* that may have cut it */
            log_write(LOG_WARN, "changes of sites wait for the topic",
                      LOG_S("reason", why.message));
        }
        o->waits = true;
        sitetopic_free(o->topic);
        o->topic = NULL;
        return backoff_next_ms(&o->backoff);
    }
    if (o->waits) {
        log_write(LOG_INFO, "changes of sites go on to the topic");
    }
    o->waits = false;
    backoff_reset(&o->backoff);
    return more ? 0 : LOOK_AGAIN_MS;
}

static void *run_outbox(void *arg)
{
    struct outbox *o = arg;

    while (!wait_ms(o, turn(o))) {
    }
    atomic_store(&o->done, true);
    wakeup_ring(o->done_fd);
    return NULL;
}

static void release(struct outbox *o)
{
    sitetopic_free(o->topic);
    pgline_free(&o->line);
    PQfinish(o->conn);
    if (o->stop_fd >= 0) {
        close(o->stop_fd);
    }
    if (o->done_fd >= 0) {
        close(o->done_fd);
    }
    free(o);
}

struct outbox *outbox_new(const struct outbox_settings *settings, struct metrics *m,
                          struct err *err)
{
    struct outbox *o = mem_alloc(1, sizeof(*o));

    o->settings = *settings;
    o->published = metrics_counter(m, "sitewatch_sites_published",
                                   "Changes of sites that the topic has acknowledged", NULL);
    o->queued =
        metrics_gauge(m, "sitewatch_outbox_rows",
                      "Changes of sites that wait for the topic; of who publishes them", NULL);
    backoff_init(&o->backoff, BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
    pgline_init(&o->line);
    o->done_fd = -1;
    o->stop_fd = wakeup_open(err);
    if (o->stop_fd >= 0) {
        o->done_fd = wakeup_open(err);
    }
    if (o->done_fd < 0 || thread_start(&o->thread, "outbox", run_outbox, o, err) < 0) {
        release(o);
        return NULL;
    }
    return o;
}

void outbox_stop(struct outbox *o)
{
    atomic_store(&o->stop, true);
    wakeup_ring(o->stop_fd);
}

void outbox_cut(struct outbox *o)
{
    pgline_cut(&o->line);
}

bool outbox_is_done(const struct outbox *o)
{
    return atomic_load(&o->done);
}

int outbox_fd(const struct outbox *o)
{
    return o->done_fd;
}

void outbox_free(struct outbox *o)
{
    if (o == NULL) {
        return;
    }
    outbox_stop(o);
    pthread_join(o->thread, NULL);
    release(o);
}
