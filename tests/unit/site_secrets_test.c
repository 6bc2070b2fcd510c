/* Secrets of a site sealed and opened: what is refused, and that they come back as they were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/site_secrets.h"
#include "tests/unit/site_of.h"

#define KEY "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define OTHER_KEY "BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static struct seal *keys(const char *text)
{
    struct err err;
    struct seal *seal = seal_new(text, &err);

    assert_non_null(seal);
    return seal;
}

static const struct {
    const char *name, *sealed, *message;
} refused[] = {
    {"a text", "\"x\"", "sealed: is not an object"},
    {"a list", "[\"x\"]", "sealed: is not an object"},
    {"a member that is no text", "{\"password\":1}", "password: is not a sealed text of a site"},
    {"a secret in the clear", "{\"password\":\"hunter2\"}",
     "password: is not sealed in a form that is known"},
    {"a form of a later version", "{\"password\":\"2.00000000.AAAA\"}",
     "password: is not sealed in a form that is known"},
    {"a key that is not ours", "{\"password\":\"1.00000000.AAAA\"}",
     "password: is sealed with key 00000000, which is not set"},
};

static void refuses(void **state)
{
    struct seal *seal = keys(KEY);

    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        cJSON *sealed = cJSON_Parse(refused[i].sealed);
        struct err err = {0};

        print_message("  %s\n", refused[i].name);
        assert_null(site_secrets_open(sealed, "http://a/", seal, &err));
        assert_string_equal(err.message, refused[i].message);
        assert_int_equal(err.kind, ERR_INVALID);
        cJSON_Delete(sealed);
    }
    seal_free(seal);
}

/* With a secret of each kind; bearer tokens do not go with passwords. */
static const char *const sites[] = {
    "{\"url\":\"https://Example.com/a\",\"username\":\"u\",\"password\":\"hunter2\","
    "\"headers\":[\"Accept: a\",\"X-Api-Key: hunter2\",\"Cookie: hunter2\"]}",
    "{\"url\":\"http://example.com:8080/\",\"bearer_token\":\"hunter2\","
    "\"proxy\":\"http://u:hunter2@proxy:1\",\"headers\":[\"Authorization: hunter2\"]}",
    "{\"url\":\"http://example.com/\",\"headers\":[\"Accept: a\"]}",
};

/* As a reader does: the options that are there to see, then the sealed ones. */
static int read_config(const char *text, const struct seal *seal, struct site *site,
                       struct err *err)
{
    cJSON *config = cJSON_Parse(text);

    *site = site_of(text);

    int rc = site_secrets_set(site, cJSON_GetObjectItem(config, SITE_SECRETS_MEMBER), seal, err);

    cJSON_Delete(config);
    return rc;
}

static void secrets_go_through_sealed(void **state)
{
    struct seal *seal = keys(KEY), *other = keys(OTHER_KEY);

    (void)state;
    for (size_t i = 0; i < sizeof(sites) / sizeof(sites[0]); i++) {
        struct site site = site_of(sites[i]), back;
        struct err err = {0};

        site_of_finish(&site);
        char *config = site_secrets_config(&site, seal);
        char *again = site_secrets_config(&site, seal);
        char *without = site_secrets_config(&site, NULL);

        assert_null(strstr(config, "hunter2"));
        assert_null(strstr(without, "hunter2"));
        assert_string_equal(config, again);
        assert_int_equal(read_config(config, seal, &back, &err), 0);
        site_of_finish(&back);
        assert_true(site_equal(&site, &back));
        site_free(&back);
        if (site_secret_option(&site) != NULL) {
            assert_int_equal(read_config(config, other, &back, &err), -1);
            assert_non_null(strstr(err.message, "which is not set"));
            site_free(&back);
            assert_int_equal(read_config(config, NULL, &back, &err), -1);
            assert_non_null(strstr(err.message, "there is no key"));
            site_free(&back);
        } else {
            assert_string_equal(config, without);
        }
        free(config);
        free(again);
        free(without);
        site_free(&site);
    }
    seal_free(seal);
    seal_free(other);
}

static void more_headers_than_there_may_be_are_refused(void **state)
{
    struct seal *seal = keys(KEY);
    struct site site = site_of("{\"url\":\"http://a/\",\"headers\":[\"X-Key: k\"]}"), back;
    struct err err = {0};

    (void)state;
    site_of_finish(&site);
    char *config = site_secrets_config(&site, seal);
    cJSON *json = cJSON_Parse(config);
    cJSON *lines = cJSON_CreateArray();

    for (int i = 0; i < SITE_HEADERS_MAX; i++) {
        cJSON_AddItemToArray(lines, cJSON_CreateString("A: b"));
    }
    cJSON_ReplaceItemInObjectCaseSensitive(json, "headers", lines);
    free(config);
    config = cJSON_PrintUnformatted(json);
    assert_int_equal(read_config(config, seal, &back, &err), -1);
    assert_string_equal(err.message, "headers: more than 32 of them");
    free(config);
    cJSON_Delete(json);
    site_free(&back);
    site_free(&site);
    seal_free(seal);
}

static const struct {
    const char *name, *url, *other;
    bool same;
} places[] = {
    {"another path", "https://a/x", "https://a/y?z", true},
    {"the default port", "https://a/", "https://a:443/", true},
    {"capitals", "https://A.example/", "https://a.EXAMPLE/", true},
    {"another user", "https://u@a/", "https://v@a/", true},
    {"another port", "https://a/", "https://a:444/", false},
    {"another scheme", "https://a:80/", "http://a:80/", false},
    {"another host", "https://a/", "https://b/", false},
    {"a host below", "https://a/", "https://a.b/", false},
    {"no url", "https://a/", "", false},
};

static void a_secret_opens_for_its_place_alone(void **state)
{
    struct seal *seal = keys(KEY);

    (void)state;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct site site = site_of("{\"url\":\"https://placeholder/\",\"bearer_token\":\"t\"}");
        struct err err = {0};

        print_message("  %s\n", places[i].name);
        assert_int_equal(site_secrets_same_place(places[i].url, places[i].other), places[i].same);
        free(site.url);
        site.url = mem_copy_string(places[i].url);

        char *text = site_secrets_config(&site, seal);
        cJSON *config = cJSON_Parse(text);
        cJSON *opened = site_secrets_open(cJSON_GetObjectItem(config, SITE_SECRETS_MEMBER),
                                          places[i].other, seal, &err);

        assert_int_equal(opened != NULL, places[i].same);
        cJSON_Delete(opened);
        cJSON_Delete(config);
        free(text);
        site_free(&site);
    }
    seal_free(seal);
}

static void a_secret_opens_for_its_option_alone(void **state)
{
    struct seal *seal = keys(KEY);
    struct site site = site_of("{\"url\":\"https://a/\",\"bearer_token\":\"t\"}");
    struct err err = {0};

    (void)state;
    site_of_finish(&site);
    char *text = site_secrets_config(&site, seal);
    cJSON *config = cJSON_Parse(text);
    cJSON *sealed = cJSON_GetObjectItem(config, SITE_SECRETS_MEMBER);
    cJSON *token = cJSON_DetachItemFromObject(sealed, "bearer_token");

    cJSON_AddItemToObject(sealed, "password", token);
    assert_null(site_secrets_open(sealed, "https://a/", seal, &err));
    assert_string_equal(err.message,
                        "password: does not open: it was sealed for another place, or changed");
    cJSON_Delete(config);
    free(text);
    site_free(&site);
    seal_free(seal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses),
        cmocka_unit_test(secrets_go_through_sealed),
        cmocka_unit_test(more_headers_than_there_may_be_are_refused),
        cmocka_unit_test(a_secret_opens_for_its_place_alone),
        cmocka_unit_test(a_secret_opens_for_its_option_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
