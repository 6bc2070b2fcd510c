/*
 * log - one line a fact, on stderr: `time level msg key=value`, or the same as one JSON object.
 *
 * A message is a fixed sentence without values; values are fields. Text values are quoted and
 * escaped when they need it, so that what a site sends can never start a line of its own. Lines
 * are written with one write(2) and may come from any thread. Set up once, before threads.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

/* With the newline. A longer line is cut between characters and says so: it ends in " ...", or as
 * JSON in a member "cut":true. */
#define LOG_LINE_BYTES_MAX 4096

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON };

enum log_field_type { LOG_END, LOG_TEXT, LOG_INT, LOG_REAL };

struct log_field {
    const char *key;
    enum log_field_type type;
    union {
        const char *text; /* NULL is written as "" */
        int64_t integer;
        double real;
    };
};

#define LOG_S(key, value) ((struct log_field){(key), LOG_TEXT, {.text = (value)}})
#define LOG_I(key, value) ((struct log_field){(key), LOG_INT, {.integer = (int64_t)(value)}})
#define LOG_F(key, value) ((struct log_field){(key), LOG_REAL, {.real = (value)}})

/* log_write(LOG_INFO, "partition claimed", LOG_S("topic", t), LOG_I("partition", p)); */
#define log_write(level, ...) log_fields((level), __VA_ARGS__, (struct log_field){0})
#define log_fields(level, msg, ...)                                                                \
    log_line((level), (msg), (const struct log_field[]){__VA_ARGS__})

/* Where stderr is the stream to systemd's journal, each line begins with its priority, "<4>", which
 * the journal takes off. */
void log_setup(enum log_level level, enum log_format format);

/* "debug", "info", "warning" or "warn", "error", and Loguru's "trace", "success", "critical" and
 * "fatal" as the nearest of those, in either case. ERR_INVALID otherwise. */
int log_level_parse(const char *text, enum log_level *level, struct err *err) MUST_CHECK;

bool log_enabled(enum log_level level);

/* `fields` ends with a field of type LOG_END. Use log_write. */
void log_line(enum log_level level, const char *msg, const struct log_field *fields);

/*
 * For a line that could repeat without end: at most one each `interval_ns` from one
 * `struct log_limit`. Returns true when the line may be written now; *suppressed then says how
 * many were held back since the last one. One limit belongs to one thread.
 */
struct log_limit {
    int64_t interval_ns;
    int64_t next_ns;
    uint64_t held;
};

bool log_limit_allows(struct log_limit *limit, int64_t now_ns, uint64_t *suppressed);

#endif
