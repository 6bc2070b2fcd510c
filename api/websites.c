#include "api/websites.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/url.h"

#define PAGE_MAX 1000000
#define CURSOR_BYTES_MAX 4096
#define ID_SIZE 24

/* `status` is an option: the response codes that are up. What the site is now is its `state`.
 *
 * Nobody sees a secret, only that there is one. What a token of scope read does not see besides may
 * hold one: header values, a body, a user name. Needs $1: whether all is shown. */
#define WEBSITE_JSON                                                                               \
    "jsonb_strip_nulls("                                                                           \
    "w.config - CASE WHEN $1::boolean THEN ARRAY['sealed']"                                        \
    " ELSE ARRAY['sealed', 'headers', 'body', 'username'] END"                                     \
    " || jsonb_build_object('secrets', (SELECT jsonb_agg(option ORDER BY option)"                  \
    "     FROM jsonb_object_keys(w.config -> 'sealed') option),"                                   \
    " 'allow_private', coalesce(w.config -> 'allow_private', 'true'),"                             \
    " 'id', w.website_id, 'name', w.name, 'url', w.website_url,"                                   \
    " 'seconds', w.monitoring_interval, 'enabled', w.enabled, 'version', w.version,"               \
    " 'source', w.source, 'created_at', w.created_at, 'updated_at', w.updated_at,"                 \
    " 'state', coalesce(s.status, 'unknown'), 'last_slot', s.last_slot))"

/* --- The list --- */

#define FILTER                                                                                     \
    "w.deleted_at IS NULL"                                                                         \
    " AND ($2::text IS NULL OR position(lower($2) IN lower(w.website_url)) > 0)"                   \
    " AND ($3::text IS NULL OR w.config -> 'tags' ? $3)"

/* One row at the least: the total, and NULLs when the page is empty. The status of every site is
 * worked out only when sites are chosen by it: OFFSET 0 keeps Postgres from joining the page with
 * the whole view. */
#define LIST_ANY(key, type, after, order)                                                          \
    "SELECT t.total, p.json::text, p.key::text, p.website_id"                                      \
    " FROM (SELECT count(*) AS total FROM websites w WHERE " FILTER "   AND $4::text IS NULL) t"   \
    " LEFT JOIN LATERAL (SELECT " WEBSITE_JSON " AS json, w.key, w.website_id"                     \
    "   FROM (SELECT w.*, " key " AS key FROM websites w WHERE " FILTER                            \
    "     AND ($6::bigint IS NULL OR (" key ", w.website_id) " after " ($5::" type ", $6))"        \
    "     ORDER BY " key " " order ", w.website_id " order " LIMIT $7 OFFSET $8) w"                \
    "   LEFT JOIN LATERAL (SELECT status, last_slot FROM site_status s"                            \
    "     WHERE s.website_id = w.website_id OFFSET 0) s ON true"                                   \
    "   ORDER BY w.key " order ", w.website_id " order ") p ON true"

#define LIST_OF_STATUS(key, type, after, order)                                                    \
    "WITH chosen AS MATERIALIZED (SELECT w.*, " key " AS key, s.status, s.last_slot"               \
    "   FROM websites w JOIN site_status s USING (website_id)"                                     \
    "   WHERE " FILTER " AND s.status = $4)"                                                       \
    " SELECT t.total, p.json::text, p.key::text, p.website_id"                                     \
    " FROM (SELECT count(*) AS total FROM chosen) t"                                               \
    " LEFT JOIN LATERAL (SELECT " WEBSITE_JSON " AS json, w.key, w.website_id"                     \
    "   FROM chosen w CROSS JOIN LATERAL (SELECT w.status, w.last_slot) s"                         \
    "   WHERE $6::bigint IS NULL OR (w.key, w.website_id) " after " ($5::" type ", $6)"            \
    "   ORDER BY w.key " order ", w.website_id " order " LIMIT $7 OFFSET $8) p ON true"

#define LIST_BOTH(key, type, after, order)                                                         \
    {                                                                                              \
        LIST_ANY(key, type, after, order), LIST_OF_STATUS(key, type, after, order)                 \
    }

/* The orders there are; each is a statement of its own, none is put together at run time. */
static const struct {
    const char *name;
    const char *sql[2]; /* [1]: of a status */
} sorts[] = {
    {"id", LIST_BOTH("w.website_id", "bigint", ">", "ASC")},
    {"-id", LIST_BOTH("w.website_id", "bigint", "<", "DESC")},
    {"name", LIST_BOTH("w.name", "text", ">", "ASC")},
    {"-name", LIST_BOTH("w.name", "text", "<", "DESC")},
    {"url", LIST_BOTH("w.website_url", "text", ">", "ASC")},
    {"-url", LIST_BOTH("w.website_url", "text", "<", "DESC")},
    {"updated_at", LIST_BOTH("w.updated_at", "timestamptz", ">", "ASC")},
    {"-updated_at", LIST_BOTH("w.updated_at", "timestamptz", "<", "DESC")},
};

#define SORT_NAMES                                                                                 \
    "\"id\",\"-id\",\"name\",\"-name\",\"url\",\"-url\",\"updated_at\",\"-updated_at\""
#define PAGE_PARAMETERS                                                                            \
    {"page", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000000,\"default\":1}",             \
     "which page, from 1", false},                                                                 \
    {                                                                                              \
        "size", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000,\"default\":50}",            \
            "sites of a page", false                                                               \
    }

const struct route_parameter websites_list_query[] = {
    PAGE_PARAMETERS,
    {"cursor", "{\"type\":\"string\",\"maxLength\":4096,\"pattern\":\"^[A-Za-z0-9_-]*$\"}",
     "go on where an answer ended: its next; instead of page", false},
    {"keyword", ROUTE_TEXT, "only sites with this in their url, in either case", false},
    {"status", "{\"type\":\"string\",\"enum\":[\"up\",\"degraded\",\"down\",\"unknown\"]}",
     "only sites of this state", false},
    {"tag", ROUTE_TEXT, "only sites with this tag", false},
    {"sort", "{\"type\":\"string\",\"enum\":[" SORT_NAMES "],\"default\":\"id\"}",
     "in which order; with - before it the other way round", false},
    {0},
};

const struct route_parameter websites_find_query[] = {
    {"keyword", ROUTE_TEXT, "only sites with this in their url, in either case", true},
    PAGE_PARAMETERS,
    {0},
};

/* What of the list is wanted. */
struct list {
    const char *sql, *sort;
    const char *status;
    int64_t page, size;
    char *cursor_key; /* owned; NULL: from the start */
    char cursor_id[ID_SIZE];
};

/* --- Cursors: "sort \n id \n key" of the last site of a page, as base64 --- */

static char *cursor_make(const char *sort, const char *id, const char *key)
{
    size_t size = strlen(sort) + strlen(id) + strlen(key) + 3;
    char *plain = mem_alloc(size, 1);
    size_t out_size = sodium_base64_encoded_len(size - 1, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char *out = mem_alloc(out_size, 1);

    snprintf(plain, size, "%s\n%s\n%s", sort, id, key);
    sodium_bin2base64(out, out_size, (unsigned char *)plain, size - 1,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    free(plain);
    return out;
}

static bool cursor_read(struct list *list, const char *cursor)
{
    char plain[CURSOR_BYTES_MAX + 1];
    size_t len = 0;

    if (sodium_base642bin((unsigned char *)plain, CURSOR_BYTES_MAX, cursor, strlen(cursor), NULL,
                          &len, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        memchr(plain, '\0', len) != NULL) {
        return false;
    }
    plain[len] = '\0';

    char *id = strchr(plain, '\n');
    char *key = id == NULL ? NULL : strchr(id + 1, '\n');

    if (key == NULL || key - id > 20 || strspn(id + 1, "0123456789") != (size_t)(key - id - 1) ||
        strncmp(plain, list->sort, (size_t)(id - plain)) != 0 || list->sort[id - plain] != '\0') {
        return false;
    }
    snprintf(list->cursor_id, sizeof(list->cursor_id), "%.*s", (int)(key - id - 1), id + 1);
    list->cursor_key = mem_copy_string(key + 1);
    return true;
}

/* --- What is asked for --- */

static bool read_choice(const struct request *r, struct list *list, struct answer *a)
{
    static const char *const statuses[] = {"up", "degraded", "down", "unknown"};
    const char *sort = request_query(r, "sort");

    list->status = request_query(r, "status");
    for (size_t i = 0; list->status != NULL; i++) {
        if (i == sizeof(statuses) / sizeof(statuses[0])) {
            answer_problem_at(a, 400, "parameter", "status",
                              "status: want up, degraded, down or unknown");
            return false;
        }
        if (strcmp(list->status, statuses[i]) == 0) {
            break;
        }
    }
    for (size_t i = 0; i < sizeof(sorts) / sizeof(sorts[0]); i++) {
        if (strcmp(sort == NULL ? "id" : sort, sorts[i].name) == 0) {
            list->sort = sorts[i].name;
            list->sql = sorts[i].sql[list->status != NULL];
            return true;
        }
    }
    answer_problem_at(a, 400, "parameter", "sort", "sort: want one of " SORT_NAMES);
    return false;
}

static bool read_list(const struct request *r, struct list *list, struct answer *a)
{
    const char *cursor = request_query(r, "cursor");

    if (!request_int(r, "page", 1, PAGE_MAX, 1, &list->page, a) ||
        !request_int(r, "size", 1, WEBSITES_PAGE_MAX, WEBSITES_PAGE_DEFAULT, &list->size, a) ||
        !read_choice(r, list, a)) {
        return false;
    }
    if (cursor == NULL) {
        return true;
    }
    if (request_query(r, "page") != NULL || !cursor_read(list, cursor)) {
        answer_problem_at(a, 422, "parameter", "cursor",
                          "cursor: want the next of an answer with the same sort, without page");
        return false;
    }
    return true;
}

/* --- The answer --- */

/* A page in JSON; next is the cursor after it, or NULL. */
static void answer_list(const PGresult *result, const struct list *list, const char *next,
                        struct answer *a)
{
    struct answer_text t;

    answer_text_begin(&t);
    fprintf(t.out, "{");
    db_print_items(t.out, result, 1, list->size);
    fprintf(t.out, ",\"total\":%s,\"size\":%" PRId64, PQgetvalue(result, 0, 0), list->size);
    if (list->cursor_key == NULL) {
        fprintf(t.out, ",\"page\":%" PRId64, list->page);
    }
    if (next != NULL) {
        fprintf(t.out, ",\"next\":\"%s\"", next);
    }
    fprintf(t.out, "}");
    answer_text_end(&t);
    answer_body(a, 200, ANSWER_JSON, t.text, t.len);
}

/* Escaped for a query (RFC 3986, 2.1). */
static void print_escaped(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
            strchr("-._~", c) != NULL) {
            fputc(c, out);
        } else {
            fprintf(out, "%%%02X", c);
        }
    }
}

/* Link: rel="next" (RFC 8288): the same request, with the cursor instead of the page. */
static void add_link(const struct request *r, const char *next, struct answer *a)
{
    struct answer_text t;

    answer_text_begin(&t);
    fprintf(t.out, "<%s?cursor=%s", r->path, next);
    for (size_t i = 0; i < r->query.count; i++) {
        const struct request_pair *p = &r->query.pairs[i];

        if (strcmp(p->name, "cursor") != 0 && strcmp(p->name, "page") != 0) {
            fprintf(t.out, "&%s=", p->name);
            print_escaped(t.out, p->value);
        }
    }
    fprintf(t.out, ">; rel=\"next\"");
    answer_text_end(&t);
    answer_header(a, "Link", t.text);
    free(t.text);
}

static void list_sites(PGconn *conn, const struct request *r, const struct list *list,
                       struct answer *a)
{
    struct pg_params p = {0};
    struct err err;

    pg_add_text(&p, r->scope == SCOPE_WRITE ? "t" : "f");
    pg_add_text(&p, request_query(r, "keyword"));
    pg_add_text(&p, request_query(r, "tag"));
    pg_add_text(&p, list->status);
    pg_add_text(&p, list->cursor_key);
    pg_add_text(&p, list->cursor_key == NULL ? NULL : list->cursor_id);
    pg_add_int(&p, list->size);
    pg_add_int(&p, list->cursor_key == NULL ? (list->page - 1) * list->size : 0);

    struct pg_fault fault = {0};
    PGresult *result = pg_query(conn, "list websites", list->sql, &p, &fault, &err);

    if (result == NULL && strncmp(fault.sqlstate, "22", 2) == 0) { /* only a cursor can be so */
        answer_problem_at(a, 422, "parameter", "cursor", "cursor: is not one that an answer had");
        return;
    }
    if (result == NULL) {
        db_fail(&err, a);
        return;
    }
    int last = PQntuples(result) - 1;
    bool full = last + 1 == list->size && !PQgetisnull(result, last, 1);
    char *next =
        full ? cursor_make(list->sort, PQgetvalue(result, last, 3), PQgetvalue(result, last, 2))
             : NULL;

    answer_list(result, list, next, a);
    if (next != NULL) {
        add_link(r, next, a);
    }
    free(next);
    PQclear(result);
}

void websites_list(const struct api *api, PGconn *conn, const struct request *r, struct answer *a)
{
    struct list list = {0};

    (void)api;
    if (read_list(r, &list, a)) {
        list_sites(conn, r, &list, a);
    }
    free(list.cursor_key);
}

void websites_find(const struct api *api, PGconn *conn, const struct request *r, struct answer *a)
{
    if (request_query(r, "keyword") == NULL) {
        answer_problem_at(a, 400, "parameter", "keyword", "keyword: is missing");
        return;
    }
    websites_list(api, conn, r, a);
}

/* --- One site --- */

/* The version, for If-Match, and a hash of all that is said: a site can change its state without a
 * check, when a location falls silent. */
static void put_tag(struct answer *a, const char *version)
{
    char tag[ANSWER_TAG_SIZE];

    answer_tag(a->body, a->len, tag);
    answer_headerf(a, "ETag", "\"%s.%s", version, tag + 1); /* after its own mark */
}

void websites_answer(PGconn *conn, const struct request *r, int64_t website_id, int status,
                     struct answer *a)
{
    static const char sql[] =
        "SELECT (" WEBSITE_JSON " || jsonb_build_object('locations', coalesce("
        "   (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('location', l.location,"
        "     'state', l.status, 'stale', l.stale, 'since', l.since, 'last_slot', l.last_slot,"
        "     'failures_in_a_row', l.failures_in_a_row)) ORDER BY l.location)"
        "    FROM site_locations l WHERE l.website_id = w.website_id), '[]')))::text,"
        " w.version"
        " FROM websites w LEFT JOIN LATERAL (SELECT status, last_slot FROM site_status s"
        "   WHERE s.website_id = w.website_id) s ON true"
        " WHERE w.website_id = $2 AND w.deleted_at IS NULL";
    struct pg_params p = {0};
    struct err err;

    pg_add_text(&p, r->scope == SCOPE_WRITE ? "t" : "f");
    pg_add_int(&p, website_id);

    PGresult *result = pg_query(conn, "get website", sql, &p, NULL, &err);

    if (result == NULL) {
        db_fail(&err, a);
    } else if (PQntuples(result) == 0) {
        answer_problem(a, 404, "there is no such site");
    } else {
        const char *json = PQgetvalue(result, 0, 0);

        answer_body(a, status, ANSWER_JSON, mem_copy_string(json), strlen(json));
        put_tag(a, PQgetvalue(result, 0, 1));
    }
    PQclear(result);
}

PGresult *websites_with_url(PGconn *conn, const char *url, struct answer *a)
{
    struct pg_params p = {0};
    struct err err;

    pg_add_text(&p, url);

    PGresult *result = pg_query(conn, "find websites by url",
                                "SELECT array_agg(website_id), count(*), min(website_id)"
                                " FROM websites WHERE website_url = $1 AND deleted_at IS NULL"
                                " HAVING count(*) > 0",
                                &p, NULL, &err);

    if (result == NULL) {
        db_fail(&err, a);
    } else if (PQntuples(result) == 0) {
        answer_problem(a, 404, "there is no site with this url");
        PQclear(result);
        result = NULL;
    }
    return result;
}

char *websites_normal_url(const char *text)
{
    struct url url;
    struct err err;

    if (url_parse(text, &url, &err) < 0) {
        return NULL;
    }
    char *normal = mem_copy_string(url.text);

    url_free(&url);
    return normal;
}

void websites_get(const struct api *api, PGconn *conn, const struct request *r, struct answer *a)
{
    int64_t id;

    (void)api;
    if (request_id(r, &id, a)) {
        websites_answer(conn, r, id, 200, a);
    }
}
