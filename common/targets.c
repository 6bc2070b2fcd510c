#include "common/targets.h"

#include <libconfig.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define uthash_malloc(size) mem_alloc(1, (size))
#include <uthash.h>

#include "common/conffile.h"
#include "common/site.h"
#include "common/suggest.h"

/* A list holds no more than any option takes, and one more to be told of. */
#define LIST_MAX (SITE_HEADERS_MAX + 1)
#define NAME_CHARS_SHOWN 100

/* Where a name was seen first. */
struct seen {
    const char *name; /* of the site */
    const config_setting_t *group;
    UT_hash_handle hh;
};

/* Options that set the same thing: one of the two in a group. */
static const char *const twins[][2] = {
    {"username", "username_file"},
    {"password", "password_file"},
    {"bearer_token", "bearer_token_file"},
};

static int wrong_type(const config_setting_t *setting, const char *want, struct err *err)
{
    return err_set(err, ERR_INVALID, "%s: want %s, this is %s", config_setting_name(setting), want,
                   conffile_type_name(setting));
}

static int read_list(const config_setting_t *setting, const char *list[LIST_MAX + 1],
                     struct err *err)
{
    int count = config_setting_length(setting);

    for (int i = 0; i < count && i < LIST_MAX; i++) {
        const config_setting_t *element = config_setting_get_elem(setting, (unsigned)i);

        list[i] = config_setting_get_string(element);
        if (list[i] == NULL) {
            return err_set(err, ERR_INVALID, "%s: want a list of texts, one of them is %s",
                           config_setting_name(setting), conffile_type_name(element));
        }
    }
    list[count < LIST_MAX ? count : LIST_MAX] = NULL;
    return 0;
}

static int read_option(struct site *site, const config_setting_t *setting, struct err *err)
{
    const char *list[LIST_MAX + 1];
    struct site_value value = {.list = list};

    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_STRING:
        value.type = SITE_VALUE_TEXT;
        value.text = config_setting_get_string(setting);
        break;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        value.type = SITE_VALUE_INT;
        value.integer = config_setting_get_int64(setting);
        break;
    case CONFIG_TYPE_BOOL:
        value.type = SITE_VALUE_BOOL;
        value.boolean = config_setting_get_bool(setting) != 0;
        break;
    case CONFIG_TYPE_ARRAY:
    case CONFIG_TYPE_LIST:
        value.type = SITE_VALUE_LIST;
        if (read_list(setting, list, err) < 0) {
            return -1;
        }
        break;
    default: /* a group, or a number with a fraction: no option takes one */
        value.type = SITE_VALUE_OTHER;
        break;
    }
    return site_set(site, config_setting_name(setting), &value, err);
}

/* All options of one group. */
static int read_group(struct site *site, const config_setting_t *group, const char *path,
                      struct err *err)
{
    for (size_t i = 0; i < sizeof(twins) / sizeof(twins[0]); i++) {
        const config_setting_t *twin = config_setting_get_member(group, twins[i][1]);

        if (twin != NULL && config_setting_get_member(group, twins[i][0]) != NULL) {
            err_set(err, ERR_INVALID, "%s: %s is given too, keep one of them", twins[i][1],
                    twins[i][0]);
            return conffile_blame(twin, path, err);
        }
    }
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);

        if (read_option(site, setting, err) < 0) {
            return conffile_blame(setting, path, err);
        }
    }
    return 0;
}

static int read_defaults(struct site *site, const config_setting_t *defaults, const char *path,
                         struct err *err)
{
    static const char *const own[] = {"url", "name"};

    site_init(site);
    if (defaults == NULL) {
        return 0;
    }
    if (!config_setting_is_group(defaults)) {
        wrong_type(defaults, "a group { }", err);
        return conffile_blame(defaults, path, err);
    }
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        const config_setting_t *setting = config_setting_get_member(defaults, own[i]);

        if (setting != NULL) {
            err_set(err, ERR_INVALID, "%s: is each site's own, take it out of defaults", own[i]);
            return conffile_blame(setting, path, err);
        }
    }
    return read_group(site, defaults, path, err);
}

static int check_unique(struct seen **all, struct seen *entry, const struct site *site,
                        const config_setting_t *group, const char *path, struct err *err)
{
    char file[CONFFILE_NAME_SIZE];
    struct seen *first;

    HASH_FIND_STR(*all, site->name, first);
    if (first != NULL) {
        conffile_name(first->group, path, file);
        err_set(err, ERR_INVALID,
                "the name %.*s is taken by the site at %s:%u, give one of them another",
                NAME_CHARS_SHOWN, site->name, file,
                (unsigned)config_setting_source_line(first->group));
        return conffile_blame(group, path, err);
    }
    entry->name = site->name;
    entry->group = group;
    HASH_ADD_KEYPTR(hh, *all, entry->name, strlen(entry->name), entry);
    return 0;
}

static int read_site(struct site *site, const struct site *defaults, const config_setting_t *group,
                     const char *path, struct err *err)
{
    site_copy(site, defaults);
    if (!config_setting_is_group(group)) {
        err_set(err, ERR_INVALID, "targets: want groups { url = \"...\"; }, this is %s",
                conffile_type_name(group));
        return conffile_blame(group, path, err);
    }
    if (read_group(site, group, path, err) < 0) {
        return -1;
    }
    if (site_finish(site, err) < 0) {
        return conffile_blame(group, path, err);
    }
    return 0;
}

static int read_sites(struct targets *targets, const struct site *defaults,
                      const struct targets_check *check, const config_setting_t *list,
                      const char *path, struct err *err)
{
    size_t count = (size_t)config_setting_length(list);
    struct seen *entries = mem_alloc(count, sizeof(*entries));
    struct seen *all = NULL;
    int rc = 0;

    targets->sites = mem_alloc(count, sizeof(*targets->sites));
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const config_setting_t *group = config_setting_get_elem(list, (unsigned)i);
        struct site *site = &targets->sites[i];

        targets->count++; /* half a site is freed with the others */
        rc = read_site(site, defaults, group, path, err);
        if (rc == 0) {
            rc = check_unique(&all, &entries[i], site, group, path, err);
        }
        if (rc == 0 && check != NULL && check->site(check->context, site, err) < 0) {
            rc = conffile_blame(group, path, err);
        }
    }
    HASH_CLEAR(hh, all);
    free(entries);
    return rc;
}

static int check_top_level(const config_setting_t *root, const char *path, struct err *err)
{
    for (int i = 0; i < config_setting_length(root); i++) {
        const config_setting_t *setting = config_setting_get_elem(root, (unsigned)i);
        const char *name = config_setting_name(setting);

        if (strcmp(name, "targets") != 0 && strcmp(name, "defaults") != 0) {
            struct suggest suggest = suggest_start(name);

            suggest_offer(&suggest, "targets");
            suggest_offer(&suggest, "defaults");
            err_set(err, ERR_INVALID, "no such entry: %.*s (%s%s%s)", NAME_CHARS_SHOWN, name,
                    suggest.best == NULL ? "a targets file has targets and defaults"
                                         : "did you mean ",
                    suggest.best == NULL ? "" : suggest.best, suggest.best == NULL ? "" : "?");
            return conffile_blame(setting, path, err);
        }
    }
    return 0;
}

static int read_root(struct targets *targets, const struct targets_check *check,
                     const config_setting_t *root, const char *path, struct err *err)
{
    const config_setting_t *list = config_setting_get_member(root, "targets");
    struct site defaults;
    int rc;

    if (check_top_level(root, path, err) < 0) {
        return -1;
    }
    if (list == NULL) {
        return err_set(err, ERR_INVALID,
                       "%s:1: has no targets, want targets = ( { url = \"...\"; } );", path);
    }
    if (!config_setting_is_list(list)) {
        wrong_type(list, "a list ( { url = \"...\"; } )", err);
        return conffile_blame(list, path, err);
    }
    if (config_setting_length(list) == 0) {
        err_set(err, ERR_INVALID, "targets: is empty, want one site or more");
        return conffile_blame(list, path, err);
    }
    if (config_setting_length(list) > TARGETS_SITES_MAX) {
        err_set(err, ERR_INVALID, "targets: has more than %d sites", TARGETS_SITES_MAX);
        return conffile_blame(list, path, err);
    }
    rc = read_defaults(&defaults, config_setting_get_member(root, "defaults"), path, err);
    if (rc == 0) {
        rc = read_sites(targets, &defaults, check, list, path, err);
    }
    site_free(&defaults);
    return rc;
}

int targets_load(const char *path, const struct targets_check *check, struct targets *out,
                 struct err *err)
{
    struct targets targets = {0};
    config_t config;
    int rc;

    config_init(&config);
    rc = conffile_read(&config, path, err);
    if (rc == 0) {
        rc = read_root(&targets, check, config_root_setting(&config), path, err);
    }
    config_destroy(&config);
    if (rc < 0) {
        targets_free(&targets);
        return -1;
    }
    *out = targets;
    return 0;
}

void targets_free(struct targets *targets)
{
    for (size_t i = 0; i < targets->count; i++) {
        site_free(&targets->sites[i]);
    }
    free(targets->sites);
    *targets = (struct targets){0};
}

void targets_print_valid(const struct targets *targets)
{
    printf("%zu %s valid\n", targets->count, targets->count == 1 ? "site is" : "sites are");
}
