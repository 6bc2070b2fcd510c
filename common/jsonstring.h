/*
 * jsonstring - write a text as a string of JSON (RFC 8259, 7), with the shortest escapes.
 *
 * The text is to be valid UTF-8 (common/utf8.h), and its bytes above ASCII are left as they are. It
 * may hold NUL.
 */
#ifndef COMMON_JSONSTRING_H
#define COMMON_JSONSTRING_H

#include <stddef.h>

/* The most that `len` bytes become: each an escape of six, and the quotes. */
#define JSONSTRING_BYTES_MAX(len) (6 * (len) + 2)

/* Writes the string, with its quotes and without a NUL, to `out`; returns its length. */
size_t jsonstring_put(char *out, const char *text, size_t len);

#endif
