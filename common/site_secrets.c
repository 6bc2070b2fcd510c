#include "common/site_secrets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsonprint.h"
#include "common/mem.h"
#include "common/site_private.h"
#include "common/url.h"

#define HEADERS "headers"
#define PLACE_SIZE (URL_BYTES_MAX + 64)

/* --- Where a secret is for --- */

/* "https://example.com:443": what of a url decides who gets to see what is sent. */
static bool origin_of(const char *text, char out[PLACE_SIZE])
{
    struct url url;
    struct err ignored;

    if (url_parse(text, &url, &ignored) < 0) {
        return false;
    }
    int used = snprintf(out, PLACE_SIZE, "%s://", url.tls ? "https" : "http");

    for (const char *c = url.host; *c != '\0'; c++) {
        out[used++] = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
    }
    snprintf(out + used, PLACE_SIZE - (size_t)used, ":%u", (unsigned)url.port);
    url_free(&url);
    return true;
}

bool site_secrets_same_place(const char *url, const char *other)
{
    char a[PLACE_SIZE], b[PLACE_SIZE];

    return origin_of(url, a) && origin_of(other, b) && strcmp(a, b) == 0;
}

/* "password https://example.com:443". The longest option is far shorter than what is left. */
static bool place_of(const char *option, const char *url, char out[PLACE_SIZE])
{
    char origin[PLACE_SIZE];

    return origin_of(url, origin) &&
           snprintf(out, PLACE_SIZE, "%s %s", option, origin) < PLACE_SIZE;
}

/* --- Sealing --- */

static void add_sealed(cJSON *sealed, const struct site *site, const struct seal *seal,
                       const char *option, const char *text)
{
    char place[PLACE_SIZE];

    if (!place_of(option, site->url, place)) {
        abort(); /* the url of a finished site is one */
    }
    char *closed = seal_close(seal, place, text);

    cJSON_AddStringToObject(sealed, option, closed);
    free(closed);
}

static void add_secret_headers(cJSON *sealed, const struct site *site, const struct seal *seal)
{
    cJSON *lines = cJSON_CreateArray();

    for (size_t i = 0; site->headers != NULL && site->headers[i] != NULL; i++) {
        if (site_header_is_secret(site->headers[i])) {
            cJSON_AddItemToArray(lines, cJSON_CreateString(site->headers[i]));
        }
    }
    bool some = cJSON_GetArraySize(lines) > 0;
    char *text = jsonprint(lines);

    if (some) {
        add_sealed(sealed, site, seal, HEADERS, text);
    }
    free(text);
}

static cJSON *sealed_json(const struct site *site, const struct seal *seal)
{
    cJSON *sealed = cJSON_CreateObject();

    for (size_t i = 0; site_option(i) != NULL; i++) {
        const struct site_option *option = site_option(i);

        if (site_option_is_secret(option)) {
            const char *text = *(char *const *)site_field_const(site, option);

            if (text != NULL) {
                add_sealed(sealed, site, seal, option->doc.name, text);
            }
        }
    }
    add_secret_headers(sealed, site, seal);
    return sealed;
}

char *site_secrets_config(const struct site *site, const struct seal *seal)
{
    char *open = site_config_json(site);

    if (seal == NULL || site_secret_option(site) == NULL) {
        return open;
    }
    cJSON *config = cJSON_Parse(open);

    free(open);
    cJSON_AddItemToObject(config, SITE_SECRETS_MEMBER, sealed_json(site, seal));
    return jsonprint(config);
}

/* --- Opening --- */

/* What is opened of one member; NULL and why not. */
static cJSON *open_member(const cJSON *member, const char *url, const struct seal *seal,
                          struct err *err)
{
    char place[PLACE_SIZE];

    if (!cJSON_IsString(member) || !place_of(member->string, url, place)) {
        err_set(err, ERR_INVALID, "is not a sealed text of a site");
        return NULL;
    }
    if (seal == NULL) {
        err_set(err, ERR_INVALID, "is sealed, and there is no key (sites-secret-key)");
        return NULL;
    }
    char *text = seal_open(seal, place, member->valuestring, err);

    if (text == NULL) {
        return NULL;
    }
    bool is_list = strcmp(member->string, HEADERS) == 0;
    cJSON *opened = is_list ? cJSON_Parse(text) : cJSON_CreateString(text);

    free(text);
    if (opened == NULL || (is_list && !cJSON_IsArray(opened))) {
        err_set(err, ERR_INVALID, "does not hold what it should");
        cJSON_Delete(opened);
        return NULL;
    }
    return opened;
}

cJSON *site_secrets_open(const cJSON *sealed, const char *url, const struct seal *seal,
                         struct err *err)
{
    cJSON *secrets = cJSON_CreateObject();
    const cJSON *member;

    if (sealed != NULL && !cJSON_IsObject(sealed)) {
        err_set(err, ERR_INVALID, SITE_SECRETS_MEMBER ": is not an object");
        cJSON_Delete(secrets);
        return NULL;
    }
    cJSON_ArrayForEach (member, sealed) {
        cJSON *opened = open_member(member, url, seal, err);

        if (opened == NULL) {
            err_prepend(err, "%.64s", member->string);
            cJSON_Delete(secrets);
            return NULL;
        }
        cJSON_AddItemToObject(secrets, member->string, opened);
    }
    return secrets;
}

/* --- Into a site --- */

/* The secret headers stand after the others. */
static int set_headers(struct site *site, const cJSON *lines, struct err *err)
{
    char *list[SITE_HEADERS_MAX + 2]; /* one more than there may be, to be told of */
    const cJSON *line;
    size_t count = 0;

    for (; site->headers != NULL && site->headers[count] != NULL; count++) {
        list[count] = mem_copy_string(site->headers[count]);
    }
    cJSON_ArrayForEach (line, lines) {
        if (count <= SITE_HEADERS_MAX && cJSON_IsString(line)) {
            list[count++] = mem_copy_string(line->valuestring);
        }
    }
    list[count] = NULL;

    struct site_value value = {.type = SITE_VALUE_LIST, .list = (const char *const *)list};
    int rc = site_set(site, HEADERS, &value, err);

    for (size_t i = 0; i < count; i++) {
        free(list[i]);
    }
    return rc;
}

int site_secrets_set(struct site *site, const cJSON *sealed, const struct seal *seal,
                     struct err *err)
{
    cJSON *secrets = site_secrets_open(sealed, site->url == NULL ? "" : site->url, seal, err);
    const cJSON *secret;
    int rc = secrets == NULL ? -1 : 0;

    cJSON_ArrayForEach (secret, secrets) {
        if (rc < 0) {
            break;
        }
        rc = cJSON_IsArray(secret) ? set_headers(site, secret, err)
                                   : site_set(site, secret->string,
                                              &(struct site_value){.type = SITE_VALUE_TEXT,
                                                                   .text = secret->valuestring},
                                              err);
    }
    cJSON_Delete(secrets);
    return rc;
}
