#include "common/jsonstring.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define EVERY(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Zero when none of the eight bytes is zero. */
static uint64_t zero_among(uint64_t word)
{
    return (word - EVERY(0x01)) & ~word & EVERY(0x80);
}

/* Whether eight bytes need no escape: none is a control, a quote or a backslash. */
static bool plain_eight(const char *text)
{
    uint64_t word;

    memcpy(&word, text, sizeof(word));
    return (((word - EVERY(0x20)) & ~word & EVERY(0x80)) | zero_among(word ^ EVERY('"')) |
            zero_among(word ^ EVERY('\\'))) == 0;
}

/* Returns the end of what it writes. */
static char *put_byte(char *at, unsigned char c)
{
    static const char digits[] = "0123456789abcdef";
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* pairs */

    if (c >= 0x20 && c != '"' && c != '\\') {
        *at++ = (char)c;
        return at;
    }
    *at++ = '\\';
    for (size_t i = 0; i < sizeof(shorts) - 1; i += 2) {
        if ((unsigned char)shorts[i] == c) {
            *at++ = shorts[i + 1];
            return at;
        }
    }
    memcpy(at, "u00", 3);
    at[3] = digits[c >> 4];
    at[4] = digits[c & 15];
    return at + 5;
}

size_t jsonstring_put(char *out, const char *text, size_t len)
{
    char *at = out;
    size_t i = 0;

    *at++ = '"';
    while (i < len) {
        if (len - i >= 8 && plain_eight(text + i)) {
            memcpy(at, text + i, 8);
            at += 8;
            i += 8;
        } else {
            at = put_byte(at, (unsigned char)text[i++]);
        }
    }
    *at++ = '"';
    return (size_t)(at - out);
}
