/*
 * migrate - bring the database to the schema that this program knows (sql/NNNN_name.sql).
 *
 * Forward only. Each migration is one transaction, recorded with the SHA-256 of its text;
 * a recorded migration whose text differs is refused, one that this program does not know (a
 * newer consumer ran before) is left alone. An advisory lock makes any number of consumers that
 * start at once run each migration once. The database itself is created when it is missing and
 * the role may.
 */
#ifndef CONSUMER_MIGRATE_H
#define CONSUMER_MIGRATE_H

#include <stddef.h>

#include "common/err.h"

struct migration {
    int version;
    const char *name; /* "0001_init" */
    const char *sql;  /* terminated */
};

/* sql/, embedded at build time, in order. Ends with sql NULL. */
extern const struct migration migrations[];

typedef void migrate_report_fn(void *context, const struct migration *migration);

/* on_applied (may be NULL) is called for each migration that was applied now. ERR_RETRY: the server
 * is away; ERR_FATAL: refused, with the migration's name and line; ERR_INVALID: the DSN does not
 * parse. */
int migrate_run(const char *dsn, migrate_report_fn *on_applied, void *context,
                struct err *err) MUST_CHECK;

/* Without a change: how the schema stands to the migrations that this program has. One that is
 * missing is ERR_FATAL. *newest is the version of the newest that the database has; a newer one
 * than ours is no fault, for migrations only add. */
int migrate_check(const char *dsn, int *newest, struct err *err) MUST_CHECK;

/* The same with another list that ends as `migrations` does. */
int migrate_run_list(const char *dsn, const struct migration *list, migrate_report_fn *on_applied,
                     void *context, struct err *err) MUST_CHECK;

#endif
