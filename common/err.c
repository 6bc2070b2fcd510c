#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* libpq's messages end with a newline and may go on after it; an err is one line. */
static void fold_lines(char *text)
{
    size_t len = strlen(text);

    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' ')) {
        text[--len] = '\0';
    }
    for (char *c = text; *c != '\0'; c++) {
        if (*c == '\n' || *c == '\t' || *c == '\r') {
            *c = ' ';
        }
    }
}

void err_fill(struct err *err, enum err_kind kind, const char *fmt, ...)
{
    va_list args;

    *err = (struct err){.kind = kind};
    va_start(args, fmt);
    vsnprintf(err->message, sizeof(err->message), fmt, args);
    va_end(args);
    fold_lines(err->message);
}

void err_prepend(struct err *err, const char *fmt, ...)
{
    struct err cause = *err;
    va_list args;

    va_start(args, fmt);
    vsnprintf(err->message, sizeof(err->message), fmt, args);
    va_end(args);

    size_t used = strlen(err->message);

    snprintf(err->message + used, sizeof(err->message) - used, ": %s", cause.message);
    fold_lines(err->message);
}
