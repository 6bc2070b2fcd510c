#include "common/jsonstring.h"

#include <string.h>

#include "common/jsonplain.h"

/* A byte that is not plain. Returns the end of what it writes. */
static char *put_escape(char *at, unsigned char c)
{
    static const char digits[] = "0123456789abcdef";
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* pairs */

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
    const char *end = text + len;
    char *at = out;

    *at++ = '"';
    while (text < end) {
        size_t plain = (size_t)(jsonplain_end(text, end) - text);

        memcpy(at, text, plain);
        at += plain;
        text += plain;
        if (text < end) {
            at = put_escape(at, (unsigned char)*text++);
        }
    }
    *at++ = '"';
    return (size_t)(at - out);
}
