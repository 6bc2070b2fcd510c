/*
 * terminal - what a standard stream can show: escape sequences, UTF-8, how many columns; and text
 * of the outside world put into cells of it.
 *
 * Plain ANSI sequences, and no library for them: what is drawn is a table of a few colours. It
 * writes into a FILE and does not know what.
 */
#ifndef PRODUCER_TERMINAL_H
#define PRODUCER_TERMINAL_H

#include <locale.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct terminal {
    int fd;
    bool is_terminal;
    bool escapes; /* a terminal that knows them, and NO_COLOR is not set */
    bool utf8;    /* other characters than ASCII may be written */
    int columns, rows;
    locale_t characters; /* that knows how wide they are */
};

enum colour {
    COLOUR_NONE,
    COLOUR_RED,
    COLOUR_GREEN,
    COLOUR_YELLOW,
    COLOUR_BLUE,
    COLOUR_MAGENTA,
    COLOUR_CYAN,
    COLOUR_DIM,
    COLOUR_BOLD,
};

/* By the environment (NO_COLOR, TERM, the locale) and by what fd is. What goes to no terminal is
 * UTF-8 whatever the locale. */
void terminal_look(struct terminal *t, int fd);
void terminal_clear(struct terminal *t);
/* How large it is at this moment: 80 x 24 where nobody says. */
void terminal_measure(struct terminal *t);

/* "" where there are no escapes. COLOUR_NONE ends a colour. */
const char *terminal_colour(const struct terminal *t, enum colour colour);

/*
 * text[0..len) as one cell of a line, whatever it holds: control characters, those that turn the
 * direction of a text or have no width of their own, what is not UTF-8 and what the terminal
 * cannot show become '?'. width > 0: at most so many columns, the last of them "…" (or '~') where
 * something was cut. Returns the columns written.
 */
int terminal_put(const struct terminal *t, FILE *out, const char *text, size_t len, int width);
/* The same, with spaces up to `width` columns. Longer text is cut if `cut`. */
void terminal_cell(const struct terminal *t, FILE *out, const char *text, size_t len, int width,
                   bool cut);

#endif
