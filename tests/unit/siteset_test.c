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

static struct targets list_of(const struct brief *briefs)
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
        struct targets before = list_of(row->before), after = list_of(row->after);
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
    struct targets targets = list_of(briefs);
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
    targets = list_of(one);
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
    struct targets targets = list_of(briefs);
    struct site_change *change = siteset_take_over(s, &targets);
    struct member *m = change->parts[0].steps[0].enters;

    (void)state;
    make(change);
    site_change_free(change);
    member_begin_check(m);
    member_begin_check(m);
    targets = list_of(none);
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
    struct targets targets = list_of(before);
    struct site_change *first = siteset_take_over(s, &targets);

    (void)state;
    make(first);
    targets = list_of(after);

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
    struct targets targets = list_of(briefs);
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

/* --- The topic --- */

/* What is told, in few words. */
struct told {
    enum news_kind kind;
    int32_t shard;
    int64_t id, version;
    const char *name;
    bool disabled;
    int32_t seconds;
};

static void add_news(struct news_list *list, const struct told *told)
{
    struct news *news = news_add(list, told->kind, told->shard);

    news->id = told->id;
    news->version = told->version;
    if (told->kind != NEWS_PUT) {
        return;
    }
    const struct brief brief[] = {
        {.name = told->name, .disabled = told->disabled, .seconds = told->seconds}, {.name = NULL}};
    struct targets targets = list_of(brief);

    news->site = targets.sites[0];
    news->site.id = told->id;
    free(targets.sites);
}

/* Steps as text: "-a" leaves, "+a" enters, "!a" enters at once, "=a" takes the place of its own. */
static void describe(const struct site_change *change, char *out, size_t size)
{
    out[0] = '\0';
    for (size_t part = 0; part < change->part_count; part++) {
        const struct site_steps *steps = &change->parts[part];

        for (size_t i = 0; i < steps->count; i++) {
            const struct site_step *step = &steps->steps[i];
            const struct member *m = step->enters != NULL ? step->enters : step->leaves;
            char sign = step->enters == NULL   ? '-'
                        : step->leaves != NULL ? '='
                        : step->at_once        ? '!'
                                               : '+';
            size_t used = strlen(out);

            assert_true(step->leaves == NULL || step->enters == NULL || step->at_once);
            snprintf(out + used, size - used, "%s%c%s", used == 0 ? "" : " ", sign, m->site.name);
        }
    }
}

#define PUT(shard, id, version, name)                                                              \
    {                                                                                              \
        NEWS_PUT, shard, id, version, name, false, 0                                               \
    }
#define OFF(shard, id, version, name)                                                              \
    {                                                                                              \
        NEWS_PUT, shard, id, version, name, true, 0                                                \
    }
#define DROP(shard, id)                                                                            \
    {                                                                                              \
        NEWS_DROP, shard, id, 0, NULL, false, 0                                                    \
    }
#define READ(shard)                                                                                \
    {                                                                                              \
        NEWS_READ, shard, 0, 0, NULL, false, 0                                                     \
    }
#define FORGET(shard)                                                                              \
    {                                                                                              \
        NEWS_FORGET, shard, 0, 0, NULL, false, 0                                                   \
    }

struct topic_row {
    const char *name;
    struct told before[SITES_MAX]; /* shard 0: no more; told one by one */
    struct told after[SITES_MAX];  /* told at once */
    const char *steps;             /* of the latter */
    size_t count, waiting;         /* then */
};

static const struct topic_row topic_rows[] = {
    {"sites are not checked before their shard's end",
     {PUT(1, 1, 1, "a")},
     {PUT(1, 2, 1, "b")},
     "",
     0,
     0},
    {"they are once it is reached, and not at once",
     {PUT(1, 1, 1, "a"), PUT(1, 2, 1, "b")},
     {READ(1)},
     "+a +b",
     2,
     0},
    {"those of another shard are not",
     {PUT(1, 1, 1, "a"), PUT(2, 2, 1, "b")},
     {READ(2)},
     "+b",
     1,
     0},
    {"of what was deleted before the end nothing is checked",
     {PUT(1, 1, 1, "a")},
     {DROP(1, 1), READ(1)},
     "",
     0,
     0},
    {"of several versions before the end the last is",
     {PUT(1, 1, 1, "a")},
     {PUT(1, 1, 2, "b"), READ(1)},
     "+b",
     1,
     0},
    {"one that comes after the end is checked at once", {READ(1)}, {PUT(1, 1, 1, "a")}, "!a", 1, 0},
    {"one that is changed then is, too",
     {READ(1), PUT(1, 1, 1, "a")},
     {{NEWS_PUT, 1, 1, 2, "a", false, 7}},
     "=a",
     1,
     0},
    {"the same again changes nothing", {READ(1), PUT(1, 1, 1, "a")}, {PUT(1, 1, 2, "a")}, "", 1, 0},
    {"an older version changes nothing",
     {READ(1), PUT(1, 1, 2, "a")},
     {{NEWS_PUT, 1, 1, 1, "a", false, 7}},
     "",
     1,
     0},
    {"a deleted one leaves", {READ(1), PUT(1, 1, 1, "a")}, {DROP(1, 1)}, "-a", 0, 0},
    {"to delete what is not there changes nothing", {READ(1)}, {DROP(1, 1)}, "", 0, 0},
    {"one that comes back is checked at once",
     {READ(1), PUT(1, 1, 1, "a"), DROP(1, 1)},
     {PUT(1, 1, 3, "a")},
     "!a",
     1,
     0},
    {"a disabled one leaves", {READ(1), PUT(1, 1, 1, "a")}, {OFF(1, 1, 2, "a")}, "-a", 0, 0},
    {"an older version does not enable it",
     {READ(1), PUT(1, 1, 1, "a"), OFF(1, 1, 3, "a")},
     {PUT(1, 1, 2, "a")},
     "",
     0,
     0},
    {"one that is enabled again is checked at once",
     {READ(1), OFF(1, 1, 1, "a")},
     {PUT(1, 1, 2, "a")},
     "!a",
     1,
     0},
    {"a disabled one is not checked from the end on", {OFF(1, 1, 1, "a")}, {READ(1)}, "", 0, 0},
    {"one with another name is another's check",
     {READ(1), PUT(1, 1, 1, "a")},
     {PUT(1, 1, 2, "b")},
     "-a !b",
     1,
     0},
    {"several changes of one are made in order",
     {READ(1), PUT(1, 1, 1, "a")},
     {{NEWS_PUT, 1, 1, 2, "a", false, 7}, DROP(1, 1), PUT(1, 1, 4, "a")},
     "=a -a !a",
     1,
     0},
    {"a forgotten shard's sites leave",
     {READ(1), PUT(1, 1, 1, "a"), READ(2), PUT(2, 2, 1, "b")},
     {FORGET(1)},
     "-a",
     1,
     0},
    {"one that is forgotten before its end had none", {PUT(1, 1, 1, "a")}, {FORGET(1)}, "", 0, 0},
    {"a shard that is told anew waits for its end",
     {READ(1), PUT(1, 1, 1, "a"), FORGET(1)},
     {PUT(1, 1, 1, "a")},
     "",
     0,
     0},
    {"a name is the first one's",
     {READ(1), READ(2), PUT(1, 1, 1, "a")},
     {PUT(2, 2, 1, "a")},
     "",
     1,
     1},
    {"the other has it when the first is deleted",
     {READ(1), READ(2), PUT(1, 1, 1, "a"), PUT(2, 2, 1, "a")},
     {DROP(1, 1)},
     "-a !a",
     1,
     0},
    {"or renamed",
     {READ(1), READ(2), PUT(1, 1, 1, "a"), PUT(2, 2, 1, "a")},
     {PUT(1, 1, 2, "b")},
     "-a !a !b",
     2,
     0},
    {"or forgotten",
     {READ(1), READ(2), PUT(1, 1, 1, "a"), PUT(2, 2, 1, "a")},
     {FORGET(1)},
     "-a !a",
     1,
     0},
    {"one that waits can be deleted",
     {READ(1), READ(2), PUT(1, 1, 1, "a"), PUT(2, 2, 1, "a")},
     {DROP(2, 2), DROP(1, 1)},
     "-a",
     0,
     0},
    {"one that waits can get a name of its own",
     {READ(1), READ(2), PUT(1, 1, 1, "a"), PUT(2, 2, 1, "a")},
     {PUT(2, 2, 2, "b")},
     "!b",
     2,
     0},
    {"of two that wait each has its turn",
     {READ(1), READ(2), PUT(1, 1, 1, "a"), PUT(2, 2, 1, "a"), PUT(2, 3, 1, "a"), DROP(1, 1)},
     {DROP(2, 2), DROP(2, 3)},
     NULL,
     0,
     0},
};

static struct site_change *hear(struct siteset *s, const struct told *told, size_t count)
{
    struct news_list list = {0};

    for (size_t i = 0; i < count && told[i].shard != 0; i++) {
        add_news(&list, &told[i]);
    }
    struct site_change *change = siteset_hear(s, &list);

    assert_int_equal(list.count, 0); /* taken over */
    return change;
}

static void make_and_free(struct siteset *s, struct site_change *change)
{
    make(change);
    site_change_free(change);
    siteset_bury(s);
}

static void test_news(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(topic_rows) / sizeof(topic_rows[0]); i++) {
        const struct topic_row *row = &topic_rows[i];
        struct siteset *s = siteset_new(1);
        char steps[200];

        print_message("  %s\n", row->name);
        for (size_t k = 0; k < SITES_MAX && row->before[k].shard != 0; k++) {
            make_and_free(s, hear(s, &row->before[k], 1));
        }
        struct site_change *change = hear(s, row->after, SITES_MAX);

        describe(change, steps, sizeof(steps));
        if (row->steps != NULL) {
            assert_string_equal(steps, row->steps);
        }
        assert_int_equal(siteset_count(s), row->count);
        assert_int_equal(siteset_topic_count(s), row->count);
        assert_int_equal(siteset_waiting_count(s), row->waiting);
        assert_int_equal(change->taken_count > 0, row->waiting > 0);
        make_and_free(s, change);
        siteset_free(s);
    }
}

static void test_the_lists_site_has_its_name_before_the_topics(void **state)
{
    static const struct told topic[] = {READ(1), PUT(1, 1, 1, "a"), PUT(1, 2, 1, "b")};
    static const struct brief with[] = {{.name = "a"}, {.name = "c"}, {.name = NULL}};
    static const struct brief without[] = {{.name = "c"}, {.name = NULL}};
    static const struct told changed[] = {{NEWS_PUT, 1, 1, 2, "a", false, 7}};
    struct siteset *s = siteset_new(1);
    struct targets targets = list_of(without);
    char steps[200];

    (void)state;
    make_and_free(s, siteset_take_over(s, &targets));
    make_and_free(s, hear(s, topic, 3));
    targets = list_of(with);

    struct site_change *change = siteset_take_over(s, &targets);

    describe(change, steps, sizeof(steps));
    assert_string_equal(steps, "=a");
    assert_int_equal(change->parts[0].steps[0].enters->site.id, 0);
    assert_string_equal(change->taken->name, "a");
    assert_int_equal(change->taken->id, 1);
    make_and_free(s, change);
    assert_int_equal(siteset_count(s), 3);
    assert_int_equal(siteset_topic_count(s), 1);
    assert_int_equal(siteset_waiting_count(s), 1);
    make_and_free(s, hear(s, changed, 1)); /* while it waits */
    targets = list_of(without);
    change = siteset_take_over(s, &targets);
    describe(change, steps, sizeof(steps));
    assert_string_equal(steps, "-a !a");
    assert_int_equal(change->parts[0].steps[1].enters->site.id, 1);
    assert_int_equal(change->parts[0].steps[1].enters->site.seconds, 7);
    make_and_free(s, change);
    targets = list_of(with); /* and again, with the topic forgotten meanwhile */
    make_and_free(s, siteset_take_over(s, &targets));
    make_and_free(s, hear(s, (const struct told[]){FORGET(1)}, 1));
    assert_int_equal(siteset_count(s), 2);
    assert_int_equal(siteset_topic_count(s), 0);
    assert_int_equal(siteset_waiting_count(s), 0);
    siteset_free(s);
}

static void test_a_renamed_site_goes_from_loop_to_loop(void **state)
{
    static const struct told topic[] = {READ(1), PUT(1, 1, 1, "a")};
    static const char *const names[] = {"b", "c", "d", "e", "f", "g"};
    struct siteset *s = siteset_new(4);
    size_t moved = 0;

    (void)state;
    make_and_free(s, hear(s, topic, 2));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct told renamed[] = {PUT(1, 1, (int64_t)i + 2, names[i])};
        struct site_change *change = hear(s, renamed, 1);
        size_t parts = 0;

        for (size_t part = 0; part < change->part_count; part++) {
            parts += change->parts[part].count > 0;
        }
        assert_int_equal(change->steps_count, 2);
        moved += parts == 2;
        make_and_free(s, change);
    }
    assert_true(moved > 0);
    siteset_free(s);
}

static void test_a_start_is_spread_over_all_that_is_known(void **state)
{
    static const struct told topic[] = {PUT(1, 1, 1, "a"), PUT(2, 2, 1, "b"), PUT(2, 3, 1, "c"),
                                        READ(1)};
    static const struct told later[] = {PUT(1, 4, 1, "d"), PUT(1, 5, 1, "e")};
    struct siteset *s = siteset_new(1);
    struct site_change *change = hear(s, topic, 4);

    (void)state;
    assert_int_equal(change->started_with, 3);
    assert_int_equal(change->at_once, 0);
    make_and_free(s, change);
    change = hear(s, later, 2);
    assert_int_equal(change->at_once, 2);
    make_and_free(s, change);
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
        cmocka_unit_test(test_news),
        cmocka_unit_test(test_the_lists_site_has_its_name_before_the_topics),
        cmocka_unit_test(test_a_renamed_site_goes_from_loop_to_loop),
        cmocka_unit_test(test_a_start_is_spread_over_all_that_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
