#include "producer/view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "producer/table.h"

#define HEAD_ROWS 2 /* what it says of all, names of the columns */
#define LINE_SIZE 256
#define BARS_MAX LATEST_HISTORY
#define BARS_MIN 8
#define COLUMNS_FIXED (8 + 1 + 4 + 1 + 9 + 2 + 2 + 5 + 2) /* all but bars, site and error */
#define COLUMNS_MIN (COLUMNS_FIXED + BARS_MIN + 12)       /* below, a line is cut on its right */
#define STATUSES 4

/* What of a frame's sites is on the screen: the worst, in order. */
struct chosen {
    struct latest_site sites[VIEW_ROWS_MAX];
    size_t count, max;
    size_t statuses[STATUSES];
    size_t total;
    uint32_t lag_max_us;
};

/* --- Which sites --- */

static int rank(const struct latest_site *site)
{
    static const int ranks[STATUSES] = {
        [CHECK_DOWN] = 0, [CHECK_UNKNOWN] = 1, [CHECK_DEGRADED] = 2, [CHECK_UP] = 3};

    return ranks[site->result.status];
}

/* By name where they are as bad, so that lines stay where they are. */
static int compare(const struct latest_site *a, const struct latest_site *b)
{
    int order = rank(a) - rank(b);

    if (order == 0) {
        order = memcmp(a->name, b->name, a->len < b->len ? a->len : b->len);
    }
    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

static void choose(struct chosen *c, const struct latest_site *site)
{
    size_t first = 0;
    size_t end = c->count;

    c->total++;
    c->statuses[site->result.status]++;
    if (site->result.lag_us > c->lag_max_us) {
        c->lag_max_us = site->result.lag_us;
    }
    if (c->max == 0 || (c->count == c->max && compare(site, &c->sites[c->max - 1]) >= 0)) {
        return;
    }
    while (first < end) {
        size_t middle = first + (end - first) / 2;

        if (compare(site, &c->sites[middle]) < 0) {
            end = middle;
        } else {
            first = middle + 1;
        }
    }
    if (c->count < c->max) {
        c->count++;
    }
    memmove(&c->sites[first + 1], &c->sites[first], (c->count - 1 - first) * sizeof(c->sites[0]));
    c->sites[first] = *site;
}

/* --- Lines --- */

static const char *const status_glyphs[2][STATUSES] = {
    {[CHECK_UP] = "|", [CHECK_DEGRADED] = "!", [CHECK_DOWN] = "x", [CHECK_UNKNOWN] = "?"},
    {[CHECK_UP] = "\xE2\x96\x87",       /* seven eighths of a block */
     [CHECK_DEGRADED] = "\xE2\x96\x85", /* five */
     [CHECK_DOWN] = "x",
     [CHECK_UNKNOWN] = "?"},
};

/* A frame that is being drawn. */
struct frame {
    const struct terminal *t;
    FILE *out;
    int row; /* the last that was begun, from 1 */
};

/* Empty, whatever was there before. No newline is ever written: at the bottom it would scroll. */
static void begin_line(struct frame *f)
{
    fprintf(f->out, "\x1b[%d;1H\x1b[K", ++f->row);
}

static int bars_width(const struct terminal *t)
{
    int width = (t->columns - COLUMNS_FIXED) / 3;

    return width < BARS_MIN ? BARS_MIN : width > BARS_MAX ? BARS_MAX : width;
}

/* The oldest on the left, each place where it was a check ago but one to the right. */
static void draw_history(const struct terminal *t, FILE *out, const struct latest_result *result)
{
    int width = bars_width(t);
    int count = result->checks < width ? result->checks : width;
    enum colour colour = COLOUR_NONE;

    for (int i = count - 1; i >= 0; i--) {
        enum check_status status = (enum check_status)(result->history >> (2 * i) & 3);
        enum colour wanted = table_status_colour(status);

        if (wanted != colour) {
            fputs(terminal_colour(t, wanted), out);
            colour = wanted;
        }
        fputs(status_glyphs[t->utf8][status], out);
    }
    fprintf(out, "%s%*s", terminal_colour(t, COLOUR_NONE), width - count, "");
}

static const char *age_text(int64_t us, char *cell, size_t size)
{
    int64_t s = us > 0 ? us / US_PER_SEC : 0;

    if (s < 100) {
        snprintf(cell, size, "%" PRId64 " s", s);
    } else if (s < 100 * 60) {
        snprintf(cell, size, "%" PRId64 " m", s / 60);
    } else {
        snprintf(cell, size, "%" PRId64 " h", s / 3600 < 999 ? s / 3600 : 999);
    }
    return cell;
}

/* Cut where the line ends: the terminal would break it. */
static void draw_text(struct frame *f, enum colour colour, const char *text)
{
    begin_line(f);
    fputs(terminal_colour(f->t, colour), f->out);
    terminal_put(f->t, f->out, text, strlen(text), f->t->columns);
    fputs(terminal_colour(f->t, COLOUR_NONE), f->out);
}

/* On a terminal too narrow for columns. */
static void draw_narrow(struct frame *f, const struct latest_site *site)
{
    enum check_status status = (enum check_status)site->result.status;
    char text[LINE_SIZE];

    snprintf(text, sizeof(text), "%s %.*s", check_status_name(status), (int)site->len, site->name);
    draw_text(f, table_status_colour(status), text);
}

static void draw_error(struct frame *f, const struct latest_site *site, int width)
{
    char error[LATEST_MESSAGE_BYTES + 64];
    int len = snprintf(error, sizeof(error), " %s: %s",
                       error_type_name((enum error_type)site->result.error), site->message);

    terminal_put(f->t, f->out, error, (size_t)len, width);
}

static void draw_site(struct frame *f, const struct latest_site *site, int64_t now_us)
{
    const struct terminal *t = f->t;
    const struct latest_result *r = &site->result;
    enum check_status status = (enum check_status)r->status;
    int rest = t->columns - COLUMNS_FIXED - bars_width(t);
    int name_width = r->error == ERROR_NONE ? rest : rest / 2;
    char code[16] = "-";
    char ms[32];
    char age[32];

    if (t->columns < COLUMNS_MIN) {
        draw_narrow(f, site);
        return;
    }
    if (r->http_status != 0) {
        snprintf(code, sizeof(code), "%" PRIu32, r->http_status);
    }
    begin_line(f);
    fprintf(f->out, "%s%-8s%s %4s %9s  ", terminal_colour(t, table_status_colour(status)),
            check_status_name(status), terminal_colour(t, COLOUR_NONE), code,
            table_milliseconds(r->total_us == LATEST_ABSENT ? EVENT_ABSENT : r->total_us, ms,
                               sizeof(ms)));
    draw_history(t, f->out, r);
    fprintf(f->out, "  %5s  ", age_text(now_us - r->time_us, age, sizeof(age)));
    terminal_cell(t, f->out, site->name, site->len, name_width, true);
    if (r->error != ERROR_NONE) {
        draw_error(f, site, rest - name_width);
    }
}

/* "2 down, 1 up": what there is none of is left out. */
static void states_text(const struct chosen *c, size_t sites, char *text, size_t size)
{
    const struct {
        const char *name;
        size_t count;
    } states[] = {
        {"down", c->statuses[CHECK_DOWN]},
        {"unknown", c->statuses[CHECK_UNKNOWN]},
        {"degraded", c->statuses[CHECK_DEGRADED]},
        {"up", c->statuses[CHECK_UP]},
        {"not checked yet", sites > c->total ? sites - c->total : 0},
    };
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (states[i].count > 0 && len < size) {
            len += (size_t)snprintf(text + len, size - len, "%s%zu %s", len == 0 ? ": " : ", ",
                                    states[i].count, states[i].name);
        }
    }
}

static void draw_head(struct frame *f, const struct chosen *c, const struct view_facts *facts)
{
    char text[LINE_SIZE];
    char states[128];
    char lag[32];
    char clock[16];
    time_t now = (time_t)(facts->now_us / US_PER_SEC);
    struct tm local;

    strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &local));
    states_text(c, facts->sites, states, sizeof(states));
    snprintf(text, sizeof(text),
             "%s%s%s  %zu sites%s  in flight %zu  lag %s ms  missed %" PRIu64 "  %s", clock,
             facts->note[0] == '\0' ? "" : "  ", facts->note, facts->sites, states,
             facts->in_flight, table_milliseconds(c->lag_max_us, lag, sizeof(lag)),
             facts->slots_missed, facts->location);
    draw_text(f, COLOUR_BOLD, text);
}

static void draw_columns(struct frame *f)
{
    char text[LINE_SIZE] = "STATUS   SITE";

    if (f->t->columns >= COLUMNS_MIN) {
        snprintf(text, sizeof(text), "%-8s %4s %9s  %-*s  %5s  %s", "STATUS", "CODE", "TOTAL_MS",
                 bars_width(f->t), "LAST CHECKS", "AGO", "SITE");
    }
    draw_text(f, COLOUR_DIM, text);
}

void view_draw(const struct terminal *t, FILE *out, struct latest *latest,
               const struct view_facts *facts)
{
    static struct chosen chosen; /* of the one thread that draws: too much for its stack */
    struct frame frame = {.t = t, .out = out};
    struct latest_cursor cursor;
    struct latest_site site;
    int rows = t->rows - HEAD_ROWS;
    char text[LINE_SIZE];

    chosen.count = chosen.total = chosen.lag_max_us = 0;
    memset(chosen.statuses, 0, sizeof(chosen.statuses));
    chosen.max = rows < 1 ? 0 : rows < VIEW_ROWS_MAX ? (size_t)rows : VIEW_ROWS_MAX;
    latest_begin(latest, &cursor);
    latest_enter(latest);
    while (latest_next(latest, &cursor, &site)) {
        choose(&chosen, &site);
    }
    bool more = chosen.count > 0 && chosen.total > chosen.count;
    size_t shown = more ? chosen.count - 1 : chosen.count;

    draw_head(&frame, &chosen, facts);
    if (t->rows > 1) {
        draw_columns(&frame);
    }
    for (size_t i = 0; i < shown; i++) {
        draw_site(&frame, &chosen.sites[i], facts->now_us);
    }
    latest_leave(latest);
    if (more) {
        snprintf(text, sizeof(text), "and %zu more", chosen.total - shown);
        draw_text(&frame, COLOUR_DIM, text);
    }
    if (frame.row < t->rows) {
        fprintf(out, "\x1b[%d;1H\x1b[J", frame.row + 1);
    }
}
