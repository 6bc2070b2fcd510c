#include "consumer/migrate.h"

#include <inttypes.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/pg.h"

#define CHECKSUM_SIZE (2 * SHA256_DIGEST_LENGTH + 1)

static void checksum_of(const char *sql, char out[CHECKSUM_SIZE])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];

    SHA256((const unsigned char *)sql, strlen(sql), digest);
    for (size_t i = 0; i < sizeof(digest); i++) {
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    }
}

/* Another consumer made it at the same moment: 42P04 when it had finished, 23505 when not. */
static bool is_made_already(const struct pg_fault *fault)
{
    return strcmp(fault->sqlstate, "42P04") == 0 || strcmp(fault->sqlstate, "23505") == 0;
}

static int create_database(PGconn *conn, const char *name, struct err *err)
{
    struct pg_fault fault;
    char *quoted = PQescapeIdentifier(conn, name, strlen(name));

    if (quoted == NULL) {
        return err_set(err, ERR_FATAL, "database name: %s", PQerrorMessage(conn));
    }
    size_t size = strlen(quoted) + 64;
    char *sql = mem_alloc(size, 1);

    snprintf(sql, size, "CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8'", quoted);
    PQfreemem(quoted);

    int rc = pg_execute(conn, "create the database", sql, NULL, NULL, &fault, err);

    free(sql);
    return rc < 0 && is_made_already(&fault) ? 0 : rc;
}

/* Through a database that every server has. *made stays false when `name` is there already: then
 * something else keeps us out. */
static int create_if_missing(PGconn *conn, const char *name, bool *made, struct err *err)
{
    struct pg_params p = {0};

    pg_add_text(&p, name);

    PGresult *result = pg_query(conn, "look for the database",
                                "SELECT FROM pg_database WHERE datname = $1", &p, NULL, err);

    if (result == NULL) {
        return -1;
    }
    bool missing = PQntuples(result) == 0;

    PQclear(result);
    if (missing && create_database(conn, name, err) < 0) {
        return -1;
    }
    *made = missing;
    return 0;
}

static int make_database(const char *dsn, bool *made, struct err *err)
{
    static const char *const everywhere[] = {"postgres", "template1"};
    struct err ignored;
    bool is_up;
    char *name = pg_database_name(dsn, &is_up);
    int rc = 0;

    *made = false;
    for (size_t i = 0; is_up && name != NULL && i < 2; i++) {
        PGconn *conn = pg_connect(dsn, everywhere[i], &ignored);

        if (conn != NULL) {
            rc = create_if_missing(conn, name, made, err);
            PQfinish(conn);
            break;
        }
    }
    free(name);
    return rc;
}

static PGconn *connect_or_create(const char *dsn, struct err *err)
{
    struct err create_err;
    bool made;
    PGconn *conn = pg_connect(dsn, NULL, err);

    if (conn != NULL || err->kind != ERR_RETRY) {
        return conn;
    }
    if (make_database(dsn, &made, &create_err) < 0) {
        *err = create_err;
        return NULL;
    }
    return made ? pg_connect(dsn, NULL, err) : NULL;
}

/* The line of the statement's failure; 0 when the server does not tell. It counts characters. */
static int failed_line(const PGresult *result, const char *sql)
{
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    long long left = position == NULL ? 0 : strtoll(position, NULL, 10);
    int line = left > 0 ? 1 : 0;

    for (const char *c = sql; left > 1 && *c != '\0'; c++) {
        if (((unsigned char)c[1] & 0xC0) != 0x80) {
            left--; /* the next byte begins a character */
        }
        line += *c == '\n';
    }
    return line;
}

static int run_text(PGconn *conn, const struct migration *m, struct err *err)
{
    PGresult *result = PQexec(conn, m->sql);
    ExecStatusType status = PQresultStatus(result);
    char step[128];
    int line = failed_line(result, m->sql);

    if (line > 0) {
        snprintf(step, sizeof(step), "migration %s, line %d", m->name, line);
    } else {
        snprintf(step, sizeof(step), "migration %s", m->name);
    }
    int rc = pg_expect(conn, result, status == PGRES_TUPLES_OK ? PGRES_TUPLES_OK : PGRES_COMMAND_OK,
                       step, NULL, err);

    PQclear(result);
    return rc;
}

static int record(PGconn *conn, const struct migration *m, struct err *err)
{
    struct pg_params p = {0};
    char checksum[CHECKSUM_SIZE];

    checksum_of(m->sql, checksum);
    pg_add_int(&p, m->version);
    pg_add_text(&p, m->name);
    pg_add_text(&p, checksum);
    return pg_execute(conn, "record a migration",
                      "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                      &p, NULL, NULL, err);
}

/* The connection is closed after a failure, and the transaction with it. */
static int apply(PGconn *conn, const struct migration *m, struct err *err)
{
    if (pg_run(conn, "BEGIN", err) < 0 || run_text(conn, m, err) < 0 || record(conn, m, err) < 0) {
        return -1;
    }
    return pg_run(conn, "COMMIT", err);
}

/* *applied: it is recorded, with this text. */
static int look_up(PGconn *conn, const struct migration *m, bool *applied, struct err *err)
{
    struct pg_params p = {0};
    char checksum[CHECKSUM_SIZE];

    pg_add_int(&p, m->version);

    PGresult *result = pg_query(conn, "look for a migration",
                                "SELECT checksum, name, applied_at FROM schema_migrations"
                                " WHERE version = $1",
                                &p, NULL, err);

    if (result == NULL) {
        return -1;
    }
    int rc = 0;

    *applied = PQntuples(result) == 1;
    checksum_of(m->sql, checksum);
    if (*applied && strcmp(PQgetvalue(result, 0, 0), checksum) != 0) {
        rc = err_set(err, ERR_FATAL,
                     "migration %s: its text is not that of %s, applied %s (SHA-256 %.12s, was "
                     "%.12s); a change needs a migration of its own",
                     m->name, PQgetvalue(result, 0, 1), PQgetvalue(result, 0, 2), checksum,
                     PQgetvalue(result, 0, 0));
    }
    PQclear(result);
    return rc;
}

static int apply_missing(PGconn *conn, const struct migration *list, migrate_report_fn *on_applied,
                         void *context, struct err *err)
{
    bool applied;

    for (const struct migration *m = list; m->sql != NULL; m++) {
        if (look_up(conn, m, &applied, err) < 0) {
            return -1;
        }
        if (applied) {
            continue;
        }
        if (apply(conn, m, err) < 0) {
            return -1;
        }
        if (on_applied != NULL) {
            on_applied(context, m);
        }
    }
    return 0;
}

/* Tables are made in the first schema of the search path that exists. */
static int check_schema(PGconn *conn, struct err *err)
{
    PGresult *result =
        pg_query(conn, "look for the schema",
                 "SELECT current_schema(), current_setting('search_path')", NULL, NULL, err);

    if (result == NULL) {
        return -1;
    }
    int rc = 0;

    if (PQgetisnull(result, 0, 0)) {
        rc = err_set(err, ERR_FATAL,
                     "no schema of the search_path, %s, exists or may be used; make it: CREATE "
                     "SCHEMA, or GRANT USAGE ON SCHEMA",
                     PQgetvalue(result, 0, 1));
    }
    PQclear(result);
    return rc;
}

int migrate_run_list(const char *dsn, const struct migration *list, migrate_report_fn *on_applied,
                     void *context, struct err *err)
{
    static const char lock_sql[] =
        "SELECT pg_advisory_lock(" PG_LOCK_CLASS ", " PG_LOCK_MIGRATE ")";
    static const char table_sql[] = "CREATE TABLE IF NOT EXISTS schema_migrations ("
                                    " version integer PRIMARY KEY,"
                                    " name text NOT NULL,"
                                    " checksum text NOT NULL,"
                                    " applied_at timestamptz NOT NULL DEFAULT now())";
    PGconn *conn = connect_or_create(dsn, err);
    int rc = -1;

    if (conn == NULL) {
        return -1;
    }
    /* The lock is the session's: it ends with the connection. */
    if (check_schema(conn, err) == 0 && pg_run(conn, lock_sql, err) == 0 &&
        pg_run(conn, table_sql, err) == 0) {
        rc = apply_missing(conn, list, on_applied, context, err);
    }
    PQfinish(conn);
    if (rc < 0 && err->kind == ERR_INVALID) {
        err->kind = ERR_FATAL; /* a migration that the data refuse */
    }
    return rc;
}

static int find_missing(const PGresult *recorded, struct err *err)
{
    for (const struct migration *m = migrations; m->sql != NULL; m++) {
        bool found = false;

        for (int row = 0; row < PQntuples(recorded) && !found; row++) {
            found = pg_int(recorded, row, 0) == m->version;
        }
        if (!found) {
            return err_set(err, ERR_FATAL,
                           "the schema is older than this program: migration %s is missing; run "
                           "consumer migrate",
                           m->name);
        }
    }
    return 0;
}

int migrate_check(const char *dsn, int *newest, struct err *err)
{
    struct pg_fault fault = {0};
    PGconn *conn = pg_connect(dsn, NULL, err);

    if (conn == NULL) {
        return -1;
    }
    PGresult *recorded =
        pg_query(conn, "look for migrations",
                 "SELECT version FROM schema_migrations ORDER BY version", NULL, &fault, err);
    int rc = -1;

    if (recorded != NULL) {
        rc = find_missing(recorded, err);
        *newest = rc < 0 ? 0 : (int)pg_int(recorded, PQntuples(recorded) - 1, 0);
    } else if (strcmp(fault.sqlstate, "42P01") == 0) {
        err_set(err, ERR_FATAL, "the database has no schema: run consumer migrate");
    }
    PQclear(recorded);
    PQfinish(conn);
    return rc;
}

int migrate_run(const char *dsn, migrate_report_fn *on_applied, void *context, struct err *err)
{
    return migrate_run_list(dsn, migrations, on_applied, context, err);
}
