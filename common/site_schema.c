/* The options of a site as a JSON Schema (draft 2020-12), from their table. */
#include <cjson/cJSON.h>
#include <stdlib.h>

#include "common/jsonprint.h"
#include "common/mem.h"
#include "common/site_private.h"

static cJSON *text_schema(const struct site_option *option)
{
    cJSON *schema = cJSON_CreateObject();

    cJSON_AddStringToObject(schema, "type", "string");
    if (option->max > 0) {
        cJSON_AddNumberToObject(schema, "maxLength", (double)option->max);
    }
    if ((option->flags & OPTION_REQUIRED) != 0) {
        cJSON_AddNumberToObject(schema, "minLength", 1);
    }
    return schema;
}

static cJSON *number_schema(const struct site_option *option)
{
    cJSON *schema = cJSON_CreateObject();

    cJSON_AddStringToObject(schema, "type", "integer");
    cJSON_AddNumberToObject(schema, "minimum", (double)option->min);
    cJSON_AddNumberToObject(schema, "maximum", (double)option->max);
    return schema;
}

static cJSON *list_schema(const struct site_option *option)
{
    cJSON *schema = cJSON_CreateObject();
    cJSON *items = cJSON_AddObjectToObject(schema, "items");

    cJSON_AddStringToObject(schema, "type", "array");
    cJSON_AddNumberToObject(schema, "maxItems", (double)option->count_max);
    cJSON_AddStringToObject(items, "type", "string");
    cJSON_AddNumberToObject(items, "minLength", (double)option->min);
    cJSON_AddNumberToObject(items, "maxLength", (double)option->max);
    return schema;
}

static cJSON *option_schema(const struct site_option *option)
{
    cJSON *schema = NULL;

    switch (option->kind) {
    case OPTION_TEXT:
    case OPTION_STATUS:
    case OPTION_FROM_FILE:
        schema = text_schema(option);
        break;
    case OPTION_INT:
    case OPTION_SIZE:
        schema = number_schema(option);
        break;
    case OPTION_BOOL:
        schema = cJSON_CreateObject();
        cJSON_AddStringToObject(schema, "type", "boolean");
        break;
    case OPTION_CHOICE:
        schema = cJSON_CreateObject();
        cJSON *choices = cJSON_AddArrayToObject(schema, "enum");

        for (size_t i = 0; option->choices[i] != NULL; i++) {
            cJSON_AddItemToArray(choices, cJSON_CreateString(option->choices[i]));
        }
        break;
    case OPTION_LIST:
        schema = list_schema(option);
        break;
    }
    cJSON_AddStringToObject(schema, "description", option->doc.help);
    if (option->kind == OPTION_FROM_FILE || (option->flags & OPTION_SECRET) != 0) {
        cJSON_AddTrueToObject(schema, "writeOnly");
    }
    return schema;
}

char *site_schema_json(void)
{
    cJSON *properties = cJSON_CreateObject();

    for (size_t i = 0; site_option(i) != NULL; i++) {
        cJSON_AddItemToObject(properties, site_option(i)->doc.name, option_schema(site_option(i)));
    }
    return jsonprint(properties);
}
