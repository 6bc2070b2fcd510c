#include "api/website_secrets.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/site_secrets.h"

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static const char *url_of(const cJSON *object)
{
    const char *url = cJSON_GetStringValue(member(object, "url"));

    return url == NULL ? "" : url;
}

static bool has_secret_header(const cJSON *headers)
{
    const cJSON *line;

    cJSON_ArrayForEach (line, headers) {
        if (cJSON_IsString(line) && site_header_is_secret(line->valuestring)) {
            return true;
        }
    }
    return false;
}

/* Whether the stored secret of an option stays. */
static bool stays(const char *option, const cJSON *options, const cJSON *given)
{
    const cJSON *in_given = member(given, option);

    if (strcmp(option, "headers") == 0) {
        return in_given == NULL || (cJSON_IsArray(in_given) && !has_secret_header(in_given));
    }
    if (strcmp(option, "password") == 0 && !cJSON_IsString(member(options, "username"))) {
        return false;
    }
    if (strcmp(option, "bearer_token") == 0 && cJSON_IsString(member(given, "username"))) {
        return false;
    }
    return in_given == NULL;
}

/* The secret headers stand after the others. */
static void add_secret(cJSON *options, cJSON *secret)
{
    cJSON *open = cJSON_GetObjectItemCaseSensitive(options, secret->string);
    cJSON *line;

    if (!cJSON_IsArray(open)) {
        cJSON_DeleteItemFromObjectCaseSensitive(options, secret->string);
        cJSON_AddItemToObject(options, secret->string, cJSON_Duplicate(secret, true));
        return;
    }
    cJSON_ArrayForEach (line, secret) {
        cJSON_AddItemToArray(open, cJSON_Duplicate(line, true));
    }
}

/* Opens what is left of the stored secrets; those that do not stay need not open. */
static bool add_kept(cJSON *options, cJSON *stored, const cJSON *config, cJSON *kept,
                     const struct seal *seal, struct website_faults *faults)
{
    struct err err;
    cJSON *secrets = site_secrets_open(kept, url_of(config), seal, &err);

    if (secrets == NULL) {
        char *option = mem_copy(err.message, strcspn(err.message, ":"));
        struct err why;

        err_fill(&why, ERR_INVALID, "%.300s; give it anew, or null to drop it", err.message);
        website_faults_add(faults, 409, option, why.message);
        free(option);
        return false;
    }
    for (cJSON *secret = secrets->child; secret != NULL; secret = secret->next) {
        add_secret(options, secret);
        add_secret(stored, secret);
    }
    cJSON_Delete(secrets);
    return true;
}

/* null takes a secret away, where an option of another kind cannot be null. */
static void drop_nulls(cJSON *options)
{
    for (cJSON *option = options->child, *next; option != NULL; option = next) {
        next = option->next;
        if (cJSON_IsNull(option) && site_option_may_be_secret(option->string)) {
            cJSON_Delete(cJSON_DetachItemViaPointer(options, option));
        }
    }
}

bool website_secrets_keep(cJSON *options, cJSON *stored, const cJSON *given, const cJSON *config,
                          const struct seal *seal, struct website_faults *faults)
{
    cJSON *kept = cJSON_Duplicate(member(config, SITE_SECRETS_MEMBER), true);
    bool fits = true;

    for (cJSON *sealed = kept == NULL ? NULL : kept->child, *next; sealed != NULL; sealed = next) {
        next = sealed->next;
        if (!stays(sealed->string, options, given)) {
            cJSON_Delete(cJSON_DetachItemViaPointer(kept, sealed));
        }
    }
    if (kept != NULL && kept->child != NULL) {
        fits = member(options, "url") == NULL || /* which is told of later */
               site_secrets_same_place(url_of(options), url_of(config));
        if (!fits) {
            website_faults_add(faults, 422, kept->child->string,
                               "a secret does not go along to another scheme, host or port: give "
                               "it anew, or null to drop it");
        }
        fits = fits && add_kept(options, stored, config, kept, seal, faults);
    }
    cJSON_Delete(kept);
    drop_nulls(options);
    return fits;
}
