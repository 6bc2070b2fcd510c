/*
 * db - a few connections to Postgres that the server's threads share: one thread uses one at a
 * time. A lost connection is made anew by the next who takes it. It knows no table.
 */
#ifndef API_DB_H
#define API_DB_H

#include "api/answer.h"
#include "common/pg.h"

#define DB_STATEMENT_TIMEOUT_S 10 /* of one statement, by the server */

struct db;

/* `count` connections, none of which is made yet. dsn is kept by pointer. */
struct db *db_new(const char *dsn, int count);
void db_free(struct db *db);

/* A connection of one's own, with the same settings, which PQfinish ends; errors as of db_take. */
PGconn *db_connect(const char *dsn, struct err *err);

/*
 * A connection that answers, outside a transaction; waits while all are taken. NULL when Postgres
 * is not there (ERR_RETRY) or the DSN is wrong (ERR_INVALID). Give it back whatever happened to it.
 */
PGconn *db_take(struct db *db, struct err *err);
void db_give(struct db *db, PGconn *conn);

/* "items":[...] of a column of JSON, of at most `rows_max` rows; it ends at the first NULL. */
void db_print_items(FILE *out, const PGresult *result, int column, int64_t rows_max);

/* End a transaction without its changes. A connection that is lost has none: the next who takes it
 * makes it anew. */
void db_roll_back(PGconn *conn);

/* The answer to a failed statement: 503 when it may work soon, 500 otherwise; logged. */
void db_fail(const struct err *err, struct answer *a);

#endif
