/* The thread that reads the sites, against files that change under it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "producer/loader.h"
#include "tests/unit/series.h"

#define WAIT_MS 30000
#define LOOPS 2

struct stand {
    char path[64];
    struct options options;
    struct metrics *metrics;
    struct loader *loader;
};

static void write_sites(const struct stand *s, const char *text)
{
    FILE *file = fopen(s->path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void start(struct stand *s, const char *text)
{
    struct err err;
    int fd;

    *s = (struct stand){.path = "/tmp/loader_test.XXXXXX"};
    fd = mkstemp(s->path);
    assert_true(fd >= 0);
    close(fd);
    write_sites(s, text);
    s->options.targets_file = s->path;
    s->options.location = (char *)"test";
    s->metrics = metrics_new();
    s->loader = loader_new(&s->options, LOOPS, s->metrics, &err);
    assert_non_null(s->loader);
}

static void stop(struct stand *s)
{
    loader_free(s->loader);
    metrics_free(s->metrics);
    unlink(s->path);
}

static int take(const struct stand *s, size_t part, struct site_change **change, struct err *err)
{
    struct pollfd ready = {.fd = loader_fd(s->loader, part), .events = POLLIN};

    assert_int_equal(poll(&ready, 1, WAIT_MS), 1);
    return loader_take(s->loader, part, change, err);
}

/* What a loop does with its part. */
static struct site_change take_and_make(struct stand *s)
{
    struct site_change counts = {0};

    for (size_t part = 0; part < LOOPS; part++) {
        struct site_change *change;
        struct err err;

        assert_int_equal(take(s, part, &change, &err), 0);
        assert_non_null(change);
        counts = *change;
        for (struct site_steps *steps = &change->parts[part]; steps->made < steps->count;
             steps->made++) {
            if (steps->steps[steps->made].leaves != NULL) {
                member_leave(steps->steps[steps->made].leaves);
            }
        }
        loader_made(s->loader);
    }
    return counts;
}

#define SITE(name) "{ name = \"" name "\"; url = \"http://127.0.0.1/\"; }"

static void test_each_request_reads_the_file_as_it_is_then(void **state)
{
    struct stand s;
    struct site_change change;

    (void)state;
    start(&s, "targets = (" SITE("a") ");");
    change = take_and_make(&s);
    assert_int_equal(change.added, 1);
    write_sites(&s, "targets = (" SITE("a") "," SITE("b") ");");
    loader_request(s.loader);
    change = take_and_make(&s);
    assert_int_equal(change.added, 1);
    assert_int_equal(change.unchanged, 1);
    stop(&s);
}

static void test_who_looks_for_the_first_load_takes_nothing(void **state)
{
    struct stand s;
    struct err err;

    (void)state;
    start(&s, "targets = (" SITE("a") ");");

    struct pollfd ready = {.fd = loader_fd(s.loader, 0), .events = POLLIN};

    assert_int_equal(poll(&ready, 1, WAIT_MS), 1);
    assert_int_equal(loader_first(s.loader, &err), 1);
    assert_int_equal(take_and_make(&s).added, 1);
    stop(&s);
}

static void test_a_request_while_one_is_made_is_not_lost(void **state)
{
    struct stand s;
    struct site_change *change;
    struct site_change last;
    struct err err;

    (void)state;
    start(&s, "targets = (" SITE("a") ");");
    assert_int_equal(take(&s, 0, &change, &err), 0);
    loader_made(s.loader);
    write_sites(&s, "targets = (" SITE("b") ");"); /* the second loop is not through yet */
    loader_request(s.loader);
    loader_request(s.loader);
    assert_int_equal(loader_take(s.loader, 0, &change, &err), 0);
    assert_null(change); /* not before it is */
    assert_int_equal(take(&s, 1, &change, &err), 0);
    loader_made(s.loader);
    last = take_and_make(&s);
    assert_int_equal(last.added, 1);
    assert_int_equal(last.removed, 1);
    stop(&s);
}

static void test_the_first_refusal_is_the_callers(void **state)
{
    struct stand s;
    struct site_change *change;
    struct err err;

    (void)state;
    start(&s, "targets = (\n{ url = 5; } );");
    assert_int_equal(take(&s, 0, &change, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_non_null(strstr(err.message, ":2: url"));
    assert_int_equal(loader_first(s.loader, &err), -1);
    assert_non_null(strstr(err.message, ":2: url"));
    assert_int_equal(series_value(s.metrics, "sitewatch_reloads_total{result=\"refused\"} "), 0);
    stop(&s);
}

struct refused_row {
    const char *name, *text, *words;
};

static const struct refused_row refused_rows[] = {
    {"a text that is no targets file", "nonsense = ;", ":1: syntax error"},
    {"an empty file", "", ":1: has no targets"},
    {"a file of authorities without one",
     "targets = ( { url = \"https://a/\"; },\n"
     "{ url = \"https://b/\"; ca_file = \"/dev/null\"; } );",
     ":2: ca_file: /dev/null: no certificates could be read"},
    {"a file of authorities that is not there",
     "targets = ( { url = \"https://a/\"; ca_file = \"/nonexistent\"; } );",
     ":1: ca_file: /nonexistent: No such file"},
    {"a certificate of ours that is none",
     "targets = ( { url = \"https://a/\"; cert_file = \"/dev/null\"; key_file = \"/dev/null\"; } "
     ");",
     ":1: cert_file: /dev/null: no certificate could be read"},
};

static void test_a_list_that_is_only_checked(void **state)
{
    struct targets targets;
    struct stand s;
    struct err err;

    (void)state;
    start(&s, "targets = (" SITE("a") ");");
    for (size_t i = 0; i < sizeof(refused_rows) / sizeof(refused_rows[0]); i++) {
        print_message("  %s\n", refused_rows[i].name);
        write_sites(&s, refused_rows[i].text);
        assert_int_equal(loader_check(&s.options, &targets, &err), -1);
        assert_int_equal(err.kind, ERR_INVALID);
        assert_non_null(strstr(err.message, refused_rows[i].words));
    }
    write_sites(&s, "targets = (" SITE("a") "," SITE("b") ");");
    assert_int_equal(loader_check(&s.options, &targets, &err), 0);
    assert_int_equal(targets.count, 2);
    targets_free(&targets);
    stop(&s);
}

static void test_a_later_refusal_changes_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused_rows) / sizeof(refused_rows[0]); i++) {
        struct stand s;
        struct site_change change;

        print_message("  %s\n", refused_rows[i].name);
        start(&s, "targets = (" SITE("a") ");");
        take_and_make(&s);
        write_sites(&s, refused_rows[i].text);
        loader_request(s.loader);
        while (series_value(s.metrics, "sitewatch_reloads_total{result=\"refused\"} ") == 0) {
            poll(NULL, 0, 1);
        }
        assert_int_equal(series_value(s.metrics, "\nsitewatch_sites "), 1);
        write_sites(&s, "targets = (" SITE("a") ");");
        loader_request(s.loader);
        change = take_and_make(&s);
        assert_int_equal(change.unchanged, 1);
        stop(&s);
    }
}

static void test_it_ends_while_a_change_is_not_made(void **state)
{
    struct stand s;
    struct site_change *change;
    struct err err;

    (void)state;
    start(&s, "targets = (" SITE("a") ");");
    assert_int_equal(take(&s, 0, &change, &err), 0); /* and its loop ends */
    stop(&s);
}

/* --- News --- */

static void put(struct news_list *list, int64_t id, const char *name, const char *ca_file)
{
    struct news *news = news_add(list, NEWS_PUT, 0);
    struct site_value url = {.type = SITE_VALUE_TEXT, .text = "https://127.0.0.1/"};
    struct site_value text = {.type = SITE_VALUE_TEXT, .text = name};
    struct err err;

    news->id = id;
    news->version = 1;
    site_init(&news->site);
    news->site.id = id;
    assert_int_equal(site_set(&news->site, "url", &url, &err), 0);
    assert_int_equal(site_set(&news->site, "name", &text, &err), 0);
    text.text = ca_file == NULL ? "" : ca_file;
    assert_int_equal(site_set(&news->site, "ca_file", &text, &err), 0);
    assert_int_equal(site_finish(&news->site, &err), 0);
}

static void start_without_list(struct stand *s)
{
    struct err err;

    *s = (struct stand){.options.location = (char *)"test"};
    s->metrics = metrics_new();
    s->loader = loader_new(&s->options, LOOPS, s->metrics, &err);
    assert_non_null(s->loader);
}

static void test_news_are_made_like_a_list(void **state)
{
    struct stand s;
    struct news_list list = {0};
    struct site_change change;

    (void)state;
    start(&s, "targets = (" SITE("a") ");");
    take_and_make(&s);
    put(&list, 1, "b", NULL);
    put(&list, 2, "c", "/dev/null"); /* no authority in it */
    news_add(&list, NEWS_READ, 0);
    loader_tell(s.loader, &list);
    assert_int_equal(list.count, 0);
    change = take_and_make(&s);
    assert_int_equal(change.added, 1);
    loader_settle(s.loader);
    assert_int_equal(series_value(s.metrics, "\nsitewatch_sites "), 2);
    assert_int_equal(series_value(s.metrics, "\nsitewatch_topic_sites "), 1);
    assert_int_equal(series_value(s.metrics, "sitewatch_site_messages_total{result=\"taken\"} "),
                     1);
    assert_int_equal(series_value(s.metrics, "sitewatch_site_messages_total{result=\"bad\"} "), 1);
    loader_request(s.loader); /* the topic's are no part of the list */
    change = take_and_make(&s);
    assert_int_equal(change.removed, 0);
    assert_int_equal(change.unchanged, 1);
    stop(&s);
}

static void test_news_that_change_no_check_need_no_loop(void **state)
{
    struct stand s;
    struct news_list list = {0};

    (void)state;
    start_without_list(&s);
    put(&list, 1, "a", NULL);
    loader_tell(s.loader, &list);
    put(&list, 1, "a", NULL);
    list.news[0].version = 0;
    loader_tell(s.loader, &list);
    loader_settle(s.loader);
    assert_int_equal(series_value(s.metrics, "\nsitewatch_sites "), 0);
    assert_int_equal(series_value(s.metrics, "sitewatch_site_messages_total{result=\"older\"} "),
                     1);
    stop(&s);
}

static void test_who_tells_is_not_held_up_by_loops_that_have_ended(void **state)
{
    struct stand s;
    struct news_list list = {0};
    struct site_change *change;
    struct err err;

    (void)state;
    start_without_list(&s);
    put(&list, 1, "a", NULL);
    news_add(&list, NEWS_READ, 0);
    loader_tell(s.loader, &list);
    assert_int_equal(take(&s, 0, &change, &err), 0); /* and is never made */
    put(&list, 2, "b", NULL);
    loader_tell(s.loader, &list); /* waits its turn */
    loader_close(s.loader);
    put(&list, 3, "c", NULL);
    loader_tell(s.loader, &list); /* goes nowhere */
    assert_int_equal(list.count, 0);
    loader_settle(s.loader);
    stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_request_reads_the_file_as_it_is_then),
        cmocka_unit_test(test_who_looks_for_the_first_load_takes_nothing),
        cmocka_unit_test(test_a_request_while_one_is_made_is_not_lost),
        cmocka_unit_test(test_the_first_refusal_is_the_callers),
        cmocka_unit_test(test_a_list_that_is_only_checked),
        cmocka_unit_test(test_a_later_refusal_changes_nothing),
        cmocka_unit_test(test_it_ends_while_a_change_is_not_made),
        cmocka_unit_test(test_news_are_made_like_a_list),
        cmocka_unit_test(test_news_that_change_no_check_need_no_loop),
        cmocka_unit_test(test_who_tells_is_not_held_up_by_loops_that_have_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
