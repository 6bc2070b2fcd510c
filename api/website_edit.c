#include "api/website_edit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/idempotency.h"
#include "api/website_body.h"
#include "api/website_secrets.h"
#include "api/websites.h"
#include "common/mem.h"
#include "common/site_secrets.h"

#define VERSION_DIGITS_MAX 18
#define VERSIONS_SIZE 256 /* more than a client that knows the site has of it */
#define UNIQUE_VIOLATION "23505"

/* --- What all share --- */

/* $1..$6 of the statements below. `config` is the caller's to free after the statement. */
static void add_site(struct pg_params *p, const struct site *site, const char *config)
{
    pg_add_text(p, site->name);
    pg_add_text(p, site->url);
    pg_add_int(p, site->seconds);
    pg_add_text(p, site->pattern);
    pg_add_text(p, site->enabled ? "t" : "f");
    pg_add_text(p, config);
}

static void answer_taken(const struct site *site, struct answer *a)
{
    struct err err;

    err_fill(&err, ERR_INVALID, "name: another site is called %.200s", site->name);
    answer_problem_at(a, 409, "pointer", "/name", err.message);
}

/* The versions that If-Match asks for, as an array of Postgres: "7.123" and "7" are version 7. NULL
 * when there is no condition but that the site exists. What is no ETag of ours is that of no
 * version. */
static const char *if_match(const struct request *r, char versions[VERSIONS_SIZE])
{
    const char *text = request_header(r, "If-Match");
    size_t used = 0;

    if (text == NULL || strcmp(text, "*") == 0) {
        return NULL;
    }
    used += (size_t)snprintf(versions, VERSIONS_SIZE, "{-1");
    while (*text != '\0') {
        size_t digits = text[0] == '"' ? strspn(text + 1, "0123456789") : 0;
        bool fits = digits > 0 && digits <= VERSION_DIGITS_MAX &&
                    (text[1 + digits] == '.' || text[1 + digits] == '"');

        if (fits && used + VERSION_DIGITS_MAX + sizeof(",}") <= VERSIONS_SIZE) {
            used += (size_t)snprintf(versions + used, VERSIONS_SIZE - used, ",%.*s", (int)digits,
                                     text + 1);
        }
        text += strcspn(text, ","); /* none of ours holds one */
        text += strspn(text, ", \t");
    }
    snprintf(versions + used, VERSIONS_SIZE - used, "}");
    return versions;
}

/* After an UPDATE that found no row: the site is not there, or is of another version. */
static void answer_unmatched(PGconn *conn, const struct request *r, int64_t id, struct answer *a)
{
    websites_answer(conn, r, id, 200, a);
    if (a->status == 200) {
        answer_problem(a, 412, "the site has been changed since; read it again");
    }
}

/* --- POST --- */

static PGresult *insert(const struct api *api, PGconn *conn, const struct site *site,
                        struct err *err)
{
    /* A deleted site of that name comes back, with the checks that are still there. */
    static const char sql[] =
        "INSERT INTO websites AS w"
        " (name, website_url, monitoring_interval, regex, enabled, config, source)"
        " VALUES ($1, $2, $3, $4, $5, $6, 'api')"
        " ON CONFLICT (name) DO UPDATE SET website_url = excluded.website_url,"
        "   monitoring_interval = excluded.monitoring_interval, regex = excluded.regex,"
        "   enabled = excluded.enabled, config = excluded.config, source = 'api',"
        "   version = w.version + 1, updated_at = now(), deleted_at = NULL"
        " WHERE w.deleted_at IS NOT NULL"
        " RETURNING website_id";
    struct pg_params p = {0};
    char *config = site_secrets_config(site, api->seal);

    add_site(&p, site, config);

    PGresult *result = pg_query(conn, "insert website", sql, &p, NULL, err);

    free(config);
    return result;
}

static void answer_created(PGconn *conn, const struct request *r, int64_t id, struct answer *a)
{
    websites_answer(conn, r, id, 201, a);
    if (a->status == 201) {
        answer_headerf(a, "Location", "/websites/%" PRId64, id);
    }
}

/* Insert and answer; *id is 0 unless that went well. */
static void post_site(const struct api *api, PGconn *conn, const struct request *r,
                      const struct site *site, int64_t *id, struct answer *a)
{
    struct err err;
    PGresult *result = insert(api, conn, site, &err);

    *id = 0;
    if (result == NULL) {
        db_fail(&err, a);
    } else if (PQntuples(result) == 0) {
        answer_taken(site, a);
    } else {
        *id = pg_int(result, 0, 0);
        answer_created(conn, r, *id, a);
    }
    PQclear(result);
}

/* One transaction: the key is kept when, and only when, the site is. */
static void post_with_key(const struct api *api, PGconn *conn, const struct request *r,
                          const struct site *site, const char *key, struct answer *a)
{
    struct err err;
    int64_t id;

    if (pg_run(conn, "BEGIN", &err) < 0) {
        db_fail(&err, a);
        return;
    }
    int64_t made = idempotency_claim(conn, r, key, a);

    if (made > 0) {
        answer_created(conn, r, made, a);
        answer_header(a, "Idempotency-Replayed", "true");
    } else if (made == 0) {
        post_site(api, conn, r, site, &id, a);
        if (id > 0 && idempotency_keep(conn, r, key, id, &err) == 0 &&
            pg_run(conn, "COMMIT", &err) == 0) {
            return;
        }
        if (id > 0) {
            db_fail(&err, a);
        }
    }
    db_roll_back(conn);
}

void website_post(const struct api *api, PGconn *conn, const struct request *r, struct answer *a)
{
    struct website_faults faults = {0};
    struct site site;
    const char *key;
    int64_t id;

    if (!idempotency_key(r, &key, a)) {
        return;
    }
    cJSON *json = request_json(r, a);

    if (json == NULL) {
        return;
    }
    if (website_body_read(json, NULL, &api->rules, &site, &faults)) {
        if (key != NULL) {
            post_with_key(api, conn, r, &site, key, a);
        } else {
            post_site(api, conn, r, &site, &id, a);
        }
        site_free(&site);
    } else {
        website_faults_answer(&faults, a);
    }
    cJSON_Delete(json);
}

/* --- PUT and PATCH --- */

static void update(const struct api *api, PGconn *conn, const struct request *r, int64_t id,
                   const struct site *site, const char *versions, struct answer *a)
{
    /* A change that changes nothing raises no version, so that nobody is told of it. */
    static const char sql[] =
        "UPDATE websites SET name = $1, website_url = $2, monitoring_interval = $3, regex = $4,"
        " enabled = $5, config = $6, source = 'api',"
        " version = version + changed::integer,"
        " updated_at = CASE WHEN changed THEN now() ELSE updated_at END"
        " FROM (SELECT (name, website_url, monitoring_interval, regex, enabled, config, source)"
        "     IS DISTINCT FROM ($1, $2, $3::integer, $4, $5::boolean, $6::jsonb, 'api') AS changed"
        "   FROM websites WHERE website_id = $7 FOR UPDATE) old"
        " WHERE website_id = $7 AND deleted_at IS NULL"
        " AND ($8::bigint[] IS NULL OR version = ANY ($8::bigint[]))";
    struct pg_params p = {0};
    struct pg_fault fault = {0};
    char *config = site_secrets_config(site, api->seal);
    int64_t affected = 0;
    struct err err;

    add_site(&p, site, config);
    pg_add_int(&p, id);
    pg_add_text(&p, versions);

    int rc = pg_execute(conn, "update website", sql, &p, &affected, &fault, &err);

    free(config);
    if (rc < 0 && strcmp(fault.sqlstate, UNIQUE_VIOLATION) == 0) {
        answer_taken(site, a);
    } else if (rc < 0) {
        db_fail(&err, a);
    } else if (affected == 0) {
        answer_unmatched(conn, r, id, a);
    } else {
        websites_answer(conn, r, id, 200, a);
    }
}

/* The options that are stored, as JSON, which the caller deletes; locked until the end of the
 * transaction. NULL with an answer. */
static cJSON *read_options(PGconn *conn, int64_t id, struct answer *a)
{
    struct pg_params p = {0};
    struct err err;
    cJSON *json = NULL;

    pg_add_int(&p, id);

    PGresult *result = pg_query(conn, "read website",
                                "SELECT config FROM websites"
                                " WHERE website_id = $1 AND deleted_at IS NULL FOR UPDATE",
                                &p, NULL, &err);

    if (result == NULL) {
        db_fail(&err, a);
    } else if (PQntuples(result) == 0) {
        answer_problem(a, 404, "there is no such site");
    } else {
        json = cJSON_Parse(PQgetvalue(result, 0, 0));
        if (json == NULL) {
            abort(); /* Postgres keeps no jsonb that is not JSON */
        }
    }
    PQclear(result);
    return json;
}

/* RFC 7396; no option holds an object, so there is one level. */
static void merge(cJSON *options, const cJSON *patch)
{
    const cJSON *member;

    cJSON_ArrayForEach (member, patch) {
        cJSON_DeleteItemFromObjectCaseSensitive(options, member->string);
        if (!cJSON_IsNull(member)) {
            cJSON_AddItemToObject(options, member->string, cJSON_Duplicate(member, true));
        }
    }
}

/* `given` is all options of the site, or those that change. */
static void change_locked(const struct api *api, PGconn *conn, const struct request *r, int64_t id,
                          const cJSON *given, bool whole, const char *versions, struct answer *a)
{
    cJSON *config = read_options(conn, id, a);
    if (config == NULL) {
        return;
    }
    cJSON *stored = website_body_stored(config);
    cJSON *options = cJSON_Duplicate(whole ? given : stored, true);
    struct website_faults faults = {0};
    struct site site;

    if (!whole) {
        merge(options, given);
    }
    if (website_secrets_keep(options, stored, given, config, api->seal, &faults) &&
        website_body_read(options, stored, &api->rules, &site, &faults)) {
        update(api, conn, r, id, &site, versions, a);
        site_free(&site);
    } else {
        website_faults_answer(&faults, a);
    }
    cJSON_Delete(options);
    cJSON_Delete(stored);
    cJSON_Delete(config);
}

static void change(const struct api *api, PGconn *conn, const struct request *r, int64_t id,
                   const cJSON *given, bool whole, struct answer *a)
{
    char versions[VERSIONS_SIZE];
    struct err err;

    if (pg_run(conn, "BEGIN", &err) < 0) {
        db_fail(&err, a);
        return;
    }
    change_locked(api, conn, r, id, given, whole, if_match(r, versions), a);
    if (a->status != 200) {
        db_roll_back(conn);
    } else if (pg_run(conn, "COMMIT", &err) < 0) {
        db_fail(&err, a);
    }
}

/* A body's id must be the one that is meant. */
static bool check_id(const cJSON *json, int64_t id, struct answer *a)
{
    const cJSON *given = cJSON_GetObjectItemCaseSensitive(json, "id");

    if (given != NULL && (!cJSON_IsNumber(given) || given->valuedouble != (double)id)) {
        answer_problem_at(a, 422, "pointer", "/id", "id: is not that of the path");
        return false;
    }
    return true;
}

void website_put(const struct api *api, PGconn *conn, const struct request *r, struct answer *a)
{
    int64_t id;
    cJSON *json = request_id(r, &id, a) ? request_json(r, a) : NULL;

    if (json != NULL && check_id(json, id, a)) {
        website_body_drop_read_only(json);
        change(api, conn, r, id, json, true, a);
    }
    cJSON_Delete(json);
}

/* The one site with the body's url, as it is stored: normalised. */
static bool find_by_url(PGconn *conn, const cJSON *json, int64_t *id, struct answer *a)
{
    const char *given = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "url"));
    char *url = given == NULL ? NULL : websites_normal_url(given);

    if (url == NULL) {
        answer_problem_at(a, 422, "pointer", "/url", "url: want the address of a site, or give id");
        return false;
    }
    PGresult *sites = websites_with_url(conn, url, a);
    bool found = sites != NULL && pg_int(sites, 0, 1) == 1;

    if (found) {
        *id = pg_int(sites, 0, 2);
    } else if (sites != NULL) {
        answer_problem_at(a, 409, "pointer", "/id", "id: several sites have this url, give the id");
    }
    PQclear(sites);
    free(url);
    return found;
}

void website_put_by_body(const struct api *api, PGconn *conn, const struct request *r,
                         struct answer *a)
{
    cJSON *json = request_json(r, a);
    const cJSON *given = cJSON_GetObjectItemCaseSensitive(json, "id");
    int64_t id = cJSON_IsNumber(given) ? (int64_t)given->valuedouble : 0;

    if (json == NULL) {
        return;
    }
    if (given != NULL && (id <= 0 || (double)id != given->valuedouble)) {
        answer_problem_at(a, 422, "pointer", "/id", "id: want a whole number above 0");
    } else if (given != NULL || find_by_url(conn, json, &id, a)) {
        website_body_drop_read_only(json);
        change(api, conn, r, id, json, true, a);
    }
    cJSON_Delete(json);
}

void website_patch(const struct api *api, PGconn *conn, const struct request *r, struct answer *a)
{
    int64_t id;
    cJSON *patch = request_id(r, &id, a) ? request_json(r, a) : NULL;

    if (patch != NULL) {
        change(api, conn, r, id, patch, false, a);
    }
    cJSON_Delete(patch);
}

/* --- DELETE --- */

void website_delete(const struct api *api, PGconn *conn, const struct request *r, struct answer *a)
{
    struct pg_params p = {0};
    char versions[VERSIONS_SIZE];
    int64_t id, affected = 0;
    struct err err;

    (void)api;
    if (!request_id(r, &id, a)) {
        return;
    }
    pg_add_int(&p, id);
    pg_add_text(&p, if_match(r, versions));
    if (pg_execute(conn, "delete website",
                   "UPDATE websites SET deleted_at = now(), updated_at = now(),"
                   " version = version + 1"
                   " WHERE website_id = $1 AND deleted_at IS NULL"
                   " AND ($2::bigint[] IS NULL OR version = ANY ($2::bigint[]))",
                   &p, &affected, NULL, &err) < 0) {
        db_fail(&err, a);
    } else if (affected == 0) {
        answer_unmatched(conn, r, id, a);
    } else {
        answer_body(a, 204, NULL, NULL, 0);
    }
}
