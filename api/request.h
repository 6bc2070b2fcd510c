/*
 * request - one request as the routes see it: plain data, whole, within the limits of http.h. It
 * knows no socket; who made it owns what it points to.
 *
 * Every name and value is well-formed UTF-8 without NUL.
 */
#ifndef API_REQUEST_H
#define API_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/answer.h"

#define REQUEST_PAIRS_MAX 64 /* headers; query parameters */
#define REQUEST_VARIABLES_MAX 2
#define REQUEST_ID_MAX INT64_C(1000000000000000) /* JSON has it and the next exactly */

struct request_pair {
    const char *name, *value;
};

struct request_pairs {
    size_t count;
    struct request_pair pairs[REQUEST_PAIRS_MAX];
};

enum scope { SCOPE_NONE, SCOPE_READ, SCOPE_WRITE };

struct request {
    const char *method; /* "GET" for HEAD too */
    const char *path;   /* decoded */
    struct request_pairs headers, query;
    const char *body; /* body_len bytes, then a NUL */
    size_t body_len;
    /* What the router adds. */
    struct request_pair variables[REQUEST_VARIABLES_MAX]; /* {id} of the route's path */
    enum scope scope;                                     /* of its token */
    int64_t token_id;                                     /* 0: none was needed */
};

/* NULL when it is not there. Header names are compared without case. */
const char *request_header(const struct request *r, const char *name);
const char *request_query(const struct request *r, const char *name);
const char *request_variable(const struct request *r, const char *name);

/*
 * A parameter of the query as a number in min..max; `fallback` when it is not there. False: the
 * answer is a 400 that names the parameter.
 */
bool request_int(const struct request *r, const char *name, int64_t min, int64_t max,
                 int64_t fallback, int64_t *out, struct answer *a);

/* true or false. */
bool request_bool(const struct request *r, const char *name, bool fallback, bool *out,
                  struct answer *a);

/* Whether the body is said to be of a media type. */
bool request_is_type(const struct request *r, const char *type);

/* As RFC 3339, in microseconds since the epoch. The answer is a 422: not every time that has that
 * form is one of ours. */
bool request_time(const struct request *r, const char *name, int64_t fallback_us, int64_t *out_us,
                  struct answer *a);

/* The {id} of the path: a positive number, else the answer is a 404, as for an id of nothing. */
bool request_id(const struct request *r, int64_t *out, struct answer *a);

/* The body as a JSON object, which the caller deletes. NULL: the answer is a 400 with the offset of
 * the fault, a 422 when a text of it has a NUL, or a 415 when it is not said to be JSON. */
cJSON *request_json(const struct request *r, struct answer *a);

#endif
