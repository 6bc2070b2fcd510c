/* Sealed texts: what does not open, and that the same is the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/seal.h"

#define KEY_A "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define KEY_B "_-__8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fE"
#define PLACE "password https://example.com:443"

static const struct {
    const char *name, *keys;
} refused_keys[] = {
    {"nothing", ""},
    {"spaces", "  "},
    {"no base64", "****"},
    {"31 bytes", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="},
    {"33 bytes", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
    {"a comma at the end", KEY_A ","},
    {"a comma at the start", "," KEY_A},
    {"two without a comma", KEY_A " " KEY_B},
    {"a good one and a bad one", KEY_A ",x"},
    {"nine of them",
     KEY_A "," KEY_A "," KEY_A "," KEY_A "," KEY_A "," KEY_A "," KEY_A "," KEY_A "," KEY_A},
};

static void refuses_keys_and_does_not_show_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused_keys) / sizeof(refused_keys[0]); i++) {
        struct err err;

        print_message("  %s\n", refused_keys[i].name);
        assert_null(seal_new(refused_keys[i].keys, &err));
        assert_int_equal(err.kind, ERR_INVALID);
        assert_null(strstr(err.message, "AAAA"));
    }
}

static struct seal *keys(const char *text)
{
    struct err err = {0};
    struct seal *seal = seal_new(text, &err);

    if (seal == NULL) {
        fail_msg("%s", err.message);
    }
    return seal;
}

static void opens_what_it_sealed(void **state)
{
    static const char *const texts[] = {"", "p", "p\xc3\xa4ss \"word\"\n",
                                        "0123456789abcdef0123456789abcdef"};
    struct seal *seal = keys(" " KEY_A " , " KEY_B "\n");

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct err err = {0};
        char *sealed = seal_close(seal, PLACE, texts[i]);
        char *again = seal_close(seal, PLACE, texts[i]);
        char *opened = seal_open(seal, PLACE, sealed, &err);

        assert_string_equal(sealed, again);
        assert_true(texts[i][0] == '\0' || strstr(sealed, texts[i]) == NULL ||
                    strlen(texts[i]) < 3);
        assert_non_null(opened);
        assert_string_equal(opened, texts[i]);
        free(opened);
        free(again);
        free(sealed);
    }
    seal_free(seal);
}

static void the_same_text_elsewhere_is_sealed_otherwise(void **state)
{
    struct seal *seal = keys(KEY_A);
    char *here = seal_close(seal, PLACE, "secret");
    char *there = seal_close(seal, "password https://other.example:443", "secret");
    struct err err;

    (void)state;
    assert_string_not_equal(here, there);
    assert_null(seal_open(seal, PLACE, there, &err));
    assert_non_null(strstr(err.message, "another place"));
    free(there);
    free(here);
    seal_free(seal);
}

static void each_byte_that_is_changed_is_found(void **state)
{
    struct seal *seal = keys(KEY_A);
    char *sealed = seal_close(seal, PLACE, "secret");

    (void)state;
    for (size_t i = 0; sealed[i] != '\0'; i++) {
        char *other = mem_copy_string(sealed);
        struct err err;

        other[i] = other[i] == 'b' ? 'c' : 'b';
        assert_null(seal_open(seal, PLACE, other, &err));
        assert_int_equal(err.kind, ERR_INVALID);
        assert_null(strstr(err.message, "secret"));
        other[i] = '\0'; /* cut off */
        assert_null(seal_open(seal, PLACE, other, &err));
        free(other);
    }
    free(sealed);
    seal_free(seal);
}

static void keys_are_rotated(void **state)
{
    struct seal *old = keys(KEY_B), *both = keys(KEY_A "," KEY_B), *new = keys(KEY_A);
    char *sealed = seal_close(old, PLACE, "secret");
    struct err err = {0};
    char *opened = seal_open(both, PLACE, sealed, &err);

    (void)state;
    assert_non_null(opened);

    char *anew = seal_close(both, PLACE, opened);
    char *with_new = seal_open(new, PLACE, anew, &err);

    assert_non_null(with_new);
    assert_string_equal(with_new, "secret");
    assert_null(seal_open(new, PLACE, sealed, &err));
    assert_non_null(strstr(err.message, "which is not set"));
    free(with_new);
    free(anew);
    free(opened);
    free(sealed);
    seal_free(old);
    seal_free(both);
    seal_free(new);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_keys_and_does_not_show_them),
        cmocka_unit_test(opens_what_it_sealed),
        cmocka_unit_test(the_same_text_elsewhere_is_sealed_otherwise),
        cmocka_unit_test(each_byte_that_is_changed_is_found),
        cmocka_unit_test(keys_are_rotated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
