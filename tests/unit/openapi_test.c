/* The description of the API: every reference leads somewhere, every route is in it, and every
 * member that an answer may have is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "api/openapi.h"

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static void check_references(const cJSON *json, const cJSON *schemas)
{
    static const char prefix[] = "#/components/schemas/";
    const cJSON *child;

    cJSON_ArrayForEach (child, json) {
        if (child->string != NULL && strcmp(child->string, "$ref") == 0) {
            const char *ref = cJSON_GetStringValue(child);

            assert_int_equal(strncmp(ref, prefix, sizeof(prefix) - 1), 0);
            if (member(schemas, ref + sizeof(prefix) - 1) == NULL) {
                fail_msg("%s leads nowhere", ref);
            }
        }
        check_references(child, schemas);
    }
}

static void references_lead_somewhere(void **state)
{
    cJSON *document = openapi_document();

    (void)state;
    check_references(document, member(member(document, "components"), "schemas"));
    cJSON_Delete(document);
}

static void every_route_is_described(void **state)
{
    cJSON *document = openapi_document();
    size_t described = 0, routes = 0;
    const cJSON *path;

    (void)state;
    cJSON_ArrayForEach (path, member(document, "paths")) {
        described += (size_t)cJSON_GetArraySize(path);
    }
    for (; route_at(routes) != NULL; routes++) {
        const cJSON *item = member(member(document, "paths"), route_at(routes)->path);

        print_message("  %s %s\n", route_at(routes)->method, route_at(routes)->path);
        assert_non_null(cJSON_GetObjectItem(item, route_at(routes)->method)); /* in either case */
    }
    assert_int_equal(described, routes);
    cJSON_Delete(document);
}

static void objects_name_all_their_members(void **state)
{
    cJSON *document = openapi_document();
    const cJSON *schema;

    (void)state;
    cJSON_ArrayForEach (schema, member(member(document, "components"), "schemas")) {
        const char *type = cJSON_GetStringValue(member(schema, "type"));

        if (type != NULL && strcmp(type, "object") == 0) {
            print_message("  %s\n", schema->string);
            assert_true(cJSON_IsFalse(member(schema, "additionalProperties")));
        }
    }
    cJSON_Delete(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_lead_somewhere),
        cmocka_unit_test(every_route_is_described),
        cmocka_unit_test(objects_name_all_their_members),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
