/*
 * settings - fill a program's settings from one table.
 *
 * A later source wins: built-in default < libconfig file (--config) < environment < flags. The
 * table is the one place where a setting's names, default, limits and help are written; --help
 * and the option list of the man page are made from it.
 *
 * (Not called "config": libconfig's own functions begin with config_.)
 */
#ifndef COMMON_SETTINGS_H
#define COMMON_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"

#define SETTINGS_TEXT_BYTES_MAX 65536 /* of one value, from any source */

enum setting_type {
    SETTING_INT,    /* int64_t in min..max */
    SETTING_BOOL,   /* bool; as a flag alone it means true; text: true|false|1|0|yes|no|on|off */
    SETTING_MAYBE,  /* int of enum setting_maybe, as text like a bool; without it MAYBE_NOT_GIVEN */
    SETTING_TEXT,   /* char *, owned by the struct, freed by settings_free; NULL when not given */
    SETTING_CHOICE, /* int: the index in `choices` */
    SETTING_PAIRS,  /* struct setting_pairs: "a=b;c=d", or in a file a list of "a=b" strings */
};

enum setting_maybe { MAYBE_NOT_GIVEN, MAYBE_NO, MAYBE_YES };

enum setting_flag {
    SETTING_SECRET = 1,    /* shown nowhere; NAME_FILE (environment) names a file holding it */
    SETTING_FLAG_ONLY = 2, /* neither in the environment nor in a file (e.g. --version) */
};

struct setting_pairs {
    size_t count;
    char **names;
    char **values;
};

struct setting {
    const char *name;     /* "batch-rows": --batch-rows; in a file: batch_rows */
    const char *env;      /* "BATCH_ROWS"; NULL: not in the environment */
    const char *env_also; /* an old or foreign name, read when env is not set; NULL: none */
    enum setting_type type;
    unsigned flags;             /* of enum setting_flag */
    size_t offset;              /* of the field in the caller's struct */
    const char *fallback;       /* default, as text; NULL: none (text: NULL, bool: false, int: 0) */
    int64_t min, max;           /* SETTING_INT only */
    const char *const *choices; /* SETTING_CHOICE only, ends with NULL */
    const char *value_name;     /* "N", "FILE"; for --help; NULL for a bool */
    const char *help;           /* one sentence, lower case, no full stop */
};

struct settings_table {
    const char *program; /* "producer" */
    const char *usage;   /* what follows the program's name in the usage line */
    const char *purpose; /* one sentence for --help */
    const struct setting *settings;
    size_t count;
};

/*
 * Every setting of the table is in *into on success. On failure *err (ERR_INVALID) names the
 * source (file:line, environment variable, flag), the setting, and what would be right; *into
 * must then still be given to settings_free. *into must be zeroed before.
 *
 * Flags are "--name VALUE" or "--name=VALUE"; a bool, SETTING_MAYBE or not, also "--name" alone.
 * What is not a flag is an operand: operands are moved, in order, to operands[0..*operand_count),
 * which has room for argc entries and points into argv. An environment variable that is set but
 * empty counts as not set (compose files pass those). The file is the one that --config names, if
 * any.
 *
 * An environment variable is never an error because it is unknown: others live there too.
 */
int settings_load(void *into, const struct settings_table *table, int argc, char **argv,
                  const char **operands, size_t *operand_count, struct err *err) MUST_CHECK;
void settings_free(void *into, const struct settings_table *table);

/* The text of --help, made from the table. */
void settings_print_help(FILE *out, const struct settings_table *table);

/* The OPTIONS section of the man page in mdoc(7), made from the table. */
void settings_print_mdoc(FILE *out, const struct settings_table *table);

/* The table of docs/settings.md, made from the table. */
void settings_print_markdown(FILE *out, const struct settings_table *table);

#endif
