/*
 * jsontext - move over a JSON text, value by value, as strictly as RFC 8259 has it.
 *
 * Nothing is built and nothing allocated: what was passed is told by pointer and length. It knows
 * no event and no path. A function that returns false leaves `at` where the text stops being JSON.
 * The text is to be valid UTF-8 (common/utf8.h).
 */
#ifndef COMMON_JSONTEXT_H
#define COMMON_JSONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSONTEXT_DEPTH_MAX 512 /* arrays and objects within each other */
#define JSONTEXT_DIGITS_MAX 15 /* any number of so many fits, in an int64_t and in a double */

struct jsontext {
    const char *at, *end;
    size_t depth;
    bool too_deep;    /* why it went no further */
    const char *nul;  /* the first escape that means NUL, or NULL */
    const char *lone; /* the first that is half of a surrogate pair, or NULL */
};

enum jsontext_kind {
    JSONTEXT_STRING,
    JSONTEXT_NUMBER,
    JSONTEXT_TRUE,
    JSONTEXT_FALSE,
    JSONTEXT_NULL,
    JSONTEXT_ARRAY,
    JSONTEXT_OBJECT,
};

struct jsontext_value {
    enum jsontext_kind kind;
    const char *first; /* of a string what is between its quotes */
    size_t len;
    bool escapes;    /* a string that has some */
    bool whole;      /* a number that has at most JSONTEXT_DIGITS_MAX digits and nothing else */
    int64_t integer; /* which is this; set when `whole` is */
};

struct jsontext jsontext_begin(const char *text, size_t len);

void jsontext_spaces(struct jsontext *t);

/* Move over white space and any value. */
bool jsontext_value(struct jsontext *t, struct jsontext_value *value);

/* At the bracket that opens an array or object: go in. *more: there is an element. */
bool jsontext_open(struct jsontext *t, bool *more);
/* After an element: go on to the next one, or out, over the bracket that closes. */
bool jsontext_next(struct jsontext *t, char close, bool *more);
/* The name of a member and its colon. */
bool jsontext_name(struct jsontext *t, struct jsontext_value *name);
/* The same when the name is this one, of plain characters, and stands there without spaces or
 * escapes; else it stays where it is. */
bool jsontext_take_name(struct jsontext *t, const char *name, size_t len);

/* The characters of a string, at most value->len bytes; returns how many. A half of a surrogate
 * pair is U+FFFD. */
size_t jsontext_copy(const struct jsontext_value *value, char *out);
/* Whether a string's characters are those of text[0..len). */
bool jsontext_equal(const struct jsontext_value *value, const char *text, size_t len);

#endif
