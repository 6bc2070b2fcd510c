/* A site from the JSON of a request: what is taken, and every fault with its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/website_body.h"

#define URL "\"url\":\"https://example.com/\""

static const struct website_rules none = {0}; /* nothing is allowed, nothing sealed */

static const struct {
    const char *name, *json, *allowed;
    int status;
    const char *pointers; /* of the faults, in order */
} refused[] = {
    {"nothing has no url", "{}", NULL, 422, "/url "},
    {"a url that is none", "{\"url\":\"ftp://a/\"}", NULL, 422, "/url "},
    {"an option that is none", "{" URL ",\"secnds\":5}", NULL, 422, "/secnds "},
    {"an option given twice", "{" URL ",\"seconds\":5,\"seconds\":6}", NULL, 422, "/seconds "},
    {"a name to be escaped", "{" URL ",\"a/b~c\":5}", NULL, 422, "/a~1b~0c "},
    {"an interval below the API's", "{" URL ",\"seconds\":4}", NULL, 422, "/seconds "},
    {"an interval above the API's", "{" URL ",\"seconds\":301}", NULL, 422, "/seconds "},
    {"a number with a fraction", "{" URL ",\"retries\":0.5}", NULL, 422, "/retries "},
    {"a number beyond exactness", "{" URL ",\"retries\":1e300}", NULL, 422, "/retries "},
    {"a number for a text", "{" URL ",\"pattern\":5}", NULL, 422, "/pattern "},
    {"null", "{" URL ",\"pattern\":null}", NULL, 422, "/pattern "},
    {"an object", "{" URL ",\"tags\":{}}", NULL, 422, "/tags "},
    {"a list with a number", "{" URL ",\"tags\":[\"a\",1]}", NULL, 422, "/tags "},
    {"a pattern that does not compile", "{" URL ",\"pattern\":\"(\"}", NULL, 422, "/pattern "},
    {"all faults are told", "{\"seconds\":1,\"patern\":\"a\",\"retries\":-1}", NULL, 422,
     "/patern /retries /seconds "},
    {"what holds between options", "{" URL ",\"json_value\":\"a\"}", NULL, 422, "/json_value "},
    {"private addresses", "{" URL ",\"allow_private\":true}", NULL, 403, "/allow_private "},
    {"an address to connect to", "{" URL ",\"resolve_to\":\"10.0.0.1\"}", NULL, 403,
     "/resolve_to "},
    {"a file of ours", "{" URL ",\"password_file\":\"/etc/passwd\"}", "ca_file", 403,
     "/password_file "},
    {"a file of ours that the operator allows, which is not there",
     "{" URL ",\"ca_file\":\"/nowhere\"}", "proxy, ca_file", 422, "/ca_file "},
    {"a password", "{" URL ",\"username\":\"u\",\"password\":\"p\"}", NULL, 403, "/password "},
    {"a password in the url", "{\"url\":\"https://u:p@example.com/\"}", NULL, 403, "/password "},
    {"a token", "{" URL ",\"bearer_token\":\"t\"}", NULL, 403, "/bearer_token "},
    {"a header with a secret", "{" URL ",\"headers\":[\"X-Api-Key: k\"]}", NULL, 403, "/headers "},
};

static void pointers_of(const struct website_faults *faults, char *out, size_t size)
{
    const cJSON *fault;

    out[0] = '\0';
    cJSON_ArrayForEach (fault, faults->list) {
        size_t used = strlen(out);

        snprintf(out + used, size - used, "%s ",
                 cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(fault, "pointer")));
    }
}

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        cJSON *json = cJSON_Parse(refused[i].json);
        struct website_faults faults = {0};
        struct site site;
        char pointers[512];

        print_message("  %s\n", refused[i].name);
        assert_non_null(json);
        assert_false(website_body_read(
            json, NULL, &(struct website_rules){.allowed_options = refused[i].allowed}, &site,
            &faults));
        pointers_of(&faults, pointers, sizeof(pointers));
        assert_string_equal(pointers, refused[i].pointers);
        assert_int_equal(faults.status, refused[i].status);
        website_faults_free(&faults);
        cJSON_Delete(json);
    }
}

static void tells_no_more_than_its_ceiling(void **state)
{
    cJSON *json = cJSON_CreateObject();
    struct website_faults faults = {0};
    struct site site;
    char name[32];

    (void)state;
    for (int i = 0; i < 3 * WEBSITE_FAULTS_MAX; i++) {
        snprintf(name, sizeof(name), "wrong%d", i);
        cJSON_AddNumberToObject(json, name, i);
    }
    assert_false(website_body_read(json, NULL, &none, &site, &faults));

    assert_int_equal(cJSON_GetArraySize(faults.list), WEBSITE_FAULTS_MAX);
    website_faults_free(&faults);
    cJSON_Delete(json);
}

static void takes_options(void **state)
{
    cJSON *json = cJSON_Parse("{" URL ",\"seconds\":30,\"pattern\":\"v(1)\",\"tags\":[\"a\",\"b\"],"
                              "\"verify_tls\":false,\"allow_private\":false}");
    struct website_faults faults = {0};
    struct site site;

    (void)state;
    assert_true(website_body_read(json, NULL, &none, &site, &faults));
    assert_int_equal(site.seconds, 30);
    assert_string_equal(site.pattern, "v(1)");
    assert_string_equal(site.tags[1], "b");
    assert_false(site.verify_tls);
    assert_false(site.allow_private);
    site_free(&site);
    cJSON_Delete(json);
}

static void takes_secrets_where_they_are_sealed(void **state)
{
    const struct website_rules rules = {.seals = true};
    cJSON *json = cJSON_Parse("{" URL ",\"bearer_token\":\"t\",\"headers\":[\"X-Api-Key: k\"]}");
    struct website_faults faults = {0};
    struct site site;

    (void)state;
    assert_true(website_body_read(json, NULL, &rules, &site, &faults));
    assert_string_equal(site.bearer_token, "t");
    site_free(&site);
    cJSON_Delete(json);
}

/* An operator's site keeps what its file gave it; only what changes needs leave. */
static void asks_leave_for_what_changes(void **state)
{
    cJSON *config = cJSON_Parse("{" URL ",\"resolve_to\":\"10.0.0.1\",\"seconds\":30,"
                                "\"sealed\":{\"password\":\"x\"}}");
    cJSON *stored = website_body_stored(config);
    cJSON *same = cJSON_Duplicate(stored, true);
    cJSON *other = cJSON_Parse("{" URL ",\"resolve_to\":\"10.0.0.2\"}");
    cJSON *less = cJSON_Parse("{" URL "}");
    struct website_faults faults = {0};
    struct site site;

    (void)state;
    assert_true(website_body_read(same, stored, &none, &site, &faults));
    assert_string_equal(site.resolve_to, "10.0.0.1");
    assert_true(site.allow_private);
    site_free(&site);
    assert_true(website_body_read(less, stored, &none, &site, &faults));
    assert_false(site.allow_private);
    site_free(&site);
    assert_false(website_body_read(other, stored, &none, &site, &faults));
    assert_int_equal(faults.status, 403);
    website_faults_free(&faults);
    cJSON_Delete(less);
    cJSON_Delete(other);
    cJSON_Delete(same);
    cJSON_Delete(stored);
    cJSON_Delete(config);
}

static void checks_what_the_operator_allows(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(website_body_check_allowed(NULL, &err), 0);
    assert_int_equal(website_body_check_allowed(" ca_file,resolve_to ", &err), 0);
    assert_int_equal(website_body_check_allowed("ca_file,seconds", &err), -1);
    assert_string_equal(err.message,
                        "api-allow-options: seconds is no option that the API refuses by itself");
    assert_int_equal(website_body_check_allowed("etc_file", &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses),
        cmocka_unit_test(tells_no_more_than_its_ceiling),
        cmocka_unit_test(takes_options),
        cmocka_unit_test(takes_secrets_where_they_are_sealed),
        cmocka_unit_test(asks_leave_for_what_changes),
        cmocka_unit_test(checks_what_the_operator_allows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
