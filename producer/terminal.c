#include "producer/terminal.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#include "common/utf8.h"

#define COLUMNS_DEFAULT 80
#define ROWS_DEFAULT 24
#define UNKNOWN "?"

/* "" when it is not set. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value == NULL ? "" : value;
}

static bool wants_escapes(void)
{
    const char *term = variable("TERM");

    return term[0] != '\0' && strcmp(term, "dumb") != 0 && variable("NO_COLOR")[0] == '\0';
}

static bool locale_is_utf8(void)
{
    locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);

    if (locale == (locale_t)0) {
        return false;
    }
    bool is = strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;

    freelocale(locale);
    return is;
}

void terminal_look(struct terminal *t, int fd)
{
    *t = (struct terminal){.fd = fd, .is_terminal = isatty(fd) == 1};
    t->escapes = t->is_terminal && wants_escapes();
    t->utf8 = !t->is_terminal || locale_is_utf8();
    t->characters = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    terminal_measure(t);
}

void terminal_clear(struct terminal *t)
{
    if (t->characters != (locale_t)0) {
        freelocale(t->characters);
        t->characters = (locale_t)0;
    }
}

void terminal_measure(struct terminal *t)
{
    struct winsize size = {0};
    bool known = t->is_terminal && ioctl(t->fd, TIOCGWINSZ, &size) == 0;

    t->columns = known && size.ws_col > 0 ? size.ws_col : COLUMNS_DEFAULT;
    t->rows = known && size.ws_row > 0 ? size.ws_row : ROWS_DEFAULT;
}

const char *terminal_colour(const struct terminal *t, enum colour colour)
{
    static const char *const sequences[] = {
        [COLOUR_NONE] = "\x1b[0m",    [COLOUR_RED] = "\x1b[31m",  [COLOUR_GREEN] = "\x1b[32m",
        [COLOUR_YELLOW] = "\x1b[33m", [COLOUR_BLUE] = "\x1b[34m", [COLOUR_MAGENTA] = "\x1b[35m",
        [COLOUR_CYAN] = "\x1b[36m",   [COLOUR_DIM] = "\x1b[2m",   [COLOUR_BOLD] = "\x1b[1m",
    };

    return t->escapes ? sequences[colour] : "";
}

/* --- Text --- */

/* One character of a text, as it is shown. */
struct glyph {
    const char *bytes;
    size_t len;   /* to write */
    size_t taken; /* of the text */
    int width;
};

/* Characters without a width of their own that steer what is around them: directions, joiners,
 * tags. What is left without a width combines with the character before it. */
static bool steers(wchar_t c)
{
    static const struct {
        wchar_t first, last;
    } ranges[] = {{0x200B, 0x200F}, {0x2028, 0x202E}, {0x2060, 0x206F},
                  {0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFB}, {0xE0000, 0xE0FFF}};

    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (c >= ranges[i].first && c <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

/* -1: it is not to be shown. */
static int width_of(const struct terminal *t, wchar_t c)
{
    if (t->characters == (locale_t)0 || steers(c) || !iswprint_l((wint_t)c, t->characters)) {
        return -1;
    }
    locale_t before = uselocale(t->characters);
    int width = wcwidth(c);

    uselocale(before);
    return width;
}

/* The character of `size` bytes that valid UTF-8 begins with. */
static wchar_t decode(const unsigned char *text, size_t size)
{
    unsigned long value = text[0] & (0xFFU >> (size + 1));

    for (size_t i = 1; i < size; i++) {
        value = value << 6 | (text[i] & 0x3FU);
    }
    return (wchar_t)value;
}

static struct glyph next_glyph(const struct terminal *t, const char *text, size_t len)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t size = bytes[0] < 0x80 ? 1 : bytes[0] >= 0xF0 ? 4 : bytes[0] >= 0xE0 ? 3 : 2;
    struct glyph glyph = {.bytes = UNKNOWN, .len = 1, .taken = 1, .width = 1};

    if (utf8_valid_prefix(text, size < len ? size : len) < size) {
        return glyph; /* also a byte alone that is no character */
    }
    glyph.taken = size;

    int width = size > 1                              ? width_of(t, decode(bytes, size))
                : bytes[0] >= 0x20 && bytes[0] < 0x7F ? 1
                                                      : -1;

    if (width >= 0 && (size == 1 || t->utf8)) {
        glyph.bytes = text;
        glyph.len = size;
        glyph.width = width;
    }
    return glyph;
}

int terminal_put(const struct terminal *t, FILE *out, const char *text, size_t len, int width)
{
    int columns = 0;
    size_t fits = 0; /* so many bytes leave a column for the mark of a cut */
    size_t whole = 0;
    int fits_columns = 0;

    while (whole < len && (width == 0 || columns <= width)) {
        struct glyph glyph = next_glyph(t, text + whole, len - whole);

        columns += glyph.width;
        whole += glyph.taken;
        if (columns < width) {
            fits = whole;
            fits_columns = columns;
        }
    }
    bool cut = width > 0 && columns > width;

    for (size_t at = 0; at < (cut ? fits : whole);) {
        struct glyph glyph = next_glyph(t, text + at, len - at);

        fwrite(glyph.bytes, 1, glyph.len, out);
        at += glyph.taken;
    }
    if (!cut) {
        return columns;
    }
    fputs(t->utf8 ? "\xE2\x80\xA6" : "~", out);
    return fits_columns + 1;
}

void terminal_cell(const struct terminal *t, FILE *out, const char *text, size_t len, int width,
                   bool cut)
{
    int columns = terminal_put(t, out, text, len, cut ? width : 0);

    fprintf(out, "%*s", columns < width ? width - columns : 0, "");
}
