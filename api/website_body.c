#include "api/website_body.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/site_secrets.h"

#define POINTER_SIZE 256
#define LIST_MAX (SITE_HEADERS_MAX + 1) /* one more than any option takes, to be told of */
#define INTEGER_MAX                                                                                \
    9007199254740992.0 /* 2^53: beyond, a JSON number is not exact (RFC 8259, 6)                   \
                        */

/* What is read, and the faults as they are found. */
struct reading {
    const cJSON *object, *stored;
    const struct website_rules *rules;
    cJSON *faults;
    bool forbidden;
};

/* "/name" of a member, with ~ and / written as RFC 6901 has it. */
static void pointer_of(const char *name, char out[POINTER_SIZE])
{
    size_t used = 0;

    out[used++] = '/';
    for (; *name != '\0' && used + 3 < POINTER_SIZE; name++) {
        if (*name == '~' || *name == '/') {
            out[used++] = '~';
            out[used++] = *name == '~' ? '0' : '1';
        } else {
            out[used++] = *name;
        }
    }
    out[used] = '\0';
}

static void add_fault(struct reading *reading, const char *name, const char *detail)
{
    char pointer[POINTER_SIZE];

    if (cJSON_GetArraySize(reading->faults) == WEBSITE_ERRORS_MAX) {
        return;
    }
    cJSON *fault = cJSON_CreateObject();

    pointer_of(name, pointer);
    cJSON_AddStringToObject(fault, "pointer", pointer);
    cJSON_AddStringToObject(fault, "detail", detail);
    cJSON_AddItemToArray(reading->faults, fault);
}

/* --- Options that need the operator's leave --- */

static bool is_guarded(const char *option)
{
    static const char *const names[] = {"allow_private", "resolve_to", "proxy"};
    static const char file[] = "_file";
    size_t len = strlen(option);

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(option, names[i]) == 0) {
            return true;
        }
    }
    return len >= sizeof(file) && strcmp(option + len - sizeof(file) + 1, file) == 0;
}

/* The next word of a list with commas or spaces between; NULL after the last. */
static const char *next_word(const char *list, size_t *len)
{
    if (list == NULL) {
        return NULL;
    }
    list += strspn(list, ", \t");
    *len = strcspn(list, ", \t");
    return *len == 0 ? NULL : list;
}

static bool list_has(const char *list, const char *option)
{
    size_t len;

    for (const char *word = next_word(list, &len); word != NULL;
         word = next_word(word + len, &len)) {
        if (len == strlen(option) && strncmp(word, option, len) == 0) {
            return true;
        }
    }
    return false;
}

static bool option_exists(const char *name)
{
    for (size_t i = 0; site_option_doc(i) != NULL; i++) {
        if (strcmp(site_option_doc(i)->name, name) == 0) {
            return true;
        }
    }
    return false;
}

int website_body_check_allowed(const char *allowed_options, struct err *err)
{
    size_t len;

    for (const char *word = next_word(allowed_options, &len); word != NULL;
         word = next_word(word + len, &len)) {
        char *name = mem_copy(word, len);
        bool fits = option_exists(name) && is_guarded(name);

        if (!fits) {
            err_set(err, ERR_INVALID,
                    "api-allow-options: %s is no option that the API refuses by itself", name);
        }
        free(name);
        if (!fits) {
            return -1;
        }
    }
    return 0;
}

/* --- One member --- */

static const char *type_name(const cJSON *json)
{
    return cJSON_IsNull(json)     ? "null"
           : cJSON_IsObject(json) ? "an object"
           : cJSON_IsArray(json)  ? "an array with something else than texts"
                                  : "a number that is not whole";
}

/* False: of a type that no option takes. */
static bool value_of(const cJSON *json, const char *list[LIST_MAX + 1], struct site_value *value)
{
    size_t count = 0;
    const cJSON *element;

    *value = (struct site_value){.list = list};
    if (cJSON_IsString(json)) {
        value->type = SITE_VALUE_TEXT;
        value->text = json->valuestring;
        return true;
    }
    if (cJSON_IsBool(json)) {
        value->type = SITE_VALUE_BOOL;
        value->boolean = cJSON_IsTrue(json);
        return true;
    }
    if (cJSON_IsNumber(json)) {
        value->type = SITE_VALUE_INT;
        if (fabs(json->valuedouble) > INTEGER_MAX ||
            floor(json->valuedouble) != json->valuedouble) {
            return false;
        }
        value->integer = (int64_t)json->valuedouble;
        return true;
    }
    if (!cJSON_IsArray(json)) {
        return false;
    }
    value->type = SITE_VALUE_LIST;
    cJSON_ArrayForEach (element, json) {
        if (!cJSON_IsString(element)) {
            return false;
        }
        if (count < LIST_MAX) {
            list[count++] = element->valuestring;
        }
    }
    list[count] = NULL;
    return true;
}

/* Whether the operator's leave is needed and not given. What asks for no more than a new site, or
 * this one, has anyway needs none. */
static bool is_forbidden(const struct reading *reading, const cJSON *member)
{
    const char *name = member->string;
    const cJSON *stored = cJSON_GetObjectItemCaseSensitive(reading->stored, name);

    return is_guarded(name) && option_exists(name) &&
           !list_has(reading->rules->allowed_options, name) &&
           !(strcmp(name, "allow_private") == 0 && cJSON_IsFalse(member)) &&
           !cJSON_Compare(member, stored, true);
}

static void read_member(struct site *site, const cJSON *member, struct reading *reading)
{
    const char *list[LIST_MAX + 1];
    const char *name = member->string;
    struct site_value value;
    struct err err;

    if (cJSON_GetObjectItemCaseSensitive(reading->object, name) != member) {
        err_fill(&err, ERR_INVALID, "%.64s: is given twice", name);
        add_fault(reading, name, err.message);
        return;
    }
    if (is_forbidden(reading, member)) {
        err_fill(&err, ERR_INVALID, "%s: the operator does not allow it through the API", name);
        add_fault(reading, name, err.message);
        reading->forbidden = true;
        return;
    }
    if (!value_of(member, list, &value)) {
        err_fill(&err, ERR_INVALID, "%.64s: this is %s", name, type_name(member));
        add_fault(reading, name, err.message);
        return;
    }
    if (site_set(site, name, &value, &err) < 0) {
        add_fault(reading, name, err.message);
    }
}

/* --- The whole --- */

/* The option that a message of site_finish begins with. */
static void add_finish_fault(struct reading *reading, const struct err *err)
{
    char *name = mem_copy(err->message, strcspn(err->message, ":"));

    add_fault(reading, option_exists(name) ? name : "", err->message);
    free(name);
}

static void check_seconds(const struct site *site, struct reading *reading)
{
    struct err err;

    if (site->seconds < WEBSITE_SECONDS_MIN || site->seconds > WEBSITE_SECONDS_MAX) {
        err_fill(&err, ERR_INVALID, "seconds: %" PRId32 " is not in %d..%d", site->seconds,
                 WEBSITE_SECONDS_MIN, WEBSITE_SECONDS_MAX);
        add_fault(reading, "seconds", err.message);
    }
}

/* The database keeps no secret in the clear, so without a key one would be lost: it is refused. */
static void check_secrets(const struct site *site, struct reading *reading)
{
    const char *option = site_secret_option(site);
    struct err err;

    if (option != NULL && !reading->rules->seals) {
        err_fill(&err, ERR_INVALID,
                 "%s: holds a secret, and the operator has set no key to seal it with "
                 "(sites-secret-key)",
                 option);
        add_fault(reading, option, err.message);
        reading->forbidden = true;
    }
}

cJSON *website_body_stored(const cJSON *config)
{
    cJSON *options = cJSON_Duplicate(config, true);

    cJSON_DeleteItemFromObjectCaseSensitive(options, SITE_SECRETS_MEMBER);
    if (cJSON_GetObjectItemCaseSensitive(options, "allow_private") == NULL) {
        cJSON_AddTrueToObject(options, "allow_private"); /* the default of a file */
    }
    return options;
}

bool website_body_is_read_only(const char *name)
{
    static const char *const names[] = {"id",         "version",    "source",
                                        "created_at", "updated_at", "state",
                                        "last_slot",  "locations",  "secrets"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

bool website_body_read(const cJSON *json, const cJSON *stored, const struct website_rules *rules,
                       struct site *site, struct answer *a)
{
    struct reading reading = {
        .object = json, .stored = stored, .rules = rules, .faults = cJSON_CreateArray()};
    const cJSON *member;
    struct err err;

    site_init(site);
    site->allow_private = false;
    cJSON_ArrayForEach (member, json) {
        read_member(site, member, &reading);
    }
    check_seconds(site, &reading);
    if (cJSON_GetArraySize(reading.faults) == 0 && site_finish(site, &err) < 0) {
        add_finish_fault(&reading, &err);
    }
    if (cJSON_GetArraySize(reading.faults) == 0) {
        check_secrets(site, &reading);
    }
    if (cJSON_GetArraySize(reading.faults) == 0) {
        cJSON_Delete(reading.faults);
        return true;
    }
    site_free(site);
    answer_problems(a, reading.forbidden ? 403 : 422, reading.faults);
    return false;
}
