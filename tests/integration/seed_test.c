/* Seeding: the file decides for the sites that it names, and for no others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "consumer/seed.h"
#include "tests/integration/pg_fixture.h"

struct row {
    const char *name, *url, *pattern;
    int64_t seconds;
};

static void set(struct site *site, const char *option, const char *text, int64_t integer)
{
    struct site_value value = {
        .type = text == NULL ? SITE_VALUE_INT : SITE_VALUE_TEXT, .text = text, .integer = integer};
    struct err err;

    assert_ok(site_set(site, option, &value, &err), err);
}

static struct targets make_targets(const struct row *rows, size_t count)
{
    struct targets targets = {.sites = mem_alloc(count, sizeof(struct site)), .count = count};

    for (size_t i = 0; i < count; i++) {
        struct site *site = &targets.sites[i];
        struct err err;

        site_init(site);
        set(site, "name", rows[i].name, 0);
        set(site, "url", rows[i].url, 0);
        set(site, "seconds", NULL, rows[i].seconds);
        if (rows[i].pattern != NULL) {
            set(site, "pattern", rows[i].pattern, 0);
        }
        assert_ok(site_finish(site, &err), err);
    }
    return targets;
}

static void free_sites(struct targets *targets)
{
    for (size_t i = 0; i < targets->count; i++) {
        site_free(&targets->sites[i]);
    }
    free(targets->sites);
}

static void seed(struct fixture *f, struct targets *targets, size_t inserted, size_t updated,
                 size_t unchanged)
{
    struct siterows_counts counts = {0};
    struct err err;

    assert_ok(seed_run(f->dsn, targets, NULL, &counts, &err), err);
    assert_int_equal(counts.inserted, inserted);
    assert_int_equal(counts.updated, updated);
    assert_int_equal(counts.unchanged, unchanged);
}

static const char all_sql[] =
    "SELECT name, website_url, monitoring_interval, regex, enabled, source, version,"
    " deleted_at IS NULL, updated_at = 'epoch' FROM websites ORDER BY name";

static void test_twice_changes_nothing(void **state)
{
    static const struct row rows[] = {
        {"a", "https://example.com/a", "v(\\d+)", 30},
        {"\xc3\xa9 \"quoted\", {x}", "http://127.0.0.1:8080/", NULL, 86400},
    };
    struct fixture *f = *state;
    struct targets targets = make_targets(rows, ROWS(rows));

    seed(f, &targets, 2, 0, 0);
    fixture_exec(f->conn, "UPDATE websites SET updated_at = 'epoch'");
    seed(f, &targets, 0, 0, 2);
    fixture_assert(f->conn, all_sql,
                   "a|https://example.com/a|30|v(\\d+)|t|file|1|t|t\n"
                   "\xc3\xa9 \"quoted\", {x}|http://127.0.0.1:8080/|86400|-|t|file|1|t|t");
    free_sites(&targets);
}

static void test_what_is_changed(void **state)
{
    static const struct row rows[] = {
        {"changed", "https://example.com/", NULL, 60},
        {"deleted", "https://example.com/", NULL, 30},
        {"event", "https://example.com/", NULL, 30},
        {"new", "https://example.com/", NULL, 30},
        {"same", "https://example.com/", NULL, 30},
    };
    struct fixture *f = *state;
    struct targets targets = make_targets(rows, ROWS(rows));

    fixture_exec(f->conn,
                 "INSERT INTO websites (name, website_url, monitoring_interval, source, config,"
                 " updated_at, deleted_at) SELECT name, 'https://example.com/', 30, source, '{}',"
                 " 'epoch', CASE WHEN name = 'deleted' THEN now() END"
                 " FROM (VALUES ('changed', 'file'), ('deleted', 'file'), ('event', 'event'),"
                 " ('same', 'file'), ('elsewhere', 'api')) v (name, source)");
    fixture_exec(f->conn, "CREATE TABLE ids AS SELECT website_id, name FROM websites");
    seed(f, &targets, 1, 4, 0); /* the configs are not known yet */
    fixture_exec(f->conn, "UPDATE websites SET version = 1, updated_at = 'epoch',"
                          " deleted_at = CASE WHEN name = 'deleted' THEN now() END,"
                          " monitoring_interval = CASE WHEN name = 'changed' THEN 30"
                          "   ELSE monitoring_interval END,"
                          " source = CASE name WHEN 'event' THEN 'event' WHEN 'elsewhere'"
                          "   THEN 'api' ELSE 'file' END;"
                          "DELETE FROM websites WHERE name = 'new'");
    seed(f, &targets, 1, 3, 1);
    fixture_assert(f->conn, all_sql,
                   "changed|https://example.com/|60|-|t|file|2|t|f\n"
                   "deleted|https://example.com/|30|-|t|file|2|t|f\n"
                   "elsewhere|https://example.com/|30|-|t|api|1|t|t\n"
                   "event|https://example.com/|30|-|t|file|2|t|f\n"
                   "new|https://example.com/|30|-|t|file|1|t|f\n"
                   "same|https://example.com/|30|-|t|file|1|t|t");
    fixture_assert(f->conn, "SELECT count(*) FROM websites JOIN ids USING (website_id, name)", "5");
    free_sites(&targets);
}

static void test_config_holds_the_options(void **state)
{
    static const struct row rows[] = {{"a", "https://example.com/", NULL, 30}};
    struct fixture *f = *state;
    struct targets targets = make_targets(rows, 1);

    set(&targets.sites[0], "slow_ms", NULL, 250);
    seed(f, &targets, 1, 0, 0);
    fixture_assert(f->conn, "SELECT config -> 'slow_ms' FROM websites", "250");
    set(&targets.sites[0], "slow_ms", NULL, 251);
    seed(f, &targets, 0, 1, 0);
    fixture_assert(f->conn, "SELECT config -> 'slow_ms', version FROM websites", "251|2");
    free_sites(&targets);
}

static void test_many(void **state)
{
    enum { COUNT = 2500 };
    static char names[COUNT][24];
    struct row *rows = mem_alloc(COUNT, sizeof(*rows));
    struct fixture *f = *state;

    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof(names[i]), "site-%d", i);
        rows[i] = (struct row){names[i], "https://example.com/", NULL, 30};
    }
    struct targets targets = make_targets(rows, COUNT);

    seed(f, &targets, COUNT, 0, 0);
    seed(f, &targets, 0, 0, COUNT);

    /* One that Postgres refuses: none is changed. */
    struct siterows_counts counts = {0};
    struct err err;

    fixture_exec(f->conn, "ALTER TABLE websites ADD CHECK (NOT (name = 'site-2000' AND"
                          " monitoring_interval = 77))");
    targets.sites[0].seconds = 77;
    targets.sites[2000].seconds = 77;
    assert_int_equal(seed_run(f->dsn, &targets, NULL, &counts, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_int_equal(counts.updated, 0);
    fixture_assert(f->conn, "SELECT count(*) FROM websites WHERE monitoring_interval = 77", "0");
    free_sites(&targets);
    free(rows);
}

static void test_server_away_and_no_table(void **state)
{
    struct fixture *f = *state;
    struct targets none = {0};
    struct siterows_counts counts;
    struct err err;
    static const struct row rows[] = {{"a", "https://example.com/", NULL, 30}};
    struct targets targets = make_targets(rows, 1);

    seed(f, &none, 0, 0, 0);
    assert_int_equal(seed_run("host=/nonexistent", &none, NULL, &counts, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    fixture_exec(f->conn, "ALTER TABLE websites RENAME TO elsewhere");
    assert_int_equal(seed_run(f->dsn, &targets, NULL, &counts, &err), -1);
    assert_int_equal(err.kind, ERR_FATAL);
    free_sites(&targets);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_twice_changes_nothing),    TEST(test_what_is_changed),
        TEST(test_config_holds_the_options), TEST(test_many),
        TEST(test_server_away_and_no_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
