/*
 * route - which function answers which request, and what is said about it: one table, from which
 * requests are dispatched and the OpenAPI document is made.
 */
#ifndef API_ROUTE_H
#define API_ROUTE_H

#include "api/api.h"
#include "api/request.h"

#define ROUTE_ANSWERS_MAX 3

/* `conn` is NULL for a route of SCOPE_NONE. Fills `a`. */
typedef void route_handle(const struct api *api, PGconn *conn, const struct request *r,
                          struct answer *a);

/* The schema of a text: without NUL, as a request's texts are. */
#define ROUTE_TEXT "{\"type\":\"string\",\"pattern\":\"^[^\\\\u0000]*$\"}"

struct route_parameter {
    const char *name;   /* NULL ends a list */
    const char *schema; /* JSON Schema, as text */
    const char *help;
    bool required;
};

struct route {
    const char *method;
    const char *path; /* "/websites/{id}" */
    enum scope scope; /* that a token needs; SCOPE_NONE: no token */
    route_handle *handle;
    const char *operation; /* its name for generated clients */
    const char *summary;
    const struct route_parameter *query; /* NULL: none is taken */
    const char *body;                    /* its schema, as in answers; NULL: no body */
    struct route_answer {
        int status;         /* 0 ends the list */
        const char *schema; /* its name; NULL: no body; with a slash in it: a media type; several
                             * with | between */
    } answers[ROUTE_ANSWERS_MAX];
};

/* The answer where nothing is. */
void route_nothing(struct answer *a);

/* The i-th route, or NULL past the end. */
const struct route *route_at(size_t i);

/* Whether it reads a body of the larger size. */
bool route_takes_much(const struct route *route);

/* The http_handle of the server; context is the struct api. */
void route_answer(void *context, struct request *r, struct answer *a);

/* The http_may_send_much: a token of the route's scope is needed before so much is read. */
bool route_may_send_much(void *context, const struct request *r);

#endif
