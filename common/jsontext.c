#include "common/jsontext.h"

#include <string.h>

#include "common/jsonplain.h"

struct jsontext jsontext_begin(const char *text, size_t len)
{
    return (struct jsontext){.at = text, .end = text + len};
}

static bool take(struct jsontext *t, char c)
{
    if (t->at == t->end || *t->at != c) {
        return false;
    }
    t->at++;
    return true;
}

/* --- Strings --- */

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Of four digits that are there. */
static unsigned code_of(const char *digits)
{
    unsigned code = 0;

    for (size_t i = 0; i < 4; i++) {
        char c = digits[i];
        char base = c <= '9' ? '0' : c <= 'F' ? 'A' - 10 : 'a' - 10;

        code = code << 4 | (unsigned)(c - base);
    }
    return code;
}

static bool is_high(unsigned code)
{
    return code >= 0xd800 && code < 0xdc00;
}

static bool is_low(unsigned code)
{
    return code >= 0xdc00 && code < 0xe000;
}

/* Whether "\uXXXX" stands there. */
static bool is_unicode(const char *at, const char *end)
{
    return end - at >= 6 && at[0] == '\\' && at[1] == 'u' && is_hex(at[2]) && is_hex(at[3]) &&
           is_hex(at[4]) && is_hex(at[5]);
}

static size_t unicode_length(struct jsontext *t)
{
    if (!is_unicode(t->at, t->end)) {
        return 0;
    }
    unsigned code = code_of(t->at + 2);

    if (is_high(code) && is_unicode(t->at + 6, t->end) && is_low(code_of(t->at + 8))) {
        return 12;
    }
    if (code == 0 && t->nul == NULL) {
        t->nul = t->at;
    }
    if ((is_high(code) || is_low(code)) && t->lone == NULL) {
        t->lone = t->at;
    }
    return 6;
}

static bool skip_escape(struct jsontext *t)
{
    size_t len = 0;

    if (t->end - t->at >= 2) {
        char letter = t->at[1];

        len = letter == 'u'                                            ? unicode_length(t)
              : letter != '\0' && strchr("\"\\/bfnrt", letter) != NULL ? 2
                                                                       : 0;
    }
    t->at += len;
    return len > 0;
}

/* But for `len`, which its end tells, and `integer`, which a whole number alone has. */
static inline void value_begin(struct jsontext_value *value, enum jsontext_kind kind,
                               const char *first)
{
    value->kind = kind;
    value->first = first;
    value->escapes = false;
    value->whole = false;
}

static bool read_string(struct jsontext *t, struct jsontext_value *value)
{
    if (!take(t, '"')) {
        return false;
    }
    value_begin(value, JSONTEXT_STRING, t->at);
    for (;;) {
        t->at = jsonplain_end(t->at, t->end);
        if (t->at == t->end || *t->at != '\\') {
            break;
        }
        value->escapes = true;
        if (!skip_escape(t)) {
            return false;
        }
    }
    value->len = (size_t)(t->at - value->first);
    return take(t, '"');
}

static size_t put_utf8(unsigned code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* What the escape at *at means, in out; *at is moved over it. read_string has seen it. */
static size_t take_escape(const char **at, const char *end, char out[4])
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";
    const char *escape = *at;

    if (escape[1] != 'u') {
        out[0] = meant[strchr(letters, escape[1]) - letters];
        *at += 2;
        return 1;
    }
    unsigned code = code_of(escape + 2);

    *at += 6;
    if (is_high(code) && is_unicode(*at, end) && is_low(code_of(*at + 2))) {
        code = 0x10000 + ((code - 0xd800) << 10) + (code_of(*at + 2) - 0xdc00);
        *at += 6;
    } else if (is_high(code) || is_low(code)) {
        code = 0xfffd;
    }
    return put_utf8(code, out);
}

size_t jsontext_copy(const struct jsontext_value *value, char *out)
{
    const char *at = value->first;
    const char *end = at + value->len;
    char *to = out;

    if (!value->escapes) {
        memcpy(out, at, value->len);
        return value->len;
    }
    while (at < end) {
        if (*at == '\\') {
            to += take_escape(&at, end, to);
        } else {
            *to++ = *at++;
        }
    }
    return (size_t)(to - out);
}

bool jsontext_equal(const struct jsontext_value *value, const char *text, size_t len)
{
    const char *at = value->first;
    const char *end = at + value->len;

    if (!value->escapes) {
        return len == value->len && memcmp(text, at, len) == 0;
    }
    while (at < end) {
        char bytes[4] = {*at};
        size_t taken = 1;

        if (*at == '\\') {
            taken = take_escape(&at, end, bytes);
        } else {
            at++;
        }
        if (taken > len || memcmp(text, bytes, taken) != 0) {
            return false;
        }
        text += taken;
        len -= taken;
    }
    return len == 0;
}

/* --- Numbers and words --- */

static bool skip_digits(struct jsontext *t)
{
    const char *first = t->at;

    while (t->at < t->end && *t->at >= '0' && *t->at <= '9') {
        t->at++;
    }
    return t->at > first;
}

static bool skip_number(struct jsontext *t)
{
    take(t, '-');
    if (!take(t, '0') && !skip_digits(t)) {
        return false;
    }
    if (take(t, '.') && !skip_digits(t)) {
        return false;
    }
    if (take(t, 'e') || take(t, 'E')) {
        if (!take(t, '+')) {
            take(t, '-');
        }
        return skip_digits(t);
    }
    return true;
}

/* Whether nothing of a number can stand here. */
static bool ends_number(const char *at, const char *end)
{
    return at == end || !((*at >= '0' && *at <= '9') || *at == '.' || *at == 'e' || *at == 'E');
}

/* Nearly all numbers are whole and short: what they are is told with them. */
static bool read_number(struct jsontext *t, struct jsontext_value *value)
{
    const char *first = t->at;
    const char *digits = t->end > first && *first == '-' ? first + 1 : first;
    const char *at = digits;
    int64_t sum = 0;

    while (at < t->end && *at >= '0' && *at <= '9' && at - digits < JSONTEXT_DIGITS_MAX) {
        sum = sum * 10 + (*at++ - '0');
    }
    if (ends_number(at, t->end) && at > digits && (*digits != '0' || at == digits + 1)) {
        t->at = at;
    } else if (!skip_number(t)) {
        return false;
    }
    value->whole = t->at == at;
    value->integer = digits > first ? -sum : sum;
    return true;
}

static bool skip_word(struct jsontext *t, const char *word)
{
    for (; *word != '\0'; word++) {
        if (!take(t, *word)) {
            return false;
        }
    }
    return true;
}

/* --- Arrays and objects --- */

bool jsontext_open(struct jsontext *t, bool *more)
{
    char close = *t->at == '[' ? ']' : '}';

    if (t->depth == JSONTEXT_DEPTH_MAX) {
        t->too_deep = true;
        return false;
    }
    t->at++;
    jsontext_spaces(t);
    *more = !take(t, close);
    t->depth += *more ? 1 : 0;
    return true;
}

bool jsontext_name(struct jsontext *t, struct jsontext_value *name)
{
    jsontext_spaces(t);
    if (!read_string(t, name)) {
        return false;
    }
    jsontext_spaces(t);
    return take(t, ':');
}

/* The depth is bounded by jsontext_open. */
static bool skip_nested(struct jsontext *t)
{
    struct jsontext_value passed;
    char close = *t->at == '[' ? ']' : '}';
    bool more;

    if (!jsontext_open(t, &more)) {
        return false;
    }
    while (more) {
        if ((close == '}' && !jsontext_name(t, &passed)) || !jsontext_value(t, &passed) ||
            !jsontext_next(t, close, &more)) {
            return false;
        }
    }
    return true;
}

bool jsontext_value(struct jsontext *t, struct jsontext_value *value)
{
    bool good;

    jsontext_spaces(t);
    value_begin(value, JSONTEXT_NUMBER, t->at);
    switch (t->at == t->end ? '\0' : *t->at) {
    case '"':
        return read_string(t, value);
    case '[':
        value->kind = JSONTEXT_ARRAY;
        good = skip_nested(t);
        break;
    case '{':
        value->kind = JSONTEXT_OBJECT;
        good = skip_nested(t);
        break;
    case 't':
        value->kind = JSONTEXT_TRUE;
        good = skip_word(t, "true");
        break;
    case 'f':
        value->kind = JSONTEXT_FALSE;
        good = skip_word(t, "false");
        break;
    case 'n':
        value->kind = JSONTEXT_NULL;
        good = skip_word(t, "null");
        break;
    default:
        good = read_number(t, value);
        break;
    }
    value->len = (size_t)(t->at - value->first);
    return good;
}
