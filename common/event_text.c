#include "common/event_text.h"

#include <stdbool.h>
#include <string.h>

#include "common/utf8.h"

/* Where in the text we are; on a fault, where that is. */
struct scan {
    const char *at;
    const char *end;
    bool nul_escape; /* the fault is \u0000 */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex_digit(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool next_is_one_of(const struct scan *s, const char *set)
{
    return s->at < s->end && *s->at != '\0' && strchr(set, *s->at) != NULL;
}

static bool scan_escape(struct scan *s)
{
    ptrdiff_t left = s->end - s->at;

    if (left < 2) {
        return false;
    }
    if (s->at[1] != 'u') {
        s->at += 2;
        return true;
    }
    if (left < 6 || !is_hex_digit(s->at[2]) || !is_hex_digit(s->at[3]) || !is_hex_digit(s->at[4]) ||
        !is_hex_digit(s->at[5])) {
        return false;
    }
    s->nul_escape = memcmp(s->at + 2, "0000", 4) == 0;
    if (s->nul_escape) {
        return false;
    }
    s->at += 6;
    return true;
}

/* From the opening quote to after the closing one. */
static bool scan_string(struct scan *s)
{
    s->at++;
    while (s->at < s->end) {
        unsigned char c = (unsigned char)*s->at;

        if (c == '"') {
            s->at++;
            return true;
        }
        if (c < 0x20) {
            return false;
        }
        if (c == '\\') {
            if (!scan_escape(s)) {
                return false;
            }
        } else {
            s->at++;
        }
    }
    return false;
}

/* At least one. */
static bool scan_digits(struct scan *s)
{
    const char *first = s->at;

    while (s->at < s->end && is_digit(*s->at)) {
        s->at++;
    }
    return s->at > first;
}

/* RFC 8259, 6. */
static bool scan_number(struct scan *s)
{
    if (*s->at == '-') {
        s->at++;
    }
    if (next_is_one_of(s, "0")) {
        s->at++;
    } else if (!scan_digits(s)) {
        return false;
    }
    if (next_is_one_of(s, ".")) {
        s->at++;
        if (!scan_digits(s)) {
            return false;
        }
    }
    if (next_is_one_of(s, "eE")) {
        s->at++;
        if (next_is_one_of(s, "+-")) {
            s->at++;
        }
        if (!scan_digits(s)) {
            return false;
        }
    }
    return !next_is_one_of(s, "0123456789+-.eE");
}

static bool scan_all(struct scan *s)
{
    while (s->at < s->end) {
        unsigned char c = (unsigned char)*s->at;
        bool good = true;

        if (c == '"') {
            good = scan_string(s);
        } else if (c == '-' || is_digit((char)c)) {
            good = scan_number(s);
        } else if (c >= 0x80 || (c < 0x20 && c != '\t' && c != '\n' && c != '\r')) {
            good = false;
        } else {
            s->at++;
        }
        if (!good) {
            return false;
        }
    }
    return true;
}

int event_text_check(const char *json, size_t len, enum event_fault *fault, struct err *err)
{
    struct scan s = {.at = json, .end = json + len};

    if (len > EVENT_BYTES_MAX) {
        *fault = EVENT_FAULT_TOO_LARGE;
        return err_set(err, ERR_INVALID, "too large: %zu bytes, at most %d", len, EVENT_BYTES_MAX);
    }

    size_t valid = utf8_valid_prefix(json, len);

    if (valid < len) {
        *fault = EVENT_FAULT_TEXT;
        return err_set(err, ERR_INVALID, "%s at offset %zu",
                       json[valid] == '\0' ? "NUL byte" : "not UTF-8", valid);
    }
    if (!scan_all(&s)) {
        *fault = s.nul_escape ? EVENT_FAULT_TEXT : EVENT_FAULT_JSON;
        return err_set(err, ERR_INVALID, "%s at offset %td",
                       s.nul_escape ? "NUL escape" : "not JSON", s.at - json);
    }
    return 0;
}
