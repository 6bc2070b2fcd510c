#include "common/utf8.h"

#include <stdint.h>
#include <string.h>

/* What may follow a lead byte: how many bytes, and the range of the first of them, which is what
 * keeps out over-long forms, surrogates and what is above U+10FFFF (RFC 3629, 4). */
struct lead {
    size_t tail;
    unsigned char low, high;
};

static struct lead lead_of(unsigned char byte)
{
    if (byte >= 0xC2 && byte <= 0xDF) {
        return (struct lead){1, 0x80, 0xBF};
    }
    if (byte >= 0xE0 && byte <= 0xEF) {
        return (struct lead){2, byte == 0xE0 ? 0xA0 : 0x80, byte == 0xED ? 0x9F : 0xBF};
    }
    if (byte >= 0xF0 && byte <= 0xF4) {
        return (struct lead){3, byte == 0xF0 ? 0x90 : 0x80, byte == 0xF4 ? 0x8F : 0xBF};
    }
    return (struct lead){0, 0, 0};
}

/* The length of the character at bytes[0], or, when *valid is false, of the longest part of it
 * that could have begun one. len > 0; returns at least 1. */
static size_t character_length(const unsigned char *bytes, size_t len, bool *valid)
{
    if (bytes[0] < 0x80) {
        *valid = bytes[0] != 0;
        return 1;
    }

    struct lead lead = lead_of(bytes[0]);

    *valid = false;
    if (lead.tail == 0) {
        return 1;
    }
    for (size_t i = 1; i <= lead.tail; i++) {
        if (i == len || bytes[i] < lead.low || bytes[i] > lead.high) {
            return i;
        }
        lead.low = 0x80;
        lead.high = 0xBF;
    }
    *valid = true;
    return lead.tail + 1;
}

#define WORD_BYTES sizeof(uint64_t)
#define WORDS 4 /* that are looked at together: most text is ASCII for long */

/* Whether the bytes of so many words are all ASCII and none is NUL. */
static inline bool are_plain(const unsigned char *bytes, size_t words)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t tops = UINT64_C(0x8080808080808080);
    uint64_t all = 0;

    for (size_t i = 0; i < words; i++) {
        uint64_t word;

        memcpy(&word, bytes + i * WORD_BYTES, WORD_BYTES);
        all |= word | (word - ones);
    }
    return (all & tops) == 0;
}

size_t utf8_valid_prefix(const char *bytes, size_t len)
{
    const unsigned char *text = (const unsigned char *)bytes;
    size_t at = 0;

    while (at < len) {
        bool valid;

        if (len - at >= WORDS * WORD_BYTES && are_plain(text + at, WORDS)) {
            at += WORDS * WORD_BYTES;
            continue;
        }
        if (len - at >= WORD_BYTES && are_plain(text + at, 1)) {
            at += WORD_BYTES;
            continue;
        }

        size_t length = character_length(text + at, len - at, &valid);

        if (!valid) {
            break;
        }
        at += length;
    }
    return at;
}

size_t utf8_clean(const char *bytes, size_t len, char *out, size_t out_size, bool *cut)
{
    const unsigned char *text = (const unsigned char *)bytes;
    size_t used = len < out_size ? utf8_valid_prefix(bytes, len) : 0; /* mostly all of it */
    size_t at = used;

    memcpy(out, bytes, used);
    while (at < len) {
        bool valid;
        size_t length = character_length(text + at, len - at, &valid);
        const char *from = valid ? bytes + at : UTF8_REPLACEMENT;
        size_t from_len = valid ? length : sizeof(UTF8_REPLACEMENT) - 1;

        if (from_len >= out_size - used) {
            break;
        }
        memcpy(out + used, from, from_len);
        used += from_len;
        at += length;
    }
    out[used] = '\0';
    if (cut != NULL) {
        *cut = at < len;
    }
    return used;
}

bool utf8_is_name(const char *text, size_t bytes_max)
{
    size_t len = strlen(text);
    bool shows = true;

    for (size_t i = 0; i < len; i++) {
        shows = shows && (unsigned char)text[i] >= ' ' && text[i] != 0x7F;
    }
    return len > 0 && len <= bytes_max && shows && utf8_valid_prefix(text, len) == len;
}
