#include "api/websites.h"

#include <stdlib.h>
#include <string.h>

#include "api/website_json.h"
#include "common/mem.h"
#include "common/url.h"

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
