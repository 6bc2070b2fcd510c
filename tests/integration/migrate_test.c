/* Migrations: each once, whoever starts when; a database is made when it is missing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/wait.h>

#include "tests/integration/pg_fixture.h"

#define PROCESSES 4

static int setup_name(void **state)
{
    struct fixture *f = mem_alloc(1, sizeof(*f));

    fixture_name(f);
    *state = f;
    return 0;
}

static void on_applied(void *context, const struct migration *migration)
{
    int *sum = context;

    *sum += migration->version;
}

static const char recorded_sql[] = "SELECT version, name FROM schema_migrations ORDER BY version";

/* Every migration that there is, as recorded_sql shows them, and a row after it. */
static const char *all_recorded(const char *more)
{
    static char text[4096];
    size_t len = 0;

    for (const struct migration *m = migrations; m->version != 0; m++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%d|%s", len > 0 ? "\n" : "",
                                m->version, m->name);
        assert_true(len < sizeof(text));
    }
    snprintf(text + len, sizeof(text) - len, "%s", more);
    return text;
}

static int sum_of_versions(void)
{
    int sum = 0;

    for (const struct migration *m = migrations; m->version != 0; m++) {
        sum += m->version;
    }
    return sum;
}

static void test_missing_database_is_made_once(void **state)
{
    struct fixture *f = *state;
    struct err err;
    int sum = 0;

    assert_ok(migrate_run(f->dsn, on_applied, &sum, &err), err);
    assert_int_equal(sum, sum_of_versions());
    f->conn = fixture_connect(f->dsn);
    fixture_assert(f->conn, recorded_sql, all_recorded(""));
    fixture_assert(f->conn,
                   "SELECT pg_encoding_to_char(encoding) FROM pg_database"
                   " WHERE datname = current_database()",
                   "UTF8");
    fixture_exec(f->conn, "UPDATE schema_migrations SET applied_at = 'epoch'");
    sum = 0;
    assert_ok(migrate_run(f->dsn, on_applied, &sum, &err), err);
    assert_int_equal(sum, 0);
    fixture_assert(
        f->conn, "SELECT DISTINCT extract(epoch FROM applied_at)::int FROM schema_migrations", "0");
}

/* Exits with what it applied, or 100. */
static void migrate_and_exit(const char *dsn, int go)
{
    struct err err;
    char byte;
    int sum = 0;

    (void)!read(go, &byte, 1); /* until the other end is closed: all begin together */
    if (migrate_run(dsn, on_applied, &sum, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        _exit(100);
    }
    _exit(sum);
}

static void test_many_begin_at_once(void **state)
{
    struct fixture *f = *state;
    pid_t children[PROCESSES];
    int go[2];
    int sum = 0;

    assert_int_equal(pipe(go), 0);
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            close(go[1]);
            migrate_and_exit(f->dsn, go[0]);
        }
    }
    close(go[0]);
    close(go[1]);
    for (int i = 0; i < PROCESSES; i++) {
        int status;

        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_true(WIFEXITED(status));
        assert_int_not_equal(WEXITSTATUS(status), 100);
        sum += WEXITSTATUS(status);
    }
    assert_int_equal(sum, sum_of_versions()); /* one of them applied each */
    f->conn = fixture_connect(f->dsn);
    fixture_assert(f->conn, recorded_sql, all_recorded(""));
}

static void test_recorded_text_that_differs_is_refused(void **state)
{
    struct fixture *f = *state;
    struct err err;
    int sum = 0;

    assert_ok(migrate_run(f->dsn, NULL, NULL, &err), err);
    f->conn = fixture_connect(f->dsn);
    fixture_exec(f->conn, "UPDATE schema_migrations SET checksum = repeat('ab', 32)");
    assert_int_equal(migrate_run(f->dsn, on_applied, &sum, &err), -1);
    assert_int_equal(err.kind, ERR_FATAL);
    assert_non_null(strstr(err.message, "0001_init"));
    assert_non_null(strstr(err.message, "abababababab"));
    assert_int_equal(sum, 0);
}

static void test_newer_migration_is_left_alone(void **state)
{
    struct fixture *f = *state;
    struct err err;

    assert_ok(migrate_run(f->dsn, NULL, NULL, &err), err);
    f->conn = fixture_connect(f->dsn);
    fixture_exec(f->conn, "INSERT INTO schema_migrations (version, name, checksum)"
                          " VALUES (9999, '9999_later', 'x')");
    assert_ok(migrate_run(f->dsn, NULL, NULL, &err), err);
    fixture_assert(f->conn, recorded_sql, all_recorded("\n9999|9999_later"));
}

static void test_schema_is_looked_at_without_a_change(void **state)
{
    struct fixture *f = *state;
    struct err err;
    int newest = -1;
    const char *const sql[] = {"DELETE FROM schema_migrations WHERE version = 2",
                               "DROP TABLE schema_migrations"};
    const char *const messages[] = {
        "the schema is older than this program: migration 0002_state is missing; run consumer "
        "migrate",
        "the database has no schema: run consumer migrate"};

    assert_int_equal(migrate_check(f->dsn, &newest, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY); /* there is no database: somebody else makes it */
    assert_ok(migrate_run(f->dsn, NULL, NULL, &err), err);
    f->conn = fixture_connect(f->dsn);
    assert_ok(migrate_check(f->dsn, &newest, &err), err);
    for (const struct migration *m = migrations; m->sql != NULL; m++) {
        assert_true(newest >= m->version);
    }
    fixture_exec(f->conn, "INSERT INTO schema_migrations (version, name, checksum)"
                          " VALUES (9999, '9999_later', 'x')");
    assert_ok(migrate_check(f->dsn, &newest, &err), err);
    assert_int_equal(newest, 9999);
    for (size_t i = 0; i < ROWS(sql); i++) {
        fixture_exec(f->conn, sql[i]);
        assert_int_equal(migrate_check(f->dsn, &newest, &err), -1);
        assert_int_equal(err.kind, ERR_FATAL);
        assert_string_equal(err.message, messages[i]);
    }
}

static const struct {
    const char *name;
    const char *sql;     /* of the second migration */
    const char *message; /* begins so */
} broken[] = {
    {"a statement that does not parse", "CREATE TABLE b ();\n\nCREATE TABEL c ();",
     "migration 0002_second, line 3: syntax error"},
    {"lines are counted after letters of more bytes",
     "SELECT '\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80';\n\nSELECT\nnothing FROM a;",
     "migration 0002_second, line 4: column \"nothing\" does not exist"},
    {"the first line", "nonsense", "migration 0002_second, line 1: syntax error"},
    {"what fails while it runs has no line", "CREATE TABLE b ();\nSELECT 1/0;",
     "migration 0002_second: division by zero (22012)"},
};

static void test_failed_migration_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct migration list[] = {
        {1, "0001_first", "CREATE TABLE a ()"}, {2, "0002_second", ""}, {0, NULL, NULL}};
    struct err err;
    int sum = 0;

    for (size_t i = 0; i < ROWS(broken); i++) {
        print_message("  %s\n", broken[i].name);
        list[1].sql = broken[i].sql;
        assert_int_equal(migrate_run_list(f->dsn, list, on_applied, &sum, &err), -1);
        assert_int_equal(err.kind, ERR_FATAL);
        if (strncmp(err.message, broken[i].message, strlen(broken[i].message)) != 0) {
            fail_msg("%s", err.message);
        }
    }
    assert_int_equal(sum, 1);
    f->conn = fixture_connect(f->dsn);
    fixture_assert(f->conn, recorded_sql, "1|0001_first");
    fixture_assert(f->conn, "SELECT to_regclass('b') IS NULL", "t");

    /* Set right, it goes on from there. */
    list[1].sql = "CREATE TABLE b (); SELECT 1;";
    assert_ok(migrate_run_list(f->dsn, list, on_applied, &sum, &err), err);
    assert_int_equal(sum, 3);
    fixture_assert(f->conn, recorded_sql, "1|0001_first\n2|0002_second");
}

/* All that the program makes lands in the schema that the DSN says. */
static void test_schema_of_the_dsn(void **state)
{
    struct fixture *f = *state;
    struct err err;
    char dsn[4096];

    assert_ok(migrate_run_list(f->dsn, (struct migration[]){{0, NULL, NULL}}, NULL, NULL, &err),
              err);
    f->conn = fixture_connect(f->dsn);
    fixture_exec(f->conn, "CREATE SCHEMA \"Own schema\"");
    snprintf(dsn, sizeof(dsn), "%s options='-csearch_path=\"Own\\\\ schema\"'", f->dsn);
    assert_ok(migrate_run(dsn, NULL, NULL, &err), err);
    f->metrics = metrics_new();
    f->store = fixture_store(f, dsn, 10);
    assert_ok(store_connect(f->store, &err), err);
    assert_ok(store_days_ahead(f->store, 0, &err), err);
    fixture_assert(f->conn,
                   "SELECT count(*) FILTER (WHERE relname LIKE 'checks\\_2%'),"
                   " count(*) FILTER (WHERE relname = 'websites') FROM pg_class"
                   " WHERE relkind = 'r' AND relnamespace = '\"Own schema\"'::regnamespace",
                   "1|1");
}

static void test_role_that_may_not_is_told(void **state)
{
    struct fixture *f = *state;
    PGconn *admin = fixture_admin();
    struct err err;
    char dsn[4096];

    fixture_exec(admin, "DROP ROLE IF EXISTS sitewatch_nobody; CREATE ROLE sitewatch_nobody LOGIN"
                        " PASSWORD 'nobody'");
    snprintf(dsn, sizeof(dsn), "%s user=sitewatch_nobody password=nobody", f->dsn);
    assert_int_equal(migrate_run(dsn, NULL, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_FATAL);
    assert_non_null(strstr(err.message, "permission denied to create database"));
    fixture_exec(admin, "DROP ROLE sitewatch_nobody");
    PQfinish(admin);
}

static void test_server_away(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(migrate_run("host=/nonexistent dbname=a", NULL, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    assert_int_equal(migrate_run("no equals sign", NULL, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
}

/* The database is there, and something else keeps us out: no second one is made. */
static void test_database_that_takes_no_connections(void **state)
{
    struct fixture *f = *state;
    PGconn *admin = fixture_admin();
    struct err err;
    char sql[256];
    char *quoted;

    assert_ok(migrate_run(f->dsn, NULL, NULL, &err), err);
    quoted = PQescapeIdentifier(admin, f->database, strlen(f->database));
    snprintf(sql, sizeof(sql), "ALTER DATABASE %s ALLOW_CONNECTIONS false", quoted);
    fixture_exec(admin, sql);
    assert_int_equal(migrate_run(f->dsn, NULL, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    assert_non_null(strstr(err.message, "not currently accepting connections"));
    PQfreemem(quoted);
    PQfinish(admin);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup_name, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_missing_database_is_made_once),
        TEST(test_many_begin_at_once),
        TEST(test_recorded_text_that_differs_is_refused),
        TEST(test_newer_migration_is_left_alone),
        TEST(test_schema_is_looked_at_without_a_change),
        TEST(test_failed_migration_leaves_nothing),
        TEST(test_schema_of_the_dsn),
        TEST(test_role_that_may_not_is_told),
        cmocka_unit_test(test_server_away),
        TEST(test_database_that_takes_no_connections),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
