#include "api/markup.h"

#include <string.h>

#include "common/utf8.h"

/* What stands for a byte; NULL: itself. */
static const char *entity(unsigned char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '\t':
    case '\n':
    case '\r':
        return " ";
    default:
        return c < 0x20 ? UTF8_REPLACEMENT : NULL;
    }
}

void markup_write(FILE *out, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        const char *instead = entity((unsigned char)*at);

        if (instead != NULL) {
            fputs(instead, out);
        } else if (strncmp(at, "\xEF\xBF\xBE", 3) == 0 || strncmp(at, "\xEF\xBF\xBF", 3) == 0) {
            fputs(UTF8_REPLACEMENT, out); /* U+FFFE and U+FFFF */
            at += 2;
        } else {
            fputc(*at, out);
        }
    }
}
