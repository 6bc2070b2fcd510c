/*
 * answer - what goes back for one request: a status, headers and a body. It knows no socket.
 *
 * Errors are RFC 9457 problem details (application/problem+json): type, title, status, detail and,
 * for what a person can mend field by field, errors: [{"pointer": "/url", "detail": "..."}].
 */
#ifndef API_ANSWER_H
#define API_ANSWER_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include "common/err.h"

#define ANSWER_HEADERS_MAX 16
#define ANSWER_JSON "application/json"

/*
 * A body that goes on, read as the client takes it: by one thread at a time, not always the same.
 * `read` fills `out` and says how many bytes; 0: none now; -1: the end. After a 0 it is called
 * again when `wake` was, from any thread, until `close`, which comes once.
 */
struct answer_stream {
    ssize_t (*read)(void *context, char *out, size_t size);
    void (*listen)(void *context, void (*wake)(void *), void *wake_context);
    void (*close)(void *context);
    void *context;
};

struct answer {
    int status;
    const char *type; /* of the body; kept by pointer; NULL: there is no body */
    char *body;       /* owned */
    size_t len;
    struct answer_stream stream; /* instead of a body; owned; close is NULL: there is none */
    size_t headers_count;
    struct answer_header {
        const char *name; /* kept by pointer */
        char *value;      /* owned */
    } headers[ANSWER_HEADERS_MAX];
};

#define ANSWER_TAG_SIZE 35

/* The ETag of a content, by a hash of its bytes; with the quotation marks (RFC 9110, 8.8.3). */
void answer_tag(const void *bytes, size_t len, char tag[ANSWER_TAG_SIZE]);

/* Frees what the answer holds and closes its stream; it is then as new, and may be filled again. */
void answer_clear(struct answer *a);

/* A body as it is; takes `body`, which came from malloc. */
void answer_body(struct answer *a, int status, const char *type, char *body, size_t len);

/* A text that is written piece by piece to `out`; after the end text[0..len) is the caller's. */
struct answer_text {
    FILE *out;
    char *text;
    size_t len;
};
void answer_text_begin(struct answer_text *t);
void answer_text_end(struct answer_text *t);

/* Takes the stream. */
void answer_stream(struct answer *a, const char *type, const struct answer_stream *stream);

void answer_header(struct answer *a, const char *name, const char *value);
void answer_headerf(struct answer *a, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* A problem; `detail` is one sentence for a person. What was in the answer before is dropped. */
void answer_problem(struct answer *a, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* A problem with one field: `where` is "pointer" (a JSON pointer into the body), "parameter" (of
 * the query or path) or "header". */
void answer_problem_at(struct answer *a, int status, const char *where, const char *what,
                       const char *detail);

/* A problem with several: takes `errors`, an array of {"pointer": ..., "detail": ...}. The first
 * one's detail is that of the problem. */
void answer_problems(struct answer *a, int status, cJSON *errors);

/* A member "detail". What is shown in a message may have been cut within a character. */
void answer_add_detail(cJSON *to, const char *detail);

/* The reason phrase of RFC 9110. */
const char *answer_title(int status);

#endif
