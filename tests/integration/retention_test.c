/* What is past its retention goes, whoever reads it and whatever was interrupted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "tests/integration/pg_fixture.h"

#define RETENTION_DAYS 30 /* of fixture_store */

static const char days_sql[] =
    "SELECT string_agg((current_date - to_date(right(c.relname, 8), 'YYYYMMDD'))::text, ' '"
    " ORDER BY relname) FROM pg_class c WHERE relname ~ '^checks_[0-9]{8}$'";
static const char pending_sql[] = "SELECT count(*) FROM pg_inherits WHERE inhdetachpending";

/* Days are counted back from today, UTC. */
static int setup(void **state)
{
    fixture_setup(state);
    fixture_exec(((struct fixture *)*state)->conn, "SET TimeZone = 'UTC'");
    return 0;
}

static void make_day(struct fixture *f, int days_ago)
{
    char sql[128];

    snprintf(sql, sizeof(sql), "SELECT checks_make_day(current_date - %d)", days_ago);
    fixture_exec(f->conn, sql);
}

static void alter_day(struct fixture *f, const char *format, int days_ago)
{
    PGresult *result;
    char sql[256];

    snprintf(sql, sizeof(sql), "SELECT format('%s', to_char(current_date - %d, 'YYYYMMDD'))",
             format, days_ago);
    result = PQexec(f->conn, sql);
    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    fixture_exec(f->conn, PQgetvalue(result, 0, 0));
    PQclear(result);
}

/* Until nothing is left; the number of calls. */
static int retain_all(struct fixture *f)
{
    struct err err;
    bool more = true;
    int calls = 0;

    for (; more; calls++) {
        assert_ok(store_retain(f->store, &more, &err), err);
    }
    return calls;
}

static void assert_retry(struct store *s)
{
    struct err err;
    bool more = true;

    assert_int_equal(store_retain(s, &more, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    print_message("  (%s)\n", err.message);
}

static void test_days_past_the_retention_are_dropped_one_a_call(void **state)
{
    struct fixture *f = *state;

    make_day(f, 400);
    make_day(f, RETENTION_DAYS + 2);
    make_day(f, RETENTION_DAYS + 1); /* the day of grace */
    make_day(f, 0);
    assert_int_equal(retain_all(f), 3);
    fixture_assert(f->conn, days_sql, "31 0");
    assert_int_equal(fixture_count(f, "sitewatch_partitions_dropped"), 2);
}

static void test_without_a_retention_nothing_is_dropped(void **state)
{
    struct fixture *f = *state;
    struct store_settings settings = {.dsn = f->dsn, .consumer_group = GROUP};
    struct store *s = store_new(&settings, f->metrics);
    struct err err;
    bool more = true;

    make_day(f, 4000);
    fixture_exec(f->conn,
                 "INSERT INTO dead_letters (\"offset\", payload_bytes, partition, in_topic,"
                 " topic, reason, detail, payload_sha256, received_at)"
                 " VALUES (1, 1, 1, true, 't', 'json', '', '', 'epoch')");
    assert_retry(s); /* not connected */
    assert_ok(store_connect(s, &err), err);
    assert_ok(store_retain(s, &more, &err), err);
    assert_false(more);
    fixture_assert(f->conn, days_sql, "4000");
    fixture_assert(f->conn, "SELECT count(*) FROM dead_letters", "1");
    store_free(s);
}

static void test_one_consumer_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct err err;
    bool more = true;

    make_day(f, 100);
    fixture_exec(f->conn, "SELECT pg_advisory_lock(1936290917, 4)");
    assert_ok(store_retain(f->store, &more, &err), err);
    assert_false(more);
    fixture_assert(f->conn, days_sql, "100");
    fixture_exec(f->conn, "SELECT pg_advisory_unlock(1936290917, 4)");
    retain_all(f);
    fixture_assert(f->conn, days_sql, "-");
    fixture_assert(f->conn, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "0");
}

struct attempt {
    struct store *store;
    int rc;
    struct err err;
    atomic_bool done;
};

static void *run_attempt(void *context)
{
    struct attempt *a = context;
    bool more;

    a->rc = store_retain(a->store, &more, &a->err);
    atomic_store(&a->done, true);
    return NULL;
}

/* A transaction that has read checks holds what a SELECT holds that still runs. Whoever waits for
 * a lock longer than lock_timeout fails, so that what went through has not waited. */
static void test_inserts_and_reads_go_on_while_a_read_holds_the_day(void **state)
{
    struct fixture *f = *state;
    PGconn *reader = fixture_connect(f->dsn);
    struct attempt a = {.store = f->store};
    pthread_t thread;
    int inserted = 0;

    make_day(f, 100);
    make_day(f, 0);
    fixture_exec(reader, "BEGIN; SELECT count(*) FROM checks");
    fixture_exec(f->conn, "SET lock_timeout = '50ms'");
    assert_int_equal(pthread_create(&thread, NULL, run_attempt, &a), 0);
    while (!atomic_load(&a.done)) {
        fixture_exec(f->conn, "INSERT INTO checks (website_id, slot, checked_at, lag_us,"
                              " location_id, attempt, final, status, observer)"
                              " VALUES (1, clock_timestamp(), now(), 0, 1, 1, true, 'up', 'h')");
        fixture_exec(f->conn, "SELECT count(*) FROM checks");
        inserted++;
    }
    pthread_join(thread, NULL);
    assert_true(inserted > 10);
    assert_int_equal(a.rc, -1); /* the reader is waited for no longer than that */
    assert_int_equal(a.err.kind, ERR_RETRY);
    fixture_assert(f->conn, pending_sql, "1");
    fixture_assert(f->conn, days_sql, "100 0");
    fixture_exec(reader, "SELECT count(*) FROM checks"); /* it goes on undisturbed */

    /* Meanwhile a day can be made, and the reader's end lets the next turn finish. */
    fixture_exec(f->conn, "SELECT checks_make_day(current_date + 1)");
    PQfinish(reader);
    assert_int_equal(retain_all(f), 2);
    fixture_assert(f->conn, pending_sql, "0");
    fixture_assert(f->conn, days_sql, "0 -1");
    assert_int_equal(fixture_count(f, "sitewatch_partitions_dropped"), 1);
}

static void test_detached_day_is_dropped_if_it_was_ours(void **state)
{
    struct fixture *f = *state;

    make_day(f, 100);
    make_day(f, 101);
    alter_day(f, "COMMENT ON TABLE checks_%s IS ''sitewatch: past its retention, to be dropped''",
              100);
    alter_day(f, "ALTER TABLE checks DETACH PARTITION checks_%s", 100);
    alter_day(f, "ALTER TABLE checks DETACH PARTITION checks_%s", 101); /* to be kept */
    retain_all(f);
    fixture_assert(f->conn, days_sql, "101");
}

/* Postgres lets no second day be detached while one is pending. */
static void test_pending_detach_of_another_is_finished_and_its_day_kept(void **state)
{
    struct fixture *f = *state;
    PGconn *reader = fixture_connect(f->dsn);
    PGconn *other = fixture_connect(f->dsn);
    PGresult *result;
    char sql[128];

    make_day(f, 100);
    make_day(f, 3);
    fixture_exec(reader, "BEGIN; SELECT count(*) FROM checks");
    fixture_exec(other, "SET lock_timeout = '50ms'");
    result = PQexec(f->conn, "SELECT to_char(current_date - 3, 'YYYYMMDD')");
    snprintf(sql, sizeof(sql), "ALTER TABLE checks DETACH PARTITION checks_%s CONCURRENTLY",
             PQgetvalue(result, 0, 0));
    PQclear(result);
    PQclear(PQexec(other, sql));
    fixture_assert(f->conn, pending_sql, "1");
    assert_retry(f->store);
    PQfinish(reader);
    retain_all(f);
    fixture_assert(f->conn, pending_sql, "0");
    fixture_assert(f->conn, days_sql, "3");
    fixture_assert(f->conn, "SELECT count(*) FROM pg_inherits", "0");
    PQfinish(other);
}

static void test_day_that_cannot_be_dropped_does_not_keep_letters(void **state)
{
    struct fixture *f = *state;

    make_day(f, 100);
    alter_day(f, "CREATE VIEW holds AS SELECT 1 FROM checks_%s", 100);
    fixture_exec(f->conn,
                 "INSERT INTO dead_letters (\"offset\", payload_bytes, partition, in_topic,"
                 " topic, reason, detail, payload_sha256, received_at)"
                 " VALUES (1, 1, 1, true, 't', 'json', '', '', 'epoch')");
    assert_retry(f->store);
    fixture_assert(f->conn, "SELECT count(*) FROM dead_letters", "0");
    fixture_exec(f->conn, "DROP VIEW holds");
    retain_all(f);
    fixture_assert(f->conn, days_sql, "-");
}

static void fill_letters(struct fixture *f, int count, const char *received)
{
    char sql[512];

    snprintf(sql, sizeof(sql),
             "INSERT INTO dead_letters (\"offset\", payload_bytes, partition, in_topic, topic,"
             " reason, detail, payload_sha256, received_at) SELECT i, 1, 1, true, 't', 'json', '',"
             " '', now() - interval '%s' FROM generate_series(1, %d) i",
             received, count);
    fixture_exec(f->conn, sql);
}

static void test_dead_letters_go_by_age_in_portions(void **state)
{
    struct fixture *f = *state;

    fill_letters(f, 25000, "7 days 1 second");
    fill_letters(f, 10, "6 days 23 hours");
    assert_int_equal(retain_all(f), 2);
    fixture_assert(f->conn,
                   "SELECT count(*), max(received_at) < now() - interval '6 days'"
                   " FROM dead_letters",
                   "10|t");
    assert_int_equal(fixture_count(f, "sitewatch_dead_letters_deleted"), 25000);
}

static void test_dead_letters_go_by_number_oldest_first(void **state)
{
    struct fixture *f = *state;

    fill_letters(f, 12003, "1 hour"); /* 1000 may stay */
    assert_int_equal(retain_all(f), 2);
    fixture_assert(f->conn, "SELECT count(*), min(\"offset\"), max(\"offset\") FROM dead_letters",
                   "1000|11004|12003");
    retain_all(f);
    fixture_assert(f->conn, "SELECT count(*) FROM dead_letters", "1000");
}

static void fill_incidents(struct fixture *f, int count, const char *columns, const char *values)
{
    char sql[512];

    snprintf(sql, sizeof(sql),
             "INSERT INTO incidents (website_id, location_id, checks, opened_slot%s)"
             " SELECT (SELECT count(*) FROM incidents), i, 1, now() - interval '8 days'%s"
             " FROM generate_series(1, %d) i",
             columns, values, count);
    fixture_exec(f->conn, sql);
}

static void test_incidents_go_by_age_and_number_once_they_are_over(void **state)
{
    struct fixture *f = *state;
    static const char left_sql[] =
        "SELECT count(*), count(closed_slot), count(*) FILTER (WHERE withdrawn) FROM incidents";

    fill_incidents(f, 3, "", ""); /* open */
    fill_incidents(f, 4, ", withdrawn", ", true");
    fill_incidents(f, 5, ", closed_slot", ", now() - interval '7 days 1 second'");
    fill_incidents(f, 6, ", closed_slot", ", now() - interval '6 days'");
    retain_all(f);
    fixture_assert(f->conn, left_sql, "9|6|0");
    fill_incidents(f, 10999, ", closed_slot", ", now()");
    assert_int_equal(retain_all(f), 2);
    fixture_assert(f->conn, left_sql, "1003|1000|0");
    assert_int_equal(fixture_count(f, "sitewatch_incidents_deleted"), 9 + 6 + 9999);
}

static void test_changes_of_sites_go_after_an_hour(void **state)
{
    struct fixture *f = *state;

    fixture_exec(f->conn, "INSERT INTO site_changes (website_id, change, made_at)"
                          " SELECT i, 'state', now() - interval '61 minutes'"
                          " FROM generate_series(1, 12000) i");
    fixture_exec(f->conn, "INSERT INTO site_changes (website_id, change, made_at)"
                          " VALUES (1, 'added', now() - interval '59 minutes')");
    assert_int_equal(retain_all(f), 2);
    fixture_assert(f->conn, "SELECT count(*), min(change) FROM site_changes", "1|added");
    assert_int_equal(fixture_count(f, "sitewatch_site_changes_deleted"), 12000);
}

static void test_incidents_of_sites_go_like_those_of_locations(void **state)
{
    struct fixture *f = *state;
    static const char fill_sql[] =
        "INSERT INTO site_incidents (website_id, quorum, location_ids, opened_slot, closed_slot)"
        " SELECT i, 1, '{1}', now() - interval '8 days',"
        " CASE WHEN i > 3 THEN now() - interval '6 days' - i % 2 * interval '2 days' END"
        " FROM generate_series(1, 2003) i";

    fixture_exec(f->conn, fill_sql);
    retain_all(f);
    fixture_assert(f->conn, "SELECT count(*), count(closed_slot) FROM site_incidents", "1003|1000");
    assert_int_equal(fixture_count(f, "sitewatch_incidents_deleted"), 1000);
    fixture_exec(f->conn, "UPDATE site_incidents SET withdrawn = true WHERE closed_slot IS NULL");
    fixture_exec(f->conn, "INSERT INTO site_incidents (website_id, quorum, location_ids,"
                          " opened_slot) SELECT i, 1, '{1}', now()"
                          " FROM generate_series(3000, 3499) i");
    retain_all(f);
    fixture_assert(f->conn, "SELECT count(*), count(closed_slot) FROM site_incidents", "1000|500");
}

static void test_rollups_go_by_age_in_portions(void **state)
{
    struct fixture *f = *state;
    static const char fill_sql[] =
        "INSERT INTO %s SELECT i, now() - interval '%s', 0, NULL, NULL, 1, 0, 1, 0, 0, 0, 0, 0,"
        " '{}', '{}' FROM generate_series(1, %d) i";
    static const struct {
        const char *table, *age;
        int count;
    } fills[] = {
        {"rollups_1h", "40 days 1 second", 12000}, /* 40 days may stay */
        {"rollups_1h", "39 days 23 hours", 3},
        {"rollups_1d", "40 days 1 second", 20},
        {"rollups_1d", "39 days 23 hours", 4},
    };
    char sql[512];

    for (size_t i = 0; i < ROWS(fills); i++) {
        snprintf(sql, sizeof(sql), fill_sql, fills[i].table, fills[i].age, fills[i].count);
        fixture_exec(f->conn, sql);
    }
    assert_int_equal(retain_all(f), 2);
    fixture_assert(f->conn,
                   "SELECT (SELECT count(*) FROM rollups_1h), (SELECT count(*) FROM rollups_1d)",
                   "3|4");
    assert_int_equal(fixture_count(f, "sitewatch_rollups_deleted"), 12020);
}

/* Named for what keeps them, or does not. */
static void test_deleted_sites_go_once_their_checks_are_gone(void **state)
{
    struct fixture *f = *state;
    static const char site_sql[] =
        "INSERT INTO websites (name, website_url, monitoring_interval, source, deleted_at)"
        " SELECT name, 'http://' || name, 30, 'api', now() - age * interval '1 day'"
        " FROM (VALUES ('not deleted', NULL), ('grace', 31.9), ('long ago', 32.1),"
        "   ('a late check', 50), ('still to be told', 50), ('long ago as well', 50)) v (name, "
        "age)";
    static const char state_sql[] =
        "INSERT INTO site_state (website_id, location_id, status, since, last_slot)"
        " SELECT website_id, 1, 'up', slot, slot FROM (SELECT website_id, now() - interval '1 day'"
        "   * CASE name WHEN 'a late check' THEN 20 ELSE 60 END AS slot FROM websites) w";

    fixture_exec(f->conn, site_sql);
    fixture_exec(f->conn, "DELETE FROM site_outbox WHERE website_id <> (SELECT website_id"
                          " FROM websites WHERE name = 'still to be told')");
    fixture_exec(f->conn, state_sql);
    fixture_exec(f->conn, "INSERT INTO site_overall (website_id, quorum)"
                          " SELECT website_id, 1 FROM websites");
    fixture_exec(f->conn, "LISTEN sites_gone");
    retain_all(f);
    fixture_assert(f->conn, "SELECT name FROM websites ORDER BY name",
                   "a late check\ngrace\nnot deleted\nstill to be told");
    fixture_assert(f->conn,
                   "SELECT count(*), count(s), count(o) FROM websites"
                   " FULL JOIN site_state s USING (website_id)"
                   " FULL JOIN site_overall o USING (website_id)",
                   "4|4|4");
    assert_int_equal(fixture_count(f, "sitewatch_sites_deleted"), 2);

    PGnotify *notice = PQnotifies(f->conn);

    assert_non_null(notice);
    assert_string_equal(notice->relname, "sites_gone");
    PQfreemem(notice);
    retain_all(f);
    assert_null(PQnotifies(f->conn)); /* nothing went */
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_days_past_the_retention_are_dropped_one_a_call),
        TEST(test_without_a_retention_nothing_is_dropped),
        TEST(test_one_consumer_at_a_time),
        TEST(test_inserts_and_reads_go_on_while_a_read_holds_the_day),
        TEST(test_detached_day_is_dropped_if_it_was_ours),
        TEST(test_pending_detach_of_another_is_finished_and_its_day_kept),
        TEST(test_day_that_cannot_be_dropped_does_not_keep_letters),
        TEST(test_dead_letters_go_by_age_in_portions),
        TEST(test_dead_letters_go_by_number_oldest_first),
        TEST(test_incidents_go_by_age_and_number_once_they_are_over),
        TEST(test_changes_of_sites_go_after_an_hour),
        TEST(test_incidents_of_sites_go_like_those_of_locations),
        TEST(test_rollups_go_by_age_in_portions),
        TEST(test_deleted_sites_go_once_their_checks_are_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
