#include "producer/sitemetrics.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/event.h"
#include "common/mem.h"
#include "common/site.h"
#include "common/utf8.h"

#define NUMBER_SIZE 24
#define ESCAPED 2 /* bytes that a byte may become in a label */
#define HEAD_BYTES_MAX 256
#define LINE_BYTES_MAX                                                                             \
    (ESCAPED * (SITE_NAME_BYTES_MAX + EVENT_LOCATION_BYTES_MAX) + 128 /* the rest of the line */)
#define PHASES 5

static_assert(HEAD_BYTES_MAX + PHASES * LINE_BYTES_MAX <= METRICS_COLLECT_BYTES,
              "a site's lines of any family fit into one piece");

struct sitemetrics {
    struct latest *latest;
    size_t location_len;
    /* The label and the end of a line's labels: ,location="x"} */
    char location[sizeof(",location=\"\"} ") + ESCAPED * EVENT_LOCATION_BYTES_MAX];
};

/* One scrape. */
struct reading {
    const struct sitemetrics *s;
    struct latest_cursor cursor;
    size_t family;
    bool has_head; /* of the family */
};

/* Where the lines go; there is room. */
struct writer {
    const struct sitemetrics *s;
    char *out;
    size_t len;
    char label[sizeof("site=\"\"") + ESCAPED * SITE_NAME_BYTES_MAX]; /* of the site */
    size_t label_len;
};

static void write_bytes(struct writer *w, const char *bytes, size_t len)
{
    memcpy(w->out + w->len, bytes, len);
    w->len += len;
}

static void write_text(struct writer *w, const char *text)
{
    write_bytes(w, text, strlen(text));
}

/* name{more,site="...",location="..."} - more may be "". */
static void write_series(struct writer *w, const char *name, const char *more)
{
    write_text(w, name);
    write_text(w, "{");
    write_text(w, more);
    write_bytes(w, w->label, w->label_len);
    write_bytes(w, w->s->location, w->s->location_len);
}

/* Hundreds of thousands of numbers a scrape: printf takes ten times as long. */
static void write_digits(struct writer *w, uint64_t value)
{
    char digits[NUMBER_SIZE];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    write_bytes(w, digits + at, sizeof(digits) - at);
}

static void write_seconds(struct writer *w, uint32_t us)
{
    char fraction[] = ".000000\n";

    write_digits(w, us / US_PER_SEC);
    us %= US_PER_SEC;
    for (size_t at = strlen(".000000"); at > 1; us /= 10) {
        fraction[--at] = (char)('0' + us % 10);
    }
    write_bytes(w, fraction, strlen(fraction));
}

static void write_integer(struct writer *w, int64_t value)
{
    if (value < 0) {
        write_text(w, "-");
    }
    write_digits(w, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
    write_text(w, "\n");
}

/* --- The families --- */

struct family;

typedef void family_write_fn(struct writer *w, const char *name, const struct latest_result *r);

struct family {
    const char *name, *unit, *help; /* unit NULL: none */
    family_write_fn *write;
};

static void write_success(struct writer *w, const char *name, const struct latest_result *r)
{
    write_series(w, name, "");
    write_integer(w, r->status == CHECK_UP || r->status == CHECK_DEGRADED);
}

static void write_duration(struct writer *w, const char *name, const struct latest_result *r)
{
    if (r->total_us != LATEST_ABSENT) {
        write_series(w, name, "");
        write_seconds(w, r->total_us);
    }
}

static void write_phases(struct writer *w, const char *name, const struct latest_result *r)
{
    const struct {
        const char *label;
        uint32_t us;
    } phases[PHASES] = {
        {"phase=\"resolve\",", r->dns_us},       {"phase=\"connect\",", r->connect_us},
        {"phase=\"tls\",", r->tls_us},           {"phase=\"processing\",", r->wait_us},
        {"phase=\"transfer\",", r->transfer_us},
    };

    for (size_t i = 0; i < PHASES; i++) {
        if (phases[i].us != LATEST_ABSENT) {
            write_series(w, name, phases[i].label);
            write_seconds(w, phases[i].us);
        }
    }
}

static void write_code(struct writer *w, const char *name, const struct latest_result *r)
{
    write_series(w, name, "");
    write_integer(w, r->http_status);
}

static void write_expiry(struct writer *w, const char *name, const struct latest_result *r)
{
    if (r->cert_not_after_s != EVENT_ABSENT) {
        write_series(w, name, "");
        write_integer(w, r->cert_not_after_s);
    }
}

static const struct family families[] = {
    {"probe_success", NULL, "Whether the last check found the site up or degraded", write_success},
    {"probe_duration_seconds", "seconds", "Time of the last check, all hops", write_duration},
    {"probe_http_duration_seconds", "seconds", "Time of the last check by phase, all hops",
     write_phases},
    {"probe_http_status_code", NULL, "Status code of the last check, 0 without a response",
     write_code},
    {"probe_ssl_earliest_cert_expiry", NULL, "End of the certificate in seconds since the epoch",
     write_expiry},
};

#define FAMILIES (sizeof(families) / sizeof(families[0]))

/* --- A scrape --- */

static void *begin(void *context)
{
    struct reading *r = mem_alloc(1, sizeof(*r));

    r->s = context;
    latest_begin(r->s->latest, &r->cursor);
    return r;
}

static void write_line(struct writer *w, const char *keyword, const char *name, const char *rest)
{
    write_text(w, keyword);
    write_text(w, name);
    write_text(w, " ");
    write_text(w, rest);
    write_text(w, "\n");
}

static void write_head(struct writer *w, const struct family *family)
{
    write_line(w, "# TYPE ", family->name, "gauge");
    if (family->unit != NULL) {
        write_line(w, "# UNIT ", family->name, family->unit);
    }
    write_line(w, "# HELP ", family->name, family->help);
}

static void write_site(struct writer *w, const struct family *family,
                       const struct latest_site *site)
{
    static const char start[] = "site=\"";

    if (site->result.status == CHECK_UNKNOWN) {
        return;
    }
    memcpy(w->label, start, strlen(start));
    w->label_len = strlen(start);
    w->label_len += metrics_escape(site->name, site->len, w->label + w->label_len);
    w->label[w->label_len++] = '"';
    family->write(w, family->name, &site->result);
}

/* One piece of a family; false when there is no more of it. */
static bool collect_family(struct reading *r, struct writer *w)
{
    struct latest *latest = r->s->latest;
    const struct family *family = &families[r->family];
    struct latest_site site;
    bool more = true;

    if (!r->has_head) {
        write_head(w, family);
        r->has_head = true;
    }
    latest_enter(latest);
    while (more && w->len + PHASES * LINE_BYTES_MAX <= METRICS_COLLECT_BYTES) {
        more = latest_next(latest, &r->cursor, &site);
        if (more) {
            write_site(w, family, &site);
        }
    }
    latest_leave(latest);
    return more;
}

static size_t collect(void *reading, char *out)
{
    struct reading *r = reading;
    struct writer w = {.s = r->s};

    w.out = out;
    while (w.len == 0 && r->family < FAMILIES) {
        if (!collect_family(r, &w)) {
            r->family++;
            r->has_head = false;
            latest_rewind(&r->cursor);
        }
    }
    return w.len;
}

static void end(void *reading)
{
    free(reading);
}

struct sitemetrics *sitemetrics_new(struct latest *latest, const char *location, struct metrics *m)
{
    static const char start[] = ",location=\"", finish[] = "\"} ";
    struct sitemetrics *s = mem_alloc(1, sizeof(*s));
    struct metrics_collector collector = {
        .begin = begin, .collect = collect, .end = end, .context = s};
    char clean[EVENT_LOCATION_BYTES_MAX + 1]; /* as in events */
    size_t len = utf8_clean(location, strlen(location), clean, sizeof(clean), NULL);

    s->latest = latest;
    memcpy(s->location, start, strlen(start));
    s->location_len = strlen(start);
    s->location_len += metrics_escape(clean, len, s->location + s->location_len);
    memcpy(s->location + s->location_len, finish, strlen(finish));
    s->location_len += strlen(finish);
    metrics_collect(m, &collector);
    return s;
}

void sitemetrics_free(struct sitemetrics *s)
{
    free(s);
}
