/* The expected values come from another implementation: Python's hashlib.sha1 and uuid.uuid5. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/ident.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
    const char *name;
    int64_t interval_ms;
    int64_t phase_ms;
} phases[] = {
    {"", 30000, 21245}, /* no site has it, but it is a name */
    {"example", 1, 0},
    {"example", 5000, 3191},
    {"example", 30000, 28191},
    {"example", 86400000, 72088191},
    {"example", INT64_C(9007199254740991), INT64_C(2704966803460249)},
    {"https://example.com/", 30000, 19911},
    {"\xc3\xa9|x", 86400000, 37820265},
};

static void test_phase(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(phases); i++) {
        print_message("  \"%s\" every %lld ms\n", phases[i].name, (long long)phases[i].interval_ms);
        assert_int_equal(ident_phase_ms(phases[i].name, phases[i].interval_ms), phases[i].phase_ms);
    }
}

static const struct {
    const char *name;
    const char *location;
    int64_t slot_ms;
    int attempt;
    const char *id;
} ids[] = {
    {"example", "local", INT64_C(1795248005000), 1, "394231f8-c6ae-5098-aa20-066d47c3e5e3"},
    {"https://example.com/?a=1|b", "eu-1", 0, 1000, "ae2cdb7c-33ef-500d-b51f-28648f4fcb7c"},
    {"\xc3\xa9", "l", -1, 2, "080d2220-026e-5a82-ae96-fc6556152b77"},
};

static void test_id(void **state)
{
    char id[IDENT_UUID_SIZE];

    (void)state;
    for (size_t i = 0; i < ROWS(ids); i++) {
        print_message("  \"%s\" from %s\n", ids[i].name, ids[i].location);
        ident_check_id(ids[i].name, ids[i].location, ids[i].slot_ms, ids[i].attempt, id);
        assert_string_equal(id, ids[i].id);
    }
}

static void test_id_of_a_long_name(void **state)
{
    char name[3001];
    char id[IDENT_UUID_SIZE];

    (void)state;
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    ident_check_id(name, "local", INT64_C(253402300799999), 1, id);
    assert_string_equal(id, "58818755-abea-5f31-9e5b-6bed0018797b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_phase),
        cmocka_unit_test(test_id),
        cmocka_unit_test(test_id_of_a_long_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
