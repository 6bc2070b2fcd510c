#include "api/request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/jsontext.h"
#include "common/timestamp.h"

#define DETAIL_SIZE 256

static const char *find(const struct request_pair *pairs, size_t count, const char *name,
                        int (*compare)(const char *, const char *))
{
    for (size_t i = 0; i < count; i++) {
        if (pairs[i].name != NULL && compare(pairs[i].name, name) == 0) {
            return pairs[i].value;
        }
    }
    return NULL;
}

const char *request_header(const struct request *r, const char *name)
{
    return find(r->headers.pairs, r->headers.count, name, strcasecmp);
}

const char *request_query(const struct request *r, const char *name)
{
    return find(r->query.pairs, r->query.count, name, strcmp);
}

const char *request_variable(const struct request *r, const char *name)
{
    return find(r->variables, REQUEST_VARIABLES_MAX, name, strcmp);
}

/* Decimal digits with at most a minus sign; nothing else, and no overflow. */
static bool parse_int(const char *text, int64_t *out)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    char *end = NULL;

    if (digits[0] < '0' || digits[0] > '9') {
        return false;
    }
    errno = 0;
    *out = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0';
}

bool request_int(const struct request *r, const char *name, int64_t min, int64_t max,
                 int64_t fallback, int64_t *out, struct answer *a)
{
    const char *text = request_query(r, name);
    char detail[DETAIL_SIZE];

    if (text == NULL) {
        *out = fallback;
        return true;
    }
    if (parse_int(text, out) && *out >= min && *out <= max) {
        return true;
    }
    snprintf(detail, sizeof(detail), "%s: want a whole number in %" PRId64 "..%" PRId64, name, min,
             max);
    answer_problem_at(a, 400, "parameter", name, detail);
    return false;
}

bool request_bool(const struct request *r, const char *name, bool fallback, bool *out,
                  struct answer *a)
{
    const char *text = request_query(r, name);
    char detail[DETAIL_SIZE];

    *out = text == NULL ? fallback : strcmp(text, "true") == 0;
    if (text == NULL || *out || strcmp(text, "false") == 0) {
        return true;
    }
    snprintf(detail, sizeof(detail), "%s: want true or false", name);
    answer_problem_at(a, 400, "parameter", name, detail);
    return false;
}

bool request_time(const struct request *r, const char *name, int64_t fallback_us, int64_t *out_us,
                  struct answer *a)
{
    const char *text = request_query(r, name);
    char detail[DETAIL_SIZE];
    struct err err;

    if (text == NULL) {
        *out_us = fallback_us;
        return true;
    }
    if (timestamp_parse_us(text, strlen(text), out_us, &err) == 0) {
        return true;
    }
    snprintf(detail, sizeof(detail),
             "%s: want a time as RFC 3339 has it, such as "
             "2026-11-21T08:00:00Z, from 1970 on",
             name);
    answer_problem_at(a, 422, "parameter", name, detail);
    return false;
}

bool request_id(const struct request *r, int64_t *out, struct answer *a)
{
    const char *text = request_variable(r, "id");

    if (text != NULL && parse_int(text, out) && *out > 0) {
        return true;
    }
    answer_problem(a, 404, "there is nothing with this id");
    return false;
}

/* A type without its parameters. */
static bool is_type(const char *content_type, const char *type)
{
    size_t len = strlen(type);

    return content_type != NULL && strncasecmp(content_type, type, len) == 0 &&
           strchr("; \t", content_type[len]) != NULL;
}

bool request_is_type(const struct request *r, const char *type)
{
    return is_type(request_header(r, "Content-Type"), type);
}

/* A patch of JSON is one by its own type too (RFC 7396). */
static bool is_json(const struct request *r)
{
    const char *type = request_header(r, "Content-Type");

    return is_type(type, "application/json") ||
           (strcmp(r->method, "PATCH") == 0 && is_type(type, "application/merge-patch+json"));
}

/* cJSON would cut the text there. */
static bool says_nul(const struct request *r)
{
    struct jsontext text = jsontext_begin(r->body, r->body_len);
    struct jsontext_value value;

    return jsontext_value(&text, &value) && text.nul != NULL;
}

cJSON *request_json(const struct request *r, struct answer *a)
{
    const char *end = r->body;

    if (!is_json(r)) {
        answer_problem(a, 415, "send a body with Content-Type: application/json");
        return NULL;
    }
    /* cJSON reads up to the first NUL, which is past the body unless it holds one. */
    cJSON *json = cJSON_ParseWithLengthOpts(r->body, r->body_len + 1, &end, true);

    if (json == NULL || memchr(r->body, '\0', r->body_len) != NULL) {
        answer_problem(a, 400, "the body is not JSON: fault at byte %zu of %zu",
                       (size_t)(end - r->body), r->body_len);
        cJSON_Delete(json);
        return NULL;
    }
    if (says_nul(r)) {
        answer_problem(a, 422, "the body has a text with \\u0000, which cannot be stored");
        cJSON_Delete(json);
        return NULL;
    }
    if (!cJSON_IsObject(json)) {
        answer_problem(a, 400, "the body is JSON, but not an object { }");
        cJSON_Delete(json);
        return NULL;
    }
    return json;
}
