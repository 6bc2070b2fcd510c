#include "api/monitoring.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/websites.h"

#define PAGE_MAX 10000
#define SIZE_MAX_ROWS 1000
#define SIZE_DEFAULT 100
#define TIME_MIN_US INT64_C(0)
#define TIME_MAX_US (INT64_C(253402300799) * 1000000) /* the end of the year 9999 */

#define RANGE_PARAMETERS                                                                           \
    {"from", "{\"type\":\"string\",\"format\":\"date-time\"}", "not before this time", false},     \
        {"to", "{\"type\":\"string\",\"format\":\"date-time\"}", "before this time", false},       \
        {"page", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":10000,\"default\":1}",           \
         "which page, from 1", false},                                                             \
    {                                                                                              \
        "size", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000,\"default\":100}",           \
            "rows of a page", false                                                                \
    }

const struct route_parameter monitoring_checks_query[] = {
    {"url", ROUTE_TEXT, "of the site; the checks of all with this url", true},
    RANGE_PARAMETERS,
    {0},
};

const struct route_parameter monitoring_site_checks_query[] = {
    RANGE_PARAMETERS,
    {0},
};

const struct route_parameter monitoring_incidents_query[] = {
    {"website_id", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000000000000000}",
     "only incidents of this site", false},
    {"open", "{\"type\":\"boolean\"}", "true: only those that are open; false: only the others",
     false},
    {"scope", "{\"type\":\"string\",\"enum\":[\"location\",\"site\"],\"default\":\"location\"}",
     "location: at each location; site: over all locations, by the site's quorum", false},
    RANGE_PARAMETERS,
    {0},
};

/* Which rows, and how many of them. */
struct range {
    int64_t from_us, to_us, page, size;
};

static bool read_range(const struct request *r, struct range *range, struct answer *a)
{
    bool read = request_time(r, "from", TIME_MIN_US, &range->from_us, a) &&
                request_time(r, "to", TIME_MAX_US, &range->to_us, a) &&
                request_int(r, "page", 1, PAGE_MAX, 1, &range->page, a) &&
                request_int(r, "size", 1, SIZE_MAX_ROWS, SIZE_DEFAULT, &range->size, a);

    if (read && range->from_us > range->to_us) {
        answer_problem_at(a, 422, "parameter", "from", "from: is after to");
    }
    return read && range->from_us <= range->to_us;
}

/* The last four parameters of the statements below; one row more than a page tells of the next. */
static void add_range(struct pg_params *p, const struct range *range)
{
    pg_add_int(p, range->from_us);
    pg_add_int(p, range->to_us);
    pg_add_int(p, range->size + 1);
    pg_add_int(p, (range->page - 1) * range->size);
}

#define TIME_OF(parameter) "(to_timestamp(0) + " parameter "::bigint * interval '1 microsecond')"
#define IN_RANGE(column, from, to) column " >= " TIME_OF(from) " AND " column " < " TIME_OF(to)
#define SLOT_IN_RANGE IN_RANGE("slot", "$2", "$3")
#define OPENED_IN_RANGE IN_RANGE("i.opened_slot", "$3", "$4")

/* Rows of one column of JSON, as {"items":[...],"page":1,"size":100,"more":false}. */
static void answer_page(const PGresult *result, const struct range *range, struct answer *a)
{
    struct answer_text t;

    answer_text_begin(&t);
    fprintf(t.out, "{");
    db_print_items(t.out, result, 0, range->size);
    fprintf(t.out, ",\"page\":%" PRId64 ",\"size\":%" PRId64 ",\"more\":%s}", range->page,
            range->size, PQntuples(result) > range->size ? "true" : "false");
    answer_text_end(&t);
    answer_body(a, 200, ANSWER_JSON, t.text, t.len);
}

static void query_page(PGconn *conn, const char *step, const char *sql, const struct pg_params *p,
                       const struct range *range, struct answer *a)
{
    struct err err;
    PGresult *result = pg_query(conn, step, sql, p, NULL, &err);

    if (result == NULL) {
        db_fail(&err, a);
        return;
    }
    answer_page(result, range, a);
    PQclear(result);
}

/* The sites of the query's url, as websites_with_url has them. */
static PGresult *sites_of_query(PGconn *conn, const struct request *r, struct answer *a)
{
    const char *given = request_query(r, "url");
    char *url = given == NULL ? NULL : websites_normal_url(given);
    PGresult *sites = NULL;

    if (given == NULL) {
        answer_problem_at(a, 400, "parameter", "url", "url: is missing");
    } else if (url == NULL) {
        answer_problem_at(a, 404, "parameter", "url", "url: is not the address of a site");
    } else {
        sites = websites_with_url(conn, url, a);
    }
    free(url);
    return sites;
}

/* Newest first out of the primary key of each site of an array, partition by partition. */
static const char checks_sql[] =
    "SELECT jsonb_strip_nulls(jsonb_build_object("
    " 'website_id', c.website_id, 'slot', c.slot, 'entry_timestamp', c.checked_at,"
    " 'location', l.name, 'attempt', c.attempt, 'final', c.final, 'status', c.status,"
    " 'http_status', c.http_status, 'response_time', trim_scale(c.response_time_us / 1e6),"
    " 'dns_us', c.dns_us, 'connect_us', c.connect_us, 'tls_us', c.tls_us,"
    " 'wait_us', c.wait_us, 'transfer_us', c.transfer_us, 'body_bytes', c.body_bytes,"
    " 'lag_us', c.lag_us, 'peer', host(c.peer), 'cert_not_after', c.cert_not_after,"
    " 'error_type', c.error_type, 'error_message', c.error_message,"
    " 'regex_matched', c.regex_matched, 'regex_response', c.regex_response))::text"
    " FROM unnest($1::bigint[]) site CROSS JOIN LATERAL ("
    "   SELECT * FROM checks WHERE website_id = site AND " SLOT_IN_RANGE
    "   ORDER BY slot DESC LIMIT $4::bigint + $5::bigint) c"
    " JOIN locations l USING (location_id)"
    " ORDER BY c.slot DESC, c.website_id, l.name, c.attempt DESC LIMIT $4 OFFSET $5";

void monitoring_checks(const struct api *api, PGconn *conn, const struct request *r,
                       struct answer *a)
{
    struct pg_params p = {0};
    struct range range;

    (void)api;
    if (!read_range(r, &range, a)) {
        return;
    }
    PGresult *sites = sites_of_query(conn, r, a);

    if (sites == NULL) {
        return;
    }
    pg_add_text(&p, PQgetvalue(sites, 0, 0));
    add_range(&p, &range);
    query_page(conn, "read checks", checks_sql, &p, &range, a);
    PQclear(sites);
}

void monitoring_site_checks(const struct api *api, PGconn *conn, const struct request *r,
                            struct answer *a)
{
    struct pg_params p = {0}, site = {0};
    struct range range;
    struct err err;
    int64_t id;

    (void)api;
    if (!request_id(r, &id, a) || !read_range(r, &range, a)) {
        return;
    }
    pg_add_int(&site, id);

    PGresult *found = pg_query(conn, "find website",
                               "SELECT array_agg(website_id) FROM websites"
                               " WHERE website_id = $1 AND deleted_at IS NULL",
                               &site, NULL, &err);

    if (found == NULL) {
        db_fail(&err, a);
        return;
    }
    if (PQgetisnull(found, 0, 0)) {
        answer_problem(a, 404, "there is no such site");
    } else {
        pg_add_text(&p, PQgetvalue(found, 0, 0));
        add_range(&p, &range);
        query_page(conn, "read checks", checks_sql, &p, &range, a);
    }
    PQclear(found);
}

/* *of_site: incidents of sites over all their locations are wanted. */
static bool read_scope(const struct request *r, bool *of_site, struct answer *a)
{
    const char *text = request_query(r, "scope");

    *of_site = text != NULL && strcmp(text, "site") == 0;
    if (text == NULL || *of_site || strcmp(text, "location") == 0) {
        return true;
    }
    answer_problem_at(a, 400, "parameter", "scope", "scope: want location or site");
    return false;
}

#define INCIDENT(scope, members)                                                                   \
    "SELECT jsonb_strip_nulls(jsonb_build_object("                                                 \
    " 'id', i.incident_id, 'scope', '" scope "',"                                                  \
    " 'website_id', i.website_id, 'name', w.name, 'url', w.website_url,"                           \
    " 'opened_at', i.opened_slot, 'closed_at', i.closed_slot, 'open', i.closed_slot IS NULL,"      \
    " 'error_type', i.error_type, 'error_message', i.error_message," members "))::text"
#define OF_LOCATION INCIDENT("location", " 'location', l.name, 'checks', i.checks")
#define OF_SITE                                                                                    \
    INCIDENT("site", " 'quorum', i.quorum, 'closed_by', i.closed_by, 'locations', ("               \
                     "SELECT jsonb_agg(l.name ORDER BY l.name) FROM locations l"                   \
                     " WHERE l.location_id = ANY (i.location_ids))")
#define INCIDENTS_CHOSEN                                                                           \
    " WHERE NOT i.withdrawn"                                                                       \
    " AND ($1::bigint IS NULL OR i.website_id = $1)"                                               \
    " AND ($2::boolean IS NULL OR (i.closed_slot IS NULL) = $2) AND " OPENED_IN_RANGE              \
    " ORDER BY i.opened_slot DESC, i.incident_id DESC LIMIT $5 OFFSET $6"

void monitoring_incidents(const struct api *api, PGconn *conn, const struct request *r,
                          struct answer *a)
{
    static const char of_location_sql[] =
        OF_LOCATION " FROM incidents i JOIN websites w USING (website_id)"
                    " JOIN locations l USING (location_id)" INCIDENTS_CHOSEN;
    static const char of_site_sql[] =
        OF_SITE " FROM site_incidents i JOIN websites w USING (website_id)" INCIDENTS_CHOSEN;
    struct pg_params p = {0};
    struct range range;
    bool open, of_site;
    int64_t id;

    (void)api;
    if (!read_range(r, &range, a) || !request_bool(r, "open", false, &open, a) ||
        !read_scope(r, &of_site, a) ||
        !request_int(r, "website_id", 1, REQUEST_ID_MAX, 0, &id, a)) {
        return;
    }
    if (id == 0) {
        pg_add_text(&p, NULL);
    } else {
        pg_add_int(&p, id);
    }
    pg_add_text(&p, request_query(r, "open"));
    add_range(&p, &range);
    query_page(conn, "read incidents", of_site ? of_site_sql : of_location_sql, &p, &range, a);
}
