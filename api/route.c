#include "api/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/token.h"
#include "common/mem.h"
#include "common/suggest.h"

#define SHOWN_CHARS_MAX 64
#define ALLOW_SIZE 64
#define VARIABLE_SIZE 64
#define CORS_HEADERS                                                                               \
    "Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, Last-Event-ID"
#define CORS_METHODS "GET, HEAD, POST, PUT, PATCH, DELETE"
#define CORS_EXPOSED "ETag, Link, Location"

/* What a {variable} of a path held. */
struct match {
    char values[REQUEST_VARIABLES_MAX][VARIABLE_SIZE];
    char names[REQUEST_VARIABLES_MAX][VARIABLE_SIZE];
    size_t count;
};

static bool keep_variable(struct match *match, const char *name, size_t name_len, const char *value,
                          size_t value_len)
{
    if (match->count == REQUEST_VARIABLES_MAX || name_len >= VARIABLE_SIZE || value_len == 0 ||
        value_len >= VARIABLE_SIZE) {
        return false;
    }
    memcpy(match->names[match->count], name, name_len);
    match->names[match->count][name_len] = '\0';
    memcpy(match->values[match->count], value, value_len);
    match->values[match->count][value_len] = '\0';
    match->count++;
    return true;
}

/* A segment with a {variable} in front: what is before the rest is its value. */
static bool variable_matches(const char *pattern, size_t pattern_len, const char *path, size_t len,
                             struct match *match)
{
    size_t name_len = strcspn(pattern + 1, "}");
    const char *rest = pattern + name_len + 2;
    size_t rest_len = pattern_len - name_len - 2;

    return len > rest_len && strncmp(path + len - rest_len, rest, rest_len) == 0 &&
           keep_variable(match, pattern + 1, name_len, path, len - rest_len);
}

/* Segment by segment; a {variable} takes one that is not empty, or its beginning. */
static bool path_matches(const char *pattern, const char *path, struct match *match)
{
    match->count = 0;
    while (*pattern == '/' && *path == '/') {
        size_t want = strcspn(++pattern, "/");
        size_t have = strcspn(++path, "/");

        if (pattern[0] == '{') {
            if (!variable_matches(pattern, want, path, have, match)) {
                return false;
            }
        } else if (want != have || strncmp(pattern, path, want) != 0) {
            return false;
        }
        pattern += want;
        path += have;
    }
    return *pattern == '\0' && *path == '\0';
}

/* The route of method and path; NULL with the methods that the path has, "" when it is none. */
static const struct route *find_route(const struct request *r, struct match *match,
                                      char allow[ALLOW_SIZE])
{
    const char *path = NULL; /* the first that fits: /websites/export before /websites/{id} */
    size_t used = 0;

    allow[0] = '\0';
    for (size_t i = 0; route_at(i) != NULL; i++) {
        const struct route *route = route_at(i);

        if (!path_matches(route->path, r->path, match) ||
            (path != NULL && strcmp(path, route->path) != 0)) {
            continue;
        }
        path = route->path;
        if (strcmp(route->method, r->method) == 0) {
            return route;
        }
        used += (size_t)snprintf(allow + used, ALLOW_SIZE - used, "%s%s%s", used == 0 ? "" : ", ",
                                 route->method, strcmp(route->method, "GET") == 0 ? ", HEAD" : "");
    }
    return NULL;
}

/* Each parameter is known, and there once. */
static bool check_query(const struct route *route, const struct request *r, struct answer *a)
{
    for (size_t i = 0; i < r->query.count; i++) {
        const char *name = r->query.pairs[i].name;
        struct suggest suggest = suggest_start(name);
        struct err err;
        bool known = false;

        for (size_t k = 0; route->query != NULL && route->query[k].name != NULL; k++) {
            suggest_offer(&suggest, route->query[k].name);
            known = known || strcmp(route->query[k].name, name) == 0;
        }
        if (known && request_query(r, name) == r->query.pairs[i].value) {
            continue;
        }
        err_fill(&err, ERR_INVALID, known ? "%.*s: is given twice" : "%.*s: no such parameter%s%s",
                 SHOWN_CHARS_MAX, name, suggest.best == NULL ? "" : ", did you mean ",
                 suggest.best == NULL ? "" : suggest.best);
        answer_problem_at(a, 400, "parameter", name, err.message);
        return false;
    }
    return true;
}

static void refuse_scope(const struct route *route, const struct request *r, struct answer *a)
{
    if (r->scope == SCOPE_NONE) {
        answer_problem(a, 401,
                       "send a valid token: Authorization: Bearer sw_..., made with "
                       "`api token create`");
        answer_header(a, "WWW-Authenticate", "Bearer realm=\"sitewatch\"");
    } else {
        answer_problem(a, 403, "this needs a token of scope %s", scope_name(route->scope));
    }
}

static void serve(const struct api *api, const struct route *route, struct request *r,
                  struct answer *a)
{
    struct err err;
    PGconn *conn = db_take(api->db, &err);

    if (conn == NULL) {
        db_fail(&err, a);
        return;
    }
    if (token_check(conn, r, &err) < 0) {
        db_fail(&err, a);
    } else if (r->scope < route->scope) {
        refuse_scope(route, r, a);
    } else if (check_query(route, r, a)) {
        route->handle(api, conn, r, a);
    }
    db_give(api->db, conn);
}

bool route_may_send_much(void *context, const struct request *r)
{
    const struct api *api = context;
    struct request asked = *r;
    char allow[ALLOW_SIZE];
    struct match match;
    const struct route *route = find_route(r, &match, allow);
    struct err err;

    if (route == NULL || !route_takes_much(route)) {
        return false;
    }
    PGconn *conn = db_take(api->db, &err);
    bool may = conn != NULL && token_check(conn, &asked, &err) == 0 && asked.scope >= route->scope;

    if (conn != NULL) {
        db_give(api->db, conn);
    }
    return may;
}

/* A browser asks first whether a page from elsewhere may ask (the Fetch standard, 3.2). */
static bool is_preflight(const struct api *api, const struct request *r)
{
    return api->cors_origin != NULL && strcmp(r->method, "OPTIONS") == 0 &&
           request_header(r, "Access-Control-Request-Method") != NULL;
}

static void add_cors(const struct api *api, const struct request *r, struct answer *a)
{
    if (api->cors_origin == NULL || request_header(r, "Origin") == NULL) {
        return;
    }
    answer_header(a, "Access-Control-Allow-Origin", api->cors_origin);
    answer_header(a, "Vary", "Origin");
    if (is_preflight(api, r)) {
        answer_header(a, "Access-Control-Allow-Headers", CORS_HEADERS);
        answer_header(a, "Access-Control-Allow-Methods", CORS_METHODS);
    } else {
        answer_header(a, "Access-Control-Expose-Headers", CORS_EXPOSED);
    }
}

void route_nothing(struct answer *a)
{
    answer_problem(a, 404, "there is nothing at this path; /openapi.json has the list");
}

void route_answer(void *context, struct request *r, struct answer *a)
{
    const struct api *api = context;
    char allow[ALLOW_SIZE];
    struct match match;
    const struct route *route = find_route(r, &match, allow);

    if (is_preflight(api, r)) {
        answer_body(a, 204, NULL, NULL, 0);
    } else if (route == NULL && allow[0] == '\0') {
        route_nothing(a);
    } else if (route == NULL) {
        answer_problem(a, 405, "this path takes %s", allow);
        answer_header(a, "Allow", allow);
    } else {
        for (size_t i = 0; i < match.count; i++) {
            r->variables[i] = (struct request_pair){match.names[i], match.values[i]};
        }
        if (route->scope != SCOPE_NONE) {
            serve(api, route, r, a);
        } else if (check_query(route, r, a)) {
            route->handle(api, NULL, r, a);
        }
    }
    add_cors(api, r, a);
}
