/* The part of settings that reads a libconfig file. */
#include <libconfig.h>
#include <stdio.h>
#include <string.h>

#include "common/conffile.h"
#include "common/settings_private.h"
#include "common/suggest.h"

static const struct setting *find_in_file(const struct settings_table *table, const char *name)
{
    char spelling[SETTING_NAME_SIZE];

    for (size_t i = 0; i < table->count; i++) {
        const struct setting *setting = &table->settings[i];

        if ((setting->flags & SETTING_FLAG_ONLY) == 0 &&
            strcmp(name, setting_name_in_file(setting, spelling)) == 0) {
            return setting;
        }
    }
    return NULL;
}

static int no_such_setting(const struct settings_table *table, const char *name, struct err *err)
{
    struct suggest suggest = suggest_start(name);
    char spellings[SETTING_NAME_SIZE];
    char best[SETTING_NAME_SIZE] = "";

    for (size_t i = 0; i < table->count; i++) {
        if ((table->settings[i].flags & SETTING_FLAG_ONLY) != 0) {
            continue;
        }
        suggest_offer(&suggest, setting_name_in_file(&table->settings[i], spellings));
        if (suggest.best == spellings) {
            snprintf(best, sizeof(best), "%s", spellings);
            suggest.best = best;
        }
    }
    if (suggest.best != NULL) {
        return err_set(err, ERR_INVALID, "no such setting: %.64s (did you mean %s?)", name, best);
    }
    return err_set(err, ERR_INVALID,
                   "no such setting: %.64s (--help lists them, in a file with _ "
                   "for -)",
                   name);
}

static int wrong_type(const char *name, const char *want, const config_setting_t *got,
                      struct err *err)
{
    return err_set(err, ERR_INVALID, "%s: want %s, this is %s", name, want,
                   conffile_type_name(got));
}

/* A list or array of "a=b" strings. */
static int set_pairs(void *into, const struct setting *setting, const char *name,
                     const config_setting_t *list, struct err *err)
{
    struct setting_pairs pairs = {0};
    struct setting_pairs *field = setting_field(into, setting);
    size_t bytes = 0;

    for (int i = 0; i < config_setting_length(list); i++) {
        const config_setting_t *element = config_setting_get_elem(list, (unsigned)i);
        const char *text = config_setting_get_string(element);

        if (text == NULL) {
            setting_pairs_free(&pairs);
            return wrong_type(name, "strings \"NAME=VALUE\"", element, err);
        }
        bytes += strlen(text);
        if (bytes > SETTINGS_TEXT_BYTES_MAX) {
            setting_pairs_free(&pairs);
            return err_set(err, ERR_INVALID, "%s: longer than %d bytes", name,
                           SETTINGS_TEXT_BYTES_MAX);
        }
        if (setting_pairs_add(&pairs, setting, text, strlen(text), name, err) < 0) {
            setting_pairs_free(&pairs);
            return -1;
        }
    }
    setting_pairs_free(field);
    *field = pairs;
    return 0;
}

static int set_from_file(void *into, const struct setting *setting, const config_setting_t *from,
                         struct err *err)
{
    char name[SETTING_NAME_SIZE];
    const char *text = config_setting_get_string(from);
    int type = config_setting_type(from);

    setting_name_in_file(setting, name);
    switch (setting->type) {
    case SETTING_INT:
        /* Not config_setting_is_number: a number with a fraction would read as 0. */
        if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64) {
            return wrong_type(name, "a whole number", from, err);
        }
        return setting_set_int(into, setting, config_setting_get_int64(from), name, err);
    case SETTING_BOOL:
    case SETTING_MAYBE:
        if (type != CONFIG_TYPE_BOOL) {
            return wrong_type(name, "true or false", from, err);
        }
        setting_set_bool(into, setting, config_setting_get_bool(from) != 0);
        return 0;
    case SETTING_PAIRS:
        if (type == CONFIG_TYPE_LIST || type == CONFIG_TYPE_ARRAY) {
            return set_pairs(into, setting, name, from, err);
        }
        if (text == NULL) {
            return wrong_type(name, "a list of strings \"NAME=VALUE\"", from, err);
        }
        break;
    case SETTING_TEXT:
    case SETTING_CHOICE:
        if (text == NULL) {
            return wrong_type(name, "a string", from, err);
        }
        break;
    }
    return setting_set_text(into, setting, text, name, err);
}

int settings_load_file(void *into, const struct settings_table *table, const char *path,
                       struct err *err)
{
    int rc = -1;
    config_t file;

    config_init(&file);
    if (conffile_read(&file, path, err) < 0) {
        goto out;
    }
    const config_setting_t *root = config_root_setting(&file);

    for (int i = 0; i < config_setting_length(root); i++) {
        const config_setting_t *from = config_setting_get_elem(root, (unsigned)i);
        const struct setting *setting = find_in_file(table, config_setting_name(from));

        if (setting == NULL) {
            no_such_setting(table, config_setting_name(from), err);
            conffile_blame(from, path, err);
            goto out;
        }
        if (set_from_file(into, setting, from, err) < 0) {
            conffile_blame(from, path, err);
            goto out;
        }
    }
    rc = 0;

out:
    config_destroy(&file);
    return rc;
}
