/*
 * pg - what all that speaks to Postgres shares of libpq: connecting, running a statement and
 * judging its result. It knows no table.
 */
#ifndef COMMON_PG_H
#define COMMON_PG_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define PG_PARAMS_MAX 8
#define PG_CONNECT_SECONDS "5" /* where the DSN does not say */

/* Advisory locks, with PG_LOCK_CLASS as the first key ("site" in ASCII). */
#define PG_LOCK_CLASS "1936290917"
#define PG_LOCK_MIGRATE "1"   /* of a session */
#define PG_LOCK_DAYS "2"      /* of a transaction; taken in sql/0001_init.sql */
#define PG_LOCK_NAMES "3"     /* of a transaction */
#define PG_LOCK_RETENTION "4" /* of a session */
#define PG_LOCK_ROLLUPS "5"   /* of a transaction; taken in sql/0003_rollups.sql */
#define PG_LOCK_OUTBOX "6"    /* of a session */
#define PG_LOCK_OVERALL "7"   /* of a transaction; taken in sql/0009_overall.sql */

/*
 * Connect; `database` replaces the DSN's unless NULL. A dead server is noticed within a minute by
 * keepalives on both sides. The files of TLS are read at each call. NULL on failure: ERR_INVALID
 * when the DSN does not parse (it is not shown: it may hold a password), else ERR_RETRY, with what
 * to do about it where we know it. PQfinish frees it.
 */
PGconn *pg_connect(const char *dsn, const char *database, struct err *err);

/* Whether libpq takes the DSN; ERR_INVALID does not show it. */
int pg_check_dsn(const char *dsn, struct err *err) MUST_CHECK;

/* What is to be right at the start of a program, when nothing is away yet: the DSN, and that the
 * files it names for TLS can be read. Later they may be missing for a moment, while they are
 * renewed. ERR_INVALID. */
int pg_check_start(const char *dsn, struct err *err) MUST_CHECK;

/* The database that the DSN means, whether it exists or not, or NULL when nothing says. The caller
 * frees. *is_up tells whether the server answers. */
char *pg_database_name(const char *dsn, bool *is_up);

/* Why a statement failed. */
struct pg_fault {
    char sqlstate[6];   /* "" when the server had no say: the connection is gone */
    bool in_constraint; /* a named one */
    char message[256];  /* Postgres' primary message */
};

/* What class of failure a SQLSTATE is: ERR_INVALID a row's fault (22, 23), ERR_RETRY an outage,
 * ERR_FATAL the rest (no such table, no permission, a fault in our SQL). */
enum err_kind pg_kind(const char *sqlstate);

/*
 * Judge a result against the status hoped for. On failure *err gets "step: message (SQLSTATE)" and
 * the kind of pg_kind. `fault` may be NULL. The result is not freed; it may be NULL, which is a
 * lost connection.
 */
int pg_expect(PGconn *conn, const PGresult *result, ExecStatusType wanted, const char *step,
              struct pg_fault *fault, struct err *err) MUST_CHECK;

/* Run one or more statements whose rows do not matter. */
int pg_run(PGconn *conn, const char *sql, struct err *err) MUST_CHECK;

/* Parameters of a statement. Text is kept by pointer. */
struct pg_params {
    int count;
    const char *values[PG_PARAMS_MAX];
    int lengths[PG_PARAMS_MAX];
    int formats[PG_PARAMS_MAX];
    char numbers[PG_PARAMS_MAX][24];
};

struct pg_array;

void pg_add_text(struct pg_params *p, const char *text);
void pg_add_int(struct pg_params *p, int64_t value);
void pg_add_array(struct pg_params *p, const struct pg_array *array);

/* Run one statement; its rows, which the caller frees with PQclear, or NULL. `step` is named in
 * the error, and so is not to be long. */
PGresult *pg_query(PGconn *conn, const char *step, const char *sql, const struct pg_params *params,
                   struct pg_fault *fault, struct err *err);

/* Run one statement without rows; *affected (may be NULL) as the server counts. */
int pg_execute(PGconn *conn, const char *step, const char *sql, const struct pg_params *params,
               int64_t *affected, struct pg_fault *fault, struct err *err) MUST_CHECK;

int64_t pg_affected(PGresult *result);
int64_t pg_int(const PGresult *result, int row, int column);

/* A one-dimensional array in its binary form. */
enum pg_type { PG_BOOL = 16, PG_INT8 = 20, PG_INT4 = 23, PG_TEXT = 25, PG_TIMESTAMPTZ = 1184 };

struct pg_array {
    enum pg_type type;
    size_t count, len, size;
    char *data;
};

void pg_array_init(struct pg_array *a, enum pg_type type);
void pg_array_free(struct pg_array *a);
void pg_array_bool(struct pg_array *a, bool value);
void pg_array_int4(struct pg_array *a, int32_t value);
void pg_array_int8(struct pg_array *a, int64_t value);
void pg_array_timestamptz(struct pg_array *a, int64_t unix_us); /* from 290,000 BC on */
void pg_array_text(struct pg_array *a, const char *text);       /* NULL is NULL */

#endif
