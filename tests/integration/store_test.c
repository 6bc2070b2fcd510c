/* Guarantee 1: what is stored is stored once, whoever writes and whatever breaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/pg.h"
#include "tests/integration/pg_fixture.h"
#include "tests/integration/pg_proxy.h"

static const char offsets_sql[] = "SELECT topic, partition, next_offset, epoch FROM kafka_offsets"
                                  " ORDER BY topic, partition";
static const char rows_sql[] = "SELECT count(*), count(DISTINCT slot) FROM checks";

static void test_claim_begins_at_the_low_watermark_once(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = {.topic = "t", .partition = 3, .low_watermark = 17};
    struct err err;

    assert_ok(store_claim(f->store, &claim, &err), err);
    assert_int_equal(claim.next_offset, 17);
    assert_int_equal(claim.epoch, 1);

    claim.low_watermark = 99;
    assert_ok(store_claim(f->store, &claim, &err), err);
    assert_int_equal(claim.next_offset, 17);
    assert_int_equal(claim.epoch, 2);
}

static void test_rows_and_offsets_move_together(void **state)
{
    struct fixture *f = *state;
    struct batch *b = batch_new(100, 1 << 20);
    struct store_claim second = fixture_claim(f->store, "t", 10);
    struct store_claim first = fixture_claim(f->store, "t", 9);

    fixture_add(b, &second, "a", 3);
    fixture_add(b, &first, "b", 2);
    assert_done(fixture_write(f, b));
    fixture_assert(f->conn, offsets_sql, "t|9|2|1\nt|10|3|1");
    fixture_assert(f->conn, rows_sql, "5|3");
    assert_int_equal(fixture_count(f, "sitewatch_rows"), 5);
    assert_int_equal(f->delivered, 0); /* there was no letter */

    /* The next batch goes on from there, over a gap. */
    second.next_offset = b->partitions[0].next;
    batch_clear(b);
    fixture_add(b, &second, "a", 1);
    b->partitions[0].next = 100;
    assert_done(fixture_write(f, b));
    fixture_assert(f->conn, offsets_sql, "t|9|2|1\nt|10|100|1");
    batch_free(b);
}

static void test_only_the_latest_claim_moves_an_offset(void **state)
{
    struct fixture *f = *state;
    struct batch *b = batch_new(100, 1 << 20);
    struct store *other = fixture_store(f, f->dsn, 100);
    struct store_claim kept = fixture_claim(f->store, "a", 0);
    struct store_claim taken = fixture_claim(f->store, "b", 0);
    struct err err;

    fixture_add(b, &kept, "a", 2);
    fixture_add(b, &taken, "b", 2);
    assert_ok(store_connect(other, &err), err);
    fixture_claim(other, "b", 0);

    struct written w = fixture_write(f, b);

    assert_ok(w.rc, w.err);
    assert_int_equal(w.outcome, STORE_FENCED);
    assert_int_equal(w.lost_count, 1);
    assert_string_equal(b->partitions[w.lost[0]].topic, "b");
    fixture_assert(f->conn, rows_sql, "0|0");
    fixture_assert(f->conn, offsets_sql, "a|0|0|1\nb|0|0|2");

    batch_drop_partition(b, "b", 0);
    assert_done(fixture_write(f, b));
    fixture_assert(f->conn, rows_sql, "2|2");
    fixture_assert(f->conn, offsets_sql, "a|0|2|1\nb|0|0|2");
    store_free(other);
    batch_free(b);
}

static void test_fence_refuses_another_offset_and_a_missing_row(void **state)
{
    struct fixture *f = *state;
    struct batch *b = batch_new(100, 1 << 20);
    struct store_claim claim = fixture_claim(f->store, "a", 0);
    struct store_claim never = {.topic = "b", .epoch = 1};

    claim.next_offset = 5;
    fixture_add(b, &claim, "a", 1);
    fixture_add(b, &never, "a", 1);

    struct written w = fixture_write(f, b);

    assert_ok(w.rc, w.err);
    assert_int_equal(w.outcome, STORE_FENCED);
    assert_int_equal(w.lost_count, 2);
    fixture_assert(f->conn, rows_sql, "0|0");
    batch_free(b);
}

static void test_nothing_left_is_done_without_a_connection(void **state)
{
    struct fixture *f = *state;
    struct batch *b = batch_new(100, 1 << 20);
    struct store *away = fixture_store(f, "host=/nonexistent", 100);
    struct store_claim claim = {.topic = "a"};
    struct store_claim lost = fixture_claim(f->store, "a", 0);
    struct err err;
    bool moved;

    fixture_add(b, &lost, "a", 1);
    assert_refused(fixture_write_to(f, away, b), ERR_RETRY);
    batch_drop_partition(b, "a", 0);
    assert_done(fixture_write_to(f, away, b));

    assert_int_equal(store_connect(away, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    assert_int_equal(store_claim(away, &claim, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    assert_int_equal(store_move(away, "a", 0, 1, 0, 1, &moved, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    assert_int_equal(store_days_ahead(away, 1, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    assert_false(store_is_connected(away));
    store_free(away);
    batch_free(b);
}

static void test_dsn_that_does_not_parse_is_fatal_and_not_shown(void **state)
{
    struct fixture *f = *state;
    struct store_settings settings = {.dsn = "postgresql://u:secret%ZZ@h/d"};
    struct store *s = fixture_store(f, settings.dsn, 100);
    struct err err;

    assert_int_equal(pg_check_dsn(settings.dsn, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_null(strstr(err.message, "secret"));
    settings.dsn = f->dsn;
    assert_ok(pg_check_dsn(settings.dsn, &err), err);
    assert_int_equal(store_connect(s, &err), -1);
    assert_int_equal(err.kind, ERR_FATAL);
    assert_null(strstr(err.message, "secret"));
    store_free(s);
}

static void test_move_is_ours_alone_and_can_be_repeated(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "a", 0);
    struct err err;
    bool moved = false;

    for (int i = 0; i < 2; i++) {
        assert_ok(store_move(f->store, "a", 0, claim.epoch, 0, 50, &moved, &err), err);
        assert_true(moved);
    }
    assert_ok(store_move(f->store, "a", 0, claim.epoch, 0, 60, &moved, &err), err);
    assert_false(moved);
    fixture_claim(f->store, "a", 0);
    assert_ok(store_move(f->store, "a", 0, claim.epoch, 50, 60, &moved, &err), err);
    assert_false(moved);
    fixture_assert(f->conn, offsets_sql, "a|0|50|2");
}

/* A batch with a letter, so that on_deliver is called in the middle of the transaction. */
static struct batch *batch_with_letter(struct fixture *f)
{
    struct batch *b = batch_new(100, 1 << 20);
    struct store_claim claim = fixture_claim(f->store, "a", 0);

    fixture_add(b, &claim, "a", 5);
    batch_add_letter(b, 0, 5, "json", "not JSON", NULL, 0, "{", 1, -1);
    return b;
}

static void test_backend_killed_inside_is_replayed(void **state)
{
    struct fixture *f = *state;
    struct batch *b = batch_with_letter(f);
    struct err err;

    f->kill_in_deliver = fixture_backend(f);
    assert_refused(fixture_write(f, b), ERR_RETRY);
    assert_false(store_is_connected(f->store));
    fixture_assert(f->conn, rows_sql, "0|0");
    assert_ok(store_connect(f->store, &err), err);
    assert_done(fixture_write(f, b));
    fixture_assert(f->conn, rows_sql, "5|5");
    fixture_assert(f->conn, "SELECT count(*) FROM dead_letters", "1");
    assert_int_equal(f->delivered, 2);
    assert_int_equal(fixture_count(f, "sitewatch_rows"), 5);
    assert_int_equal(fixture_count(f, "sitewatch_duplicates"), 0);
    batch_free(b);
}

static void test_backend_killed_between_is_replayed(void **state)
{
    struct fixture *f = *state;
    struct batch *b = batch_with_letter(f);
    struct store_claim claim = {.topic = "z"};
    struct err err;
    char sql[128];

    snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d, 5000)", fixture_backend(f));
    fixture_exec(f->conn, sql);
    assert_refused(fixture_write(f, b), ERR_RETRY);
    assert_ok(store_connect(f->store, &err), err);
    assert_ok(store_connect(f->store, &err), err); /* a good connection is left alone */
    snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d, 5000)", fixture_backend(f));
    fixture_exec(f->conn, sql);
    assert_int_equal(store_claim(f->store, &claim, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    assert_ok(store_connect(f->store, &err), err);
    assert_done(fixture_write(f, b));
    fixture_assert(f->conn, rows_sql, "5|5");
    batch_free(b);
}

/* The backend ends itself at one row: in the middle of COPY, and of halving. */
static void test_backend_lost_between_rows_is_replayed(void **state)
{
    static const bool halved[] = {false, true};
    struct fixture *f = *state;

    fixture_exec(f->conn, "ALTER TABLE checks ADD CHECK (http_status <> 599);"
                          "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS"
                          " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid());"
                          " RETURN new; END $$");
    for (size_t i = 0; i < ROWS(halved); i++) {
        struct batch *b = batch_new(100, 1 << 20);
        struct store_claim claim = fixture_claim(f->store, "a", 0);
        struct err err;

        claim.next_offset = (int64_t)i * 40;
        fixture_add(b, &claim, "a", 40);
        b->rows[20].event.http_status = 598;
        b->rows[30].event.http_status = halved[i] ? 599 : 200;
        fixture_exec(f->conn, "CREATE TRIGGER die BEFORE INSERT ON checks FOR EACH ROW"
                              " WHEN (new.http_status = 598) EXECUTE FUNCTION die()");
        if (halved[i]) { /* the refused row is to come first once */
            struct event e = b->rows[30].event;

            b->rows[30].event = b->rows[10].event;
            b->rows[10].event = e;
        }
        assert_refused(fixture_write(f, b), ERR_RETRY);
        assert_false(store_is_connected(f->store));
        fixture_exec(f->conn, "DROP TRIGGER die ON checks");
        assert_ok(store_connect(f->store, &err), err);
        assert_done(fixture_write(f, b));
        fixture_assert(f->conn, "SELECT count(*) FROM checks", halved[i] ? "79" : "40");
        batch_free(b);
    }
}

static void test_failed_delivery_rolls_back(void **state)
{
    struct fixture *f = *state;
    struct batch *b = batch_with_letter(f);

    f->deliver_fails = true;
    assert_refused(fixture_write(f, b), ERR_RETRY);
    assert_true(store_is_connected(f->store));
    fixture_assert(f->conn, rows_sql, "0|0");
    f->deliver_fails = false;
    assert_done(fixture_write(f, b));
    fixture_assert(f->conn, rows_sql, "5|5");
    batch_free(b);
}

/* Every other SQLSTATE is an outage, also one that says that we are wrong. */
static void test_missing_table_is_an_outage(void **state)
{
    static const char *const tables[] = {"dead_letters", "checks", "websites", "locations",
                                         "kafka_offsets"};
    struct fixture *f = *state;
    struct batch *b = batch_with_letter(f);

    for (size_t i = 0; i < ROWS(tables); i++) {
        struct store *fresh = fixture_store(f, f->dsn, 100); /* knows no names and no days */
        struct err err;
        char sql[128];

        print_message("  %s is away\n", tables[i]);
        assert_ok(store_connect(fresh, &err), err);
        snprintf(sql, sizeof(sql), "ALTER TABLE %s RENAME TO elsewhere", tables[i]);
        fixture_exec(f->conn, sql);
        assert_refused(fixture_write_to(f, fresh, b), ERR_RETRY);
        snprintf(sql, sizeof(sql), "ALTER TABLE elsewhere RENAME TO %s", tables[i]);
        fixture_exec(f->conn, sql);
        fixture_assert(f->conn, offsets_sql, "a|0|0|1");
        fixture_assert(f->conn, rows_sql, "0|0");
        store_free(fresh);
    }
    assert_done(fixture_write(f, b));
    fixture_assert(f->conn, rows_sql, "5|5");
    batch_free(b);
}

static void test_missing_offsets_table_is_an_outage_to_connect(void **state)
{
    struct fixture *f = *state;
    struct store *s = fixture_store(f, f->dsn, 100);
    struct err err;

    fixture_exec(f->conn, "ALTER TABLE kafka_offsets RENAME TO elsewhere");
    assert_int_equal(store_connect(s, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    assert_non_null(strstr(err.message, "kafka_offsets"));
    store_free(s);
}

/* --- A COMMIT without an answer --- */

struct unknown {
    struct proxy *proxy;
    struct store *store; /* through the proxy */
    struct batch *batch; /* of a/0 and b/0, five rows each */
};

static struct unknown unknown_begin(struct fixture *f, enum proxy_cut cut)
{
    struct unknown u = {.proxy = proxy_start(f->conn), .batch = batch_new(100, 1 << 20)};
    char *dsn = fixture_dsn(f->database, "127.0.0.1", u.proxy->port);
    struct err err;

    u.store = fixture_store(f, dsn, 100);
    free(dsn);
    assert_ok(store_connect(u.store, &err), err);

    struct store_claim a = fixture_claim(u.store, "a", 0);
    struct store_claim b = fixture_claim(u.store, "b", 0);
    struct batch *warm = batch_new(10, 1 << 20);
    struct store_claim w = fixture_claim(u.store, "warm", 0);

    /* Names and days have their own COMMITs: let them be done before. */
    fixture_add(warm, &w, "a", 1);
    fixture_add(warm, &w, "b", 1);
    assert_done(fixture_write_to(f, u.store, warm));
    batch_free(warm);
    fixture_exec(f->conn, "DELETE FROM checks");
    fixture_exec(f->conn, "DELETE FROM kafka_offsets WHERE topic = 'warm'");

    fixture_add(u.batch, &a, "a", 5);
    fixture_add(u.batch, &b, "b", 5);
    atomic_store(&u.proxy->cut, cut);
    assert_refused(fixture_write_to(f, u.store, u.batch), ERR_RETRY);
    assert_int_equal(atomic_load(&u.proxy->cut), CUT_NEVER);
    assert_false(store_is_connected(u.store));
    assert_refused(fixture_write_to(f, u.store, u.batch), ERR_RETRY); /* not connected */
    assert_ok(store_connect(u.store, &err), err);
    return u;
}

static void unknown_end(struct unknown *u)
{
    store_free(u->store);
    batch_free(u->batch);
    proxy_stop(u->proxy);
}

static void assert_stored_once(struct fixture *f, const char *offsets)
{
    fixture_assert(f->conn, "SELECT count(*) FROM checks", "10");
    fixture_assert(f->conn, offsets_sql, offsets);
    assert_int_equal(fixture_count(f, "sitewatch_rows"), 12); /* two of them to warm up */
    assert_int_equal(fixture_count(f, "sitewatch_duplicates"), 0);
}

static void assert_in_doubt(struct fixture *f, const char *outcome)
{
    char labels[32];

    snprintf(labels, sizeof(labels), "outcome=\"%s\"", outcome);
    assert_int_equal(
        metric_value(metrics_counter(f->metrics, "sitewatch_commits_in_doubt", "", labels)), 1);
}

static void test_commit_lost_before_the_server(void **state)
{
    struct fixture *f = *state;
    struct unknown u = unknown_begin(f, CUT_BEFORE);

    fixture_assert(f->conn, rows_sql, "0|0");
    assert_done(fixture_write_to(f, u.store, u.batch));
    assert_stored_once(f, "a|0|5|1\nb|0|5|1");
    assert_in_doubt(f, "lost");
    unknown_end(&u);
}

static void test_a_commit_in_doubt_is_looked_up(void **state)
{
    struct fixture *f = *state;
    struct unknown u = unknown_begin(f, CUT_AFTER);

    fixture_assert(f->conn, "SELECT count(*) FROM checks", "10");
    assert_done(fixture_write_to(f, u.store, u.batch));
    assert_stored_once(f, "a|0|5|1\nb|0|5|1");
    assert_in_doubt(f, "stored");
    unknown_end(&u);
}

static void test_commit_still_running(void **state)
{
    struct fixture *f = *state;

    /* What is deferred to the end makes COMMIT take its time. */
    fixture_exec(f->conn, "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
                          " $$ BEGIN IF new.topic = 'b' THEN PERFORM pg_sleep(1); END IF;"
                          " RETURN NULL; END $$;"
                          "CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON kafka_offsets"
                          " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()");

    struct unknown u = unknown_begin(f, CUT_AT_ONCE);

    fixture_assert(f->conn, rows_sql, "0|0"); /* not yet */
    assert_done(fixture_write_to(f, u.store, u.batch));
    assert_stored_once(f, "a|0|5|1\nb|0|5|1");
    assert_in_doubt(f, "stored");
    unknown_end(&u);
}

static void test_one_partition_taken_after_the_commit(void **state)
{
    struct fixture *f = *state;
    struct unknown u = unknown_begin(f, CUT_AFTER);

    /* The new owner finds our rows counted; b still tells that a's are in. */
    assert_int_equal(fixture_claim(f->store, "a", 0).next_offset, 5);
    assert_done(fixture_write_to(f, u.store, u.batch));
    assert_stored_once(f, "a|0|5|2\nb|0|5|1");
    unknown_end(&u);
}

static void test_dropped_partition_still_tells(void **state)
{
    struct fixture *f = *state;
    struct unknown u = unknown_begin(f, CUT_AFTER);

    fixture_claim(f->store, "a", 0);
    batch_drop_partition(u.batch, "b", 0);
    assert_done(fixture_write_to(f, u.store, u.batch));
    assert_stored_once(f, "a|0|5|2\nb|0|5|1");
    unknown_end(&u);
}

static void test_all_partitions_taken_after_the_commit(void **state)
{
    struct fixture *f = *state;
    struct unknown u = unknown_begin(f, CUT_AFTER);

    fixture_claim(f->store, "a", 0);
    fixture_claim(f->store, "b", 0);

    struct written w = fixture_write_to(f, u.store, u.batch);

    assert_ok(w.rc, w.err);
    assert_int_equal(w.outcome, STORE_FENCED);
    assert_int_equal(w.lost_count, 2);
    fixture_assert(f->conn, "SELECT count(*) FROM checks", "10");
    assert_in_doubt(f, "taken");
    unknown_end(&u);
}

/* The new owner read and stored the same messages; only what is still ours is written. */
static void test_one_partition_taken_without_the_commit(void **state)
{
    struct fixture *f = *state;
    struct unknown u = unknown_begin(f, CUT_BEFORE);
    struct store_claim claim = fixture_claim(f->store, "a", 0);
    struct batch *b = batch_new(100, 1 << 20);

    assert_int_equal(claim.next_offset, 0);
    fixture_add(b, &claim, "a", 5);
    assert_done(fixture_write(f, b));

    struct written w = fixture_write_to(f, u.store, u.batch);

    assert_ok(w.rc, w.err);
    assert_int_equal(w.outcome, STORE_FENCED);
    assert_int_equal(w.lost_count, 1);
    assert_string_equal(u.batch->partitions[w.lost[0]].topic, "a");
    batch_drop_partition(u.batch, "a", 0);
    assert_done(fixture_write_to(f, u.store, u.batch));
    assert_stored_once(f, "a|0|5|2\nb|0|5|1");
    batch_free(b);
    unknown_end(&u);
}

static void test_another_batch_after_an_unknown_commit(void **state)
{
    struct fixture *f = *state;
    struct unknown u = unknown_begin(f, CUT_AFTER);

    batch_clear(u.batch);

    struct store_claim claim = fixture_claim(u.store, "a", 0);

    assert_int_equal(claim.next_offset, 5);
    fixture_add(u.batch, &claim, "a", 3);
    assert_done(fixture_write_to(f, u.store, u.batch));
    fixture_assert(f->conn, "SELECT count(*) FROM checks", "13");
    fixture_assert(f->conn, offsets_sql, "a|0|8|2\nb|0|5|1");
    unknown_end(&u);
}

static void test_look_is_an_outage_when_it_fails(void **state)
{
    struct fixture *f = *state;
    struct unknown u = unknown_begin(f, CUT_AFTER);

    fixture_exec(f->conn, "ALTER TABLE kafka_offsets RENAME TO elsewhere");
    assert_refused(fixture_write_to(f, u.store, u.batch), ERR_RETRY);
    fixture_exec(f->conn, "ALTER TABLE elsewhere RENAME TO kafka_offsets");
    assert_done(fixture_write_to(f, u.store, u.batch));
    assert_stored_once(f, "a|0|5|1\nb|0|5|1");
    unknown_end(&u);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_claim_begins_at_the_low_watermark_once),
        TEST(test_rows_and_offsets_move_together),
        TEST(test_only_the_latest_claim_moves_an_offset),
        TEST(test_fence_refuses_another_offset_and_a_missing_row),
        TEST(test_nothing_left_is_done_without_a_connection),
        TEST(test_dsn_that_does_not_parse_is_fatal_and_not_shown),
        TEST(test_move_is_ours_alone_and_can_be_repeated),
        TEST(test_backend_killed_inside_is_replayed),
        TEST(test_backend_killed_between_is_replayed),
        TEST(test_backend_lost_between_rows_is_replayed),
        TEST(test_failed_delivery_rolls_back),
        TEST(test_missing_table_is_an_outage),
        TEST(test_missing_offsets_table_is_an_outage_to_connect),
        TEST(test_commit_lost_before_the_server),
        TEST(test_a_commit_in_doubt_is_looked_up),
        TEST(test_commit_still_running),
        TEST(test_one_partition_taken_after_the_commit),
        TEST(test_dropped_partition_still_tells),
        TEST(test_all_partitions_taken_after_the_commit),
        TEST(test_one_partition_taken_without_the_commit),
        TEST(test_another_batch_after_an_unknown_commit),
        TEST(test_look_is_an_outage_when_it_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
