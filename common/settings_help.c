/* The part of settings that prints the table: --help and the man page's list. */
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "common/settings.h"
#include "common/settings_private.h"

#define HELP_COLUMN 24
#define HELP_WIDTH 100
#define NOTES_SIZE 1024

/* Text put together from parts; what does not fit is left out. */
struct notes {
    char text[NOTES_SIZE];
    size_t used;
};

static void notes_add(struct notes *notes, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void notes_add(struct notes *notes, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    int len = vsnprintf(notes->text + notes->used, sizeof(notes->text) - notes->used, fmt, args);
    va_end(args);
    notes->used += (size_t)len;
    if (notes->used >= sizeof(notes->text)) {
        notes->used = sizeof(notes->text) - 1;
    }
}

static bool is_true(const char *text)
{
    return strcasecmp(text, "true") == 0 || strcasecmp(text, "yes") == 0 ||
           strcasecmp(text, "on") == 0 || strcmp(text, "1") == 0;
}

/* A default worth telling: not a secret's, not the false that a bool is anyway. */
static const char *told_default(const struct setting *setting)
{
    if ((setting->flags & SETTING_SECRET) != 0 || setting->fallback == NULL ||
        (setting->type == SETTING_BOOL && !is_true(setting->fallback))) {
        return NULL;
    }
    return setting->fallback;
}

static bool in_environment(const struct setting *setting)
{
    return setting->env != NULL && (setting->flags & SETTING_FLAG_ONLY) == 0;
}

/* "default 5000, 1..100000": what help and man page say of a value. "" when there is nothing. */
static void add_value_facts(struct notes *notes, const struct setting *setting)
{
    const char *fallback = told_default(setting);

    if (setting->type == SETTING_CHOICE) {
        for (size_t i = 0; setting->choices[i] != NULL; i++) {
            notes_add(notes, "%s%s", i == 0 ? "one of " : ", ", setting->choices[i]);
        }
    }
    if (fallback != NULL) {
        notes_add(notes, "%sdefault %s", notes->used == 0 ? "" : "; ", fallback);
    }
    if (setting->type == SETTING_INT) {
        notes_add(notes, "%s%" PRId64 "..%" PRId64, fallback == NULL ? "" : ", ", setting->min,
                  setting->max);
    }
}

static void add_help_facts(struct notes *notes, const struct setting *setting)
{
    struct notes facts = {0};

    add_value_facts(&facts, setting);
    if (in_environment(setting)) {
        notes_add(&facts, "%senv %s", facts.used == 0 ? "" : "; ", setting->env);
        if (setting->env_also != NULL) {
            notes_add(&facts, ", %s", setting->env_also);
        }
        if ((setting->flags & SETTING_SECRET) != 0) {
            notes_add(&facts, ", %s_FILE", setting->env);
        }
    }
    if (facts.used > 0) {
        notes_add(notes, " (%s)", facts.text);
    }
}

/* Print words from column `at` on, each new line at `indent`. */
static void print_wrapped(FILE *out, const char *text, size_t at, size_t indent)
{
    bool first = true;

    while (*text != '\0') {
        size_t word = strcspn(text, " ");

        if (!first && at + 1 + word > HELP_WIDTH) {
            fprintf(out, "\n%*s", (int)indent, "");
            at = indent;
            first = true;
        }
        fprintf(out, "%s%.*s", first ? "" : " ", (int)word, text);
        at += word + (first ? 0 : 1);
        first = false;
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

void settings_print_help(FILE *out, const struct settings_table *table)
{
    fprintf(out, "Usage: %s %s\n\n", table->program, table->usage);
    print_wrapped(out, table->purpose, 0, 0);
    fprintf(out, "\nFlags:\n");
    for (size_t i = 0; i < table->count; i++) {
        const struct setting *setting = &table->settings[i];
        struct notes notes = {0};
        size_t used = strlen("  --") + strlen(setting->name);

        fprintf(out, "  --%s", setting->name);
        if (setting->value_name != NULL) {
            fprintf(out, " %s", setting->value_name);
            used += 1 + strlen(setting->value_name);
        }
        if (used + 2 > HELP_COLUMN) {
            fprintf(out, "\n%*s", HELP_COLUMN, "");
        } else {
            fprintf(out, "%*s", (int)(HELP_COLUMN - used), "");
        }
        notes_add(&notes, "%s", setting->help);
        add_help_facts(&notes, setting);
        print_wrapped(out, notes.text, HELP_COLUMN, HELP_COLUMN);
    }
    fputc('\n', out);
    print_wrapped(out,
                  "A flag wins over the environment, the environment over the file of --config, "
                  "the file over the default. In the file a name is written with _ for -.",
                  0, 0);
}

/* mdoc takes a backslash as an escape, and a line that begins with . or ' as a request. */
static void print_mdoc_text(FILE *out, const char *text, bool capital)
{
    if (*text == '.' || *text == '\'') {
        fputs("\\&", out);
    }
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\\') {
            fputs("\\e", out);
        } else {
            fputc(capital && c == text ? toupper((unsigned char)*c) : *c, out);
        }
    }
}

static void print_mdoc_environment(FILE *out, const struct setting *setting)
{
    const char *also = setting->env_also;
    bool secret = (setting->flags & SETTING_SECRET) != 0;

    fprintf(out, "Environment:\n.Ev %s%s\n", setting->env,
            also == NULL && !secret ? " ."
            : also != NULL          ? " ,"
                                    : "");
    if (also != NULL) {
        fprintf(out, ".Ev %s%s\n", also, secret ? "" : " .");
    }
    if (secret) {
        fprintf(out, "or, for the path of a file that holds the value,\n.Ev %s_FILE .\n",
                setting->env);
    }
}

void settings_print_mdoc(FILE *out, const struct settings_table *table)
{
    fputs(".Sh OPTIONS\n.Bl -tag -width Ds\n", out);
    for (size_t i = 0; i < table->count; i++) {
        const struct setting *setting = &table->settings[i];
        struct notes facts = {0};

        fprintf(out, ".It Fl -%s", setting->name);
        if (setting->value_name != NULL) {
            fprintf(out, " Ar %s", setting->value_name);
        }
        fputc('\n', out);
        print_mdoc_text(out, setting->help, true);
        fputs(".\n", out);
        add_value_facts(&facts, setting);
        if (facts.used > 0) {
            print_mdoc_text(out, facts.text, true);
            fputs(".\n", out);
        }
        if (in_environment(setting)) {
            print_mdoc_environment(out, setting);
        }
    }
    fputs(".El\n", out);
}

/* In a table cell a bar would end the cell. */
static void print_cell(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        fprintf(out, "%s%c", *text == '|' ? "\\" : "", *text);
    }
}

void settings_print_markdown(FILE *out, const struct settings_table *table)
{
    fputs("| flag | environment | meaning | value |\n| --- | --- | --- | --- |\n", out);
    for (size_t i = 0; i < table->count; i++) {
        const struct setting *setting = &table->settings[i];
        struct notes facts = {0};

        fprintf(out, "| `--%s%s%s` | ", setting->name, setting->value_name == NULL ? "" : " ",
                setting->value_name == NULL ? "" : setting->value_name);
        if (in_environment(setting)) {
            fprintf(out, "`%s`", setting->env);
            if (setting->env_also != NULL) {
                fprintf(out, ", `%s`", setting->env_also);
            }
            if ((setting->flags & SETTING_SECRET) != 0) {
                fprintf(out, ", `%s_FILE`", setting->env);
            }
        }
        fputs(" | ", out);
        print_cell(out, setting->help);
        fputs(" | ", out);
        add_value_facts(&facts, setting);
        print_cell(out, facts.text);
        fputs(" |\n", out);
    }
}
