/*
 * The ids of sites and locations, by name. They are cached from committed rows only: a row made
 * here is committed before the batch that needs it, so that no id can be rolled back under a
 * cache. A name is looked up once, made when it is missing, and looked up again; what is then
 * still missing was refused, by the ceiling or by Postgres, and its rows become letters.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "consumer/store_internal.h"

#define uthash_malloc(size) mem_alloc(1, (size))
#include <uthash.h>

struct name_id {
    int64_t id;
    UT_hash_handle hh;
    char name[];
};

struct site_id {
    int64_t id;
    UT_hash_handle hh;
};

/* A name of the batch that is not in the cache. It points into the batch. */
struct wanted {
    const char *name;
    const struct event *event;
    char reason[32], detail[256]; /* why it can't be had */
    UT_hash_handle hh;
};

/* Sites and locations differ in this. */
struct names_kind {
    const char *(*name_of)(const struct event *event);
    const char *select_sql; /* $1 names */
    const char *insert_sql; /* $1 names, $2 ceiling; of sites: $3 urls, $4 intervals */
    bool has_urls;
    const char *reason, *detail; /* of what is above the ceiling */
};

static const char *site_of(const struct event *event)
{
    return event->site_name;
}

static const char *location_of(const struct event *event)
{
    return event->location;
}

/* What stands before the host's @ is left out of a URL: who makes events of his own may have put a
 * password there. */
#define URL_TO_SHOW "regexp_replace(url, '^([^:/?#]+://)[^/?#]*@', '\\1')"

/* The ceilings count under the lock that insert_names holds. A deleted site is found by its name
 * like any other: its late events are stored, and do not revive it. */
static const struct names_kind sites_kind = {
    .name_of = site_of,
    .select_sql = "SELECT name, website_id FROM websites WHERE name = ANY ($1::text[])",
    .insert_sql = "INSERT INTO websites (name, website_url, monitoring_interval, source)"
                  " SELECT name, " URL_TO_SHOW ", least(greatest(seconds, 1), 86400), 'event'"
                  " FROM unnest($1::text[], $3::text[], $4::bigint[]) AS t (name, url, seconds)"
                  " LIMIT greatest(0, $2::bigint -"
                  "   (SELECT count(*) FROM websites WHERE source = 'event'))"
                  " ON CONFLICT (name) DO NOTHING",
    .has_urls = true,
    .reason = "unknown_site",
    .detail = "not in websites, and no more sites are made from events (max_auto_sites)",
};

static const struct names_kind locations_kind = {
    .name_of = location_of,
    .select_sql = "SELECT name, location_id FROM locations WHERE name = ANY ($1::text[])",
    .insert_sql = "INSERT INTO locations (name) SELECT name FROM unnest($1::text[]) AS t (name)"
                  " LIMIT greatest(0, $2::bigint - (SELECT count(*) FROM locations))"
                  " ON CONFLICT (name) DO NOTHING",
    .reason = "unknown_location",
    .detail = "not in locations, and no more are made",
};

static const struct name_id *find_name(const struct name_id *cache, const char *name)
{
    struct name_id *found;

    HASH_FIND(hh, cache, name, strlen(name), found);
    return found;
}

static void add_name(struct name_id **cache, const char *name, int64_t id)
{
    size_t len = strlen(name);

    if (find_name(*cache, name) != NULL) {
        return;
    }
    struct name_id *entry = mem_alloc(1, sizeof(*entry) + len + 1);

    memcpy(entry->name, name, len);
    entry->id = id;
    HASH_ADD_KEYPTR(hh, *cache, entry->name, len, entry);
}

static void free_names(struct name_id **cache)
{
    struct name_id *entry, *next;

    HASH_ITER (hh, *cache, entry, next) {
        HASH_DEL(*cache, entry);
        free(entry);
    }
}

static bool is_site_id(const struct store *s, int64_t id)
{
    struct site_id *found;

    HASH_FIND(hh, s->site_ids, &id, sizeof(id), found);
    return found != NULL;
}

static void add_site_id(struct store *s, int64_t id)
{
    if (!is_site_id(s, id)) {
        struct site_id *entry = mem_alloc(1, sizeof(*entry));

        entry->id = id;
        HASH_ADD(hh, s->site_ids, id, sizeof(id), entry);
    }
}

static void free_site_ids(struct store *s)
{
    struct site_id *entry, *next;

    HASH_ITER (hh, s->site_ids, entry, next) {
        HASH_DEL(s->site_ids, entry);
        free(entry);
    }
}

void store_names_forget(struct store *s)
{
    free_names(&s->sites);
    free_names(&s->locations);
    free_site_ids(s);
}

/* An id of a site that is gone must be given to no row: a site of the same name is another one. */
static void heed_notices(struct store *s)
{
    PGnotify *notice;

    PQconsumeInput(s->conn); /* a lost connection shows at the next statement */
    while ((notice = PQnotifies(s->conn)) != NULL) {
        PQfreemem(notice);
        store_names_forget(s);
    }
}

/* Before anything is read that is remembered. */
static int listen_once(struct store *s, struct err *err)
{
    if (s->listens) {
        return 0;
    }
    if (pg_run(s->conn, "LISTEN " STORE_SITES_GONE, err) < 0) {
        return store_outage(err);
    }
    s->listens = true;
    return 0;
}

/* A cache that has grown to its ceiling starts over. */
static void bound_caches(struct store *s)
{
    if (HASH_COUNT(s->sites) >= STORE_NAMES_CACHED_MAX) {
        free_names(&s->sites);
    }
    if (HASH_COUNT(s->site_ids) >= STORE_NAMES_CACHED_MAX) {
        free_site_ids(s);
    }
}

/* Which of the ids that the events give exist; rows get those that were known. One that does not
 * exist is not remembered. */
static int load_site_ids(struct store *s, struct batch *batch, struct err *err)
{
    struct pg_params p = {0};
    struct pg_array ids;
    PGresult *result = NULL;
    int64_t last = 0;

    pg_array_init(&ids, PG_INT8);
    for (size_t i = 0; i < batch->rows_count; i++) {
        struct batch_row *row = &batch->rows[i];
        int64_t id = row->event.site_id;

        row->website_id = id > 0 && is_site_id(s, id) ? id : 0;
        if (store_row_is_live(batch, row) && row->website_id == 0 && id > 0 && id != last) {
            pg_array_int8(&ids, id);
            last = id;
        }
    }
    if (ids.count > 0) {
        pg_add_array(&p, &ids);
        result = pg_query(s->conn, "look sites up",
                          "SELECT website_id FROM websites WHERE website_id = ANY ($1::bigint[])",
                          &p, &s->fault, err);
        for (int i = 0; result != NULL && i < PQntuples(result); i++) {
            add_site_id(s, pg_int(result, i, 0));
        }
        PQclear(result);
    }
    int rc = ids.count > 0 && result == NULL ? store_outage(err) : 0;

    pg_array_free(&ids);
    return rc;
}

static void free_wanted(struct wanted **wanted)
{
    struct wanted *entry, *next;

    HASH_ITER (hh, *wanted, entry, next) {
        HASH_DEL(*wanted, entry);
        free(entry);
    }
}

static struct wanted *find_wanted(struct wanted *wanted, const char *name)
{
    struct wanted *found;

    HASH_FIND(hh, wanted, name, strlen(name), found);
    return found;
}

static void want(struct wanted **wanted, const struct names_kind *kind, const struct event *event)
{
    const char *name = kind->name_of(event);

    if (find_wanted(*wanted, name) != NULL) {
        return;
    }
    struct wanted *entry = mem_alloc(1, sizeof(*entry));

    entry->name = name;
    entry->event = event;
    snprintf(entry->reason, sizeof(entry->reason), "%s", kind->reason);
    snprintf(entry->detail, sizeof(entry->detail), "%s", kind->detail);
    HASH_ADD_KEYPTR(hh, *wanted, name, strlen(name), entry);
}

/* Look the wanted names up; those that are there go over into the cache. */
static int select_names(struct store *s, const struct names_kind *kind, struct name_id **cache,
                        struct wanted **wanted, struct err *err)
{
    struct pg_params p = {0};
    struct pg_array names;
    struct wanted *entry, *next;

    pg_array_init(&names, PG_TEXT);
    HASH_ITER (hh, *wanted, entry, next) {
        pg_array_text(&names, entry->name);
    }
    pg_add_array(&p, &names);

    PGresult *result = pg_query(s->conn, "look names up", kind->select_sql, &p, &s->fault, err);

    for (int i = 0; result != NULL && i < PQntuples(result); i++) {
        add_name(cache, PQgetvalue(result, i, 0), pg_int(result, i, 1));
    }
    HASH_ITER (hh, *wanted, entry, next) {
        if (find_name(*cache, entry->name) != NULL) {
            HASH_DEL(*wanted, entry);
            free(entry);
        }
    }
    int rc = result == NULL ? store_outage(err) : 0;

    PQclear(result);
    pg_array_free(&names);
    return rc;
}

/* Insert `only`, or all when it is NULL, in a transaction of their own. Consumers take turns, so
 * that together they stay below the ceiling. -1 leaves the reason in s->fault. */
static int insert_names(struct store *s, const struct names_kind *kind, struct wanted *wanted,
                        const struct wanted *only, struct err *err)
{
    static const char begin_sql[] =
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;"
        "SELECT pg_advisory_xact_lock(" PG_LOCK_CLASS ", " PG_LOCK_NAMES ")";
    struct pg_params p = {0};
    struct pg_array names, urls, intervals;
    struct wanted *entry, *next;

    pg_array_init(&names, PG_TEXT);
    pg_array_init(&urls, PG_TEXT);
    pg_array_init(&intervals, PG_INT8);
    HASH_ITER (hh, wanted, entry, next) {
        if (only == NULL || only == entry) {
            pg_array_text(&names, entry->name);
            pg_array_text(&urls, entry->event->site_url);
            pg_array_int8(&intervals, entry->event->interval_s);
        }
    }
    pg_add_array(&p, &names);
    pg_add_int(&p, kind->has_urls ? s->settings.max_auto_sites : STORE_LOCATIONS_MAX);
    if (kind->has_urls) {
        pg_add_array(&p, &urls);
        pg_add_array(&p, &intervals);
    }
    s->fault = (struct pg_fault){0};

    int rc = pg_run(s->conn, begin_sql, err);

    if (rc == 0) {
        rc = pg_execute(s->conn, "insert names", kind->insert_sql, &p, NULL, &s->fault, err);
    }
    if (rc == 0) {
        rc = pg_run(s->conn, "COMMIT", err);
    }
    if (rc < 0) {
        store_rollback(s);
    }
    pg_array_free(&names);
    pg_array_free(&urls);
    pg_array_free(&intervals);
    return rc;
}

/* One name that Postgres refuses must not keep the others out. */
static int make_names(struct store *s, const struct names_kind *kind, struct wanted *wanted,
                      struct err *err)
{
    struct wanted *entry, *next;

    if (insert_names(s, kind, wanted, NULL, err) == 0) {
        return 0;
    }
    if (!store_is_row_fault(&s->fault)) {
        return store_outage(err);
    }
    HASH_ITER (hh, wanted, entry, next) {
        if (insert_names(s, kind, wanted, entry, err) == 0) {
            continue;
        }
        if (!store_is_row_fault(&s->fault)) {
            return store_outage(err);
        }
        snprintf(entry->reason, sizeof(entry->reason), "sqlstate_%s", s->fault.sqlstate);
        snprintf(entry->detail, sizeof(entry->detail), "%s", s->fault.message);
    }
    return 0;
}

/* Every wanted name is in the cache afterwards, or still in `wanted` with the reason. */
static int load_names(struct store *s, const struct names_kind *kind, struct name_id **cache,
                      struct wanted **wanted, struct err *err)
{
    if (*wanted == NULL) {
        return 0;
    }
    if (select_names(s, kind, cache, wanted, err) < 0) {
        return -1;
    }
    if (*wanted == NULL) {
        return 0;
    }
    if (make_names(s, kind, *wanted, err) < 0) {
        return -1;
    }
    return select_names(s, kind, cache, wanted, err);
}

/* The ids of a row from the caches; false when one is not there. Of a site it may have been found
 * already (load_site_ids). Most rows have the location of the row before. */
static bool find_ids(const struct store *s, struct batch_row *row, const struct batch_row *before)
{
    const struct event *event = &row->event;
    const struct name_id *name;

    row->location_id = 0;
    if (before != NULL && before->event.location == event->location) {
        row->location_id = before->location_id;
    } else {
        name = find_name(s->locations, event->location);
        row->location_id = name == NULL ? 0 : (int32_t)name->id;
    }
    if (row->website_id == 0 && event->site_id > 0 && is_site_id(s, event->site_id)) {
        row->website_id = event->site_id;
    }
    if (row->website_id == 0) {
        name = find_name(s->sites, event->site_name);
        row->website_id = name == NULL ? 0 : name->id;
    }
    return row->website_id != 0 && row->location_id != 0;
}

/* Those that have no ids after all become letters. */
static void assign_ids(struct store *s, struct batch *batch, struct wanted *sites,
                       struct wanted *locations)
{
    struct store_refusals refused = {0};

    for (size_t i = 0; i < batch->rows_count; i++) {
        struct batch_row *row = &batch->rows[i];

        if (!store_row_is_live(batch, row) || (row->website_id != 0 && row->location_id != 0) ||
            find_ids(s, row, NULL)) {
            continue;
        }
        const struct wanted *missing = row->location_id == 0
                                           ? find_wanted(locations, row->event.location)
                                           : find_wanted(sites, row->event.site_name);

        store_refuse(&refused, i, missing->reason, missing->detail);
    }
    batch_reject_rows(batch, refused.items, refused.count);
    store_refusals_free(&refused);
}

/* The rows' ids, as far as the caches have them, and what is wanted of the others. */
static void look_up(struct store *s, struct batch *batch, struct wanted **sites,
                    struct wanted **locations)
{
    const struct batch_row *before = NULL;

    for (size_t i = 0; i < batch->rows_count; i++) {
        struct batch_row *row = &batch->rows[i];

        if (!store_row_is_live(batch, row)) {
            continue;
        }
        if (!find_ids(s, row, before)) {
            if (row->website_id == 0) {
                want(sites, &sites_kind, &row->event);
            }
            if (row->location_id == 0) {
                want(locations, &locations_kind, &row->event);
            }
        }
        before = row;
    }
}

int store_names_resolve(struct store *s, struct batch *batch, struct err *err)
{
    struct wanted *sites = NULL;
    struct wanted *locations = NULL;
    int rc = -1;

    heed_notices(s);
    bound_caches(s);
    if (listen_once(s, err) < 0 || load_site_ids(s, batch, err) < 0) {
        return -1;
    }
    look_up(s, batch, &sites, &locations);
    if (sites == NULL && locations == NULL) {
        return 0;
    }
    if (load_names(s, &locations_kind, &s->locations, &locations, err) == 0 &&
        load_names(s, &sites_kind, &s->sites, &sites, err) == 0) {
        assign_ids(s, batch, sites, locations);
        rc = 0;
    }
    free_wanted(&sites);
    free_wanted(&locations);
    return rc;
}
