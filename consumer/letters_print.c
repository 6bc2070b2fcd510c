#include "consumer/letters_print.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsonprint.h"
#include "common/mem.h"
#include "common/utf8.h"

#define HEX_ROW 16
#define SHA256_TEXT_SIZE (2 * LETTERS_SHA256_BYTES + 1)

/* Of a character's first byte: C0, DEL, or the lead of C1, which is C2 80 to C2 9F. */
static bool is_control(const char *at, const char *end)
{
    unsigned char c = (unsigned char)at[0];

    return c < 0x20 || c == 0x7F ||
           (c == 0xC2 && at + 1 < end && (unsigned char)at[1] >= 0x80 &&
            (unsigned char)at[1] < 0xA0);
}

bool letters_is_text(const char *bytes, size_t len)
{
    const char *end = bytes + len;

    if (utf8_valid_prefix(bytes, len) != len) {
        return false;
    }
    for (const char *at = bytes; at < end; at++) {
        if (is_control(at, end) && *at != '\n' && *at != '\t') {
            return false;
        }
    }
    return true;
}

/* One line, whatever is in it. */
static void print_line(FILE *out, const char *text)
{
    const char *end = text + strlen(text);

    for (const char *at = text; at < end; at++) {
        fputc(is_control(at, end) ? '?' : *at, out);
    }
    fputc('\n', out);
}

void letters_print_hex(FILE *out, const char *bytes, size_t len)
{
    for (size_t row = 0; row < len; row += HEX_ROW) {
        size_t count = len - row < HEX_ROW ? len - row : HEX_ROW;

        fprintf(out, "%08zx ", row);
        for (size_t i = 0; i < HEX_ROW; i++) {
            if (i < count) {
                fprintf(out, " %02x", (unsigned char)bytes[row + i]);
            } else {
                fputs("   ", out);
            }
        }
        fputs("  ", out);
        for (size_t i = 0; i < count; i++) {
            char c = bytes[row + i];

            fputc(c >= 0x20 && c < 0x7F ? c : '.', out);
        }
        fputc('\n', out);
    }
}

static void sha256_text(const struct letter *l, char out[SHA256_TEXT_SIZE])
{
    for (size_t i = 0; i < LETTERS_SHA256_BYTES; i++) {
        snprintf(out + 2 * i, 3, "%02x", l->sha256[i]);
    }
}

static const char *or_dash(const char *text)
{
    return text[0] == '\0' ? "-" : text;
}

/* --- For a person --- */

static void print_row(FILE *out, const struct letter *l)
{
    char origin[320];

    snprintf(origin, sizeof(origin), "%s [%d] %" PRId64, l->topic, l->partition, l->offset);
    fprintf(out, "%10" PRId64 "  %-24s %-16s %-40s %9" PRId64 "  %-24s ", l->id, l->received,
            l->reason, origin, l->payload_bytes, or_dash(l->replayed));
    print_line(out, l->detail);
}

static void print_key(FILE *out, const struct letter *l)
{
    fputs("key:           ", out);
    if (l->key == NULL) {
        fputs("none\n", out);
    } else if (letters_is_text(l->key, l->key_len) && memchr(l->key, '\n', l->key_len) == NULL) {
        fprintf(out, "%.*s\n", (int)l->key_len, l->key);
    } else {
        fprintf(out, "%zu bytes\n", l->key_len);
        letters_print_hex(out, l->key, l->key_len);
    }
}

static void print_payload(FILE *out, const struct letter *l)
{
    if (l->payload == NULL) {
        fputs("bytes:         none: a tombstone\n", out);
        return;
    }
    fprintf(out, "bytes:         %" PRId64, l->payload_bytes);
    if (l->payload_bytes > (int64_t)l->payload_len) {
        fprintf(out, ", of which the first %zu are here", l->payload_len);
    }
    fputs("\n\n", out);
    if (letters_is_text(l->payload, l->payload_len)) {
        fwrite(l->payload, 1, l->payload_len, out);
        fputc('\n', out);
    } else {
        letters_print_hex(out, l->payload, l->payload_len);
    }
}

static void print_table(FILE *out, const struct letter *l)
{
    char sha256[SHA256_TEXT_SIZE];

    sha256_text(l, sha256);
    fprintf(out,
            "id:            %" PRId64 "\n"
            "received:      %s\n"
            "message time:  %s\n"
            "origin:        %s [%d] offset %" PRId64 "\n"
            "reason:        %s\n"
            "detail:        ",
            l->id, l->received, or_dash(l->message_time), l->topic, l->partition, l->offset,
            l->reason);
    print_line(out, l->detail);
    fprintf(out,
            "in the topic:  %s\n"
            "replayed:      %s\n"
            "SHA-256:       %s\n",
            l->in_topic ? "yes" : "no: it was refused there",
            l->replayed[0] == '\0' ? "no" : l->replayed, sha256);
    print_key(out, l);
    print_payload(out, l);
}

/* --- JSON --- */

/* "name" where the bytes are text, else "name_base64". */
static void add_bytes(cJSON *object, const char *name, const char *bytes, size_t len)
{
    char base64_name[32];

    if (bytes == NULL) {
        return;
    }
    if (utf8_valid_prefix(bytes, len) == len) {
        char *text = mem_copy(bytes, len);

        cJSON_AddStringToObject(object, name, text);
        free(text);
        return;
    }
    char *encoded = mem_alloc(len / 3 + 1, 4 + 1);

    EVP_EncodeBlock((unsigned char *)encoded, (const unsigned char *)bytes, (int)len);
    snprintf(base64_name, sizeof(base64_name), "%s_base64", name);
    cJSON_AddStringToObject(object, base64_name, encoded);
    free(encoded);
}

static void add_unless_empty(cJSON *object, const char *name, const char *text)
{
    if (text[0] != '\0') {
        cJSON_AddStringToObject(object, name, text);
    }
}

static void print_json(FILE *out, const struct letter *l, bool whole)
{
    char sha256[SHA256_TEXT_SIZE];
    cJSON *object = cJSON_CreateObject();

    sha256_text(l, sha256);
    cJSON_AddNumberToObject(object, "id", (double)l->id);
    cJSON_AddStringToObject(object, "received_at", l->received);
    add_unless_empty(object, "message_time", l->message_time);
    add_unless_empty(object, "replayed_at", l->replayed);
    cJSON_AddStringToObject(object, "topic", l->topic);
    cJSON_AddNumberToObject(object, "partition", l->partition);
    cJSON_AddNumberToObject(object, "offset", (double)l->offset);
    cJSON_AddStringToObject(object, "reason", l->reason);
    cJSON_AddStringToObject(object, "detail", l->detail);
    cJSON_AddBoolToObject(object, "in_topic", l->in_topic);
    cJSON_AddNumberToObject(object, "payload_bytes", (double)l->payload_bytes);
    cJSON_AddStringToObject(object, "payload_sha256", sha256);
    if (whole) {
        add_bytes(object, "key", l->key, l->key_len);
        add_bytes(object, "payload", l->payload, l->payload_len);
        cJSON_AddBoolToObject(object, "payload_cut", l->payload_bytes > (int64_t)l->payload_len);
    }
    char *text = jsonprint(object);

    fprintf(out, "%s\n", text);
    free(text);
}

/* --- Both --- */

void letters_print_list(FILE *out, enum letters_format format, const struct letters *letters)
{
    if (format == LETTERS_TABLE) {
        fprintf(out, "%10s  %-24s %-16s %-40s %9s  %-24s %s\n", "ID", "RECEIVED", "REASON",
                "TOPIC [PARTITION] OFFSET", "BYTES", "REPLAYED", "DETAIL");
    }
    for (size_t i = 0; i < letters->count; i++) {
        if (format == LETTERS_TABLE) {
            print_row(out, &letters->all[i]);
        } else {
            print_json(out, &letters->all[i], false);
        }
    }
}

void letters_print_one(FILE *out, enum letters_format format, const struct letter *letter)
{
    if (format == LETTERS_TABLE) {
        print_table(out, letter);
    } else {
        print_json(out, letter, true);
    }
}
