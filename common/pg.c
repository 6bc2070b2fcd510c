#include "common/pg.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"

/* What libpq prints on stderr by itself goes into our log, where a line has a form. */
static void on_notice(void *context, const PGresult *result)
{
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    bool warns = severity != NULL && strcmp(severity, "WARNING") == 0;

    (void)context;
    log_write(warns ? LOG_WARN : LOG_DEBUG, "notice from Postgres",
              LOG_S("message", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)));
}

#define UNDEFINED_TABLE "42P01"
#define CONNECT_KEYS_MAX 10
#define APPLICATION_SIZE 64 /* Postgres keeps 63 bytes */

struct connect_keys {
    char application[APPLICATION_SIZE]; /* how pg_stat_activity calls us */
    const char *names[CONNECT_KEYS_MAX + 1];
    const char *values[CONNECT_KEYS_MAX + 1];
};

/* What stands before the DSN is a default, what stands after it wins. The name of the process is
 * that of the program. */
static void connect_keys_init(struct connect_keys *keys, const char *dsn, const char *database)
{
    *keys = (struct connect_keys){
        .names = {"connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count",
                  "tcp_user_timeout", "fallback_application_name", "dbname", "client_encoding",
                  database == NULL ? NULL : "dbname"},
        .values = {PG_CONNECT_SECONDS, "30", "10", "3", "60000", keys->application, dsn, "UTF8",
                   database},
    };
    snprintf(keys->application, sizeof(keys->application), "sitewatch-%s",
             program_invocation_short_name);
}

int pg_check_dsn(const char *dsn, struct err *err)
{
    char *reason = NULL;
    PQconninfoOption *options = PQconninfoParse(dsn, &reason);

    PQfreemem(reason); /* libpq's words may hold a piece of the DSN, and so a password */
    if (options == NULL) {
        return err_set(err, ERR_INVALID,
                       "postgres-dsn is not a DSN: libpq takes a postgresql:// "
                       "URI or key=value words");
    }
    PQconninfoFree(options);
    return 0;
}

int pg_check_start(const char *dsn, struct err *err)
{
    static const char *const files[] = {"sslrootcert", "sslcert", "sslkey", "sslcrl"};
    int rc = pg_check_dsn(dsn, err);
    PQconninfoOption *options = rc < 0 ? NULL : PQconninfoParse(dsn, NULL);

    for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL && rc == 0; o++) {
        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
            if (o->val != NULL && o->val[0] != '\0' && strcmp(o->keyword, files[i]) == 0 &&
                strcmp(o->val, "system") != 0 && access(o->val, R_OK) < 0) {
                rc = err_set(err, ERR_INVALID, "postgres-dsn (POSTGRES_DSN): %s: %s: %s", files[i],
                             o->val, strerror(errno));
                break;
            }
        }
    }
    PQconninfoFree(options);
    return rc;
}

/* What to do about libpq's or the server's words, in those of our settings; NULL: nothing better.
 */
static const char *connect_fix(const char *text)
{
    static const struct {
        const char *part, *fix;
    } rows[] = {
        {"password authentication failed", "the user or the password is not right"},
        {"no password supplied", "the server wants a password"},
        {"certificate verify failed",
         "put the CA that signed the server's certificate into the file of sslrootcert"},
        {"does not match host name", "name the server as its certificate does, in host"},
        {"server does not support SSL", "name a port that speaks TLS, or another sslmode"},
        {"root certificate file", "sslrootcert is to name a file with the CA"},
        {"no encryption", "the server wants TLS: sslmode=verify-full and sslrootcert"},
        {"SSL off", "the server wants TLS: sslmode=verify-full and sslrootcert"},
        {"alert certificate expired", "renew the certificate in the file of sslcert"},
        {"valid client certificate", "the server wants a certificate: sslcert and sslkey"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strstr(text, rows[i].part) != NULL) {
            return rows[i].fix;
        }
    }
    return NULL;
}

#define CONNECT_WORDS_MAX 330 /* of libpq's, so that there is room for ours */

static void connect_fail(const char *words, struct err *err)
{
    const char *fix = connect_fix(words);
    size_t len = strlen(words);

    while (len > 0 && words[len - 1] == '\n') {
        len--;
    }
    if (len > CONNECT_WORDS_MAX) {
        len = CONNECT_WORDS_MAX;
    }
    err_set(err, ERR_RETRY, "%.*s%s%s", (int)len, words,
            fix == NULL ? "" : "; fix postgres-dsn (POSTGRES_DSN): ", fix == NULL ? "" : fix);
}

PGconn *pg_connect(const char *dsn, const char *database, struct err *err)
{
    /* The server's side of the keepalives: else it holds a dead client's locks for two hours. */
    static const char session_sql[] = "SET tcp_keepalives_idle = 30;"
                                      "SET tcp_keepalives_interval = 10;"
                                      "SET tcp_keepalives_count = 3";

    if (pg_check_dsn(dsn, err) < 0) {
        return NULL;
    }
    struct connect_keys keys;

    connect_keys_init(&keys, dsn, database);

    PGconn *conn = PQconnectdbParams(keys.names, keys.values, 1);

    if (conn == NULL || PQstatus(conn) != CONNECTION_OK) {
        connect_fail(conn == NULL ? "no memory" : PQerrorMessage(conn), err);
        PQfinish(conn);
        return NULL;
    }
    PQsetNoticeReceiver(conn, on_notice, NULL);
    if (pg_run(conn, session_sql, err) < 0) {
        PQfinish(conn);
        err->kind = ERR_RETRY;
        return NULL;
    }
    return conn;
}

char *pg_database_name(const char *dsn, bool *is_up)
{
    struct connect_keys keys;

    connect_keys_init(&keys, dsn, NULL);

    *is_up = PQpingParams(keys.names, keys.values, 1) == PQPING_OK;

    /* Begun and given up: libpq has then put together what the DSN, the environment and the
     * service file say. */
    PGconn *conn = PQconnectStartParams(keys.names, keys.values, 1);
    char *name = mem_copy_string(PQdb(conn));

    PQfinish(conn);
    return name;
}

enum err_kind pg_kind(const char *sqlstate)
{
    static const struct {
        const char *begin;
        enum err_kind kind;
    } table[] = {
        {"08", ERR_RETRY},    /* connection exception */
        {"22", ERR_INVALID},  /* data exception */
        {"23", ERR_INVALID},  /* constraint violation */
        {"25006", ERR_RETRY}, /* read-only: a standby that is not promoted yet */
        {"40", ERR_RETRY},    /* serialization failure, deadlock */
        {"53", ERR_RETRY},    /* out of disk, memory, connections */
        {"55", ERR_RETRY},    /* in use, lock not available */
        {"57", ERR_RETRY},    /* shutting down, cancelled */
        {"58", ERR_RETRY},    /* the server's own system failed */
    };

    if (sqlstate[0] == '\0') {
        return ERR_RETRY;
    }
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (strncmp(sqlstate, table[i].begin, strlen(table[i].begin)) == 0) {
            return table[i].kind;
        }
    }
    return ERR_FATAL;
}

static const char *or_empty(const char *text)
{
    return text == NULL ? "" : text;
}

int pg_expect(PGconn *conn, const PGresult *result, ExecStatusType wanted, const char *step,
              struct pg_fault *fault, struct err *err)
{
    if (PQresultStatus(result) == wanted) {
        return 0;
    }
    struct pg_fault found = {0};
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (message == NULL) {
        message = PQerrorMessage(conn); /* libpq's own words; its further lines only guess */
    }
    snprintf(found.sqlstate, sizeof(found.sqlstate), "%s",
             or_empty(PQresultErrorField(result, PG_DIAG_SQLSTATE)));
    if (message[0] == '\0') {
        message = "the connection was lost";
    }
    snprintf(found.message, sizeof(found.message), "%.*s", (int)strcspn(message, "\n"), message);
    found.in_constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME) != NULL;
    if (fault != NULL) {
        *fault = found;
    }
    err_set(err, pg_kind(found.sqlstate), "%s: %s", step, found.message);
    if (found.sqlstate[0] != '\0') {
        size_t used = strlen(err->message);

        snprintf(err->message + used, sizeof(err->message) - used, " (%s)%s", found.sqlstate,
                 strcmp(found.sqlstate, UNDEFINED_TABLE) == 0
                     ? "; is the database migrated (consumer migrate)?"
                     : "");
    }
    return -1;
}

int pg_run(PGconn *conn, const char *sql, struct err *err)
{
    PGresult *result = PQexec(conn, sql);
    ExecStatusType wanted =
        PQresultStatus(result) == PGRES_TUPLES_OK ? PGRES_TUPLES_OK : PGRES_COMMAND_OK;
    int rc = pg_expect(conn, result, wanted, sql, NULL, err);

    PQclear(result);
    return rc;
}

void pg_add_text(struct pg_params *p, const char *text)
{
    assert(p->count < PG_PARAMS_MAX);
    p->values[p->count++] = text;
}

void pg_add_int(struct pg_params *p, int64_t value)
{
    assert(p->count < PG_PARAMS_MAX);

    char *number = p->numbers[p->count];

    snprintf(number, sizeof(p->numbers[0]), "%" PRId64, value);
    p->values[p->count++] = number;
}

void pg_add_array(struct pg_params *p, const struct pg_array *array)
{
    assert(p->count < PG_PARAMS_MAX && array->len <= INT_MAX);
    p->values[p->count] = array->data;
    p->lengths[p->count] = (int)array->len;
    p->formats[p->count] = 1;
    p->count++;
}

static PGresult *exec_params(PGconn *conn, const char *sql, const struct pg_params *params)
{
    static const struct pg_params none;
    const struct pg_params *p = params == NULL ? &none : params;

    return PQexecParams(conn, sql, p->count, NULL, p->values, p->lengths, p->formats, 0);
}

PGresult *pg_query(PGconn *conn, const char *step, const char *sql, const struct pg_params *params,
                   struct pg_fault *fault, struct err *err)
{
    PGresult *result = exec_params(conn, sql, params);

    if (pg_expect(conn, result, PGRES_TUPLES_OK, step, fault, err) < 0) {
        PQclear(result);
        return NULL;
    }
    return result;
}

int pg_execute(PGconn *conn, const char *step, const char *sql, const struct pg_params *params,
               int64_t *affected, struct pg_fault *fault, struct err *err)
{
    PGresult *result = exec_params(conn, sql, params);
    int rc = pg_expect(conn, result, PGRES_COMMAND_OK, step, fault, err);

    if (rc == 0 && affected != NULL) {
        *affected = pg_affected(result);
    }
    PQclear(result);
    return rc;
}

int64_t pg_affected(PGresult *result)
{
    return strtoll(PQcmdTuples(result), NULL, 10);
}

int64_t pg_int(const PGresult *result, int row, int column)
{
    return strtoll(PQgetvalue(result, row, column), NULL, 10);
}
