/* Sites of a document into the table: all of them, or none with what is wrong about each. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "api/transfer.h"
#include "api/website_body.h"
#include "api/website_secrets.h"
#include "api/website_transfer.h"
#include "api/websites.h"
#include "common/mem.h"
#include "common/site_secrets.h"
#include "common/siterows.h"

#define uthash_malloc(size) mem_alloc(1, (size))
#include <uthash.h>

const struct route_parameter website_import_query[] = {
    {"dry_run", "{\"type\":\"boolean\",\"default\":false}",
     "true: say what would come of it, and change nothing", false},
    {0},
};

/* One site of the document. */
struct entry {
    char *name;    /* owned; NULL: it has none that could be one */
    int number;    /* in the document */
    cJSON *config; /* websites.config of the site of that name; NULL: there is none */
    UT_hash_handle hh;
};

struct import {
    const struct api *api;
    struct transfer document;
    struct entry *entries, *by_name;
    struct site *sites; /* those to be written */
    size_t sites_count, unchanged;
    int status; /* of the faults; 0: there are none */
    cJSON *faults;
};

/* --- Faults --- */

/* What was found about one site, with its place in the document. */
static void add_faults(struct import *m, size_t number, struct website_faults *found)
{
    if (found->status != 0 && (m->status == 0 || found->status < m->status)) {
        m->status = found->status;
    }
    while (found->list != NULL && found->list->child != NULL) {
        cJSON *fault = cJSON_DetachItemViaPointer(found->list, found->list->child);

        if (cJSON_GetArraySize(m->faults) == WEBSITE_FAULTS_MAX) {
            cJSON_Delete(fault);
            continue;
        }
        cJSON_AddNumberToObject(fault, "item", (double)number);
        if (m->document.items[number].line > 0) {
            cJSON_AddNumberToObject(fault, "line", m->document.items[number].line);
        }
        cJSON_AddItemToArray(m->faults, fault);
    }
    website_faults_free(found);
}

/* --- Which are there --- */

/* By its name, or its url where it has none. */
static char *name_of(const cJSON *options)
{
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(options, "name"));
    const char *url = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(options, "url"));

    return name != NULL ? mem_copy_string(name) : url != NULL ? websites_normal_url(url) : NULL;
}

static void note_entry(struct import *m, size_t number)
{
    struct entry *entry = &m->entries[number], *first = NULL;
    struct website_faults found = {0};

    entry->number = (int)number;
    entry->name = name_of(m->document.items[number].options);
    if (entry->name == NULL) {
        return; /* which is found out about the site itself */
    }
    HASH_FIND_STR(m->by_name, entry->name, first);
    if (first == NULL) {
        HASH_ADD_KEYPTR(hh, m->by_name, entry->name, strlen(entry->name), entry);
        return;
    }
    struct err err;

    err_fill(&err, ERR_INVALID, "name: site %d of the document has this name too", first->number);
    website_faults_add(&found, 422, "name", err.message);
    add_faults(m, number, &found);
}

/* The stored sites of these names, locked in the order of names, as consumer seed does. */
static int find_stored(struct import *m, PGconn *conn, struct err *err)
{
    struct pg_params p = {0};
    struct pg_array names;
    struct entry *entry;

    pg_array_init(&names, PG_TEXT);
    for (entry = m->by_name; entry != NULL; entry = entry->hh.next) {
        pg_array_text(&names, entry->name);
    }
    pg_add_array(&p, &names);

    PGresult *rows = pg_query(conn, "find websites by name",
                              "SELECT name, config FROM websites WHERE name = ANY($1::text[])"
                              " AND deleted_at IS NULL ORDER BY name FOR UPDATE",
                              &p, NULL, err);

    pg_array_free(&names);
    for (int i = 0; i < PQntuples(rows); i++) {
        HASH_FIND_STR(m->by_name, PQgetvalue(rows, i, 0), entry);
        if (entry != NULL) {
            entry->config = cJSON_Parse(PQgetvalue(rows, i, 1));
        }
    }
    PQclear(rows);
    return rows == NULL ? -1 : 0;
}

/* --- One site --- */

static bool is_unchanged(const struct import *m, const struct site *site, const cJSON *config)
{
    char *text = site_secrets_config(site, m->api->seal);
    cJSON *wanted = cJSON_Parse(text);
    bool same = cJSON_Compare(wanted, config, true);

    cJSON_Delete(wanted);
    free(text);
    return same;
}

/* A site that is what it was stays as it is, whatever of it an API's could not have. */
static void keep_site(struct import *m, struct site *site, const cJSON *config,
                      struct website_faults *found)
{
    if (config != NULL && is_unchanged(m, site, config)) {
        site_free(site);
        m->unchanged++;
        return;
    }
    if (config != NULL) { /* of a new one it was looked at */
        website_body_check_seconds(site, found);
    }
    m->sites_count++;
}

static void read_site(struct import *m, size_t number)
{
    cJSON *options = m->document.items[number].options;
    const cJSON *config = m->entries[number].config;
    cJSON *stored = website_body_stored(config);
    cJSON *given = cJSON_Duplicate(options, true);
    struct website_rules rules = m->api->rules;
    struct website_faults found = {0};
    struct site *site = &m->sites[m->sites_count];

    rules.any_seconds = config != NULL;
    if (!cJSON_IsObject(options)) {
        website_faults_add(&found, 422, "", "a site is to be an object { }");
    } else {
        website_body_drop_read_only(options);
        if (website_secrets_keep(options, stored, given, config, m->api->seal, &found) &&
            website_body_read(options, stored, &rules, site, &found)) {
            keep_site(m, site, config, &found);
        }
    }
    add_faults(m, number, &found);
    cJSON_Delete(given);
    cJSON_Delete(stored);
}

/* --- The whole --- */

static void answer_counts(const struct import *m, const struct siterows_counts *counts, bool dry,
                          struct answer *a)
{
    struct answer_text t;

    answer_text_begin(&t);
    fprintf(t.out, "{\"inserted\":%zu,\"updated\":%zu,\"unchanged\":%zu,\"dry_run\":%s}",
            counts->inserted, counts->updated, counts->unchanged + m->unchanged,
            dry ? "true" : "false");
    answer_text_end(&t);
    answer_body(a, 200, ANSWER_JSON, t.text, t.len);
}

/* Inside a transaction, which is to be ended by whether the status is 200. */
static void import_locked(struct import *m, PGconn *conn, bool dry, struct answer *a)
{
    struct siterows_counts counts = {0};
    struct err err;

    for (size_t i = 0; i < m->document.count; i++) {
        note_entry(m, i);
    }
    if (find_stored(m, conn, &err) < 0) {
        db_fail(&err, a);
        return;
    }
    for (size_t i = 0; i < m->document.count; i++) {
        read_site(m, i);
    }
    if (m->status != 0) {
        answer_problems(a, m->status, m->faults);
        m->faults = NULL;
    } else if (siterows_put(conn, m->sites, m->sites_count, "api", m->api->seal, &counts, &err) <
               0) {
        db_fail(&err, a);
    } else {
        answer_counts(m, &counts, dry, a);
    }
}

static void import_document(const struct api *api, PGconn *conn, struct transfer *document,
                            bool dry, struct answer *a)
{
    struct import m = {.api = api,
                       .document = *document,
                       .entries = mem_alloc(document->count, sizeof(*m.entries)),
                       .sites = mem_alloc(document->count, sizeof(*m.sites)),
                       .faults = cJSON_CreateArray()};
    struct err err;

    if (pg_run(conn, "BEGIN", &err) < 0) {
        db_fail(&err, a);
    } else {
        import_locked(&m, conn, dry, a);
        if (dry || a->status != 200) {
            db_roll_back(conn);
        } else if (pg_run(conn, "COMMIT", &err) < 0) {
            db_fail(&err, a);
        }
    }
    HASH_CLEAR(hh, m.by_name);
    for (size_t i = 0; i < document->count; i++) {
        free(m.entries[i].name);
        cJSON_Delete(m.entries[i].config);
    }
    for (size_t i = 0; i < m.sites_count; i++) {
        site_free(&m.sites[i]);
    }
    free(m.entries);
    free(m.sites);
    cJSON_Delete(m.faults);
}

static bool read_document(const struct request *r, struct transfer *document, struct answer *a)
{
    struct err err;
    int rc;

    if (request_is_type(r, "text/plain")) {
        rc = transfer_of_libconfig(r->body, r->body_len, document, &err);
    } else {
        cJSON *json = request_json(r, a);

        if (json == NULL) {
            return false;
        }
        rc = transfer_of_json(json, document, &err);
    }
    if (rc < 0) {
        answer_problem(a, 422, "%s", err.message);
        return false;
    }
    return true;
}

void website_import(const struct api *api, PGconn *conn, const struct request *r, struct answer *a)
{
    /* A document takes many times its length in memory while it is read. */
    static atomic_flag running = ATOMIC_FLAG_INIT;
    struct transfer document;
    bool dry;

    if (!request_bool(r, "dry_run", false, &dry, a)) {
        return;
    }
    if (atomic_flag_test_and_set(&running)) {
        answer_problem(a, 503, "another import is running, try again in a few seconds");
        answer_header(a, "Retry-After", "2");
        return;
    }
    if (read_document(r, &document, a)) {
        import_document(api, conn, &document, dry, a);
        transfer_free(&document);
    }
    atomic_flag_clear(&running);
}
