/* A path's text to steps and back. */
#include "common/jsonpath.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/utf8.h"

/* Where in the path's text we are. */
struct reader {
    const char *text;
    const char *at;
};

static int expected(const struct reader *r, const char *what, struct err *err)
{
    return err_set(err, ERR_INVALID, "expected %s at offset %td", what, r->at - r->text);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool starts_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static int read_name(struct reader *r, struct jsonpath_step *step, struct err *err)
{
    size_t len = 0;

    while (starts_name(r->at[len]) || (len > 0 && is_digit(r->at[len]))) {
        len++;
    }
    if (len == 0) {
        return expected(r, "a name (another than letters, digits and _ is written [\"...\"])", err);
    }
    step->name = mem_copy(r->at, len);
    r->at += len;
    return 0;
}

static int read_index(struct reader *r, struct jsonpath_step *step, struct err *err)
{
    bool zero_first = r->at[0] == '0' && is_digit(r->at[1]);
    uint64_t index = 0;
    const char *c = r->at;

    for (; is_digit(*c) && index <= JSONPATH_INDEX_MAX; c++) {
        index = 10 * index + (uint64_t)(*c - '0');
    }
    if (c == r->at || zero_first || index > JSONPATH_INDEX_MAX) {
        return expected(r, "an index from 0 to 1000000000, or a name in quotes,", err);
    }
    r->at = c;
    step->index = (uint32_t)index;
    return 0;
}

/* From the opening quote to after the closing one. */
static int read_quoted(struct reader *r, struct jsonpath_step *step, struct err *err)
{
    char quote = *r->at;
    char name[JSONPATH_BYTES_MAX];
    size_t len = 0;

    for (r->at++; *r->at != quote; r->at++) {
        if (*r->at == '\\') {
            r->at++;
            if (*r->at != '\\' && *r->at != '"' && *r->at != '\'') {
                return expected(r, "\\, \" or ' after the \\", err);
            }
        } else if ((unsigned char)*r->at < ' ') {
            return expected(r, "the name's closing quote", err);
        }
        name[len++] = *r->at;
    }
    r->at++;
    step->name = mem_copy(name, len);
    return 0;
}

static int read_step(struct reader *r, struct jsonpath_step *step, struct err *err)
{
    if (*r->at == '.') {
        r->at++;
        return read_name(r, step, err);
    }
    if (*r->at != '[') {
        return expected(r, ". or [", err);
    }
    r->at++;

    bool quoted = *r->at == '"' || *r->at == '\'';

    if ((quoted ? read_quoted(r, step, err) : read_index(r, step, err)) < 0) {
        return -1;
    }
    if (*r->at != ']') {
        return expected(r, "]", err);
    }
    r->at++;
    return 0;
}

static int read_all(struct reader *r, struct jsonpath *path, struct err *err)
{
    if (*r->at != '$') {
        return expected(r, "$", err);
    }
    r->at++;
    while (*r->at != '\0') {
        if (path->count == JSONPATH_STEPS_MAX) {
            return err_set(err, ERR_INVALID, "has more than %d steps", JSONPATH_STEPS_MAX);
        }
        /* Counted first, so that a name that was read is freed whatever comes after it. */
        if (read_step(r, &path->steps[path->count++], err) < 0) {
            return -1;
        }
    }
    return 0;
}

int jsonpath_parse(const char *text, struct jsonpath *out, struct err *err)
{
    struct jsonpath path = {0};
    struct reader r = {.text = text, .at = text};
    size_t len = strlen(text);

    if (len > JSONPATH_BYTES_MAX) {
        return err_set(err, ERR_INVALID, "longer than %d bytes", JSONPATH_BYTES_MAX);
    }
    if (utf8_valid_prefix(text, len) < len) {
        return err_set(err, ERR_INVALID, "not UTF-8 at offset %zu", utf8_valid_prefix(text, len));
    }
    if (read_all(&r, &path, err) < 0) {
        jsonpath_free(&path);
        return -1;
    }
    *out = path;
    return 0;
}

void jsonpath_free(struct jsonpath *path)
{
    for (size_t i = 0; i < path->count; i++) {
        free(path->steps[i].name);
    }
    *path = (struct jsonpath){0};
}

static bool is_plain(const char *name)
{
    bool plain = starts_name(name[0]);

    for (; plain && *name != '\0'; name++) {
        plain = starts_name(*name) || is_digit(*name);
    }
    return plain;
}

static void quoted_text(const char *name, FILE *out)
{
    fputs("[\"", out);
    for (; *name != '\0'; name++) {
        if (*name == '"' || *name == '\\') {
            fputc('\\', out);
        }
        fputc(*name, out);
    }
    fputs("\"]", out);
}

void jsonpath_text(const struct jsonpath *path, size_t steps, char *out, size_t size)
{
    char *text = NULL;
    size_t len = 0;
    FILE *stream = mem_stream(&text, &len);

    fputc('$', stream);
    for (size_t i = 0; i < steps && i < path->count; i++) {
        const struct jsonpath_step *step = &path->steps[i];

        if (step->name == NULL) {
            fprintf(stream, "[%u]", (unsigned)step->index);
        } else if (is_plain(step->name)) {
            fprintf(stream, ".%s", step->name);
        } else {
            quoted_text(step->name, stream);
        }
    }
    fclose(stream);
    snprintf(out, size, "%s", text);
    free(text);
}
