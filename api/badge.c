#include "api/badge.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/markup.h"
#include "common/mem.h"

#define HEIGHT 20
#define MARGIN 6
#define CUT "\xE2\x80\xA6" /* U+2026, an ellipsis */

/* Dark enough for white letters on them (WCAG 2.2, 1.4.3). */
static const char *colour(const char *state)
{
    static const struct {
        const char *state, *colour;
    } colours[] = {{"up", "#1a7f37"}, {"degraded", "#8a5a00"}, {"down", "#c62828"}};

    for (size_t i = 0; i < sizeof(colours) / sizeof(colours[0]); i++) {
        if (strcmp(state, colours[i].state) == 0) {
            return colours[i].colour;
        }
    }
    return "#5a6068";
}

static bool begins_character(const char *at)
{
    return ((unsigned char)*at & 0xC0U) != 0x80U;
}

/* The first characters of a name, which the caller frees. */
static char *shorten(const char *name)
{
    const char *end = name;
    size_t chars = 0;

    while (*end != '\0' && (!begins_character(end) || chars < BADGE_NAME_CHARS_MAX)) {
        chars += begins_character(end);
        end++;
    }
    size_t len = (size_t)(end - name);
    char *out = mem_alloc(len + sizeof(CUT), 1);

    memcpy(out, name, len);
    if (*end != '\0') {
        memcpy(out + len, CUT, sizeof(CUT));
    }
    return out;
}

/* About as wide as a sans serif of 11 px draws it; textLength has it fit. */
static int width(const char *text)
{
    int sum = 0;

    for (const char *at = text; *at != '\0'; at++) {
        unsigned char c = (unsigned char)*at;

        if (!begins_character(at)) {
            continue;
        }
        if (c >= 0xE1) {
            sum += 11; /* U+1000 and above, among them the wide ones */
        } else if (strchr(" .,:;'|!iIjl", c) != NULL) {
            sum += 4;
        } else {
            sum += strchr("mwMW@%", c) != NULL ? 10 : 7;
        }
    }
    return sum;
}

static void write_label(FILE *out, const char *name, const char *state)
{
    markup_write(out, name);
    fprintf(out, ": %s", state);
}

static void write_text(FILE *out, int x, int text_width, const char *text)
{
    fprintf(out, "<text x=\"%d\" y=\"14\" textLength=\"%d\">", x, text_width);
    markup_write(out, text);
    fprintf(out, "</text>");
}

char *badge_svg(const char *name, const char *state, size_t *len)
{
    char *svg = NULL;
    char *shown = shorten(name);
    int name_width = width(shown), state_width = width(state);
    int left = name_width + 2 * MARGIN, right = state_width + 2 * MARGIN;
    FILE *out = mem_stream(&svg, len);

    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" role=\"img\""
            " aria-label=\"",
            left + right, HEIGHT);
    write_label(out, name, state);
    fprintf(out, "\"><title>");
    write_label(out, name, state);
    fprintf(out,
            "</title><rect width=\"%d\" height=\"%d\" fill=\"#3b4046\"/>"
            "<rect x=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"/>"
            "<g fill=\"#fff\" font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"11\">",
            left, HEIGHT, left, right, HEIGHT, colour(state));
    write_text(out, MARGIN, name_width, shown);
    write_text(out, left + MARGIN, state_width, state);
    fprintf(out, "</g></svg>\n");
    fclose(out);
    free(shown);
    return svg;
}
