/* A site as the topic has it: what is taken, and what is refused with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/site_json.h"
#include "common/site_secrets.h"

#define OWN "\"schema\":1,\"id\":42,\"version\":3"
#define URL "\"url\":\"http://a/\""

struct refused_row {
    const char *name, *json, *message;
};

static const struct refused_row refused_rows[] = {
    {"nothing", "", "JSON: want an object"},
    {"an array", "[]", "JSON: want an object"},
    {"null", "null", "JSON: want an object"},
    {"half an object", "{" OWN, "JSON: is wrong at byte"},
    {"a name without a value", "{\"id\"}", "JSON: is wrong at byte"},
    {"a comma too many", "{" OWN "," URL ",}", "JSON: is wrong at byte"},
    {"something after the object", "{" OWN "," URL "}}", "JSON: is wrong at byte"},
    {"bytes that are no UTF-8", "{\"url\":\"\xff\"}", "JSON: is no UTF-8 at byte 8"},
    {"a NUL in a text", "{" OWN ",\"url\":\"http://a/\\u0000b\"}", "JSON: a text has"},
    {"a NUL in a list", "{" OWN "," URL ",\"tags\":[\"\\u0000\"]}", "JSON: a text has"},
    {"half a surrogate pair", "{" OWN "," URL ",\"name\":\"\\ud800\"}", "JSON: a text has"},
    {"no members", "{}", "schema: is 0, this reads 1"},
    {"no schema", "{\"id\":1,\"version\":1," URL "}", "schema: is 0"},
    {"another schema", "{\"schema\":2,\"id\":1,\"version\":1," URL "}", "schema: is 2"},
    {"no id", "{\"schema\":1,\"version\":1," URL "}", "id: is missing"},
    {"no version", "{\"schema\":1,\"id\":1," URL "}", "version: is missing"},
    {"an id of 0", "{\"schema\":1,\"id\":0}", "id: want a whole number from 1 on"},
    {"an id below 0", "{\"schema\":1,\"id\":-1}", "id: want"},
    {"an id with a fraction", "{\"schema\":1,\"id\":1.5}", "id: want"},
    {"an id beyond exactness", "{\"schema\":1,\"id\":9007199254740992}", "id: want"},
    {"an id of many digits", "{\"schema\":1,\"id\":111111111111111111111111}", "id: want"},
    {"an id that is a text", "{\"schema\":1,\"id\":\"1\"}", "id: want"},
    {"no url", "{" OWN "}", "url: is missing"},
    {"a url that is none", "{" OWN ",\"url\":\"ftp://a/\"}", "url: "},
    {"an option that is none", "{" OWN "," URL ",\"secnds\":5}", "did you mean seconds?"},
    {"a name longer than any option's",
     "{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":1}",
     "no such option"},
    {"an option twice", "{" OWN "," URL ",\"seconds\":5,\"seconds\":5}", "seconds: is there twice"},
    {"an id twice", "{" OWN ",\"id\":42," URL "}", "id: is there twice"},
    {"an interval of 0", "{" OWN "," URL ",\"seconds\":0}", "seconds: 0 is not in 1..86400"},
    {"an interval with an exponent", "{" OWN "," URL ",\"seconds\":3e1}", "seconds: want"},
    {"null for an option", "{" OWN "," URL ",\"pattern\":null}", "pattern: want"},
    {"an object for an option", "{" OWN "," URL ",\"tags\":{\"a\":1}}", "tags: want"},
    {"sealed secrets that are no object", "{" OWN "," URL ",\"sealed\":[]}",
     "sealed: want an object"},
    {"sealed secrets that are none", "{" OWN "," URL ",\"sealed\":{\"password\":\"x\"}}",
     "password: is sealed"},
    {"a number in a list", "{" OWN "," URL ",\"tags\":[\"a\",1]}", "tags: want"},
    {"a list in a list", "{" OWN "," URL ",\"tags\":[[\"a\"]]}", "tags: want"},
    {"a pattern that does not compile", "{" OWN "," URL ",\"pattern\":\"(\"}", "pattern: "},
    {"what holds between options", "{" OWN "," URL ",\"json_value\":\"a\"}", "json_value: needs"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused_rows) / sizeof(refused_rows[0]); i++) {
        const struct refused_row *row = &refused_rows[i];
        struct site site;
        struct err err = {0};
        int64_t version;

        print_message("  %s\n", row->name);
        assert_int_equal(site_json_read(row->json, strlen(row->json), NULL, &site, &version, &err),
                         -1);
        assert_int_equal(err.kind, ERR_INVALID);
        if (strstr(err.message, row->message) == NULL) {
            fail_msg("said \"%s\"", err.message);
        }
    }
}

static void test_too_long_is_refused(void **state)
{
    char *text = mem_alloc(SITE_JSON_BYTES_MAX + 2, 1);
    struct site site;
    struct err err;
    int64_t version;

    (void)state;
    memset(text, ' ', SITE_JSON_BYTES_MAX + 1);
    memcpy(text, "{" OWN "," URL "}", strlen("{" OWN "," URL "}"));
    assert_int_equal(site_json_read(text, SITE_JSON_BYTES_MAX + 1, NULL, &site, &version, &err),
                     -1);
    assert_non_null(strstr(err.message, "at most"));
    assert_int_equal(site_json_read(text, SITE_JSON_BYTES_MAX, NULL, &site, &version, &err), 0);
    site_free(&site);
    free(text);
}

static void test_more_members_than_there_are_options_are_refused(void **state)
{
    char text[4096];
    size_t used = 0;
    struct site site;
    struct err err;
    int64_t version;

    (void)state;
    for (int i = 0; i <= SITE_JSON_MEMBERS_MAX; i++) { /* one option, each time spelt another way */
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s\"", i == 0 ? "{" : ",");
        for (int bit = 0; bit < 7; bit++) {
            char c = "seconds"[bit];

            used += (size_t)snprintf(text + used, sizeof(text) - used,
                                     (i >> bit & 1) != 0 ? "\\u%04x" : "%c", (unsigned)c);
        }
        used += (size_t)snprintf(text + used, sizeof(text) - used, "\":5");
    }
    used += (size_t)snprintf(text + used, sizeof(text) - used, "}");
    assert_true(used < sizeof(text));
    assert_int_equal(site_json_read(text, used, NULL, &site, &version, &err), -1);
    assert_non_null(strstr(err.message, "seconds: is one member too many"));
}

static void test_taken(void **state)
{
    static const char text[] =
        " { " OWN " , " URL
        ",\"name\":\"caf\\u00e9 \\ud83d\\ude00\",\"seconds\":30,\"enabled\":false,"
        "\"headers\":[\"A: b\",\"C: \\\"d\\\"\"],\"tags\":[],\"pattern\":\"v(\\\\d+)\","
        "\"allow_private\":false,\"max_body_bytes\":5000000} ";
    struct site site;
    struct err err;
    int64_t version;

    (void)state;
    if (site_json_read(text, strlen(text), NULL, &site, &version, &err) < 0) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(site.id, 42);
    assert_int_equal(version, 3);
    assert_string_equal(site.url, "http://a/");
    assert_string_equal(site.name, "caf\xc3\xa9 \xf0\x9f\x98\x80");
    assert_int_equal(site.seconds, 30);
    assert_false(site.enabled);
    assert_false(site.allow_private);
    assert_string_equal(site.headers[0], "A: b");
    assert_string_equal(site.headers[1], "C: \"d\"");
    assert_null(site.headers[2]);
    assert_null(site.tags);
    assert_string_equal(site.pattern, "v(\\d+)");
    assert_int_equal(site.max_body_bytes, 5000000);
    assert_int_equal(site.timeout_ms, 10000); /* as site_finish has it */
    site_free(&site);
}

/* What the database has of a site, and the topic with it, is the site again. */
static void test_what_is_stored_is_read_back(void **state)
{
    static const char *const tags[] = {"a", "\xc3\xa9", NULL};
    static const struct {
        const char *option;
        struct site_value value;
    } rows[] = {
        {"url", {.type = SITE_VALUE_TEXT, .text = "https://b.example/x?y=z"}},
        {"seconds", {.type = SITE_VALUE_INT, .integer = 45}},
        {"status", {.type = SITE_VALUE_TEXT, .text = "200-299,301"}},
        {"ip_version", {.type = SITE_VALUE_TEXT, .text = "4"}},
        {"json_path", {.type = SITE_VALUE_TEXT, .text = "$.a[\"b c\"]"}},
        {"json_value", {.type = SITE_VALUE_TEXT, .text = "\t\"\\"}},
        {"tags", {.type = SITE_VALUE_LIST, .list = tags}},
        {"allow_private", {.type = SITE_VALUE_BOOL, .boolean = false}},
        {"retries", {.type = SITE_VALUE_INT, .integer = 2}},
    };
    struct site site;
    struct site back;
    struct err err;
    char text[2048];
    int64_t version;

    (void)state;
    site_init(&site);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(site_set(&site, rows[i].option, &rows[i].value, &err), 0);
    }
    assert_int_equal(site_finish(&site, &err), 0);
    site.id = 42;

    char *config = site_config_json(&site);

    snprintf(text, sizeof(text), "{" OWN ",%s", config + 1);
    if (site_json_read(text, strlen(text), NULL, &back, &version, &err) < 0) {
        fail_msg("%s: %s", err.message, text);
    }
    assert_true(site_equal(&site, &back));
    site_free(&site);
    site_free(&back);
    free(config);
}

static void test_sealed_secrets_open_with_their_key_alone(void **state)
{
    static const char *const options[][2] = {
        {"url", "https://b.example/x"}, {"username", "u"}, {"password", "p\"\xc3\xa9"}};
    struct err err = {0};
    struct seal *seal = seal_new("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", &err);
    struct seal *other = seal_new("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", &err);
    struct site site;
    struct site back;
    char text[2048];
    int64_t version;

    (void)state;
    assert_non_null(seal);
    assert_non_null(other);
    site_init(&site);
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        struct site_value value = {.type = SITE_VALUE_TEXT, .text = options[i][1]};

        assert_int_equal(site_set(&site, options[i][0], &value, &err), 0);
    }
    assert_int_equal(site_finish(&site, &err), 0);
    site.id = 42;

    char *config = site_secrets_config(&site, seal);

    snprintf(text, sizeof(text), "{%.*s," OWN "}", (int)strlen(config) - 2, config + 1);
    if (site_json_read(text, strlen(text), seal, &back, &version, &err) < 0) {
        fail_msg("%s: %s", err.message, text);
    }
    assert_true(site_equal(&site, &back));
    site_free(&back);
    assert_int_equal(site_json_read(text, strlen(text), NULL, &back, &version, &err), -1);
    assert_non_null(strstr(err.message, "password: is sealed, and there is no key"));
    assert_int_equal(site_json_read(text, strlen(text), other, &back, &version, &err), -1);
    assert_non_null(strstr(err.message, "password: is sealed with key"));
    free(config);
    site_free(&site);
    seal_free(seal);
    seal_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_long_is_refused),
        cmocka_unit_test(test_more_members_than_there_are_options_are_refused),
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_what_is_stored_is_read_back),
        cmocka_unit_test(test_sealed_secrets_open_with_their_key_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
