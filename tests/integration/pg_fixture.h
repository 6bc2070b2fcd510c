/*
 * pg_fixture - what the integration tests of the store share: a database of its own for each test
 * on the server that TEST_POSTGRES_DSN names, short ways to ask it, and events.
 */
#ifndef TESTS_INTEGRATION_PG_FIXTURE_H
#define TESTS_INTEGRATION_PG_FIXTURE_H

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/event.h"
#include "common/mem.h"
#include "consumer/batch.h"
#include "consumer/migrate.h"
#include "consumer/store.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
#define GROUP "sitewatch"

struct fixture {
    char database[64];
    char *dsn;
    PGconn *conn; /* beside the program's own */
    struct metrics *metrics;
    struct store *store;
    int delivered;       /* calls of on_deliver */
    bool deliver_fails;  /* makes on_deliver fail */
    int kill_in_deliver; /* backend that on_deliver ends; 0: none */
};

/* The server's DSN with another database and, unless NULL, another host and port. */
static inline char *fixture_dsn(const char *database, const char *host, const char *port)
{
    const char *server = getenv("TEST_POSTGRES_DSN");
    PQconninfoOption *options = server == NULL ? NULL : PQconninfoParse(server, NULL);
    size_t len = 0;

    if (options == NULL) {
        fail_msg("TEST_POSTGRES_DSN must name a server");
    }
    char *dsn = mem_alloc(4096, 1);

    for (PQconninfoOption *o = options; o->keyword != NULL; o++) {
        bool is_host = strcmp(o->keyword, "host") == 0 || strcmp(o->keyword, "hostaddr") == 0;
        bool is_port = strcmp(o->keyword, "port") == 0;

        if (o->val == NULL || strcmp(o->keyword, "dbname") == 0 ||
            (host != NULL && (is_host || is_port))) {
            continue;
        }
        len += (size_t)snprintf(dsn + len, 4096 - len, "%s='%s' ", o->keyword, o->val);
    }
    PQconninfoFree(options);
    len += (size_t)snprintf(dsn + len, 4096 - len, "dbname='%s'", database);
    if (host != NULL) {
        snprintf(dsn + len, 4096 - len, " host=%s port=%s sslmode=disable gssencmode=disable", host,
                 port);
    }
    return dsn;
}

static inline void fixture_exec(PGconn *conn, const char *sql)
{
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    }
    PQclear(result);
}

/* All rows, columns joined by '|' and rows by '\n'; a NULL is "-". */
static inline void fixture_assert(PGconn *conn, const char *sql, const char *expected)
{
    static char text[65536];
    PGresult *result = PQexec(conn, sql);
    size_t len = 0;

    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    }
    text[0] = '\0';
    for (int row = 0; row < PQntuples(result); row++) {
        for (int column = 0; column < PQnfields(result); column++) {
            const char *value =
                PQgetisnull(result, row, column) ? "-" : PQgetvalue(result, row, column);

            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
                                    column > 0 ? "|"
                                    : row > 0  ? "\n"
                                               : "",
                                    value);
            assert_true(len < sizeof(text));
        }
    }
    PQclear(result);
    if (strcmp(text, expected) != 0) {
        fail_msg("%s:\n%s\nbut expected:\n%s", sql, text, expected);
    }
}

static inline PGconn *fixture_connect(const char *dsn)
{
    PGconn *conn = PQconnectdb(dsn);

    if (PQstatus(conn) != CONNECTION_OK) {
        fail_msg("%s", PQerrorMessage(conn));
    }
    return conn;
}

static inline PGconn *fixture_admin(void)
{
    return fixture_connect(getenv("TEST_POSTGRES_DSN"));
}

/* A name that no test had before. The database is not made. */
static inline void fixture_name(struct fixture *f)
{
    static int number;

    *f = (struct fixture){0};
    snprintf(f->database, sizeof(f->database), "Fixture \"%d\" %d", (int)getpid(), number++);
    f->dsn = fixture_dsn(f->database, NULL, NULL);
}

static inline void fixture_drop(struct fixture *f)
{
    PGconn *admin = fixture_admin();
    char *quoted;
    char sql[256];

    PQfinish(f->conn);
    store_free(f->store);
    metrics_free(f->metrics);
    free(f->dsn);
    quoted = PQescapeIdentifier(admin, f->database, strlen(f->database));
    snprintf(sql, sizeof(sql), "DROP DATABASE IF EXISTS %s WITH (FORCE)", quoted);
    fixture_exec(admin, sql);
    PQfreemem(quoted);
    PQfinish(admin);
}

#define assert_ok(rc, err)                                                                         \
    do {                                                                                           \
        if ((rc) < 0) {                                                                            \
            fail_msg("%s", (err).message);                                                         \
        }                                                                                          \
    } while (0)

static inline struct store *fixture_store(struct fixture *f, const char *dsn, int64_t sites_max)
{
    struct store_settings settings = {
        .dsn = dsn,
        .consumer_group = GROUP,
        .max_auto_sites = sites_max,
        .retention_days = 30,
        .dead_letter_days = 7,
        .dead_letter_rows = 1000,
        .incident_days = 7,
        .incident_rows = 1000,
        .rollup_days = 40,
    };

    return store_new(&settings, f->metrics);
}

/* A migrated database and a connected store. For setup of cmocka: *state is the fixture. */
static inline int fixture_setup(void **state)
{
    struct fixture *f = mem_alloc(1, sizeof(*f));
    struct err err;

    fixture_name(f);
    assert_ok(migrate_run(f->dsn, NULL, NULL, &err), err);
    f->conn = fixture_connect(f->dsn);
    fixture_exec(f->conn, "SET TimeZone = 'Asia/Kolkata'"); /* nothing may depend on it */
    f->metrics = metrics_new();
    f->store = fixture_store(f, f->dsn, 100);
    assert_ok(store_connect(f->store, &err), err);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    fixture_drop(*state);
    free(*state);
    return 0;
}

static inline uint64_t fixture_count(const struct fixture *f, const char *name)
{
    return metric_value(metrics_counter(f->metrics, name, "", NULL));
}

/* A slot of today that is not in the future: n seconds after midnight UTC of yesterday. */
static inline int64_t fixture_slot_us(int64_t seconds)
{
    int64_t day_us = INT64_C(86400) * US_PER_SEC;
    int64_t today_us = clock_real_ns() / NS_PER_US / day_us * day_us;

    return today_us - day_us + seconds * US_PER_SEC;
}

/* A check that is up, with no more than an event must have. */
static inline struct event fixture_event(const char *site, int64_t slot_us)
{
    struct event e;

    event_init(&e);
    e.site_name = site;
    e.site_url = "https://example.com/";
    e.location = "local";
    e.observer = "host-1";
    e.slot_us = slot_us;
    e.time_us = slot_us + 1000;
    e.lag_us = 1000;
    e.attempt = 1;
    e.final = true;
    e.interval_s = 30;
    e.status = CHECK_UP;
    return e;
}

static inline int on_deliver(void *context, struct batch *batch, struct err *err)
{
    struct fixture *f = context;

    f->delivered++;
    if (f->deliver_fails) {
        return err_set(err, ERR_RETRY, "the topic is away");
    }
    for (size_t i = 0; i < batch->letters_count; i++) {
        batch->letters[i].in_topic = true;
    }
    if (f->kill_in_deliver != 0) {
        char sql[128];

        snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d, 5000)", f->kill_in_deliver);
        fixture_exec(f->conn, sql);
        f->kill_in_deliver = 0;
    }
    return 0;
}

/* The process id of the one backend that is the store's. */
static inline int fixture_backend(const struct fixture *f)
{
    PGresult *result =
        PQexec(f->conn, "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                        " AND application_name LIKE 'sitewatch-%'");
    int pid;

    assert_int_equal(PQntuples(result), 1);
    pid = (int)strtol(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return pid;
}

static inline struct store_claim fixture_claim(struct store *s, const char *topic,
                                               int32_t partition)
{
    struct store_claim claim = {.topic = topic, .partition = partition};
    struct err err;

    assert_ok(store_claim(s, &claim, &err), err);
    return claim;
}

/* `count` checks of a site from a claim on, a second apart. */
static inline void fixture_add(struct batch *b, const struct store_claim *claim, const char *site,
                               int count)
{
    uint32_t i =
        batch_partition(b, claim->topic, claim->partition, claim->epoch, claim->next_offset);

    for (int n = 0; n < count; n++) {
        int64_t offset = b->partitions[i].next;
        struct event e = fixture_event(site, fixture_slot_us(offset));

        batch_add_row(b, i, offset, &e);
    }
}

struct written {
    int rc;
    enum store_outcome outcome;
    uint32_t lost[16];
    size_t lost_count;
    struct err err;
};

static inline struct written fixture_write_to(struct fixture *f, struct store *s, struct batch *b)
{
    struct written w = {.outcome = STORE_DONE};

    w.rc = store_write(s, b, on_deliver, f, &w.outcome, w.lost, &w.lost_count, &w.err);
    return w;
}

static inline struct written fixture_write(struct fixture *f, struct batch *b)
{
    return fixture_write_to(f, f->store, b);
}

#define assert_done(call)                                                                          \
    do {                                                                                           \
        struct written done = (call);                                                              \
        assert_ok(done.rc, done.err);                                                              \
        assert_int_equal(done.outcome, STORE_DONE);                                                \
        assert_int_equal(done.lost_count, 0);                                                      \
    } while (0)

#define assert_refused(call, wanted_kind)                                                          \
    do {                                                                                           \
        struct written refused = (call);                                                           \
        assert_int_equal(refused.rc, -1);                                                          \
        print_message("  (%s)\n", refused.err.message);                                            \
        assert_int_equal(refused.err.kind, wanted_kind);                                           \
    } while (0)

#endif
