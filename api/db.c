#include "api/db.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/digits.h"
#include "common/log.h"
#include "common/mem.h"

#define RETRY_AFTER "5" /* seconds */
#define DB_TIMEOUT_TEXT DIGITS(DB_STATEMENT_TIMEOUT_S) "s"

struct db {
    const char *dsn;
    int count;
    pthread_mutex_t lock;
    pthread_cond_t given;
    int free_count;
    PGconn **free; /* connected, broken, or NULL: not made yet */
};

struct db *db_new(const char *dsn, int count)
{
    struct db *db = mem_alloc(1, sizeof(*db));

    *db = (struct db){.dsn = dsn, .count = count, .free_count = count};
    db->free = mem_alloc((size_t)count, sizeof(PGconn *));
    pthread_mutex_init(&db->lock, NULL);
    pthread_cond_init(&db->given, NULL);
    return db;
}

void db_free(struct db *db)
{
    if (db == NULL) {
        return;
    }
    for (int i = 0; i < db->free_count; i++) {
        PQfinish(db->free[i]);
    }
    pthread_cond_destroy(&db->given);
    pthread_mutex_destroy(&db->lock);
    free(db->free);
    free(db);
}

/* The socket of an idle connection has nothing to read unless the server has closed it. */
static bool is_alive(PGconn *conn)
{
    return conn != NULL && PQstatus(conn) == CONNECTION_OK && PQconsumeInput(conn) == 1 &&
           PQtransactionStatus(conn) == PQTRANS_IDLE;
}

PGconn *db_connect(const char *dsn, struct err *err)
{
    /* A statement reads a page, and takes less than what is compiled for it would, whatever the
     * planner thinks of tables that it has no statistics of. */
    static const char session_sql[] =
        "SET statement_timeout = '" DB_TIMEOUT_TEXT "'; SET TimeZone = 'UTC'; SET jit = off";
    PGconn *conn = pg_connect(dsn, NULL, err);

    if (conn != NULL && pg_run(conn, session_sql, err) < 0) {
        PQfinish(conn);
        conn = NULL;
    }
    return conn;
}

PGconn *db_take(struct db *db, struct err *err)
{
    pthread_mutex_lock(&db->lock);
    while (db->free_count == 0) {
        pthread_cond_wait(&db->given, &db->lock);
    }
    PGconn *conn = db->free[--db->free_count];

    pthread_mutex_unlock(&db->lock);
    if (is_alive(conn)) {
        return conn;
    }
    PQfinish(conn);
    conn = db_connect(db->dsn, err);
    if (conn == NULL) {
        db_give(db, NULL);
    }
    return conn;
}

void db_give(struct db *db, PGconn *conn)
{
    pthread_mutex_lock(&db->lock);
    db->free[db->free_count++] = conn;
    pthread_cond_signal(&db->given);
    pthread_mutex_unlock(&db->lock);
}

void db_print_items(FILE *out, const PGresult *result, int column, int64_t rows_max)
{
    fprintf(out, "\"items\":[");
    for (int i = 0; i < PQntuples(result) && i < rows_max && !PQgetisnull(result, i, column); i++) {
        fprintf(out, "%s%s", i == 0 ? "" : ",", PQgetvalue(result, i, column));
    }
    fprintf(out, "]");
}

void db_roll_back(PGconn *conn)
{
    struct err err;

    if (pg_run(conn, "ROLLBACK", &err) < 0) {
        log_write(LOG_DEBUG, "no rollback", LOG_S("reason", err.message));
    }
}

void db_fail(const struct err *err, struct answer *a)
{
    if (err->kind == ERR_RETRY) {
        log_write(LOG_WARN, "Postgres does not serve", LOG_S("reason", err->message));
        answer_problem(a, 503, "the database does not answer, try again in a few seconds");
        answer_header(a, "Retry-After", RETRY_AFTER);
    } else {
        log_write(LOG_ERROR, "a query failed", LOG_S("reason", err->message));
        answer_problem(a, 500, "the query failed; the log of the api says why");
    }
}
