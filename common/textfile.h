/*
 * textfile - read a small file whole, with a ceiling: secrets and settings files.
 */
#ifndef COMMON_TEXTFILE_H
#define COMMON_TEXTFILE_H

#include <stddef.h>

#include "common/err.h"

/*
 * The bytes of a file, terminated; *text is the caller's to free and set only on success. A
 * directory, a file that cannot be read and one of more than `bytes_max` bytes are ERR_INVALID,
 * with the path in the message.
 */
int textfile_read(const char *path, size_t bytes_max, char **text, size_t *len,
                  struct err *err) MUST_CHECK;

/*
 * A value kept in a file of its own, such as a password: without one trailing newline, and
 * without a NUL, which is ERR_INVALID.
 */
int textfile_read_value(const char *path, size_t bytes_max, char **text,
                        struct err *err) MUST_CHECK;

#endif
