/* Which stored secrets stay when a site is changed, and which do not go along. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/website_secrets.h"
#include "common/site_secrets.h"
#include "tests/unit/site_of.h"

#define KEY "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define OTHER_KEY "BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define URL "\"url\":\"https://a.example/\""

#define BASIC "{" URL ",\"username\":\"u\",\"password\":\"p\"}"
#define BEARER "{" URL ",\"bearer_token\":\"t\"}"
#define HEADERS "{" URL ",\"headers\":[\"Accept: a\",\"X-Key: k\",\"Cookie: c\"]}"
#define PROXY "{" URL ",\"proxy\":\"http://proxy:1\"}"

static struct seal *keys(const char *text)
{
    struct err err;
    struct seal *seal = seal_new(text, &err);

    assert_non_null(seal);
    return seal;
}

static cJSON *config_of(const char *json, const struct seal *seal)
{
    struct site site = site_of(json);

    site_of_finish(&site);
    char *text = site_secrets_config(&site, seal);
    cJSON *config = cJSON_Parse(text);

    free(text);
    site_free(&site);
    return config;
}

static const struct {
    const char *name, *stored, *given, *pointer;
} refused[] = {
    {"a password to another host", BASIC, "{\"url\":\"https://b.example/\",\"username\":\"u\"}",
     "/password"},
    {"a password to another port", BASIC, "{\"url\":\"https://a.example:444/\",\"username\":\"u\"}",
     "/password"},
    {"a password to be read on its way", BASIC,
     "{\"url\":\"http://a.example/\",\"username\":\"u\"}", "/password"},
    {"a token to another host", BEARER, "{\"url\":\"https://b.example/\"}", "/bearer_token"},
    {"headers to another host", HEADERS,
     "{\"url\":\"https://b.example/\",\"headers\":[\"Accept: a\"]}", "/headers"},
    {"a proxy to another host", PROXY, "{\"url\":\"https://b.example/\"}", "/proxy"},
};

static void no_secret_goes_along_to_another_place(void **state)
{
    struct seal *seal = keys(KEY);

    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        cJSON *config = config_of(refused[i].stored, seal);
        cJSON *given = cJSON_Parse(refused[i].given);
        cJSON *options = cJSON_Duplicate(given, true);
        cJSON *stored = cJSON_CreateObject();
        struct website_faults faults = {0};

        print_message("  %s\n", refused[i].name);
        assert_false(website_secrets_keep(options, stored, given, config, seal, &faults));
        assert_int_equal(faults.status, 422);
        assert_string_equal(
            cJSON_GetStringValue(cJSON_GetObjectItem(faults.list->child, "pointer")),
            refused[i].pointer);
        website_faults_free(&faults);
        cJSON_Delete(options);
        cJSON_Delete(stored);
        cJSON_Delete(given);
        cJSON_Delete(config);
    }
    seal_free(seal);
}

static const struct {
    const char *name, *stored, *given, *becomes;
} kept[] = {
    {"nothing is stored", "{" URL "}", "{" URL ",\"password\":null}", "{" URL "}"},
    {"what was read is sent back", BASIC, "{" URL ",\"username\":\"u\"}", BASIC},
    {"another path", BASIC, "{\"url\":\"https://a.example/b\",\"username\":\"u\"}",
     "{\"url\":\"https://a.example/b\",\"username\":\"u\",\"password\":\"p\"}"},
    {"a new password", BASIC, "{" URL ",\"username\":\"u\",\"password\":\"q\"}",
     "{" URL ",\"username\":\"u\",\"password\":\"q\"}"},
    {"null drops it", BASIC, "{" URL ",\"username\":\"u\",\"password\":null}",
     "{" URL ",\"username\":\"u\"}"},
    {"a password goes with its username", BASIC, "{" URL "}", "{" URL "}"},
    {"a token comes for a password", BASIC, "{" URL ",\"bearer_token\":\"t\"}", BEARER},
    {"a password comes for a token", BEARER, BASIC, BASIC},
    {"a token stays", BEARER, "{" URL "}", BEARER},
    {"null drops a token", BEARER, "{" URL ",\"bearer_token\":null}", "{" URL "}"},
    {"headers as they were read", HEADERS, "{" URL ",\"headers\":[\"Accept: a\"]}", HEADERS},
    {"no headers are given", HEADERS, "{" URL "}",
     "{" URL ",\"headers\":[\"X-Key: k\",\"Cookie: c\"]}"},
    {"one secret header takes the place of all", HEADERS, "{" URL ",\"headers\":[\"X-Key: l\"]}",
     "{" URL ",\"headers\":[\"X-Key: l\"]}"},
    {"null drops all headers", HEADERS, "{" URL ",\"headers\":null}", "{" URL "}"},
    {"a proxy stays", PROXY, "{" URL "}", PROXY},
    {"to another host without the secret", BASIC,
     "{\"url\":\"https://b.example/\",\"username\":\"u\",\"password\":null}",
     "{\"url\":\"https://b.example/\",\"username\":\"u\"}"},
    {"to another host with one of its own", BASIC,
     "{\"url\":\"https://b.example/\",\"username\":\"u\",\"password\":\"q\"}",
     "{\"url\":\"https://b.example/\",\"username\":\"u\",\"password\":\"q\"}"},
    {"null of another option is for others to judge", "{" URL "}", "{" URL ",\"seconds\":null}",
     "{" URL ",\"seconds\":null}"},
};

static void what_a_change_does_not_speak_of_stays(void **state)
{
    struct seal *seal = keys(KEY);

    (void)state;
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        cJSON *config = config_of(kept[i].stored, seal);
        cJSON *given = cJSON_Parse(kept[i].given);
        cJSON *options = cJSON_Duplicate(given, true);
        cJSON *stored = cJSON_CreateObject();
        cJSON *becomes = cJSON_Parse(kept[i].becomes);
        struct website_faults faults = {0};

        print_message("  %s\n", kept[i].name);
        assert_true(website_secrets_keep(options, stored, given, config, seal, &faults));
        assert_true(cJSON_Compare(options, becomes, true));
        cJSON_Delete(becomes);
        cJSON_Delete(options);
        cJSON_Delete(stored);
        cJSON_Delete(given);
        cJSON_Delete(config);
    }
    seal_free(seal);
}

static void a_secret_that_does_not_open_is_said_unless_it_goes(void **state)
{
    struct seal *seal = keys(KEY), *other = keys(OTHER_KEY);
    cJSON *config = config_of(BEARER, seal);
    cJSON *given = cJSON_Parse("{" URL "}");
    cJSON *stored = cJSON_CreateObject();
    cJSON *anew = cJSON_Parse("{" URL ",\"bearer_token\":\"u\"}");
    struct website_faults faults = {0};

    (void)state;
    assert_false(website_secrets_keep(given, stored, given, config, other, &faults));
    assert_int_equal(faults.status, 409);
    website_faults_free(&faults);
    assert_false(website_secrets_keep(given, stored, given, config, NULL, &faults));
    assert_int_equal(faults.status, 409);
    website_faults_free(&faults);
    assert_true(website_secrets_keep(anew, stored, anew, config, other, &faults));
    cJSON_Delete(anew);
    cJSON_Delete(stored);
    cJSON_Delete(given);
    cJSON_Delete(config);
    seal_free(other);
    seal_free(seal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_secret_goes_along_to_another_place),
        cmocka_unit_test(what_a_change_does_not_speak_of_stays),
        cmocka_unit_test(a_secret_that_does_not_open_is_said_unless_it_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
