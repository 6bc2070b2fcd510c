#include "producer/table.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "common/clock.h"

#define CELL_SIZE 32
#define NAME_WIDTH 40
#define NAME_WIDTH_BESIDE_BARS 28
#define PHASES 5
#define COLUMNS_FOR_NUMBERS 140 /* from here on a terminal has the phases as numbers too */

struct phase {
    const char *name, *heading;
    const char *ascii, *utf8; /* what a bar is made of; told apart without colours too */
    enum colour colour;
};

static const struct phase phases[PHASES] = {
    {"dns", "DNS", "d", "\xE2\x96\x91", COLOUR_MAGENTA},         /* light shade */
    {"connect", "CONNECT", "c", "\xE2\x96\x92", COLOUR_BLUE},    /* medium shade */
    {"tls", "TLS", "t", "\xE2\x96\x93", COLOUR_CYAN},            /* dark shade */
    {"wait", "WAIT", "w", "\xE2\x96\x88", COLOUR_YELLOW},        /* full block */
    {"transfer", "TRANSFER", "r", "\xE2\x96\x84", COLOUR_GREEN}, /* lower half */
};

static void phases_of(const struct event_timing *t, int64_t us[PHASES])
{
    us[0] = t->dns_us;
    us[1] = t->connect_us;
    us[2] = t->tls_us;
    us[3] = t->wait_us;
    us[4] = t->transfer_us;
}

enum colour table_status_colour(enum check_status status)
{
    static const enum colour colours[] = {[CHECK_UP] = COLOUR_GREEN,
                                          [CHECK_DEGRADED] = COLOUR_YELLOW,
                                          [CHECK_DOWN] = COLOUR_RED,
                                          [CHECK_UNKNOWN] = COLOUR_MAGENTA};

    return colours[status];
}

const char *table_milliseconds(int64_t us, char *cell, size_t size)
{
    if (us == EVENT_ABSENT) {
        return "-";
    }
    snprintf(cell, size, "%.1f", (double)us / (double)US_PER_MS);
    return cell;
}

/* --- Bars --- */

void table_share(const int64_t *parts, size_t count, int width, int *cells)
{
    double sum = 0;
    int left = width;

    for (size_t i = 0; i < count; i++) {
        sum += parts[i] > 0 ? (double)parts[i] : 0;
        cells[i] = 0;
    }
    if (sum == 0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        cells[i] = parts[i] > 0 ? (int)((double)parts[i] / sum * width) : 0;
        left -= cells[i];
    }
    while (left > 0) {
        double most = -1;
        size_t best = 0;

        for (size_t i = 0; i < count; i++) {
            double lost = parts[i] > 0 ? (double)parts[i] / sum * width - cells[i] : -1;

            if (lost > most) {
                most = lost;
                best = i;
            }
        }
        cells[best]++;
        left--;
    }
}

static const char *glyph_of(const struct terminal *t, const struct phase *phase)
{
    return t->utf8 ? phase->utf8 : phase->ascii;
}

static void print_bar(const struct terminal *t, FILE *out, const struct event_timing *timing)
{
    int64_t us[PHASES];
    int cells[PHASES];
    int drawn = 0;

    phases_of(timing, us);
    table_share(us, PHASES, TABLE_BAR_WIDTH, cells);
    for (size_t i = 0; i < PHASES; i++) {
        if (cells[i] > 0) {
            fputs(terminal_colour(t, phases[i].colour), out);
        }
        for (int n = 0; n < cells[i]; n++, drawn++) {
            fputs(glyph_of(t, &phases[i]), out);
        }
    }
    fprintf(out, "%s%*s  ", drawn > 0 ? terminal_colour(t, COLOUR_NONE) : "",
            TABLE_BAR_WIDTH - drawn, "");
}

/* --- Lines --- */

static bool has_numbers(const struct terminal *t)
{
    return !t->is_terminal || t->columns >= COLUMNS_FOR_NUMBERS;
}

static int name_width(const struct terminal *t)
{
    return has_numbers(t) ? NAME_WIDTH : NAME_WIDTH_BESIDE_BARS;
}

void table_print_heading(const struct terminal *t, FILE *out)
{
    if (t->is_terminal) {
        fputs("time by phase:", out);
        for (size_t i = 0; i < PHASES; i++) {
            fprintf(out, "  %s%s%s %s", terminal_colour(t, phases[i].colour),
                    glyph_of(t, &phases[i]), terminal_colour(t, COLOUR_NONE), phases[i].name);
        }
        fputc('\n', out);
    }
    fprintf(out, "%s%-9s %4s %9s", terminal_colour(t, COLOUR_BOLD), "STATUS", "CODE", "TOTAL_MS");
    for (size_t i = 0; i < PHASES && has_numbers(t); i++) {
        fprintf(out, " %8s", phases[i].heading);
    }
    fputs("  ", out);
    if (t->is_terminal) {
        fprintf(out, "%-*s  ", TABLE_BAR_WIDTH, "PHASES");
    }
    fprintf(out, "%-*s %s%s\n", name_width(t), "SITE", "ERROR", terminal_colour(t, COLOUR_NONE));
}

void table_print_row(const struct terminal *t, FILE *out, const struct event *event)
{
    int64_t us[PHASES];
    char cell[CELL_SIZE];
    char code[CELL_SIZE] = "-";

    if (event->http_status != 0) {
        snprintf(code, sizeof(code), "%" PRId32, event->http_status);
    }
    fprintf(out, "%s%-9s%s %4s %9s", terminal_colour(t, table_status_colour(event->status)),
            check_status_name(event->status), terminal_colour(t, COLOUR_NONE), code,
            table_milliseconds(event->timing.total_us, cell, sizeof(cell)));
    phases_of(&event->timing, us);
    for (size_t i = 0; i < PHASES && has_numbers(t); i++) {
        fprintf(out, " %8s", table_milliseconds(us[i], cell, sizeof(cell)));
    }
    fputs("  ", out);
    if (t->is_terminal) {
        print_bar(t, out, &event->timing);
    }
    terminal_cell(t, out, event->site_name, strlen(event->site_name),
                  event->error == ERROR_NONE ? 0 : name_width(t), false);
    if (event->error != ERROR_NONE) {
        const char *message = event->error_message == NULL ? "" : event->error_message;

        fprintf(out, " %s: ", error_type_name(event->error));
        terminal_put(t, out, message, strlen(message), 0);
    }
    fputc('\n', out);
}
