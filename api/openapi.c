#include "api/openapi.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/assets.h"
#include "api/website_body.h"
#include "common/jsonprint.h"
#include "common/mem.h"
#include "common/site.h"

#define SCHEMA_REF "#/components/schemas/"
#define REF_SIZE 128

/* --- Schemas --- */

static cJSON *parse(const char *text, size_t len)
{
    cJSON *json = cJSON_ParseWithLength(text, len);

    if (json == NULL) {
        abort(); /* our own text: a test reads it */
    }
    return json;
}

static void set_number(cJSON *object, const char *name, double value)
{
    cJSON_ReplaceItemInObjectCaseSensitive(object, name, cJSON_CreateNumber(value));
}

/* A site's options with the rules that the API adds. */
static cJSON *option_properties(void)
{
    char *text = site_schema_json();
    cJSON *properties = parse(text, strlen(text));
    cJSON *seconds = cJSON_GetObjectItemCaseSensitive(properties, "seconds");

    free(text);
    set_number(seconds, "minimum", WEBSITE_SECONDS_MIN);
    set_number(seconds, "maximum", WEBSITE_SECONDS_MAX);
    return properties;
}

static void add_members(cJSON *to, const cJSON *from)
{
    const cJSON *member;

    cJSON_ArrayForEach (member, from) {
        cJSON_AddItemToObject(to, member->string, cJSON_Duplicate(member, true));
    }
}

static cJSON *object_schema(cJSON *properties, const char *const *required, size_t count)
{
    cJSON *schema = cJSON_CreateObject();

    cJSON_AddStringToObject(schema, "type", "object");
    cJSON_AddFalseToObject(schema, "additionalProperties");
    if (count > 0) {
        cJSON_AddItemToObject(schema, "required", cJSON_CreateStringArray(required, (int)count));
    }
    cJSON_AddItemToObject(schema, "properties", properties);
    return schema;
}

static bool is_any(const char *option)
{
    (void)option;
    return true;
}

/* Null takes an option away: any in a merge patch, a secret in all that changes a site. */
static cJSON *with_nulls(cJSON *properties, bool takes_null(const char *option))
{
    cJSON *with = cJSON_CreateObject();
    cJSON *property = properties->child;

    while (property != NULL) {
        cJSON *next = property->next;
        char *name = mem_copy_string(property->string);

        cJSON_DetachItemViaPointer(properties, property);
        if (takes_null(name)) {
            cJSON *any = cJSON_AddArrayToObject(cJSON_AddObjectToObject(with, name), "anyOf");
            cJSON *none = cJSON_CreateObject();

            cJSON_AddItemToArray(any, property);
            cJSON_AddStringToObject(none, "type", "null");
            cJSON_AddItemToArray(any, none);
        } else {
            cJSON_AddItemToObject(with, name, property);
        }
        free(name);
        property = next;
    }
    cJSON_Delete(properties);
    return with;
}

/* What is taken and never shown. */
static void drop_write_only(cJSON *properties)
{
    for (cJSON *property = properties->child, *next; property != NULL; property = next) {
        next = property->next;
        if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(property, "writeOnly"))) {
            cJSON_Delete(cJSON_DetachItemViaPointer(properties, property));
        }
    }
}

/* What the api shows of a site: an interval from a file may be longer than the API takes. */
static cJSON *website_schema(const cJSON *own)
{
    static const char *const required[] = {"id",         "name",    "url",    "seconds",
                                           "enabled",    "version", "source", "created_at",
                                           "updated_at", "state"};
    cJSON *properties = option_properties();
    cJSON *seconds = cJSON_GetObjectItemCaseSensitive(properties, "seconds");

    set_number(seconds, "minimum", 1);
    set_number(seconds, "maximum", SITE_SECONDS_MAX);
    drop_write_only(properties);
    add_members(properties, own);
    return object_schema(properties, required, sizeof(required) / sizeof(required[0]));
}

/* One of a document: as shown, without what the api itself puts there. */
static cJSON *exported_schema(void)
{
    static const char *const required[] = {"url", "name", "seconds", "enabled", "allow_private"};
    cJSON *properties = option_properties();

    set_number(cJSON_GetObjectItemCaseSensitive(properties, "seconds"), "minimum", 1);
    set_number(cJSON_GetObjectItemCaseSensitive(properties, "seconds"), "maximum",
               SITE_SECONDS_MAX);
    drop_write_only(properties);
    return object_schema(properties, required, sizeof(required) / sizeof(required[0]));
}

static cJSON *schemas(void)
{
    static const char *const url[] = {"url"};
    const struct asset *file = asset_find("schemas.json");
    cJSON *all = parse(file->bytes, file->len);
    cJSON *own = cJSON_DetachItemFromObjectCaseSensitive(all, "WebsiteOwn");
    cJSON *replaced = with_nulls(option_properties(), site_option_may_be_secret);

    add_members(replaced, own);
    cJSON_AddItemToObject(all, "Website", website_schema(own));
    cJSON_AddItemToObject(all, "WebsiteNew", object_schema(option_properties(), url, 1));
    cJSON_AddItemToObject(all, "WebsiteReplaced", object_schema(replaced, url, 1));
    cJSON_AddItemToObject(all, "WebsiteExported", exported_schema());
    cJSON_AddItemToObject(all, "WebsitePatch",
                          object_schema(with_nulls(option_properties(), is_any), NULL, 0));
    cJSON_Delete(own);
    return all;
}

/* --- Operations --- */

static void add_content(cJSON *content, const char *media_type, const char *schema)
{
    cJSON *media = cJSON_AddObjectToObject(content, media_type);

    if (schema != NULL) {
        char ref[REF_SIZE];

        snprintf(ref, sizeof(ref), SCHEMA_REF "%s", schema);
        cJSON_AddStringToObject(cJSON_AddObjectToObject(media, "schema"), "$ref", ref);
    }
}

/* Of schemas and media types with | between; `media_type` is that of the schemas. */
static cJSON *content(const char *media_type, const char *schemas)
{
    cJSON *json = cJSON_CreateObject();

    for (const char *at = schemas; *at != '\0'; at += *at == '|') {
        size_t len = strcspn(at, "|");
        char *name = mem_copy(at, len);
        bool is_type = strchr(name, '/') != NULL;

        add_content(json, is_type ? name : media_type, is_type ? NULL : name);
        free(name);
        at += len;
    }
    return json;
}

static void add_answer(cJSON *answers, int status, const char *schemas)
{
    char code[8];

    snprintf(code, sizeof(code), "%d", status);
    cJSON *answer = cJSON_AddObjectToObject(answers, code);

    cJSON_AddStringToObject(answer, "description", answer_title(status));
    if (schemas != NULL) {
        cJSON_AddItemToObject(answer, "content", content(ANSWER_JSON, schemas));
    }
}

static void add_problem(cJSON *answers, int status)
{
    add_answer(answers, status, NULL);
    cJSON *answer = answers->child->prev; /* the last one: cJSON's lists are rings backwards */

    cJSON_AddItemToObject(answer, "content", content("application/problem+json", "Problem"));
}

static cJSON *answers_of(const struct route *route)
{
    cJSON *answers = cJSON_CreateObject();
    bool has_variable = strchr(route->path, '{') != NULL;

    for (size_t i = 0; i < ROUTE_ANSWERS_MAX && route->answers[i].status != 0; i++) {
        add_answer(answers, route->answers[i].status, route->answers[i].schema);
    }
    add_problem(answers, 400);
    if (route->scope != SCOPE_NONE) {
        add_problem(answers, 401);
        add_problem(answers, 403);
    }
    if (has_variable || route->body != NULL || strcmp(route->path, "/monitoring") == 0 ||
        strncmp(route->path, "/status", 7) == 0) {
        add_problem(answers, 404);
    }
    if (route->body != NULL) {
        add_problem(answers, 409);
        add_problem(answers, 412);
        add_problem(answers, 413);
        add_problem(answers, 415);
        add_problem(answers, 422);
    }
    if (route->query != NULL && route->body == NULL) {
        add_problem(answers, 422);
    }
    if (strchr(route->path, '{') != NULL && strcmp(route->method, "DELETE") == 0) {
        add_problem(answers, 412);
    }
    add_problem(answers, 429);
    add_answer(answers, 414, NULL); /* the server's own, before it has a request */
    add_answer(answers, 431, NULL);
    if (route->scope != SCOPE_NONE) {
        add_problem(answers, 503);
    }
    return answers;
}

static void add_parameter(cJSON *parameters, const char *in, const char *name, const char *schema,
                          const char *help, bool required)
{
    cJSON *parameter = cJSON_CreateObject();

    cJSON_AddStringToObject(parameter, "name", name);
    cJSON_AddStringToObject(parameter, "in", in);
    cJSON_AddBoolToObject(parameter, "required", required);
    cJSON_AddItemToObject(parameter, "schema", parse(schema, strlen(schema)));
    cJSON_AddStringToObject(parameter, "description", help);
    cJSON_AddItemToArray(parameters, parameter);
}

static cJSON *parameters_of(const struct route *route)
{
    cJSON *parameters = cJSON_CreateArray();

    if (strstr(route->path, "{id}") != NULL) {
        add_parameter(parameters, "path", "id", "{\"type\":\"integer\",\"minimum\":1}",
                      strncmp(route->path, "/dead-letters", 13) == 0 ? "of the dead letter"
                                                                     : "of the site",
                      true);
    }
    for (size_t i = 0; route->query != NULL && route->query[i].name != NULL; i++) {
        const struct route_parameter *p = &route->query[i];

        add_parameter(parameters, "query", p->name, p->schema, p->help, p->required);
    }
    if (strcmp(route->method, "POST") == 0) {
        add_parameter(parameters, "header", "Idempotency-Key",
                      "{\"type\":\"string\",\"minLength\":1,\"maxLength\":255}",
                      "the same request with the same key again makes nothing anew", false);
    }
    if (strcmp(route->path, "/events") == 0) {
        add_parameter(parameters, "header", "Last-Event-ID", "{\"type\":\"string\"}",
                      "go on after the event with this id", false);
    }
    if (strchr(route->path, '{') != NULL && strcmp(route->method, "GET") != 0) {
        add_parameter(parameters, "header", "If-Match", "{\"type\":\"string\"}",
                      "an ETag of the site: only when it has not been changed since", false);
    }
    return parameters;
}

static cJSON *operation(const struct route *route)
{
    cJSON *json = cJSON_CreateObject();
    cJSON *parameters = parameters_of(route);

    cJSON_AddStringToObject(json, "operationId", route->operation);
    cJSON_AddStringToObject(json, "summary", route->summary);
    if (cJSON_GetArraySize(parameters) > 0) {
        cJSON_AddItemToObject(json, "parameters", parameters);
    } else {
        cJSON_Delete(parameters);
    }
    if (route->body != NULL) {
        cJSON *body = cJSON_AddObjectToObject(json, "requestBody");
        bool patch = strcmp(route->method, "PATCH") == 0;

        cJSON_AddTrueToObject(body, "required");
        cJSON_AddItemToObject(
            body, "content",
            content(patch ? "application/merge-patch+json" : ANSWER_JSON, route->body));
    }
    cJSON_AddItemToObject(json, "responses", answers_of(route));
    if (route->scope == SCOPE_NONE) {
        cJSON_AddItemToObject(json, "security", cJSON_CreateArray());
    }
    return json;
}

/* --- The document --- */

static void add_paths(cJSON *document)
{
    cJSON *paths = cJSON_AddObjectToObject(document, "paths");

    for (size_t i = 0; route_at(i) != NULL; i++) {
        const struct route *route = route_at(i);
        cJSON *path = cJSON_GetObjectItemCaseSensitive(paths, route->path);
        char method[8] = "";

        if (path == NULL) {
            path = cJSON_AddObjectToObject(paths, route->path);
        }
        for (size_t k = 0; route->method[k] != '\0' && k + 1 < sizeof(method); k++) {
            method[k] = (char)(route->method[k] - 'A' + 'a');
        }
        cJSON_AddItemToObject(path, method, operation(route));
    }
}

cJSON *openapi_document(void)
{
    static const char head[] =
        "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Sitewatch\",\"version\":\"1\","
        "\"description\":\"Sites that are watched, and what was found.\"},"
        "\"security\":[{\"token\":[]}]}";
    static const char security[] =
        "{\"token\":{\"type\":\"http\",\"scheme\":\"bearer\","
        "\"description\":\"made with `api token create`; scope read or write\"}}";
    cJSON *document = parse(head, sizeof(head) - 1);

    add_paths(document);

    cJSON *components = cJSON_AddObjectToObject(document, "components");

    cJSON_AddItemToObject(components, "securitySchemes", parse(security, sizeof(security) - 1));
    cJSON_AddItemToObject(components, "schemas", schemas());
    return document;
}

/* The document does not change while the program runs. */
static struct {
    char *text;
    char tag[ANSWER_TAG_SIZE];
} printed;

static void print_document(void)
{
    printed.text = jsonprint(openapi_document());
    answer_tag(printed.text, strlen(printed.text), printed.tag);
}

void openapi_json(const struct api *api, PGconn *conn, const struct request *r, struct answer *a)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)api;
    (void)conn;
    (void)r;
    pthread_once(&once, print_document);
    answer_body(a, 200, ANSWER_JSON, mem_copy_string(printed.text), strlen(printed.text));
    answer_header(a, "Cache-Control", "no-cache");
    answer_header(a, "ETag", printed.tag);
}
