#include "common/siterows.h"

#include <stdlib.h>

#include "common/site_secrets.h"

#define SITES_AT_ONCE 1000

/* A site in the columns of websites, many at once. */
struct columns {
    struct pg_array names, urls, seconds, patterns, enabled, configs;
};

static void columns_init(struct columns *c)
{
    pg_array_init(&c->names, PG_TEXT);
    pg_array_init(&c->urls, PG_TEXT);
    pg_array_init(&c->seconds, PG_INT8);
    pg_array_init(&c->patterns, PG_TEXT);
    pg_array_init(&c->enabled, PG_BOOL);
    pg_array_init(&c->configs, PG_TEXT);
}

static void columns_free(struct columns *c)
{
    pg_array_free(&c->names);
    pg_array_free(&c->urls);
    pg_array_free(&c->seconds);
    pg_array_free(&c->patterns);
    pg_array_free(&c->enabled);
    pg_array_free(&c->configs);
}

static void columns_add(struct columns *c, const struct site *site, const struct seal *seal)
{
    char *config = site_secrets_config(site, seal);

    pg_array_text(&c->names, site->name);
    pg_array_text(&c->urls, site->url);
    pg_array_int8(&c->seconds, site->seconds);
    pg_array_text(&c->patterns, site->pattern);
    pg_array_bool(&c->enabled, site->enabled);
    pg_array_text(&c->configs, config);
    free(config);
}

/* One row comes back for each site that was inserted or changed; a row that was there before has
 * been locked by this transaction and so has an xmax. In the order of names, so that two who do so
 * at once wait for each other and not in a circle. */
static const char upsert_sql[] =
    "INSERT INTO websites AS w"
    " (name, website_url, monitoring_interval, regex, enabled, config, source)"
    " SELECT name, url, seconds, pattern, enabled, config::jsonb, $7"
    " FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::boolean[], $6::text[])"
    "   AS t (name, url, seconds, pattern, enabled, config)"
    " ORDER BY name"
    " ON CONFLICT (name) DO UPDATE SET website_url = excluded.website_url,"
    "   monitoring_interval = excluded.monitoring_interval, regex = excluded.regex,"
    "   enabled = excluded.enabled, config = excluded.config, source = excluded.source,"
    "   version = w.version + 1, updated_at = now(), deleted_at = NULL"
    " WHERE w.deleted_at IS NOT NULL"
    "   OR (w.website_url, w.monitoring_interval, w.regex, w.enabled, w.config, w.source)"
    "     IS DISTINCT FROM (excluded.website_url, excluded.monitoring_interval, excluded.regex,"
    "       excluded.enabled, excluded.config, excluded.source)"
    " RETURNING (w.xmax = 0)";

static int put_some(PGconn *conn, const struct site *sites, size_t count, const char *source,
                    const struct seal *seal, struct siterows_counts *counts, struct err *err)
{
    struct pg_params p = {0};
    struct columns columns;
    size_t inserted = 0;

    columns_init(&columns);
    for (size_t i = 0; i < count; i++) {
        columns_add(&columns, &sites[i], seal);
    }
    pg_add_array(&p, &columns.names);
    pg_add_array(&p, &columns.urls);
    pg_add_array(&p, &columns.seconds);
    pg_add_array(&p, &columns.patterns);
    pg_add_array(&p, &columns.enabled);
    pg_add_array(&p, &columns.configs);
    pg_add_text(&p, source);

    PGresult *result = pg_query(conn, "put websites", upsert_sql, &p, NULL, err);

    columns_free(&columns);
    if (result == NULL) {
        return -1;
    }
    size_t touched = (size_t)PQntuples(result);

    for (int i = 0; i < PQntuples(result); i++) {
        inserted += PQgetvalue(result, i, 0)[0] == 't';
    }
    counts->inserted += inserted;
    counts->updated += touched - inserted;
    counts->unchanged += count - touched;
    PQclear(result);
    return 0;
}

int siterows_put(PGconn *conn, const struct site *sites, size_t count, const char *source,
                 const struct seal *seal, struct siterows_counts *counts, struct err *err)
{
    for (size_t i = 0; i < count; i += SITES_AT_ONCE) {
        size_t left = count - i;

        if (put_some(conn, sites + i, left < SITES_AT_ONCE ? left : SITES_AT_ONCE, source, seal,
                     counts, err) < 0) {
            return -1;
        }
    }
    return 0;
}
