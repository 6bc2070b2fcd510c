/* A site that leaves while a check of it is in flight stays until that check ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/mem.h"
#include "producer/siteset.h"

static struct member *add(struct siteset *s, const char *name, const char *pattern)
{
    struct site site;

    site_init(&site);
    site.name = mem_copy_string(name);
    site.url = mem_copy_string("http://127.0.0.1/");
    site.pattern = mem_copy_string(pattern);
    site.header_pattern = mem_copy_string(pattern);
    site.json_path = mem_copy_string(pattern == NULL ? NULL : "$.a");
    return siteset_add(s, &site);
}

static void test_members(void **state)
{
    struct siteset *s = siteset_new();
    struct member *a = add(s, "a", "v(\\d)");
    struct member *b = add(s, "b", NULL);
    size_t walked = 0;

    (void)state;
    assert_non_null(a->patterns.present);
    assert_null(a->patterns.absent);
    assert_non_null(a->patterns.header);
    assert_int_equal(a->patterns.json->count, 1);
    assert_null(b->patterns.json);
    assert_null(b->patterns.present);
    assert_ptr_equal(siteset_find(s, "a"), a);
    assert_null(siteset_find(s, "c"));
    for (struct member *m = siteset_next(s, NULL); m != NULL; m = siteset_next(s, m)) {
        walked++;
    }
    assert_int_equal(walked, 2);
    siteset_begin_check(a);
    siteset_begin_check(a);
    siteset_remove(s, a);
    assert_null(siteset_find(s, "a"));
    assert_int_equal(siteset_count(s), 1);

    struct member *anew = add(s, "a", NULL); /* the name is free at once */

    assert_ptr_not_equal(anew, a);
    siteset_end_check(a);
    assert_true(a->gone); /* one more check holds it */
    siteset_end_check(a); /* the leak checker sees to the rest */
    siteset_remove(s, b);
    assert_int_equal(siteset_count(s), 1);
    siteset_free(s);
    siteset_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
