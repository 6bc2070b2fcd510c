/* Sites as a document: what is refused, and that what is written is read as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/transfer.h"

static const struct {
    const char *name, *text, *message;
} refused[] = {
    {"nothing", "",
     "want targets = ( { url = \"...\"; }, ... ); and, at most, defaults = { ... };"},
    {"an include", "targets = (\n@include \"/etc/passwd\"\n);",
     "body:2: @include is not taken here"},
    {"an include in a comment's place", "# sites\n  @include \"x\"",
     "body:2: @include is not taken here"},
    {"a fault of form", "targets = ( { url = \"a\" seconds } );",
     "body:1: syntax error: look here and on the line before for a missing ; , = or bracket, or a "
     ", too many"},
    {"a string without an end", "targets = ( { url = \"a",
     "body:1: a string that starts here has no end, close it with a \""},
    {"a number beyond 32 bits", "targets = (\n{ seconds = 5000000000; } );",
     "body:2: the number 5000000000 is too large; end it with an L (64 bits)"},
    {"a NUL by its escape", "targets = ( { url = \"a\\x00b\"; } );",
     "body:1: \\x00 in a string: a NUL cannot be in a value, take it out"},
    {"no targets", "defaults = { };",
     "want targets = ( { url = \"...\"; }, ... ); and, at most, defaults = { ... };"},
    {"something else beside them", "targets = ( { } ); other = 1;",
     "want targets = ( { url = \"...\"; }, ... ); and, at most, defaults = { ... };"},
    {"targets that are an array", "targets = [ 1 ];",
     "want targets = ( { url = \"...\"; }, ... ); and, at most, defaults = { ... };"},
    {"no site", "targets = ( );", "targets: has 0 sites, want 1 to 10000"},
    {"a site that is a text", "targets = (\n{ },\n\"http://a/\" );",
     "body:3: targets: want groups { url = \"...\"; }, this is a string"},
};

static void refuses_targets_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct transfer t;
        struct err err = {0};

        print_message("  %s\n", refused[i].name);
        assert_int_equal(transfer_of_libconfig(refused[i].text, strlen(refused[i].text), &t, &err),
                         -1);
        assert_string_equal(err.message, refused[i].message);
    }
}

static const struct {
    const char *name, *json;
} refused_json[] = {
    {"no items", "{}"},
    {"something else", "{\"sites\":[{}]}"},
    {"something beside them", "{\"items\":[{}],\"more\":1}"},
    {"items that are no list", "{\"items\":{}}"},
    {"none", "{\"items\":[]}"},
};

static void refuses_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused_json) / sizeof(refused_json[0]); i++) {
        struct transfer t;
        struct err err = {0};

        print_message("  %s\n", refused_json[i].name);
        assert_int_equal(transfer_of_json(cJSON_Parse(refused_json[i].json), &t, &err), -1);
        assert_int_equal(strncmp(err.message, "items: ", 7), 0);
    }
}

static void defaults_are_put_into_each(void **state)
{
    static const char text[] = "defaults = { seconds = 30; tags = [ \"a\" ]; };\n"
                               "targets = ( { url = \"http://a/\"; },\n"
                               "  { url = \"http://b/\"; seconds = 60; retries = 1.5; } );\n";
    static const char *const wanted[] = {
        "{\"seconds\":30,\"tags\":[\"a\"],\"url\":\"http://a/\"}",
        "{\"tags\":[\"a\"],\"url\":\"http://b/\",\"seconds\":60,\"retries\":1.5}"};
    struct transfer t;
    struct err err = {0};

    (void)state;
    assert_int_equal(transfer_of_libconfig(text, sizeof(text) - 1, &t, &err), 0);
    assert_int_equal(t.count, 2);
    for (size_t i = 0; i < t.count; i++) {
        cJSON *json = cJSON_Parse(wanted[i]);

        assert_true(cJSON_Compare(t.items[i].options, json, true));
        assert_int_equal(t.items[i].line, 2 + i);
        cJSON_Delete(json);
    }
    transfer_free(&t);
}

static void what_is_written_is_read_as_it_was(void **state)
{
    static const char json[] =
        "{\"url\":\"http://a/\",\"name\":\"\\\"q\\\\ \xc3\xa4 "
        "@include\",\"body\":\"a\\n\\t\\r\\u0001\\u007f#\","
        "\"seconds\":5,\"max_body_bytes\":67108864,\"enabled\":true,\"verify_tls\":false,"
        "\"headers\":[\"A: b\",\"C: \\\"d\\\"\"]}";
    cJSON *options = cJSON_Parse(json);
    struct transfer t;
    struct err err = {0};
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    assert_non_null(out);
    cJSON_AddItemToObject(options, "tags", cJSON_CreateArray()); /* none: left out */
    fputs("targets = (\n", out);
    transfer_print_group(out, options);
    fputs(",\n", out);
    transfer_print_group(out, options);
    fputs("\n);\n", out);
    fclose(out);
    if (transfer_of_libconfig(text, len, &t, &err) < 0) {
        fail_msg("%s in %s", err.message, text);
    }
    cJSON_DeleteItemFromObject(options, "tags");
    assert_int_equal(t.count, 2);
    assert_true(cJSON_Compare(t.items[1].options, options, true));
    transfer_free(&t);
    cJSON_Delete(options);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_targets_files),
        cmocka_unit_test(refuses_json),
        cmocka_unit_test(defaults_are_put_into_each),
        cmocka_unit_test(what_is_written_is_read_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
