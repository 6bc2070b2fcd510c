/*
 * Flags are read first, into a list, because one of them names the file; they are applied last,
 * because they win. Those that are flags alone (--help, --version) are applied at once, so that
 * a program can still print its help when a file or the environment is wrong.
 */
#include "common/settings.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/settings_private.h"
#include "common/suggest.h"
#include "common/textfile.h"

#define SHOWN_CHARS_MAX 64 /* of a wrong argument, in a message */
#define WHERE_SIZE 256

struct flag {
    const struct setting *setting;
    const char *text;
};

static int load_defaults(void *into, const struct settings_table *table, struct err *err)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct setting *setting = &table->settings[i];
        char where[WHERE_SIZE];

        snprintf(where, sizeof(where), "built-in default of %s", setting->name);
        if (setting->fallback != NULL &&
            setting_set_text(into, setting, setting->fallback, where, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static const char *environment(const char *name)
{
    const char *text = name == NULL ? NULL : getenv(name);

    return text == NULL || *text == '\0' ? NULL : text;
}

/* NAME_FILE, as containers hand over secrets. */
static int load_secret_file(void *into, const struct setting *setting, const char *other,
                            struct err *err)
{
    char variable[SETTING_NAME_SIZE + 8];
    char where[WHERE_SIZE];
    char *text;

    snprintf(variable, sizeof(variable), "%s_FILE", setting->env);
    const char *path = environment(variable);

    if (path == NULL) {
        return 0;
    }
    if (other != NULL) {
        return err_set(err, ERR_INVALID, "environment: both %s and %s are set, unset one", other,
                       variable);
    }
    snprintf(where, sizeof(where), "environment variable %s (%.80s)", variable, path);
    if (textfile_read_value(path, SETTINGS_TEXT_BYTES_MAX, &text, err) < 0) {
        return err_context(err, "environment variable %s", variable);
    }
    int rc = setting_set_text(into, setting, text, where, err);

    free(text);
    return rc;
}

static int load_environment(void *into, const struct settings_table *table, struct err *err)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct setting *setting = &table->settings[i];
        const char *name = setting->env;
        const char *text = environment(name);
        char where[WHERE_SIZE];

        if (setting->env == NULL || (setting->flags & SETTING_FLAG_ONLY) != 0) {
            continue;
        }
        if (text == NULL) {
            name = setting->env_also;
            text = environment(name);
        }
        if ((setting->flags & SETTING_SECRET) != 0 &&
            load_secret_file(into, setting, text == NULL ? NULL : name, err) < 0) {
            return -1;
        }
        snprintf(where, sizeof(where), "environment variable %s", name == NULL ? "" : name);
        if (text != NULL && setting_set_text(into, setting, text, where, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int no_such_flag(const struct settings_table *table, const char *name, struct err *err)
{
    struct suggest suggest = suggest_start(name);

    for (size_t i = 0; i < table->count; i++) {
        suggest_offer(&suggest, table->settings[i].name);
    }
    if (suggest.best != NULL) {
        return err_set(err, ERR_INVALID, "no such flag: --%.*s (did you mean --%s?)",
                       SHOWN_CHARS_MAX, name, suggest.best);
    }
    return err_set(err, ERR_INVALID, "no such flag: --%.*s (--help lists them)", SHOWN_CHARS_MAX,
                   name);
}

static const struct setting *find_flag(const struct settings_table *table, const char *name,
                                       size_t len)
{
    for (size_t i = 0; i < table->count; i++) {
        if (strlen(table->settings[i].name) == len &&
            memcmp(table->settings[i].name, name, len) == 0) {
            return &table->settings[i];
        }
    }
    return NULL;
}

/* Take one flag, and the argument after it where that is its value. argv ends with NULL. */
static int read_flag(const struct settings_table *table, char ***arg, struct flag *flag,
                     struct err *err)
{
    const char *name = **arg + 2;
    size_t len = strcspn(name, "=");
    char word[SHOWN_CHARS_MAX + 1];

    flag->setting = find_flag(table, name, len);
    if (flag->setting == NULL) {
        snprintf(word, sizeof(word), "%.*s", (int)(len < SHOWN_CHARS_MAX ? len : SHOWN_CHARS_MAX),
                 name);
        return no_such_flag(table, word, err);
    }
    if (name[len] == '=') {
        flag->text = name + len + 1;
    } else if (flag->setting->type == SETTING_BOOL || flag->setting->type == SETTING_MAYBE) {
        flag->text = "true";
    } else {
        (*arg)++;
        flag->text = **arg;
        if (flag->text == NULL) {
            return err_set(err, ERR_INVALID, "flag --%s wants a value: --%s %s",
                           flag->setting->name, flag->setting->name,
                           flag->setting->value_name == NULL ? "VALUE" : flag->setting->value_name);
        }
    }
    return 0;
}

/* Sort argv into flags and operands. */
static int read_arguments(const struct settings_table *table, char **argv, struct flag *flags,
                          size_t *flag_count, const char **operands, size_t *operand_count,
                          struct err *err)
{
    bool ended = false;

    *flag_count = 0;
    *operand_count = 0;
    for (char **arg = argv; *arg != NULL; arg++) {
        if (ended || (*arg)[0] != '-' || (*arg)[1] == '\0') {
            operands[(*operand_count)++] = *arg;
        } else if (strcmp(*arg, "--") == 0) {
            ended = true;
        } else if ((*arg)[1] != '-') {
            return err_set(err, ERR_INVALID, "no such flag: %.*s (flags begin with --)",
                           SHOWN_CHARS_MAX, *arg);
        } else if (read_flag(table, &arg, &flags[(*flag_count)++], err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int apply_flags(void *into, const struct flag *flags, size_t count, bool flag_only,
                       struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct setting *setting = flags[i].setting;
        char where[WHERE_SIZE];

        snprintf(where, sizeof(where), "flag --%s", setting->name);
        if (((setting->flags & SETTING_FLAG_ONLY) != 0) == flag_only &&
            setting_set_text(into, setting, flags[i].text, where, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* The file's path: the last --config, else its environment variable, else its default. */
static const char *config_path(const struct settings_table *table, const struct flag *flags,
                               size_t flag_count)
{
    const struct setting *config = find_flag(table, "config", strlen("config"));

    if (config == NULL) {
        return NULL;
    }
    for (size_t i = flag_count; i > 0; i--) {
        if (flags[i - 1].setting == config) {
            return flags[i - 1].text;
        }
    }
    const char *text = environment(config->env);

    return text == NULL ? config->fallback : text;
}

int settings_load(void *into, const struct settings_table *table, int argc, char **argv,
                  const char **operands, size_t *operand_count, struct err *err)
{
    struct flag *flags = mem_alloc((size_t)argc + 1, sizeof(*flags));
    size_t flag_count;
    int rc = -1;

    if (load_defaults(into, table, err) < 0 ||
        read_arguments(table, argc > 0 ? argv + 1 : argv, flags, &flag_count, operands,
                       operand_count, err) < 0 ||
        apply_flags(into, flags, flag_count, true, err) < 0) {
        goto out;
    }
    const char *path = config_path(table, flags, flag_count);

    if (path != NULL && settings_load_file(into, table, path, err) < 0) {
        goto out;
    }
    if (load_environment(into, table, err) < 0) {
        goto out;
    }
    rc = apply_flags(into, flags, flag_count, false, err);

out:
    free(flags);
    return rc;
}

void settings_free(void *into, const struct settings_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct setting *setting = &table->settings[i];

        if (setting->type == SETTING_TEXT) {
            char **field = setting_field(into, setting);

            free(*field);
            *field = NULL;
        } else if (setting->type == SETTING_PAIRS) {
            setting_pairs_free(setting_field(into, setting));
        }
    }
}
