/*
 * copyrows - rows in PostgreSQL's binary COPY format, in a buffer that grows to a ceiling
 * (https://www.postgresql.org/docs/15/sql-copy.html, Binary Format).
 *
 * Pure. It knows the types' wire forms and nothing of our tables. Fields are appended in column
 * order between copyrows_begin_row and the next one. Text must be valid UTF-8 without NUL:
 * common/event has seen to that.
 */
#ifndef CONSUMER_COPYROWS_H
#define CONSUMER_COPYROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COPYROWS_BYTES_MAX (512 * 1024 * 1024) /* held at once; far above any batch's ceiling */

struct copyrows {
    char *data; /* owned */
    size_t len, size;
    size_t rows;
};

void copyrows_init(struct copyrows *c);
void copyrows_free(struct copyrows *c);

/* Empty it, keep the memory, write the header. */
void copyrows_begin(struct copyrows *c);
void copyrows_end(struct copyrows *c); /* the trailer */

/* Forget the bytes, which were sent; what is appended next goes on from there. */
void copyrows_rewind(struct copyrows *c);

void copyrows_begin_row(struct copyrows *c, int fields);
void copyrows_null(struct copyrows *c);
void copyrows_bool(struct copyrows *c, bool value);
void copyrows_int4(struct copyrows *c, int32_t value);
void copyrows_int8(struct copyrows *c, int64_t value);
void copyrows_timestamptz(struct copyrows *c, int64_t unix_us); /* from 290,000 BC on */
void copyrows_text(struct copyrows *c, const char *text, size_t len);
void copyrows_bytea(struct copyrows *c, const void *bytes, size_t len);
void copyrows_jsonb(struct copyrows *c, const char *json, size_t len);
/* A numeric IPv4 or IPv6 address. False, and NULL is written, when it is not one. */
bool copyrows_inet(struct copyrows *c, const char *address);

#endif
