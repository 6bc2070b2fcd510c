#include "consumer/seed.h"

#include "common/log.h"
#include "common/pg.h"

/* The connection is closed after a failure, and the transaction with it. */
static int seed_all(PGconn *conn, const struct targets *targets, const struct seal *seal,
                    struct siterows_counts *counts, struct err *err)
{
    if (pg_run(conn, "BEGIN ISOLATION LEVEL READ COMMITTED", err) < 0 ||
        siterows_put(conn, targets->sites, targets->count, "file", seal, counts, err) < 0) {
        return -1;
    }
    return pg_run(conn, "COMMIT", err);
}

/* Without a key their secrets stay behind, and who reads the sites from the topic lacks them. */
static void warn_of_secrets(const struct targets *targets)
{
    int64_t count = 0;

    for (size_t i = 0; i < targets->count; i++) {
        count += site_secret_option(&targets->sites[i]) != NULL;
    }
    if (count > 0) {
        log_write(LOG_WARN, "secrets of sites are left out, as sites-secret-key is not set",
                  LOG_I("sites", count));
    }
}

int seed_run(const char *dsn, const struct targets *targets, const struct seal *seal,
             struct siterows_counts *counts, struct err *err)
{
    struct siterows_counts found = {0};
    PGconn *conn = pg_connect(dsn, NULL, err);

    if (conn == NULL) {
        return -1;
    }
    if (seal == NULL) {
        warn_of_secrets(targets);
    }
    int rc = seed_all(conn, targets, seal, &found, err);

    PQfinish(conn);
    if (rc == 0) {
        *counts = found;
    }
    return rc;
}
