/*
 * jsonpath - where in a JSON text a value stands, and that value: $.a.b[0]["quoted name"].
 *
 * A part of RFC 9535: names, quoted names ('' or ""; \\, \" and \' in them) and indexes from 0. The
 * text is read once, strictly (RFC 8259), and nothing is allocated for it, however many values it
 * holds. It knows nothing of sites or HTTP.
 */
#ifndef COMMON_JSONPATH_H
#define COMMON_JSONPATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/jsontext.h"

#define JSONPATH_BYTES_MAX 1024               /* of a path's text */
#define JSONPATH_DEPTH_MAX JSONTEXT_DEPTH_MAX /* of arrays and objects within each other */
#define JSONPATH_STEPS_MAX 32
#define JSONPATH_INDEX_MAX 1000000000

struct jsonpath_step {
    char *name;     /* owned; NULL: an index */
    uint32_t index; /* of an array's element */
};

struct jsonpath {
    size_t count;
    struct jsonpath_step steps[JSONPATH_STEPS_MAX];
};

/* ERR_INVALID says at which byte of the path and what was expected. *out is set only on success;
 * free it with jsonpath_free. */
int jsonpath_parse(const char *text, struct jsonpath *out, struct err *err) MUST_CHECK;
void jsonpath_free(struct jsonpath *path);

/* The first `steps` steps as a path that parses to the same. Cut at size. */
void jsonpath_text(const struct jsonpath *path, size_t steps, char *out, size_t size);

enum jsonpath_outcome {
    JSONPATH_FOUND,
    JSONPATH_MISSING,
    JSONPATH_NOT_JSON,
    JSONPATH_TOO_DEEP,
};

struct jsonpath_match {
    enum jsonpath_outcome outcome;
    size_t offset;    /* not JSON, too deep: at which byte */
    size_t steps;     /* missing: how many steps of the path are there */
    const char *text; /* found: the value as it stands, a string with its quotes; not terminated */
    size_t len;
};

/* Of members of one name the first is meant. A byte order mark at the start is skipped. */
void jsonpath_find(const struct jsonpath *path, const char *text, size_t len,
                   struct jsonpath_match *match);

/* Whether a value that was found is `wanted`: a string's characters, a number, true, false or null
 * as it stands. No array or object is. */
bool jsonpath_value_is(const struct jsonpath_match *match, const char *wanted);

#endif
