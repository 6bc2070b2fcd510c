#include "api/transfer.h"

#include <libconfig.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/conffile.h"
#include "common/mem.h"

#define NAME "body" /* in the place of a file's */

/* --- JSON --- */

int transfer_of_json(cJSON *document, struct transfer *out, struct err *err)
{
    cJSON *items = cJSON_GetObjectItemCaseSensitive(document, "items");
    int count = cJSON_GetArraySize(items);
    size_t i = 0;

    if (!cJSON_IsArray(items) || document->child->next != NULL) {
        cJSON_Delete(document);
        return err_set(err, ERR_INVALID, "items: want {\"items\": [{\"url\": \"...\"}, ...]}");
    }
    if (count == 0 || count > TRANSFER_SITES_MAX) {
        cJSON_Delete(document);
        return err_set(err, ERR_INVALID, "items: has %d sites, want 1 to %d", count,
                       TRANSFER_SITES_MAX);
    }
    *out = (struct transfer){.items = mem_alloc((size_t)count, sizeof(*out->items)),
                             .count = (size_t)count};
    while (items->child != NULL) {
        out->items[i++].options = cJSON_DetachItemViaPointer(items, items->child);
    }
    cJSON_Delete(document);
    return 0;
}

/* --- libconfig, read --- */

/* A value that no option takes becomes an object, which is refused by its name later. */
static cJSON *json_of(const config_setting_t *setting)
{
    cJSON *list;

    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_STRING:
        return cJSON_CreateString(config_setting_get_string(setting));
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return cJSON_CreateNumber((double)config_setting_get_int64(setting));
    case CONFIG_TYPE_FLOAT:
        return cJSON_CreateNumber(config_setting_get_float(setting));
    case CONFIG_TYPE_BOOL:
        return cJSON_CreateBool(config_setting_get_bool(setting));
    case CONFIG_TYPE_ARRAY:
    case CONFIG_TYPE_LIST:
        list = cJSON_CreateArray();
        for (int i = 0; i < config_setting_length(setting); i++) {
            const config_setting_t *element = config_setting_get_elem(setting, (unsigned)i);
            const char *text = config_setting_get_string(element);

            cJSON_AddItemToArray(list,
                                 text == NULL ? cJSON_CreateObject() : cJSON_CreateString(text));
        }
        return list;
    default:
        return cJSON_CreateObject();
    }
}

static void add_group(cJSON *options, const config_setting_t *group)
{
    for (int i = 0; group != NULL && i < config_setting_length(group); i++) {
        const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
        const char *name = config_setting_name(setting);

        cJSON_DeleteItemFromObjectCaseSensitive(options, name);
        cJSON_AddItemToObject(options, name, json_of(setting));
    }
}

/* The list of sites, once all that stands beside it is in order; NULL and why not. */
static const config_setting_t *find_targets(const config_setting_t *root, struct err *err)
{
    const config_setting_t *targets = config_setting_get_member(root, "targets");
    const config_setting_t *defaults = config_setting_get_member(root, "defaults");
    int count = targets == NULL ? 0 : config_setting_length(targets);

    if (targets == NULL || !config_setting_is_list(targets) ||
        (defaults != NULL && !config_setting_is_group(defaults)) ||
        config_setting_length(root) > 1 + (defaults != NULL)) {
        err_set(err, ERR_INVALID,
                "want targets = ( { url = \"...\"; }, ... ); and, at most, defaults = { ... };");
        return NULL;
    }
    if (count == 0 || count > TRANSFER_SITES_MAX) {
        err_set(err, ERR_INVALID, "targets: has %d sites, want 1 to %d", count, TRANSFER_SITES_MAX);
        return NULL;
    }
    for (int i = 0; i < count; i++) {
        const config_setting_t *group = config_setting_get_elem(targets, (unsigned)i);

        if (!config_setting_is_group(group)) {
            err_set(err, ERR_INVALID, "targets: want groups { url = \"...\"; }, this is %s",
                    conffile_type_name(group));
            conffile_blame(group, NAME, err);
            return NULL;
        }
    }
    return targets;
}

static int read_targets(const config_setting_t *root, struct transfer *out, struct err *err)
{
    const config_setting_t *targets = find_targets(root, err);

    if (targets == NULL) {
        return -1;
    }
    out->count = (size_t)config_setting_length(targets);
    out->items = mem_alloc(out->count, sizeof(*out->items));
    for (size_t i = 0; i < out->count; i++) {
        const config_setting_t *group = config_setting_get_elem(targets, (unsigned)i);

        out->items[i].options = cJSON_CreateObject();
        out->items[i].line = (int)config_setting_source_line(group);
        add_group(out->items[i].options, config_setting_get_member(root, "defaults"));
        add_group(out->items[i].options, group);
    }
    return 0;
}

int transfer_of_libconfig(const char *text, size_t len, struct transfer *out, struct err *err)
{
    config_t config;

    *out = (struct transfer){0};
    config_init(&config);

    int rc = conffile_parse(&config, text, len, NAME, err);

    if (rc == 0) {
        rc = read_targets(config_root_setting(&config), out, err);
    }
    config_destroy(&config);
    return rc;
}

void transfer_free(struct transfer *t)
{
    for (size_t i = 0; i < t->count; i++) {
        cJSON_Delete(t->items[i].options);
    }
    free(t->items);
    *t = (struct transfer){0};
}

/* --- libconfig, written --- */

static void print_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\') {
            fprintf(out, "\\%c", c);
        } else if (c < ' ' || c == 0x7f) {
            fprintf(out, "\\x%02x", c);
        } else {
            fputc(c, out);
        }
    }
    fputc('"', out);
}

static void print_value(FILE *out, const cJSON *value)
{
    const cJSON *element;

    if (cJSON_IsString(value)) {
        print_text(out, value->valuestring);
    } else if (cJSON_IsNumber(value)) {
        fprintf(out, "%.0f", value->valuedouble);
    } else if (cJSON_IsBool(value)) {
        fputs(cJSON_IsTrue(value) ? "true" : "false", out);
    } else {
        fputs("[ ", out);
        cJSON_ArrayForEach (element, value) {
            print_text(out, element->valuestring);
            fputs(element->next == NULL ? " " : ", ", out);
        }
        fputc(']', out);
    }
}

void transfer_print_group(FILE *out, const cJSON *options)
{
    const cJSON *option;

    fputs("    {", out);
    cJSON_ArrayForEach (option, options) {
        if (!cJSON_IsArray(option) || option->child != NULL) {
            fprintf(out, " %s = ", option->string);
            print_value(out, option);
            fputc(';', out);
        }
    }
    fputs(" }", out);
}
