/*
 * timestamp - RFC 3339 in UTC, as events carry it: "2026-11-21T08:00:05.001Z".
 */
#ifndef COMMON_TIMESTAMP_H
#define COMMON_TIMESTAMP_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define TIMESTAMP_SIZE 32 /* room for any of the texts below and the terminator */

/* "YYYY-MM-DDThh:mm:ss.mmmZ". unix_ms in years 1970..9999, else it is clamped. */
void timestamp_format_ms(int64_t unix_ms, char out[TIMESTAMP_SIZE]);

/* "YYYY-MM-DDThh:mm:ssZ". */
void timestamp_format_s(int64_t unix_s, char out[TIMESTAMP_SIZE]);

/*
 * RFC 3339 section 5.6: 'T' and 'Z' in upper or lower case or a numeric offset, 0 to 9 digits of
 * a second (what is below a microsecond is dropped), real calendar days, years 1970..9999; a leap
 * second reads as the second before it. `len` bytes, need not be terminated. ERR_INVALID otherwise.
 */
int timestamp_parse_us(const char *text, size_t len, int64_t *unix_us, struct err *err) MUST_CHECK;

#endif
