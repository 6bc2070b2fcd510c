/* A site from JSON with texts and lists of texts, for tests. Included after cmocka.h. */
#ifndef TESTS_UNIT_SITE_OF_H
#define TESTS_UNIT_SITE_OF_H

#include <cjson/cJSON.h>

#include "common/site.h"

static inline void site_of_member(struct site *site, const cJSON *member)
{
    const char *list[SITE_HEADERS_MAX + 1] = {0};
    struct site_value value = {.type = SITE_VALUE_TEXT, .text = cJSON_GetStringValue(member)};
    struct err err = {0};
    int count = 0;

    if (cJSON_IsArray(member)) {
        value = (struct site_value){.type = SITE_VALUE_LIST, .list = list};
        for (; count < cJSON_GetArraySize(member); count++) {
            list[count] = cJSON_GetStringValue(cJSON_GetArrayItem(member, count));
        }
    }
    if (site_set(site, member->string, &value, &err) < 0) {
        fail_msg("%s", err.message);
    }
}

/* Its members but `sealed`; not finished. */
static inline struct site site_of(const char *json)
{
    cJSON *object = cJSON_Parse(json);
    const cJSON *member;
    struct site site;

    assert_non_null(object);
    site_init(&site);
    cJSON_ArrayForEach (member, object) {
        if (!cJSON_IsObject(member)) {
            site_of_member(&site, member);
        }
    }
    cJSON_Delete(object);
    return site;
}

static inline void site_of_finish(struct site *site)
{
    struct err err = {0};

    if (site_finish(site, &err) < 0) {
        fail_msg("%s", err.message);
    }
}

#endif
