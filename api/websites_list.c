#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/website_json.h"
#include "api/websites.h"
#include "common/mem.h"

#define PAGE_MAX 1000000
#define CURSOR_BYTES_MAX 4096
#define ID_SIZE 24

#define FILTER                                                                                     \
    "w.deleted_at IS NULL"                                                                         \
    " AND ($2::text IS NULL OR position(lower($2) IN lower(w.website_url)) > 0)"                   \
    " AND ($3::text IS NULL OR w.config -> 'tags' ? $3)"

/* The lists come from statements in which `key` is what they are sorted by, `past` the condition
 * that a site lies behind the cursor, and `by` the order. Each gives the total, then the page. */

/* One row at the least: the total, and NULLs when the page is empty. OFFSET 0 keeps Postgres from
 * joining the page with the states of all sites. */
#define LIST_ANY(key, past, by)                                                                    \
    "SELECT t.total, p.json::text, p.key::text, p.website_id"                                      \
    " FROM (SELECT count(*) AS total FROM websites w WHERE " FILTER " AND $4::text IS NULL) t"     \
    " LEFT JOIN LATERAL (SELECT " WEBSITE_JSON " AS json, w.key, w.website_id"                     \
    "   FROM (SELECT w.*, " key " AS key FROM websites w"                                          \
    "     WHERE " FILTER " AND " past by " LIMIT $7 OFFSET $8) w"                                  \
    "   LEFT JOIN LATERAL (SELECT status, last_slot FROM site_status s"                            \
    "     WHERE s.website_id = w.website_id OFFSET 0) s ON true" by ") p ON true"

/* The state of the sites of these lists is known: it is asked for. */
#define STATE                                                                                      \
    "(SELECT $4::text AS status, (SELECT max(l.last_slot) FROM site_state l"                       \
    "   WHERE l.website_id = w.website_id) AS last_slot) s"

/* From what is kept of each site, but for those in doubt, whose state is worked out (site_standing
 * in docs/database.md). No row: any may be in doubt. */
#define KEPT "s.status = $4 AND s.website_id NOT IN (SELECT website_id FROM doubts)"
#define LIST_OF_STATUS(key, past, by)                                                              \
    "WITH doubts AS MATERIALIZED (SELECT website_id FROM site_doubts),"                            \
    " others AS MATERIALIZED (SELECT w.* FROM doubts d JOIN websites w USING (website_id)"         \
    "   CROSS JOIN LATERAL (SELECT status FROM site_status s"                                      \
    "     WHERE s.website_id = d.website_id OFFSET 0) s WHERE s.status = $4 AND " FILTER ")"       \
    " SELECT t.total, p.json::text, p.key::text, p.website_id"                                     \
    " FROM (SELECT (SELECT count(*) FROM others)"                                                  \
    "   + CASE WHEN $2::text IS NULL AND $3::text IS NULL"                                         \
    "       THEN (SELECT count(*) FROM site_standing s WHERE " KEPT ")"                            \
    "       ELSE (SELECT count(*) FROM site_standing s JOIN websites w USING (website_id)"         \
    "         WHERE " KEPT " AND " FILTER ") END AS total WHERE site_standing_holds()) t"          \
    " LEFT JOIN LATERAL (SELECT " WEBSITE_JSON " AS json, w.key, w.website_id"                     \
    "   FROM ((SELECT w.*, " key " AS key FROM websites w JOIN site_standing s USING (website_id)" \
    "       WHERE " KEPT " AND " FILTER " AND " past by " LIMIT $7::bigint + $8::bigint)"          \
    "     UNION ALL (SELECT w.*, " key " AS key FROM others w WHERE " past ")" by                  \
    "     LIMIT $7 OFFSET $8) w CROSS JOIN LATERAL " STATE by ") p ON true"

/* From the state of every site, worked out. */
#define LIST_WORKED_OUT(key, past, by)                                                             \
    "WITH chosen AS MATERIALIZED (SELECT w.* FROM websites w JOIN site_status s"                   \
    "   USING (website_id) WHERE " FILTER " AND s.status = $4)"                                    \
    " SELECT t.total, p.json::text, p.key::text, p.website_id"                                     \
    " FROM (SELECT count(*) AS total FROM chosen) t"                                               \
    " LEFT JOIN LATERAL (SELECT " WEBSITE_JSON " AS json, w.key, w.website_id"                     \
    "   FROM (SELECT w.*, " key " AS key FROM chosen w WHERE " past by " LIMIT $7 OFFSET $8) w"    \
    "   CROSS JOIN LATERAL " STATE by ") p ON true"

#define LISTS_BY(key, past, by)                                                                    \
    {                                                                                              \
        LIST_ANY(key, past, by), LIST_OF_STATUS(key, past, by), LIST_WORKED_OUT(key, past, by)     \
    }
#define LISTS(key, type, after, order)                                                             \
    LISTS_BY(key, "($6::bigint IS NULL OR (" key ", w.website_id) " after " ($5::" type ", $6))",  \
             " ORDER BY key " order ", website_id " order)

/* The orders there are; each is a statement of its own, none is put together at run time. */
static const struct sort {
    const char *name;
    struct {
        const char *any, *of_status, *worked_out;
    } sql;
} sorts[] = {
    {"id", LISTS("w.website_id", "bigint", ">", "ASC")},
    {"-id", LISTS("w.website_id", "bigint", "<", "DESC")},
    {"name", LISTS("w.name", "text", ">", "ASC")},
    {"-name", LISTS("w.name", "text", "<", "DESC")},
    {"url", LISTS("w.website_url", "text", ">", "ASC")},
    {"-url", LISTS("w.website_url", "text", "<", "DESC")},
    {"updated_at", LISTS("w.updated_at", "timestamptz", ">", "ASC")},
    {"-updated_at", LISTS("w.updated_at", "timestamptz", "<", "DESC")},
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
    const struct sort *sort;
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
        strncmp(plain, list->sort->name, (size_t)(id - plain)) != 0 ||
        list->sort->name[id - plain] != '\0') {
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
            list->sort = &sorts[i];
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
    PGresult *result = pg_query(
        conn, "list websites",
        list->status == NULL ? list->sort->sql.any : list->sort->sql.of_status, &p, &fault, &err);

    if (result != NULL && PQntuples(result) == 0) {
        PQclear(result);
        result = pg_query(conn, "list websites", list->sort->sql.worked_out, &p, &fault, &err);
    }
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
    char *next = full ? cursor_make(list->sort->name, PQgetvalue(result, last, 3),
                                    PQgetvalue(result, last, 2))
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
