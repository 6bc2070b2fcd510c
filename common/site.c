#include "common/site.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/jsonprint.h"
#include "common/mem.h"
#include "common/site_private.h"
#include "common/url.h"

#define MAX_REDIRECTS_DEFAULT 5
#define FAILURES_DEFAULT 1
#define QUORUM_DEFAULT 1

void site_init(struct site *site)
{
    *site = (struct site){
        .seconds = SITE_SECONDS_DEFAULT,
        .retry_seconds = 1,
        .max_redirects = MAX_REDIRECTS_DEFAULT,
        .failures = FAILURES_DEFAULT,
        .quorum = QUORUM_DEFAULT,
        .max_body_bytes = SITE_RESPONSE_BYTES_DEFAULT,
        .status = {.count = 1, .ranges = {{200, 399}}},
        .follow_redirects = true,
        .verify_tls = true,
        .allow_private = true,
        .enabled = true,
    };
}

void site_strings_free(site_strings strings)
{
    for (size_t i = 0; strings != NULL && strings[i] != NULL; i++) {
        free(strings[i]);
    }
    free(strings);
}

void site_free(struct site *site)
{
    for (size_t i = 0; site_option(i) != NULL; i++) {
        const struct site_option *option = site_option(i);

        if (option->kind == OPTION_TEXT) {
            free(*(char **)site_field(site, option));
        } else if (option->kind == OPTION_LIST) {
            site_strings_free(*(site_strings *)site_field(site, option));
        }
    }
    *site = (struct site){0};
}

static site_strings copy_strings(char *const *from)
{
    size_t count = 0;

    if (from == NULL) {
        return NULL;
    }
    while (from[count] != NULL) {
        count++;
    }
    site_strings to = mem_alloc(count + 1, sizeof(*to));

    for (size_t i = 0; i < count; i++) {
        to[i] = mem_copy_string(from[i]);
    }
    return to;
}

void site_copy(struct site *to, const struct site *from)
{
    *to = *from;
    for (size_t i = 0; site_option(i) != NULL; i++) {
        const struct site_option *option = site_option(i);
        void *field = site_field(to, option);

        if (option->kind == OPTION_TEXT) {
            *(char **)field = mem_copy_string(*(char **)field);
        } else if (option->kind == OPTION_LIST) {
            *(site_strings *)field = copy_strings(*(site_strings *)field);
        }
    }
}

static bool texts_equal(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool strings_equal(char *const *a, char *const *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    size_t i = 0;

    while (a[i] != NULL && texts_equal(a[i], b[i])) {
        i++;
    }
    return a[i] == b[i];
}

static bool status_equal(const struct status_set *a, const struct status_set *b)
{
    bool equal = a->count == b->count;

    for (size_t i = 0; equal && i < a->count; i++) {
        equal = a->ranges[i].first == b->ranges[i].first && a->ranges[i].last == b->ranges[i].last;
    }
    return equal;
}

static bool option_equal(const struct site *a, const struct site *b,
                         const struct site_option *option)
{
    const void *x = site_field_const(a, option);
    const void *y = site_field_const(b, option);

    switch (option->kind) {
    case OPTION_TEXT:
    case OPTION_FROM_FILE:
        return texts_equal(*(char *const *)x, *(char *const *)y);
    case OPTION_LIST:
        return strings_equal(*(const site_strings *)x, *(const site_strings *)y);
    case OPTION_STATUS:
        return status_equal(x, y);
    case OPTION_SIZE:
        return *(const int64_t *)x == *(const int64_t *)y;
    case OPTION_BOOL:
        return *(const bool *)x == *(const bool *)y;
    case OPTION_CHOICE:
        return *(const unsigned *)x == *(const unsigned *)y;
    case OPTION_INT:
        break;
    }
    return *(const int32_t *)x == *(const int32_t *)y;
}

bool site_equal(const struct site *a, const struct site *b)
{
    for (size_t i = 0; site_option(i) != NULL; i++) {
        if (!option_equal(a, b, site_option(i))) {
            return false;
        }
    }
    return a->id == b->id;
}

/* Between the attempts of a slot. */
static int64_t waits_ms(const struct site *site)
{
    return site->retries * INT64_C(1000) * site->retry_seconds;
}

static int32_t default_timeout_ms(const struct site *site)
{
    int64_t attempts_ms = site->seconds * INT64_C(1000) - waits_ms(site);
    int64_t share_ms = attempts_ms / (site->retries + 1);

    if (share_ms < 1) {
        share_ms = 1; /* there is no room for the waits alone: site_finish says so */
    }
    return share_ms < SITE_TIMEOUT_MS_DEFAULT ? (int32_t)share_ms : SITE_TIMEOUT_MS_DEFAULT;
}

/* The url as it may be shown; what was before its @ becomes username and password. */
static int finish_url(struct site *site, struct err *err)
{
    struct url url;

    if (site->url == NULL) {
        return err_set(err, ERR_INVALID, "url: is missing, give each site one");
    }
    if (url_parse(site->url, &url, err) < 0) {
        return -1;
    }
    if (url.user != NULL && (site->username != NULL || site->password != NULL)) {
        url_free(&url);
        return err_set(err, ERR_INVALID,
                       "url: holds a user, and username or password is given too; keep one");
    }
    if (url.user != NULL) {
        site->username = url.user[0] == '\0' ? NULL : mem_copy_string(url.user);
        site->password = mem_copy_string(url.password);
    }
    free(site->url);
    site->url = mem_copy_string(url.text);
    if (site->name == NULL) {
        site->name = mem_copy_string(url.text);
    }
    url_free(&url);
    return 0;
}

static int finish_credentials(const struct site *site, struct err *err)
{
    if (site->username != NULL && site_check_username(site->username, err) < 0) {
        return err_context(err, "username");
    }
    if (site->password != NULL && site->username == NULL) {
        return err_set(err, ERR_INVALID, "password: needs username");
    }
    if (site->bearer_token != NULL && site->username != NULL) {
        return err_set(err, ERR_INVALID, "bearer_token: not with username, keep one of them");
    }
    if (site->cert_file != NULL && site->key_file == NULL) {
        return err_set(err, ERR_INVALID, "cert_file: needs key_file");
    }
    if (site->key_file != NULL && site->cert_file == NULL) {
        return err_set(err, ERR_INVALID, "key_file: needs cert_file");
    }
    return 0;
}

static int finish_request(const struct site *site, struct err *err)
{
    bool ip6 = site->resolve_to != NULL && strchr(site->resolve_to, ':') != NULL;

    if (site->body != NULL && site->method != NULL &&
        (strcmp(site->method, "GET") == 0 || strcmp(site->method, "HEAD") == 0)) {
        return err_set(err, ERR_INVALID, "body: not with method %s, use POST or PUT", site->method);
    }
    if (site->json_value != NULL && site->json_path == NULL) {
        return err_set(err, ERR_INVALID, "json_value: needs json_path");
    }
    if (site->resolve_to != NULL && site->ip_version != SITE_IP_ANY &&
        ip6 != (site->ip_version == SITE_IP_6)) {
        return err_set(err, ERR_INVALID, "resolve_to: %s is not of ip_version %s", site->resolve_to,
                       ip6 ? "4" : "6");
    }
    return 0;
}

/* What a proxy takes out of our hands. */
static int finish_proxy(const struct site *site, struct err *err)
{
    if (site->proxy == NULL) {
        return 0;
    }
    if (!site->allow_private) {
        return err_set(err, ERR_INVALID,
                       "proxy: not with allow_private = false, as the proxy connects to the site "
                       "and we cannot see to which address");
    }
    if (site->resolve_to != NULL) {
        return err_set(err, ERR_INVALID, "proxy: not with resolve_to, keep one of them");
    }
    if (site->reuse_connection) {
        return err_set(err, ERR_INVALID,
                       "proxy: not with reuse_connection, each check has a tunnel of its own");
    }
    return 0;
}

static int finish_retries(const struct site *site, struct err *err)
{
    int64_t attempts = site->retries + 1;
    int64_t all_ms = attempts * site->timeout_ms + waits_ms(site);

    if (all_ms > site->seconds * INT64_C(1000)) {
        return err_set(
            err, ERR_INVALID,
            "retries: %" PRId64 " attempts of %" PRId32 " ms and %" PRId32 " waits of %" PRId32
            " s take %" PRId64 " ms, more than the interval of %" PRId32
            " s; lower retries, retry_seconds or timeout_ms, or raise seconds",
            attempts, site->timeout_ms, site->retries, site->retry_seconds, all_ms, site->seconds);
    }
    return 0;
}

int site_finish(struct site *site, struct err *err)
{
    if (finish_url(site, err) < 0 || finish_credentials(site, err) < 0 ||
        finish_request(site, err) < 0 || finish_proxy(site, err) < 0) {
        return -1;
    }
    if (site->timeout_ms == 0) {
        site->timeout_ms = default_timeout_ms(site);
    }
    if (site->timeout_ms > site->seconds * 1000) {
        return err_set(err, ERR_INVALID,
                       "timeout_ms: %" PRId32 " is more than the interval of %" PRId32
                       " s; lower it or raise seconds",
                       site->timeout_ms, site->seconds);
    }
    return finish_retries(site, err);
}

bool site_header_is_secret(const char *header)
{
    static const char *const words[] = {"auth",   "cookie",   "token",      "key",
                                        "secret", "password", "credential", "session"};
    char *name = mem_copy(header, strcspn(header, ":"));
    bool secret = false;

    for (size_t i = 0; !secret && i < sizeof(words) / sizeof(words[0]); i++) {
        secret = strcasestr(name, words[i]) != NULL;
    }
    free(name);
    return secret;
}

bool site_option_may_be_secret(const char *option)
{
    bool secret = strcmp(option, "headers") == 0;

    for (size_t i = 0; !secret && site_option(i) != NULL; i++) {
        secret =
            site_option_is_secret(site_option(i)) && strcmp(site_option(i)->doc.name, option) == 0;
    }
    return secret;
}

static cJSON *list_json(char *const *list, bool headers)
{
    cJSON *array = cJSON_CreateArray();

    for (size_t i = 0; list[i] != NULL; i++) {
        if (!headers || !site_header_is_secret(list[i])) {
            cJSON_AddItemToArray(array, cJSON_CreateString(list[i]));
        }
    }
    return array;
}

static cJSON *option_json(const struct site *site, const struct site_option *option)
{
    const void *field = site_field_const(site, option);
    cJSON *json;
    char *text;

    switch (option->kind) {
    case OPTION_TEXT:
    case OPTION_FROM_FILE:
        return cJSON_CreateString(*(char *const *)field);
    case OPTION_LIST:
        return list_json(*(const site_strings *)field, field == (const void *)&site->headers);
    case OPTION_STATUS:
        text = status_set_text(field);
        json = cJSON_CreateString(text);
        free(text);
        return json;
    case OPTION_SIZE:
        return cJSON_CreateNumber((double)*(const int64_t *)field);
    case OPTION_BOOL:
        return cJSON_CreateBool(*(const bool *)field);
    case OPTION_CHOICE:
        return cJSON_CreateString(option->choices[*(const unsigned *)field]);
    case OPTION_INT:
        break;
    }
    return cJSON_CreateNumber(*(const int32_t *)field);
}

const char *site_secret_option(const struct site *site)
{
    for (size_t i = 0; site_option(i) != NULL; i++) {
        const struct site_option *option = site_option(i);

        if (site_option_is_secret(option) &&
            *(char *const *)site_field_const(site, option) != NULL) {
            return option->doc.name;
        }
    }
    for (size_t i = 0; site->headers != NULL && site->headers[i] != NULL; i++) {
        if (site_header_is_secret(site->headers[i])) {
            return "headers";
        }
    }
    return NULL;
}

char *site_config_json(const struct site *site)
{
    struct site usual;
    cJSON *object = cJSON_CreateObject();

    site_init(&usual);
    usual.timeout_ms = default_timeout_ms(site);
    usual.name = site->url;
    for (size_t i = 0; site_option(i) != NULL; i++) {
        const struct site_option *option = site_option(i);

        if (option->kind == OPTION_FROM_FILE || (option->flags & OPTION_SECRET) != 0 ||
            option_equal(site, &usual, option)) {
            continue;
        }
        cJSON_AddItemToObject(object, option->doc.name, option_json(site, option));
    }
    return jsonprint(object);
}
