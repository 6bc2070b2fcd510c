/*
 * utf8 - the bytes of the outside world as text that JSON and Postgres take (RFC 3629).
 *
 * Valid here means: well-formed UTF-8, no surrogates, nothing above U+10FFFF, and no NUL, which
 * Postgres cannot hold in text.
 */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#define UTF8_REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

/* Length of the longest valid prefix of bytes[0..len). Equal to len when all of it is valid. */
size_t utf8_valid_prefix(const char *bytes, size_t len);

/*
 * Copy bytes to out as valid UTF-8, each maximal invalid part and each NUL replaced by U+FFFD.
 * Writes at most out_size - 1 bytes and a terminator, never part of a character. Returns the
 * length written; *cut (may be NULL) says whether something did not fit. out_size >= 1.
 */
size_t utf8_clean(const char *bytes, size_t len, char *out, size_t out_size, bool *cut);

/* A name that can be shown as it is: 1 to bytes_max bytes, valid, without control characters of
 * ASCII, and so on one line. */
bool utf8_is_name(const char *text, size_t bytes_max);

#endif
