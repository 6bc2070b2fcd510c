#include "common/log.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/timestamp.h"
#include "common/utf8.h"

/* What the end of a cut line may need: a quote, the mark, a brace and the newline. */
#define TAIL_BYTES 24

/* A longer text is quoted, and so may be cut in its middle. */
#define PLAIN_BYTES_MAX 128

static enum log_level level_least = LOG_INFO;
static enum log_format format_used = LOG_LOGFMT;
static bool to_journal;

/* A line being made. Pieces are put whole or not at all; after the first that does not fit, no
 * more are. */
struct line {
    char text[LOG_LINE_BYTES_MAX];
    size_t used;
    size_t begin; /* after the priority that is not part of it */
    bool cut;
};

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARN] = "warning",
    [LOG_ERROR] = "error",
};

/* The priority of a line, as systemd's journal takes it off the line's beginning. */
static const char *const journal_levels[] = {
    [LOG_DEBUG] = "<7>",
    [LOG_INFO] = "<6>",
    [LOG_WARN] = "<4>",
    [LOG_ERROR] = "<3>",
};

static const struct {
    const char *name;
    enum log_level level;
} level_words[] = {
    {"trace", LOG_DEBUG},  {"debug", LOG_DEBUG},  {"info", LOG_INFO},
    {"success", LOG_INFO}, {"warning", LOG_WARN}, {"warn", LOG_WARN},
    {"error", LOG_ERROR},  {"fatal", LOG_ERROR},  {"critical", LOG_ERROR},
};

/* systemd names the device and inode of the stream that it gave us for stderr: when that is still
 * there, the journal reads it. */
static bool is_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char own[64];
    struct stat stat;

    if (stream == NULL || fstat(fd, &stat) < 0) {
        return false;
    }
    snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)stat.st_dev, (uintmax_t)stat.st_ino);
    return strcmp(stream, own) == 0;
}

void log_setup(enum log_level level, enum log_format format)
{
    level_least = level;
    format_used = format;
    to_journal = is_journal(STDERR_FILENO);
}

int log_level_parse(const char *text, enum log_level *level, struct err *err)
{
    for (size_t i = 0; i < sizeof(level_words) / sizeof(level_words[0]); i++) {
        if (strcasecmp(text, level_words[i].name) == 0) {
            *level = level_words[i].level;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "%s is not debug, info, warning or error", text);
}

bool log_enabled(enum log_level level)
{
    return level >= level_least;
}

static void put_bytes(struct line *line, const char *bytes, size_t len)
{
    if (line->cut || line->used + len > sizeof(line->text) - TAIL_BYTES) {
        line->cut = true;
        return;
    }
    memcpy(line->text + line->used, bytes, len);
    line->used += len;
}

static void put(struct line *line, const char *text)
{
    put_bytes(line, text, strlen(text));
}

/* For the tail, which always fits. */
static void put_tail(struct line *line, const char *text)
{
    size_t len = strlen(text);

    memcpy(line->text + line->used, text, len);
    line->used += len;
}

/* The code point of a character that a terminal or a reader of lines may act on, and its length;
 * 0 for any other. C1 controls and U+2028, U+2029 are two and three bytes of valid UTF-8. */
static unsigned control_at(const char *text, size_t *len)
{
    unsigned char c = (unsigned char)text[0];

    *len = 1;
    if (c < 0x20 || c == 0x7F) {
        return c;
    }
    if (c == 0xC2 && (unsigned char)text[1] < 0xA0) {
        *len = 2;
        return (unsigned char)text[1];
    }
    if (c == 0xE2 && text[1] == '\x80' && (text[2] == '\xA8' || text[2] == '\xA9')) {
        *len = 3;
        return 0x2000 + ((unsigned)text[2] & 0x3F);
    }
    return 0;
}

static const char *short_escape(char c)
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        return NULL;
    }
}

static size_t character_bytes(char lead)
{
    unsigned char c = (unsigned char)lead;

    return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

/* The inside of a quoted text, with the escapes that JSON has too. `clean` is valid UTF-8. */
static void put_escaped(struct line *line, const char *clean)
{
    for (const char *at = clean; *at != '\0' && !line->cut;) {
        size_t len;
        unsigned control = control_at(at, &len);

        if (short_escape(*at) != NULL) {
            put(line, short_escape(*at));
        } else if (control != 0) {
            char escape[8];

            snprintf(escape, sizeof(escape), "\\u%04x", control & 0xFFFF);
            put(line, escape);
        } else {
            len = character_bytes(*at);
            put_bytes(line, at, len);
        }
        at += len;
    }
}

static bool needs_quotes(const char *text)
{
    size_t len = 0;

    for (; text[len] != '\0'; len++) {
        if (text[len] <= ' ' || text[len] >= 0x7F || strchr("\"\\=", text[len]) != NULL) {
            return true;
        }
    }
    return len == 0 || len > PLAIN_BYTES_MAX;
}

/* A member's name and its value, or how that begins, are one piece, so that a cut never leaves a
 * name alone. */
static void put_start(struct line *line, const char *key, const char *value)
{
    char piece[PLAIN_BYTES_MAX + 64];

    if (format_used == LOG_JSON) {
        snprintf(piece, sizeof(piece), "%s\"%s\":%s", line->used == line->begin ? "{" : ",", key,
                 value);
    } else {
        snprintf(piece, sizeof(piece), "%s%s=%s", line->used == line->begin ? "" : " ", key, value);
    }
    put(line, piece);
}

static void put_text(struct line *line, const char *key, const char *text)
{
    char clean[LOG_LINE_BYTES_MAX];

    utf8_clean(text, strlen(text), clean, sizeof(clean), NULL);
    if (format_used == LOG_LOGFMT && !needs_quotes(clean)) {
        put_start(line, key, clean);
        return;
    }
    put_start(line, key, "\"");
    if (!line->cut) {
        put_escaped(line, clean);
        put_tail(line, "\"");
    }
}

static void put_real(struct line *line, const char *key, double real)
{
    char number[32];

    /* JSON has no number for what is not finite. */
    if (format_used == LOG_JSON && !isfinite(real)) {
        put_start(line, key, "null");
        return;
    }
    snprintf(number, sizeof(number), "%.9g", real);
    put_start(line, key, number);
}

static void put_field(struct line *line, const struct log_field *field)
{
    char number[32];

    if (field->type == LOG_TEXT) {
        put_text(line, field->key, field->text == NULL ? "" : field->text);
    } else if (field->type == LOG_REAL) {
        put_real(line, field->key, field->real);
    } else {
        snprintf(number, sizeof(number), "%lld", (long long)field->integer);
        put_start(line, field->key, number);
    }
}

static void put_end(struct line *line)
{
    if (format_used == LOG_JSON) {
        put_tail(line, line->cut ? ",\"cut\":true}\n" : "}\n");
    } else {
        put_tail(line, line->cut ? " ...\n" : "\n");
    }
}

void log_line(enum log_level level, const char *msg, const struct log_field *fields)
{
    struct line line;
    char now[TIMESTAMP_SIZE];
    int saved_errno = errno;

    if (!log_enabled(level)) {
        return;
    }
    line.used = 0;
    line.begin = 0;
    line.cut = false;
    if (to_journal) {
        put(&line, journal_levels[level]);
    }
    line.begin = line.used;
    timestamp_format_ms(clock_real_ns() / NS_PER_MS, now);
    put_text(&line, "time", now);
    put_text(&line, "level", level_names[level]);
    put_text(&line, "msg", msg);
    for (const struct log_field *field = fields; field->type != LOG_END; field++) {
        put_field(&line, field);
    }
    put_end(&line);

    /* A line that stderr does not take is lost: there is no other place to say so. */
    while (write(STDERR_FILENO, line.text, line.used) < 0 && errno == EINTR) {
    }
    errno = saved_errno;
}

bool log_limit_allows(struct log_limit *limit, int64_t now_ns, uint64_t *suppressed)
{
    if (now_ns < limit->next_ns) {
        limit->held++;
        return false;
    }
    *suppressed = limit->held;
    limit->held = 0;
    limit->next_ns = now_ns + limit->interval_ns;
    return true;
}
