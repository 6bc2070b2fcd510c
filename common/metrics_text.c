#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/mem.h"
#include "common/metrics_private.h"

#define NAME_OPENMETRICS "application/openmetrics-text"
#define NAME_TEXT "text/plain"

struct metrics_reading {
    const struct metrics *metrics;
    enum metrics_format format;
    char *text; /* not given out yet: text[at..len) */
    size_t at, len;
    size_t collector; /* whose turn is next */
    void *collecting; /* what its begin returned; NULL: it did not begin */
    bool ended;
};

struct text {
    char *bytes;
    size_t len, size;
};

static void text_add(struct text *text, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void text_add(struct text *text, const char *fmt, ...)
{
    va_list args, again;

    va_start(args, fmt);
    va_copy(again, args);

    size_t len = (size_t)vsnprintf(NULL, 0, fmt, args);

    if (text->len + len + 1 > text->size) {
        text->size = 2 * (text->len + len + 1);
        text->bytes = mem_resize(text->bytes, text->size, 1);
    }
    vsnprintf(text->bytes + text->len, len + 1, fmt, again);
    text->len += len;
    va_end(again);
    va_end(args);
}

/* The shortest digits that read back as the same number, and always a float: "1.0", "+Inf". */
static void text_add_number(struct text *text, double value)
{
    char digits[40];

    if (isinf(value)) {
        text_add(text, "%s", value > 0 ? "+Inf" : "-Inf");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof(digits), "%.*g", precision, value);
        if (strtod(digits, NULL) == value) {
            break;
        }
    }
    text_add(text, "%s%s", digits, strpbrk(digits, ".e") == NULL ? ".0" : "");
}

/* Of a help text. The text format knows no escaped quotes there. */
static void text_add_escaped(struct text *text, const char *help, enum metrics_format format)
{
    for (const char *c = help; *c != '\0'; c++) {
        bool escaped = *c == '\\' || (*c == '"' && format == METRICS_OPENMETRICS);

        if (*c == '\n') {
            text_add(text, "\\n");
        } else {
            text_add(text, "%s%c", escaped ? "\\" : "", *c);
        }
    }
}

/* A unit must be the end of the name; these two are the ones that our names end with. */
static const char *family_unit(const struct family *family)
{
    static const char *const units[] = {"seconds", "bytes"};
    size_t name_len = strlen(family->name);

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t len = strlen(units[i]);

        if (name_len > len + 1 && family->name[name_len - len - 1] == '_' &&
            strcmp(family->name + name_len - len, units[i]) == 0) {
            return units[i];
        }
    }
    return NULL;
}

/* A counter's family is its name in OpenMetrics, and with _total in the text format. */
static void render_head(struct text *text, const struct family *family, enum metrics_format format)
{
    static const char *const types[] = {
        [COUNTER] = "counter", [GAUGE] = "gauge", [HISTOGRAM] = "histogram"};
    const char *unit = format == METRICS_OPENMETRICS ? family_unit(family) : NULL;
    const char *suffix = format == METRICS_TEXT && family->kind == COUNTER ? "_total" : "";

    text_add(text, "# TYPE %s%s %s\n", family->name, suffix, types[family->kind]);
    if (unit != NULL) {
        text_add(text, "# UNIT %s %s\n", family->name, unit);
    }
    text_add(text, "# HELP %s%s ", family->name, suffix);
    text_add_escaped(text, family->help, format);
    text_add(text, "\n");
}

static void render_name(struct text *text, const char *name, const char *suffix,
                        const struct metric *metric)
{
    text_add(text, "%s%s", name, suffix);
    if (metric->labels[0] != '\0') {
        text_add(text, "{%s}", metric->labels);
    }
    text_add(text, " ");
}

static void render_histogram(struct text *text, const char *name, const struct metric *metric)
{
    uint64_t total = 0;

    for (size_t i = 0; i <= metric->bounds_count; i++) {
        total += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
        text_add(text, "%s_bucket{%s%sle=\"", name, metric->labels,
                 metric->labels[0] == '\0' ? "" : ",");
        text_add_number(text, i < metric->bounds_count ? metric->bounds[i] : INFINITY);
        text_add(text, "\"} %" PRIu64 "\n", total);
    }
    /* The count is the +Inf bucket as just shown, also while another thread observes. */
    render_name(text, name, "_count", metric);
    text_add(text, "%" PRIu64 "\n", total);
    render_name(text, name, "_sum", metric);
    text_add_number(
        text, metric_double_of_bits(atomic_load_explicit(&metric->sum_bits, memory_order_relaxed)));
    text_add(text, "\n");
}

static void render_metric(struct text *text, const char *name, const struct metric *metric)
{
    switch (metric->kind) {
    case COUNTER:
        render_name(text, name, "_total", metric);
        text_add(text, "%" PRIu64 "\n", metric_value(metric));
        break;
    case GAUGE:
        render_name(text, name, "", metric);
        text_add(text, "%" PRId64 "\n", metric_level(metric));
        break;
    case HISTOGRAM:
        render_histogram(text, name, metric);
        break;
    }
}

static struct text render_families(const struct metrics *m, enum metrics_format format)
{
    struct text text = {0};

    for (size_t i = 0; i < m->count; i++) {
        render_head(&text, &m->families[i], format);
        for (const struct metric *metric = m->families[i].first; metric != NULL;
             metric = metric->next) {
            render_metric(&text, m->families[i].name, metric);
        }
    }
    return text;
}

/* --- What the header promises --- */

enum metrics_format metrics_format_of(const char *accept)
{
    return accept != NULL && strcasestr(accept, NAME_TEXT) != NULL &&
                   strcasestr(accept, NAME_OPENMETRICS) == NULL
               ? METRICS_TEXT
               : METRICS_OPENMETRICS;
}

const char *metrics_content_type(enum metrics_format format)
{
    return format == METRICS_TEXT ? NAME_TEXT "; version=0.0.4; charset=utf-8"
                                  : NAME_OPENMETRICS "; version=1.0.0; charset=utf-8";
}

size_t metrics_escape(const char *text, size_t len, char *out)
{
    size_t written = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\\' || text[i] == '"' || text[i] == '\n') {
            out[written++] = '\\';
        }
        out[written++] = text[i];
        if (text[i] == '\n') {
            out[written - 1] = 'n';
        }
    }
    return written;
}

struct metrics_reading *metrics_read_begin(const struct metrics *m, enum metrics_format format)
{
    struct metrics_reading *r = mem_alloc(1, sizeof(*r));
    struct text text = render_families(m, format);

    r->metrics = m;
    r->format = format;
    r->len = text.len;
    r->text = mem_resize(text.bytes,
                         text.len < METRICS_COLLECT_BYTES ? METRICS_COLLECT_BYTES : text.len, 1);
    return r;
}

/* More text from the collectors, in turn. */
static size_t collect_on(struct metrics_reading *r)
{
    const struct metrics *m = r->metrics;

    while (r->collector < m->collector_count) {
        const struct metrics_collector *collector = &m->collectors[r->collector];

        if (r->collecting == NULL) {
            r->collecting = collector->begin(collector->context);
        }
        size_t len = collector->collect(r->collecting, r->text);

        if (len > 0) {
            return len;
        }
        collector->end(r->collecting);
        r->collecting = NULL;
        r->collector++;
    }
    return 0;
}

static size_t end_text(struct metrics_reading *r)
{
    static const char mark[] = "# EOF\n";

    if (r->ended || r->format != METRICS_OPENMETRICS) {
        return 0;
    }
    r->ended = true;
    memcpy(r->text, mark, strlen(mark));
    return strlen(mark);
}

size_t metrics_read(struct metrics_reading *r, char *out, size_t size)
{
    size_t written = 0;

    while (written < size) {
        if (r->at == r->len) {
            r->at = 0;
            r->len = collect_on(r);
            if (r->len == 0) {
                r->len = end_text(r);
            }
        }
        if (r->len == 0) {
            break;
        }
        size_t left = r->len - r->at;
        size_t len = left < size - written ? left : size - written;

        memcpy(out + written, r->text + r->at, len);
        r->at += len;
        written += len;
    }
    return written;
}

void metrics_read_end(struct metrics_reading *r)
{
    if (r == NULL) {
        return;
    }
    if (r->collecting != NULL) {
        r->metrics->collectors[r->collector].end(r->collecting);
    }
    free(r->text);
    free(r);
}

char *metrics_render(const struct metrics *m, enum metrics_format format, size_t *len)
{
    struct metrics_reading *r = metrics_read_begin(m, format);
    struct text text = {0};
    size_t got;

    do {
        text.size += METRICS_COLLECT_BYTES;
        text.bytes = mem_resize(text.bytes, text.size + 1, 1);
        got = metrics_read(r, text.bytes + text.len, text.size - text.len);
        text.len += got;
    } while (got > 0);
    text.bytes[text.len] = '\0';
    metrics_read_end(r);
    *len = text.len;
    return text.bytes;
}
