#include "api/answer.h"

#include <microhttpd.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsonprint.h"
#include "common/mem.h"
#include "common/utf8.h"

#define ANSWER_PROBLEM "application/problem+json"
#define HEADER_BYTES_MAX 4096
#define TAG_BYTES ((ANSWER_TAG_SIZE - 3) / 2)
#define DETAIL_SIZE (2 * sizeof(((struct err *)NULL)->message))

void answer_tag(const void *bytes, size_t len, char tag[ANSWER_TAG_SIZE])
{
    unsigned char hash[TAG_BYTES];

    crypto_generichash(hash, sizeof(hash), bytes, len, NULL, 0);
    tag[0] = '"';
    sodium_bin2hex(tag + 1, 2 * TAG_BYTES + 1, hash, sizeof(hash));
    memcpy(tag + 1 + 2 * TAG_BYTES, "\"", 2);
}

void answer_clear(struct answer *a)
{
    free(a->body);
    if (a->stream.close != NULL) {
        a->stream.close(a->stream.context);
    }
    for (size_t i = 0; i < a->headers_count; i++) {
        free(a->headers[i].value);
    }
    *a = (struct answer){0};
}

void answer_body(struct answer *a, int status, const char *type, char *body, size_t len)
{
    free(a->body);
    a->status = status;
    a->type = type;
    a->body = body;
    a->len = len;
}

void answer_text_begin(struct answer_text *t)
{
    *t = (struct answer_text){0};
    t->out = mem_stream(&t->text, &t->len);
}

void answer_text_end(struct answer_text *t)
{
    fclose(t->out);
    t->out = NULL;
}

static void put_problem(struct answer *a, int status, cJSON *json)
{
    char *text = jsonprint(json);

    answer_body(a, status, ANSWER_PROBLEM, text, strlen(text));
}

void answer_stream(struct answer *a, const char *type, const struct answer_stream *stream)
{
    answer_body(a, MHD_HTTP_OK, type, NULL, 0);
    a->stream = *stream;
}

void answer_header(struct answer *a, const char *name, const char *value)
{
    if (a->headers_count < ANSWER_HEADERS_MAX) {
        a->headers[a->headers_count++] = (struct answer_header){name, mem_copy_string(value)};
    }
}

void answer_headerf(struct answer *a, const char *name, const char *fmt, ...)
{
    char value[HEADER_BYTES_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(value, sizeof(value), fmt, args);
    va_end(args);
    answer_header(a, name, value);
}

const char *answer_title(int status)
{
    return MHD_get_reason_phrase_for((unsigned)status);
}

void answer_add_detail(cJSON *to, const char *detail)
{
    char clean[DETAIL_SIZE];

    utf8_clean(detail, strlen(detail), clean, sizeof(clean), NULL);
    cJSON_AddStringToObject(to, "detail", clean);
}

/* The type is left at its default, "about:blank": the status says it all (RFC 9457, 4.2.1). */
static cJSON *problem_json(int status, const char *detail)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "type", "about:blank");
    cJSON_AddStringToObject(json, "title", answer_title(status));
    cJSON_AddNumberToObject(json, "status", status);
    answer_add_detail(json, detail);
    return json;
}

void answer_problem(struct answer *a, int status, const char *fmt, ...)
{
    struct err detail; /* for the room it has */
    va_list args;

    va_start(args, fmt);
    vsnprintf(detail.message, sizeof(detail.message), fmt, args);
    va_end(args);
    answer_clear(a);
    put_problem(a, status, problem_json(status, detail.message));
}

void answer_problems(struct answer *a, int status, cJSON *errors)
{
    const cJSON *first = cJSON_GetArrayItem(errors, 0);
    cJSON *json = problem_json(
        status, cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(first, "detail")));

    cJSON_AddItemToObject(json, "errors", errors);
    answer_clear(a);
    put_problem(a, status, json);
}

void answer_problem_at(struct answer *a, int status, const char *where, const char *what,
                       const char *detail)
{
    cJSON *errors = cJSON_CreateArray();
    cJSON *error = cJSON_CreateObject();

    cJSON_AddStringToObject(error, where, what);
    answer_add_detail(error, detail);
    cJSON_AddItemToArray(errors, error);
    answer_problems(a, status, errors);
}
