/* A rollup is what the rows say, whatever came, in whatever order, and whoever was in the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/textfile.h"
#include "tests/integration/pg_fixture.h"

#define HOUR 3600

static const char stale_sql[] = "SELECT (SELECT count(*) FROM rollup_marks),"
                                " (SELECT count(*) FROM rollup_stale_hours),"
                                " (SELECT count(*) FROM rollup_stale_days)";

static int draw(unsigned *seed, int below)
{
    return rand_r(seed) / 7 % below;
}

/* tests/stand/rollups.sql finds nothing. */
static void assert_rows_say_so(struct fixture *f)
{
    struct err err;
    char *sql;
    size_t len;

    assert_ok(textfile_read("tests/stand/rollups.sql", 65536, &sql, &len, &err), err);
    fixture_assert(f->conn, sql, "");
    free(sql);
}

static bool turn(struct fixture *f)
{
    struct err err;
    bool more;

    assert_ok(store_rollup(f->store, &more, &err), err);
    return more;
}

/* Until nothing is left that is due, hours that are not over included. */
static void put_together(struct fixture *f)
{
    int turns = 0;

    do {
        fixture_exec(f->conn, "UPDATE rollup_stale_hours SET due = 'epoch';"
                              "UPDATE rollup_stale_days SET due = 'epoch'");
        assert_true(turns++ < 100);
    } while (turn(f) || turns < 3);
    fixture_assert(f->conn, stale_sql, "0|0|0");
}

/* One check of each second given, up to a negative one. */
static void store_seconds(struct fixture *f, struct store_claim *claim, const char *site,
                          const int *seconds)
{
    struct batch *b = batch_new(1000, 1 << 20);
    uint32_t p =
        batch_partition(b, claim->topic, claim->partition, claim->epoch, claim->next_offset);

    for (; *seconds >= 0; seconds++) {
        struct event e = fixture_event(site, fixture_slot_us(*seconds));

        e.http_status = 200;
        e.timing.total_us = 1000 + *seconds;
        batch_add_row(b, p, b->partitions[p].next, &e);
    }
    assert_done(fixture_write(f, b));
    claim->next_offset = b->partitions[p].next;
    batch_free(b);
}

/* --- What is counted --- */

static void test_counts_first_final_attempts_and_times_of_responses(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);
    struct batch *b = batch_new(1000, 1 << 20);
    uint32_t p = batch_partition(b, "t", 0, claim.epoch, claim.next_offset);
    static const struct {
        int second, attempt;
        bool final;
        enum check_status status;
        int http_status;
        int64_t us;
        int pattern; /* -1: the site has none */
    } checks[] = {
        {0, 1, true, CHECK_UP, 200, 1000, 1},
        {10, 1, true, CHECK_DEGRADED, 200, 3000, 1},
        {20, 1, false, CHECK_DOWN, 500, 70000, 0}, /* repeated: does not count */
        {20, 2, true, CHECK_DOWN, 503, 2000, 0},
        {20, 3, true, CHECK_UP, 200, 2000, 1},      /* the second final one of its slot */
        {30, 1, true, CHECK_DOWN, 0, 10000000, -1}, /* no response: its time is not one's */
        {40, 1, true, CHECK_UNKNOWN, 0, EVENT_ABSENT, -1},
        {3599, 1, true, CHECK_UP, 200, INT64_C(9000000000000000), -1}, /* cut to a day */
        {3600, 1, true, CHECK_UP, 200, 1, -1},
    };

    for (size_t i = 0; i < ROWS(checks); i++) {
        struct event e = fixture_event("s", fixture_slot_us(checks[i].second));

        e.attempt = checks[i].attempt;
        e.final = checks[i].final;
        e.status = checks[i].status;
        e.http_status = checks[i].http_status;
        e.timing.total_us = checks[i].us;
        e.has_pattern = checks[i].pattern >= 0;
        e.pattern_matched = checks[i].pattern > 0;
        batch_add_row(b, p, (int64_t)i, &e);
    }
    assert_done(fixture_write(f, b));
    batch_free(b);
    put_together(f);
    fixture_assert(f->conn,
                   "SELECT extract(epoch FROM begins)::bigint % 86400, up, degraded, down, unknown,"
                   " responses, response_sum_us, response_min_us, response_max_us, matched,"
                   " unmatched, http_statuses, histogram FROM rollups_1h ORDER BY begins",
                   "0|2|1|2|1|4|86400006000|1000|86400000000|2|1|{200,3,503,1}|"
                   "{87,1,95,1,101,1,315,1}\n"
                   "3600|1|0|0|0|1|1|1|1|0|0|{200,1}|{0,1}");
    fixture_assert(f->conn,
                   "SELECT up, degraded, down, unknown, responses, response_sum_us,"
                   " response_min_us, response_max_us, matched, unmatched, http_statuses, histogram"
                   " FROM rollups_1d",
                   "3|1|2|1|5|86400006001|1|86400000000|2|1|{200,4,503,1}|"
                   "{0,1,87,1,95,1,101,1,315,1}");
    assert_rows_say_so(f);
}

static void test_tallies_add(void **state)
{
    struct fixture *f = *state;

    fixture_assert(f->conn,
                   "SELECT tally_add('{}', '{}'), tally_add('{1,2}', '{}'),"
                   " tally_add('{}', '{1,2}'), tally_add('{1,2,5,1}', '{1,3,4,1}'),"
                   " tally_add('{7,1}', '{1,1,2,1,3,1}'), tally_add('{0,1,9,1}', '{9,2147483646}')",
                   "{}|{1,2}|{1,2}|{1,5,4,1,5,1}|{1,1,2,1,3,1,7,1}|{0,1,9,2147483647}");
    fixture_assert(f->conn,
                   "SELECT tally_sum(t) FROM (VALUES ('{1,1}'::integer[]), ('{}'), ('{3,1}'),"
                   " ('{1,1,2,1}')) v (t)",
                   "{1,2,2,1,3,1}");
}

/* --- Percentiles --- */

/* Against percentile_disc() of the same values; DDSketch promises 4 %. */
static void test_percentile_is_wrong_by_less_than_5_percent(void **state)
{
    struct fixture *f = *state;
    static const char *const distributions[] = {
        "1",                                        /* one value, the least */
        "86400000000",                              /* the greatest */
        "ceil(power(13 / 12.0::float8, i % 300))",  /* bounds of buckets */
        "floor(power(13 / 12.0::float8, i % 300))", /* and below them */
        "i",
        "1 + random() * 1000000",
        "exp(random() * 20)",                                        /* all magnitudes alike */
        "exp(10 + 2 * (random() + random() + random() + random()))", /* nearly log-normal */
        "CASE WHEN random() < 0.95 THEN 20000 ELSE 10000000 END",    /* two humps */
    };
    static const int counts[] = {1, 2, 3, 20, 100, 5000};
    char sql[2048];

    fixture_exec(f->conn, "SELECT setseed(0.5)");
    for (size_t i = 0; i < ROWS(distributions); i++) {
        for (size_t n = 0; n < ROWS(counts); n++) {
            snprintf(
                sql, sizeof(sql),
                "WITH v AS MATERIALIZED (SELECT (%s)::bigint AS us FROM generate_series(1, %d) i),"
                " h AS (SELECT array_agg(x ORDER BY bucket, o) AS tally FROM (SELECT"
                "   histogram_bucket(us) AS bucket, count(*)::integer AS n FROM v GROUP BY 1) b"
                "  CROSS JOIN LATERAL (VALUES (1, bucket), (2, n)) AS y (o, x)),"
                " shares (s) AS (VALUES ('{0,0.001,0.1,0.25,0.5,0.75,0.9,0.95,0.99,0.999,1}'"
                "  ::float8[])),"
                " p AS (SELECT unnest(histogram_percentiles(tally, VARIADIC s)) AS estimate,"
                "  unnest(percentile_disc(s) WITHIN GROUP (ORDER BY us)) AS exact"
                "  FROM v, h, shares GROUP BY tally, s)"
                " SELECT count(*), max(abs(estimate - exact) / greatest(exact, 1)) < 0.0401 FROM p",
                distributions[i], counts[n]);
            fixture_assert(f->conn, sql, "11|t");
        }
    }
    fixture_assert(
        f->conn,
        "SELECT histogram_percentiles('{}', 0.5, 1), histogram_percentiles('{3,1}', VARIADIC '{}'),"
        " histogram_bucket(0), histogram_percentiles('{0,1}', 0.5)",
        "{NULL,NULL}|{}|0|{0.96}");
}

/* --- Whatever came --- */

static void add_random(struct batch *b, uint32_t p, unsigned *seed)
{
    static const char *const sites[] = {"a", "b", "c"};
    static const char *const locations[] = {"here", "there"};
    int second = draw(seed, 4) * 7 * HOUR + draw(seed, 12) * 300; /* few slots: many repeat */
    struct event e = fixture_event(sites[draw(seed, 3)], fixture_slot_us(second));

    e.location = locations[draw(seed, 2)];
    e.attempt = 1 + draw(seed, 2);
    e.final = draw(seed, 4) != 0;
    e.status =
        (enum check_status[]){CHECK_UP, CHECK_DEGRADED, CHECK_DOWN, CHECK_UNKNOWN}[draw(seed, 4)];
    e.http_status = draw(seed, 4) == 0 ? 0 : 200 + draw(seed, 3) * 100;
    e.timing.total_us = draw(seed, 5) == 0 ? EVENT_ABSENT : draw(seed, 2000000);
    e.has_pattern = draw(seed, 2) == 0;
    e.pattern_matched = draw(seed, 2) == 0;
    if (e.status == CHECK_DOWN) {
        e.error = ERROR_STATUS;
    }
    batch_add_row(b, p, b->partitions[p].next, &e);
}

static void test_rollups_are_what_the_rows_say_after_random_batches(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);
    unsigned seed = 20261121;

    for (int round = 0; round < 30; round++) {
        struct batch *b = batch_new(1000, 1 << 20);
        uint32_t p = batch_partition(b, "t", 0, claim.epoch, claim.next_offset);

        for (int n = draw(&seed, 30); n >= 0; n--) {
            add_random(b, p, &seed);
        }
        assert_done(fixture_write(f, b));
        claim.next_offset = b->partitions[p].next;
        batch_free(b);
        if (draw(&seed, 2) == 0) {
            turn(f);
        }
        if (draw(&seed, 4) == 0) { /* a turn that is lost before its end */
            fixture_exec(f->conn, "BEGIN; SELECT rollups_turn(500, '0'); ROLLBACK");
        }
        if (draw(&seed, 4) == 0) {
            fixture_exec(f->conn, "SELECT rollups_turn(2, '0')");
        }
        assert_rows_say_so(f);
    }
    put_together(f);
    assert_rows_say_so(f);
    fixture_assert(f->conn,
                   "SELECT count(*) > 20, (SELECT sum(up + degraded + down + unknown)"
                   " FROM rollups_1d) = (SELECT count(*) FROM (SELECT DISTINCT website_id,"
                   " location_id, slot FROM checks WHERE final) c) FROM rollups_1h",
                   "t|t");
    assert_true(fixture_count(f, "sitewatch_duplicates") > 0);
}

/* What site_series() says, but not the rows, of a site and for a time of yesterday (UTC). */
static const char wrong_series_sql[] =
    "CREATE FUNCTION wrong_series(from_s integer, past_s integer, step interval, place integer)"
    " RETURNS TABLE (site bigint, at timestamptz, rows_say text, series_says text) LANGUAGE sql AS"
    " $$ WITH a AS (SELECT y + from_s * interval '1 s' AS first, y + past_s * interval '1 s' AS "
    "past"
    "   FROM day_of(now() - interval '24 hours') y),"
    "  c AS (SELECT DISTINCT ON (website_id, location_id, slot) c.*,"
    "    date_bin(step, slot, 'epoch') AS begins,"
    "    CASE WHEN http_status IS NOT NULL THEN response_time_us END AS us FROM checks c, a"
    "   WHERE final AND slot >= date_bin(step, first, 'epoch') AND slot < past"
    "    AND (place IS NULL OR location_id = place)"
    "   ORDER BY website_id, location_id, slot, attempt),"
    "  r AS (SELECT website_id, begins, count(*) AS n, count(*) FILTER (WHERE status = 'up') AS up,"
    "    coalesce(sum(us), 0) AS us, percentile_disc(0.95) WITHIN GROUP (ORDER BY us) AS p95"
    "   FROM c GROUP BY 1, 2),"
    "  s AS (SELECT w.website_id, s.begins, s.checks AS n, r.up, r.response_sum_us AS us,"
    "    s.p95_ms * 1000 AS p95 FROM a, websites w"
    "   CROSS JOIN LATERAL site_series(w.website_id, first, past, step, place) s"
    "   JOIN LATERAL site_rollups(w.website_id, first, past, step, place) r"
    "     ON r.begins = s.begins)"
    "  SELECT website_id, begins, r::text, s::text FROM r FULL JOIN s USING (website_id, begins)"
    "  WHERE (r.n, r.up, r.us) IS DISTINCT FROM (s.n, s.up, s.us)"
    "   OR (r.p95 IS NULL) <> (s.p95 IS NULL) OR abs(r.p95 - s.p95) > r.p95 * 0.0401 $$";

struct series_case {
    int first, past;
    const char *step;
};

static void assert_series(struct fixture *f)
{
    static const struct series_case cases[] = {
        {0, 86400, "5 min"},        {0, 86400, "90 min"},       {0, 86400, "1 hour"},
        {0, 86400, "24 hours"},     {600, 80000, "7 min"},      {600, 80000, "1 hour"},
        {600, 25500, "24 hours"},   {-86400, 172800, "3 days"}, {-86400, 172800, "1 day"},
        {25200, 25200, "1 hour"},   {26000, 25200, "1 hour"},   {25500, 25501, "1 hour"},
        {25500, 25501, "24 hours"},
    };
    char sql[256];

    for (size_t i = 0; i < ROWS(cases); i++) {
        for (int location = 0; location < 2; location++) {
            snprintf(sql, sizeof(sql), "SELECT * FROM wrong_series(%d, %d, '%s', %s)",
                     cases[i].first, cases[i].past, cases[i].step, location == 0 ? "NULL" : "1");
            fixture_assert(f->conn, sql, "");
        }
    }
}

/* At every degree of staleness, for steps below, of and above an hour and a day. */
static void test_series_is_what_the_rows_say(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);
    unsigned seed = 7;
    char sql[128];

    fixture_exec(f->conn, wrong_series_sql);
    for (int round = 0; round < 8; round++) {
        struct batch *b = batch_new(1000, 1 << 20);
        uint32_t p = batch_partition(b, "t", 0, claim.epoch, claim.next_offset);

        for (int n = 0; n < 20; n++) {
            add_random(b, p, &seed);
        }
        assert_done(fixture_write(f, b));
        claim.next_offset = b->partitions[p].next;
        batch_free(b);
        if (round % 3 != 0) {
            snprintf(sql, sizeof(sql), "SELECT rollups_turn(%d, '%d')", 1 + draw(&seed, 8),
                     draw(&seed, 2));
            fixture_exec(f->conn, sql);
        }
        if (round % 4 == 3) {
            put_together(f);
        }
        assert_series(f);
    }
    fixture_assert(f->conn,
                   "SELECT * FROM site_series(1, now() + interval '1 day', now(), '1 day')", "");
}

/* --- Marks --- */

static void test_mark_of_a_batch_that_commits_after_the_turn_is_kept(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);
    PGconn *worker = fixture_connect(f->dsn);
    char sql[512];

    store_seconds(f, &claim, "s", (int[]){0, 10, -1}); /* the hour is marked already */
    snprintf(sql, sizeof(sql),
             "BEGIN;"
             "INSERT INTO checks SELECT website_id, slot + interval '20 s', checked_at, lag_us,"
             " response_time_us, NULL, NULL, NULL, NULL, NULL, NULL, NULL, location_id, attempt,"
             " http_status, final, NULL, 'degraded', observer FROM checks ORDER BY slot LIMIT 1;"
             "INSERT INTO rollup_marks SELECT '{1}', '{1}', ARRAY[%" PRId64 "]",
             fixture_slot_us(0) / US_PER_SEC / HOUR);
    fixture_exec(worker, sql);
    put_together(f);
    fixture_assert(f->conn, "SELECT up, degraded FROM rollups_1h", "2|0");
    fixture_exec(worker, "COMMIT");
    fixture_assert(f->conn, stale_sql, "1|0|0");
    assert_rows_say_so(f);
    fixture_assert(f->conn,
                   "SELECT up, degraded FROM site_rollups(1, '2000-01-01', now(), '1 day')", "2|1");
    put_together(f);
    fixture_assert(f->conn, "SELECT up, degraded FROM rollups_1h", "2|1");
    fixture_assert(f->conn, "SELECT up, degraded FROM rollups_1d", "2|1");
    PQfinish(worker);
}

static void test_batch_that_is_rolled_back_leaves_no_mark(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);
    struct batch *b = batch_new(10, 1 << 20);

    fixture_add(b, &claim, "s", 2);
    batch_add_letter(b, 0, 2, "json", "no", NULL, 0, "{", 1, -1);
    f->deliver_fails = true;
    assert_refused(fixture_write(f, b), ERR_RETRY);
    fixture_assert(f->conn, stale_sql, "0|0|0");
    f->deliver_fails = false;
    assert_done(fixture_write(f, b));
    batch_free(b);
    fixture_assert(f->conn, stale_sql, "1|0|0");
}

/* Far more than fits beside a row: hours and locations mixed, one site again and again. */
static void test_marks_name_each_hour_once(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);
    int seconds[1001];

    for (int i = 0; i < 1000; i++) {
        seconds[i] = (i * 7919) % (3 * HOUR);
    }
    seconds[1000] = -1;
    store_seconds(f, &claim, "s", seconds);
    fixture_assert(f->conn,
                   "SELECT website_ids, location_ids, h - (SELECT min(x) FROM unnest(hours) x)"
                   " FROM rollup_marks, unnest(hours) h",
                   "{1,1,1}|{1,1,1}|0\n{1,1,1}|{1,1,1}|1\n{1,1,1}|{1,1,1}|2");
}

/* --- Turns --- */

static void test_hour_is_put_together_once_it_is_over_and_a_delay_passed(void **state)
{
    struct fixture *f = *state;
    static const char due_sql[] =
        "SELECT begins = hour_of(begins), due - begins FROM rollup_stale_hours ORDER BY begins";

    fixture_exec(f->conn, "INSERT INTO rollup_marks SELECT ARRAY[1], ARRAY[1],"
                          " ARRAY[extract(epoch FROM now())::bigint / 3600]");
    fixture_exec(f->conn, "SELECT rollups_turn(500, '60 s')");
    fixture_assert(f->conn, due_sql, "t|01:01:00");
    fixture_assert(f->conn, "SELECT due - begins FROM rollup_stale_days", "1 day 01:01:00");
    fixture_exec(f->conn, "TRUNCATE rollup_stale_hours; INSERT INTO rollup_marks SELECT ARRAY[1],"
                          " ARRAY[1], ARRAY[extract(epoch FROM now())::bigint / 3600 - 3]");
    fixture_exec(f->conn, "SELECT rollups_turn(500, '60 s')");
    fixture_assert(f->conn, "SELECT due - now() BETWEEN '50 s' AND '60 s' FROM rollup_stale_hours",
                   "t");
    fixture_assert(f->conn, "SELECT hours, days FROM rollups_turn(500, '60 s')", "0|0");
}

static void test_turn_is_bounded(void **state)
{
    struct fixture *f = *state;

    fixture_exec(f->conn, "INSERT INTO rollup_marks SELECT array_agg(i), array_agg(1),"
                          " array_agg(extract(epoch FROM now())::bigint / 3600 - 72)"
                          " FROM generate_series(1, 1100) i");
    assert_true(turn(f));
    fixture_assert(f->conn, stale_sql, "0|600|1100");
    assert_true(turn(f));
    fixture_assert(f->conn, stale_sql, "0|100|1100");
    assert_true(turn(f));
    fixture_assert(f->conn, stale_sql, "0|0|600");
    assert_true(turn(f));
    assert_false(turn(f));
    fixture_assert(f->conn, stale_sql, "0|0|0");
}

static void test_one_turn_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);
    PGconn *other = fixture_connect(f->dsn);

    store_seconds(f, &claim, "s", (int[]){0, -1});
    fixture_exec(other, "BEGIN; SELECT rollups_turn(500, '1 hour')");
    assert_false(turn(f));
    fixture_assert(f->conn, stale_sql, "1|0|0");
    fixture_exec(other, "ROLLBACK");
    turn(f);
    fixture_assert(f->conn, "SELECT count(*) FROM rollup_marks", "0");
    PQfinish(other);
}

struct attempt {
    struct store *store;
    int rc;
    struct err err;
};

static void *run_attempt(void *context)
{
    struct attempt *a = context;
    bool more;

    a->rc = store_rollup(a->store, &more, &a->err);
    return NULL;
}

static void test_maintainer_killed_in_its_turn_loses_nothing(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);
    PGconn *locker = fixture_connect(f->dsn);
    struct attempt a = {.store = f->store};
    pthread_t thread;
    PGresult *result;
    int waiting = 0;
    struct err err;

    store_seconds(f, &claim, "s", (int[]){0, 10, 4000, -1});
    put_together(f);
    store_seconds(f, &claim, "s", (int[]){20, 4010, -1});
    fixture_exec(locker, "BEGIN; LOCK TABLE rollups_1h IN SHARE MODE");
    assert_int_equal(pthread_create(&thread, NULL, run_attempt, &a), 0);
    while (waiting == 0) { /* until the turn waits, and is ended */
        result =
            PQexec(f->conn, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                            " WHERE datname = current_database() AND wait_event_type = 'Lock'");
        waiting = (int)strtol(PQgetvalue(result, 0, 0), NULL, 10);
        PQclear(result);
    }
    pthread_join(thread, NULL);
    assert_int_equal(a.rc, -1);
    assert_int_equal(a.err.kind, ERR_RETRY);
    print_message("  (%s)\n", a.err.message);
    PQfinish(locker);
    assert_rows_say_so(f);
    assert_int_equal(store_rollup(f->store, &(bool){false}, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    assert_ok(store_connect(f->store, &err), err);
    put_together(f);
    assert_rows_say_so(f);
    fixture_assert(f->conn, "SELECT up FROM rollups_1h ORDER BY begins", "3\n2");
}

static void test_rollups_of_a_dropped_day_stay(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);

    store_seconds(f, &claim, "s", (int[]){0, 10, -1});
    put_together(f);
    store_seconds(f, &claim, "s", (int[]){20, -1}); /* a mark is left */
    fixture_exec(f->conn, "DO $$ BEGIN EXECUTE 'DROP TABLE checks_' || to_char(now() AT TIME ZONE"
                          " 'UTC' - interval '1 day', 'YYYYMMDD'); END $$");
    put_together(f);
    fixture_assert(f->conn, "SELECT up FROM rollups_1h", "2");
    fixture_assert(f->conn, "SELECT up FROM rollups_1d", "2");
    assert_rows_say_so(f);
}

static void test_rollup_of_rows_that_were_deleted_goes(void **state)
{
    struct fixture *f = *state;
    struct store_claim claim = fixture_claim(f->store, "t", 0);

    store_seconds(f, &claim, "s", (int[]){0, 4000, -1});
    put_together(f);
    fixture_exec(f->conn, "DELETE FROM checks WHERE response_time_us = 1000;"
                          "INSERT INTO rollup_marks SELECT ARRAY[1], ARRAY[1],"
                          " ARRAY[extract(epoch FROM min(begins))::bigint / 3600] FROM rollups_1h");
    put_together(f);
    fixture_assert(f->conn, "SELECT response_min_us FROM rollups_1h", "5000");
    assert_rows_say_so(f);
}

static void test_backlog_is_counted(void **state)
{
    struct fixture *f = *state;
    char *text;
    size_t len;

    fixture_exec(f->conn, "INSERT INTO rollup_stale_days SELECT i, 'epoch', 1, now() + interval"
                          " '1 hour' * (i % 2) FROM generate_series(1, 10) i;"
                          "INSERT INTO rollup_marks SELECT '{}', '{}', '{}'"
                          " FROM generate_series(1, 205)");
    turn(f);
    text = metrics_render(f->metrics, METRICS_OPENMETRICS, &len);
    assert_non_null(strstr(text, "\nsitewatch_rollup_backlog{step=\"hour\"} 0\n"));
    assert_non_null(strstr(text, "\nsitewatch_rollup_backlog{step=\"day\"} 0\n"));
    assert_non_null(strstr(text, "\nsitewatch_rollup_marks 5\n"));
    assert_non_null(strstr(text, "\nsitewatch_rollups_total{step=\"day\"} 5\n"));
    free(text);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_counts_first_final_attempts_and_times_of_responses),
        TEST(test_tallies_add),
        TEST(test_percentile_is_wrong_by_less_than_5_percent),
        TEST(test_rollups_are_what_the_rows_say_after_random_batches),
        TEST(test_series_is_what_the_rows_say),
        TEST(test_mark_of_a_batch_that_commits_after_the_turn_is_kept),
        TEST(test_batch_that_is_rolled_back_leaves_no_mark),
        TEST(test_marks_name_each_hour_once),
        TEST(test_hour_is_put_together_once_it_is_over_and_a_delay_passed),
        TEST(test_turn_is_bounded),
        TEST(test_one_turn_at_a_time),
        TEST(test_maintainer_killed_in_its_turn_loses_nothing),
        TEST(test_rollups_of_a_dropped_day_stay),
        TEST(test_rollup_of_rows_that_were_deleted_goes),
        TEST(test_backlog_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
