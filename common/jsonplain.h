/*
 * jsonplain - how far bytes stand in a string of JSON as they are (RFC 8259, 7): all but controls,
 * the quote and the backslash. For those who read and who write such strings (jsontext,
 * jsonstring), in a header as they do it for every few bytes.
 */
#ifndef COMMON_JSONPLAIN_H
#define COMMON_JSONPLAIN_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define JSONPLAIN_EVERY(byte) (UINT64_C(0x0101010101010101) * (byte))

static inline bool jsonplain_is(char c)
{
    return (unsigned char)c >= ' ' && c != '"' && c != '\\';
}

/* Of eight bytes: the top bit of the first that is less than `limit` (at most 0x80), counted from
 * the lowest, and perhaps of bytes after it, but of none before it. */
static inline uint64_t jsonplain_less(uint64_t bytes, unsigned char limit)
{
    return (bytes - JSONPLAIN_EVERY(limit)) & ~bytes & JSONPLAIN_EVERY(0x80);
}

/* Where the plain bytes from `at` on end. Eight at a time, as most of an event is such bytes. */
static inline const char *jsonplain_end(const char *at, const char *end)
{
    while (end - at >= 8) {
        uint64_t bytes;

        memcpy(&bytes, at, sizeof(bytes));
        bytes = le64toh(bytes); /* the first is the lowest */

        uint64_t stops = jsonplain_less(bytes, ' ') |
                         jsonplain_less(bytes ^ JSONPLAIN_EVERY('"'), 1) |
                         jsonplain_less(bytes ^ JSONPLAIN_EVERY('\\'), 1);

        if (stops != 0) {
            return at + __builtin_ctzll(stops) / 8;
        }
        at += 8;
    }
    while (at < end && jsonplain_is(*at)) {
        at++;
    }
    return at;
}

#endif
