#include "api/website_body.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/site_secrets.h"

#define LIST_MAX (SITE_HEADERS_MAX + 1) /* one more than any option takes, to be told of */
/* 2^53: beyond, a JSON number is not exact (RFC 8259, 6). */
#define INTEGER_MAX 9007199254740992.0

/* What is read, and the faults as they are found. */
struct reading {
    const cJSON *object, *stored;
    const struct website_rules *rules;
    struct website_faults *faults;
};

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
        website_faults_add(reading->faults, 422, name, err.message);
        return;
    }
    if (is_forbidden(reading, member)) {
        err_fill(&err, ERR_INVALID, "%s: the operator does not allow it through the API", name);
        website_faults_add(reading->faults, 403, name, err.message);
        return;
    }
    if (!value_of(member, list, &value)) {
        err_fill(&err, ERR_INVALID, "%.64s: this is %s", name, type_name(member));
        website_faults_add(reading->faults, 422, name, err.message);
        return;
    }
    if (site_set(site, name, &value, &err) < 0) {
        website_faults_add(reading->faults, 422, name, err.message);
    }
}

/* --- The whole --- */

/* The option that a message of site_finish begins with. */
static void add_finish_fault(struct reading *reading, const struct err *err)
{
    char *name = mem_copy(err->message, strcspn(err->message, ":"));

    website_faults_add(reading->faults, 422, option_exists(name) ? name : "", err->message);
    free(name);
}

void website_body_check_seconds(const struct site *site, struct website_faults *faults)
{
    struct err err;

    if (site->seconds < WEBSITE_SECONDS_MIN || site->seconds > WEBSITE_SECONDS_MAX) {
        err_fill(&err, ERR_INVALID, "seconds: %" PRId32 " is not in %d..%d", site->seconds,
                 WEBSITE_SECONDS_MIN, WEBSITE_SECONDS_MAX);
        website_faults_add(faults, 422, "seconds", err.message);
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
        website_faults_add(reading->faults, 403, option, err.message);
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

/* What the api itself puts into a site's JSON. */
static bool is_read_only(const char *name)
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

void website_body_drop_read_only(cJSON *json)
{
    for (cJSON *member = json->child, *next; member != NULL; member = next) {
        next = member->next;
        if (is_read_only(member->string)) {
            cJSON_Delete(cJSON_DetachItemViaPointer(json, member));
        }
    }
}

bool website_body_read(const cJSON *json, const cJSON *stored, const struct website_rules *rules,
                       struct site *site, struct website_faults *faults)
{
    struct reading reading = {.object = json, .stored = stored, .rules = rules, .faults = faults};
    const cJSON *member;
    struct err err;

    site_init(site);
    site->allow_private = false;
    cJSON_ArrayForEach (member, json) {
        read_member(site, member, &reading);
    }
    if (!rules->any_seconds) {
        website_body_check_seconds(site, faults);
    }
    if (faults->status == 0 && site_finish(site, &err) < 0) {
        add_finish_fault(&reading, &err);
    }
    if (faults->status == 0) {
        check_secrets(site, &reading);
    }
    if (faults->status != 0) {
        site_free(site);
    }
    return faults->status == 0;
}
