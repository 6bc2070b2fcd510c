/* One pass over a JSON text, which looks for one value and sees that all the rest is JSON. */
#include <string.h>

#include "common/jsonpath.h"
#include "common/utf8.h"

#define OFF_PATH SIZE_MAX /* in place of the number of steps that lead to a value */

/* What a string's characters are compared with, from which nothing is copied. */
struct compare {
    const char *left; /* NULL: they differ already, or nobody wants to know */
};

struct finder {
    const struct jsonpath *path;
    const char *text, *at, *end;
    size_t depth;
    bool too_deep;
    size_t reached; /* the most steps that led to a value */
    const char *found;
    size_t found_len;
};

static bool read_value(struct finder *f, size_t steps);

static void skip_spaces(struct finder *f)
{
    while (f->at < f->end &&
           (*f->at == ' ' || *f->at == '\t' || *f->at == '\n' || *f->at == '\r')) {
        f->at++;
    }
}

static bool take(struct finder *f, char c)
{
    if (f->at == f->end || *f->at != c) {
        return false;
    }
    f->at++;
    return true;
}

/* --- Strings --- */

static void compare_bytes(struct compare *c, const char *bytes, size_t len)
{
    if (c->left != NULL) {
        bool same = strncmp(c->left, bytes, len) == 0 && memchr(bytes, '\0', len) == NULL;

        c->left = same ? c->left + len : NULL;
    }
}

static void compare_code(struct compare *c, unsigned code)
{
    char bytes[4];
    size_t len = 0;

    if (code < 0x80) {
        bytes[len++] = (char)code;
    } else if (code < 0x800) {
        bytes[len++] = (char)(0xc0 | code >> 6);
    } else if (code < 0x10000) {
        bytes[len++] = (char)(0xe0 | code >> 12);
        bytes[len++] = (char)(0x80 | (code >> 6 & 0x3f));
    } else {
        bytes[len++] = (char)(0xf0 | code >> 18);
        bytes[len++] = (char)(0x80 | (code >> 12 & 0x3f));
        bytes[len++] = (char)(0x80 | (code >> 6 & 0x3f));
    }
    if (code >= 0x80) {
        bytes[len++] = (char)(0x80 | (code & 0x3f));
    }
    compare_bytes(c, bytes, len);
}

/* Four digits at `at`; false when they are not there. */
static bool hex_at(const struct finder *f, const char *at, unsigned *code)
{
    static const char digits[] = "0123456789abcdef";

    *code = 0;
    if (f->end - at < 4) {
        return false;
    }
    for (int i = 0; i < 4; i++) {
        char lower = at[i] >= 'A' && at[i] <= 'F' ? (char)(at[i] | 0x20) : at[i];
        const char *digit = lower == '\0' ? NULL : strchr(digits, lower);

        if (digit == NULL) {
            return false;
        }
        *code = *code << 4 | (unsigned)(digit - digits);
    }
    return true;
}

/* After "\u". Halves of a pair that stand alone are U+FFFD. */
static bool read_unicode(struct finder *f, struct compare *c)
{
    unsigned code;
    unsigned low;

    if (!hex_at(f, f->at, &code)) {
        return false;
    }
    f->at += 4;
    if (code >= 0xd800 && code < 0xdc00 && f->end - f->at >= 6 && f->at[0] == '\\' &&
        f->at[1] == 'u' && hex_at(f, f->at + 2, &low) && low >= 0xdc00 && low < 0xe000) {
        f->at += 6;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    compare_code(c, code >= 0xd800 && code < 0xe000 ? 0xfffd : code);
    return true;
}

static bool read_escape(struct finder *f, struct compare *c)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";
    const char *letter;

    f->at++;
    if (take(f, 'u')) {
        return read_unicode(f, c);
    }
    letter = f->at == f->end || *f->at == '\0' ? NULL : strchr(letters, *f->at);
    if (letter == NULL) {
        return false;
    }
    f->at++;
    compare_bytes(c, &meant[letter - letters], 1);
    return true;
}

/* *equal: whether its characters are those of `wanted`, which may be NULL. */
static bool read_string(struct finder *f, const char *wanted, bool *equal)
{
    struct compare c = {.left = wanted};

    if (!take(f, '"')) {
        return false;
    }
    while (f->at < f->end && *f->at != '"') {
        if ((unsigned char)*f->at < ' ') {
            return false;
        }
        if (*f->at != '\\') {
            compare_bytes(&c, f->at++, 1);
        } else if (!read_escape(f, &c)) {
            return false;
        }
    }
    *equal = c.left != NULL && *c.left == '\0';
    return take(f, '"');
}

/* --- Numbers and words --- */

static bool read_digits(struct finder *f)
{
    const char *first = f->at;

    while (f->at < f->end && *f->at >= '0' && *f->at <= '9') {
        f->at++;
    }
    return f->at > first;
}

static bool read_number(struct finder *f)
{
    take(f, '-');
    if (!take(f, '0') && !read_digits(f)) {
        return false;
    }
    if (take(f, '.') && !read_digits(f)) {
        return false;
    }
    if (take(f, 'e') || take(f, 'E')) {
        if (!take(f, '+')) {
            take(f, '-');
        }
        return read_digits(f);
    }
    return true;
}

static bool read_word(struct finder *f, const char *word)
{
    for (; *word != '\0'; word++) {
        if (!take(f, *word)) {
            return false;
        }
    }
    return true;
}

/* --- Arrays and objects --- */

/* The step that would lead from a value on to the one that is looked for; NULL: none does. */
static const struct jsonpath_step *next_step(const struct finder *f, size_t steps)
{
    return steps == OFF_PATH || steps == f->path->count ? NULL : &f->path->steps[steps];
}

static bool read_array(struct finder *f, size_t steps)
{
    const struct jsonpath_step *step = next_step(f, steps);
    uint32_t index = 0;

    f->at++;
    skip_spaces(f);
    if (take(f, ']')) {
        return true;
    }
    do {
        bool leads = step != NULL && step->name == NULL && step->index == index;

        if (!read_value(f, leads ? steps + 1 : OFF_PATH)) {
            return false;
        }
        index++;
        skip_spaces(f);
    } while (take(f, ','));
    return take(f, ']');
}

static bool read_object(struct finder *f, size_t steps)
{
    const struct jsonpath_step *step = next_step(f, steps);

    f->at++;
    skip_spaces(f);
    if (take(f, '}')) {
        return true;
    }
    do {
        bool leads = false;

        skip_spaces(f);
        if (!read_string(f, step == NULL ? NULL : step->name, &leads)) {
            return false;
        }
        skip_spaces(f);
        if (!take(f, ':') || !read_value(f, leads ? steps + 1 : OFF_PATH)) {
            return false;
        }
        if (leads) {
            step = NULL; /* another member of this name is not meant */
        }
        skip_spaces(f);
    } while (take(f, ','));
    return take(f, '}');
}

static bool read_nested(struct finder *f, size_t steps)
{
    if (f->depth == JSONPATH_DEPTH_MAX) {
        f->too_deep = true;
        return false;
    }
    f->depth++;

    bool good = *f->at == '[' ? read_array(f, steps) : read_object(f, steps);

    f->depth--;
    return good;
}

static bool read_any(struct finder *f, size_t steps)
{
    bool unused;

    switch (f->at == f->end ? '\0' : *f->at) {
    case '[':
    case '{':
        return read_nested(f, steps);
    case '"':
        return read_string(f, NULL, &unused);
    case 't':
        return read_word(f, "true");
    case 'f':
        return read_word(f, "false");
    case 'n':
        return read_word(f, "null");
    default:
        return read_number(f);
    }
}

/* steps: how many of the path's lead to it, or OFF_PATH. The depth is bounded by read_nested. */
static bool read_value(struct finder *f, size_t steps)
{
    skip_spaces(f);

    const char *first = f->at;

    if (steps != OFF_PATH && steps > f->reached) {
        f->reached = steps;
    }
    if (!read_any(f, steps)) {
        return false;
    }
    if (steps == f->path->count) {
        f->found = first;
        f->found_len = (size_t)(f->at - first);
    }
    return true;
}

void jsonpath_find(const struct jsonpath *path, const char *text, size_t len,
                   struct jsonpath_match *match)
{
    size_t valid = utf8_valid_prefix(text, len);
    struct finder f = {.path = path, .text = text, .at = text, .end = text + valid};

    if (valid >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        f.at += 3;
    }
    *match = (struct jsonpath_match){.outcome = JSONPATH_NOT_JSON};

    bool good = read_value(&f, 0);

    if (good) {
        skip_spaces(&f);
    }
    match->offset = (size_t)(f.at - text);
    match->steps = f.reached;
    if (f.too_deep) {
        match->outcome = JSONPATH_TOO_DEEP;
    } else if (good && match->offset == len) {
        match->outcome = f.found == NULL ? JSONPATH_MISSING : JSONPATH_FOUND;
        match->text = f.found;
        match->len = f.found_len;
    }
}

bool jsonpath_value_is(const struct jsonpath_match *match, const char *wanted)
{
    struct finder f = {.at = match->text, .end = match->text + match->len};
    bool equal = false;

    switch (match->text[0]) {
    case '[':
    case '{':
        return false;
    case '"':
        return read_string(&f, wanted, &equal) && equal;
    default:
        return strlen(wanted) == match->len && memcmp(wanted, match->text, match->len) == 0;
    }
}
