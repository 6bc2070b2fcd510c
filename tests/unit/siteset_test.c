/* What a list of sites changes about a set, who shares what, and when a member is freed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "producer/siteset.h"

#define SITES_MAX 8

/* A site in few words. */
struct brief {
    const char *name; /* NULL: no more */
    const char *pattern;
    int32_t seconds;
    bool disabled;
    const char *ca_file, *cert_file, *key_file;
};

static struct targets list(const struct brief *briefs)
{
    struct targets targets = {.sites = mem_alloc(SITES_MAX, sizeof(struct site))};

    for (; briefs[targets.count].name != NULL; targets.count++) {
        const struct brief *brief = &briefs[targets.count];
        struct site *site = &targets.sites[targets.count];

        site_init(site);
        site->name = mem_copy_string(brief->name);
        site->url = mem_copy_string("http://127.0.0.1/");
        site->pattern = mem_copy_string(brief->pattern);
        site->header_pattern = mem_copy_string(brief->pattern);
        site->json_path = mem_copy_string(brief->pattern == NULL ? NULL : "$.a");
        site->ca_file = mem_copy_string(brief->ca_file);
        site->cert_file = mem_copy_string(brief->cert_file);
        site->key_file = mem_copy_string(brief->key_file);
        site->enabled = !brief->disabled;
        site->headers = mem_alloc(3, sizeof(site->headers[0]));
        site->headers[0] = mem_copy_string("X: y");
        site->headers[1] = mem_copy_string(brief->pattern == NULL ? "Z: z" : "Z: y");
        site->body = mem_copy_string(brief->pattern == NULL ? "" : "body");
        site->seconds = brief->seconds == 0 ? site->seconds : brief->seconds;
    }
    return targets;
}

/* As a loop does it. */
static void make(struct site_change *change)
{
    for (size_t i = 0; i < change->part_count; i++) {
        struct site_steps *part = &change->parts[i];

        for (; part->made < part->count; part->made++) {
            if (part->steps[part->made].leaves != NULL) {
                member_leave(part->steps[part->made].leaves);
            }
        }
    }
}

struct change_row {
    const char *name;
    struct brief before[SITES_MAX], after[SITES_MAX];
    size_t added, changed, removed, unchanged;
};

static const struct change_row change_rows[] = {
    {"every site leaves", {{.name = "a"}, {.name = "b"}}, {{.name = NULL}}, 0, 0, 2, 0},
    {"the first site comes", {{.name = NULL}}, {{.name = "a"}}, 1, 0, 0, 0},
    {"an equal site is left alone",
     {{.name = "a", .pattern = "x"}},
     {{.name = "a", .pattern = "x"}},
     0,
     0,
     0,
     1},
    {"one option differs", {{.name = "a"}}, {{.name = "a", .seconds = 7}}, 0, 1, 0, 0},
    {"another order changes nothing",
     {{.name = "a"}, {.name = "b"}},
     {{.name = "b"}, {.name = "a"}},
     0,
     0,
     0,
     2},
    {"a site that is disabled leaves",
     {{.name = "a"}},
     {{.name = "a", .disabled = true}},
     0,
     0,
     1,
     0},
    {"a disabled site does not come",
     {{.name = NULL}},
     {{.name = "a", .disabled = true}},
     0,
     0,
     0,
     0},
    {"one of each",
     {{.name = "goes"}, {.name = "stays"}, {.name = "other"}},
     {{.name = "stays"}, {.name = "other", .pattern = "y"}, {.name = "comes"}},
     1,
     1,
     1,
     1},
};

static void test_changes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(change_rows) / sizeof(change_rows[0]); i++) {
        const struct change_row *row = &change_rows[i];
        struct siteset *s = siteset_new(3);
        struct targets before = list(row->before), after = list(row->after);
        struct site_change *change = siteset_take_over(s, &before);
        size_t steps = 0;

        print_message("  %s\n", row->name);
        assert_int_equal(before.count, 0); /* taken over */
        make(change);
        site_change_free(change);
        change = siteset_take_over(s, &after);
        assert_int_equal(change->added, row->added);
        assert_int_equal(change->changed, row->changed);
        assert_int_equal(change->removed, row->removed);
        assert_int_equal(change->unchanged, row->unchanged);
        for (size_t part = 0; part < change->part_count; part++) {
            steps += change->parts[part].count;
        }
        assert_int_equal(steps, row->added + row->changed + row->removed);
        assert_int_equal(siteset_count(s), row->added + row->changed + row->unchanged);
        make(change);
        site_change_free(change);
        siteset_bury(s);
        siteset_free(s);
    }
}

static void test_what_is_equal_is_shared(void **state)
{
    static const struct brief briefs[] = {{.name = "a", .pattern = "v=(\\d)"},
                                          {.name = "b", .pattern = "v=(\\d)"},
                                          {.name = "c"},
                                          {.name = NULL}};
    static const struct brief one[] = {{.name = "b", .pattern = "v=(\\d)"}, {.name = NULL}};
    struct siteset *s = siteset_new(1);
    struct targets targets = list(briefs);
    struct site_change *change = siteset_take_over(s, &targets);
    struct member *a = change->parts[0].steps[0].enters;
    struct member *b = change->parts[0].steps[1].enters;
    struct answers answers;

    (void)state;
    const struct member *c = change->parts[0].steps[2].enters;

    assert_ptr_equal(a->site.headers, b->site.headers);
    assert_ptr_equal(a->site.pattern, b->site.header_pattern);
    assert_ptr_equal(a->site.body, b->site.body);
    assert_ptr_not_equal(a->site.headers, c->site.headers);
    assert_string_equal(c->site.headers[1], "Z: z");
    assert_null(c->patterns.present);
    assert_ptr_equal(a->patterns.present, b->patterns.present);
    assert_ptr_equal(a->patterns.present, a->patterns.header);
    assert_ptr_equal(a->patterns.json, b->patterns.json);
    assert_null(a->patterns.absent);
    make(change);
    site_change_free(change);
    targets = list(one);
    change = siteset_take_over(s, &targets);
    make(change);
    site_change_free(change);
    siteset_bury(s);
    /* What one of them leaves behind, the other has. */
    assert_int_equal(pattern_search(b->patterns.present, "v=4", 3, &answers), PATTERN_MATCHED);
    answers_free(&answers);
    assert_string_equal(b->site.headers[1], "Z: y");
    assert_string_equal(b->site.body, "body");
    siteset_free(s);
}

static void test_a_member_in_flight_is_freed_after_its_last_check(void **state)
{
    static const struct brief briefs[] = {{.name = "a", .pattern = "x"}, {.name = NULL}};
    static const struct brief none[] = {{.name = NULL}};
    struct siteset *s = siteset_new(1);
    struct targets targets = list(briefs);
    struct site_change *change = siteset_take_over(s, &targets);
    struct member *m = change->parts[0].steps[0].enters;

    (void)state;
    make(change);
    site_change_free(change);
    member_begin_check(m);
    member_begin_check(m);
    targets = list(none);
    change = siteset_take_over(s, &targets);
    make(change);
    site_change_free(change);
    siteset_bury(s);
    assert_true(m->gone);
    assert_string_equal(m->site.name, "a");
    member_end_check(m);
    siteset_bury(s);
    assert_string_equal(m->site.name, "a"); /* one more check holds it */
    member_end_check(m);
    siteset_bury(s); /* the leak checker sees to the rest */
    siteset_free(s);
    siteset_free(NULL);
    site_change_free(NULL);
}

static void test_a_site_has_one_part_by_its_name(void **state)
{
    static const struct brief before[] = {
        {.name = "a"}, {.name = "b"}, {.name = "c"}, {.name = NULL}};
    static const struct brief after[] = {{.name = "c", .seconds = 5},
                                         {.name = "b", .seconds = 5},
                                         {.name = "a", .seconds = 5},
                                         {.name = NULL}};
    struct siteset *s = siteset_new(4);
    struct targets targets = list(before);
    struct site_change *first = siteset_take_over(s, &targets);

    (void)state;
    make(first);
    targets = list(after);

    struct site_change *second = siteset_take_over(s, &targets);

    for (size_t part = 0; part < 4; part++) {
        assert_int_equal(first->parts[part].count, second->parts[part].count);
        for (size_t i = 0; i < second->parts[part].count; i++) {
            const struct site_step *step = &second->parts[part].steps[i];

            assert_string_equal(step->leaves->site.name, step->enters->site.name);
        }
    }
    site_change_free(first);
    make(second);
    site_change_free(second);
    siteset_free(s);
}

static void test_files_are_listed_once(void **state)
{
    static const struct brief briefs[] = {{.name = "a", .ca_file = "/x"},
                                          {.name = "b", .ca_file = "/w"},
                                          {.name = "d", .cert_file = "/c", .key_file = "/k"},
                                          {.name = "none"},
                                          {.name = "e", .cert_file = "/c", .key_file = "/k"},
                                          {.name = "c", .ca_file = "/x"},
                                          {.name = NULL}};
    struct siteset *s = siteset_new(1);
    struct targets targets = list(briefs);
    struct site_change *change = siteset_take_over(s, &targets);

    (void)state;
    assert_int_equal(change->file_count, 3);
    assert_null(change->files[0].ca_file);
    assert_string_equal(change->files[0].cert_file, "/c");
    assert_string_equal(change->files[0].key_file, "/k");
    assert_string_equal(change->files[1].ca_file, "/w");
    assert_string_equal(change->files[2].ca_file, "/x");
    assert_null(change->files[2].cert_file);
    make(change);
    site_change_free(change);
    siteset_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_what_is_equal_is_shared),
        cmocka_unit_test(test_a_member_in_flight_is_freed_after_its_last_check),
        cmocka_unit_test(test_a_site_has_one_part_by_its_name),
        cmocka_unit_test(test_files_are_listed_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
