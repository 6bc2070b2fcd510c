/* What becomes of a batch's rows and letters: columns, ids, partitions, duplicates, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>

#include "tests/integration/pg_fixture.h"

#define DAY_S 86400

static struct batch *batch_of(struct fixture *f, const struct event *events, size_t count)
{
    struct batch *b = batch_new(30000, 64 << 20);
    struct store_claim claim = fixture_claim(f->store, "t", 0);
    uint32_t p = batch_partition(b, "t", 0, claim.epoch, claim.next_offset);

    for (size_t i = 0; i < count; i++) {
        batch_add_row(b, p, b->partitions[p].next, &events[i]);
    }
    return b;
}

static void write_events(struct fixture *f, const struct event *events, size_t count)
{
    struct batch *b = batch_of(f, events, count);

    assert_done(fixture_write(f, b));
    batch_free(b);
}

/* --- Columns --- */

static const char columns_sql[] =
    "SELECT w.name, extract(epoch FROM c.slot - date_trunc('day', now() AT TIME ZONE 'UTC')"
    "         AT TIME ZONE 'UTC')::int,"
    " extract(epoch FROM c.checked_at - c.slot) * 1000000, l.name, c.observer, c.attempt, c.final,"
    " c.lag_us, c.status, c.http_status, c.response_time_us, c.dns_us, c.connect_us, c.tls_us,"
    " c.wait_us, c.transfer_us, c.body_bytes, c.peer, extract(epoch FROM c.cert_not_after),"
    " c.error_type, c.error_message, c.regex_matched, c.regex_response"
    " FROM checks c JOIN websites w USING (website_id) JOIN locations l USING (location_id)"
    " ORDER BY slot";

static void test_every_column(void **state)
{
    struct fixture *f = *state;
    struct event full = fixture_event("full", fixture_slot_us(1));
    struct event bare = fixture_event("bare", fixture_slot_us(2));

    full.attempt = 2;
    full.final = false;
    full.status = CHECK_DOWN;
    full.http_status = 200;
    full.http_version = "2";
    full.body_bytes = 5120;
    full.timing = (struct event_timing){9000, 21000, 40000, 98000, 15211, 183211};
    full.peer = "2001:db8::1";
    full.cert_not_after_s = 253402300799;
    full.has_pattern = true;
    full.answers_json = "[[\"v12\",\"12\"],[\"\xc3\xa9\",null]]";
    full.answers_json_len = strlen(full.answers_json);
    full.error = ERROR_PATTERN;
    full.error_phase = PHASE_CHECK;
    full.error_message = "no \"match\"\\";
    write_events(f, (struct event[]){full, bare}, 2);
    fixture_assert(f->conn, columns_sql,
                   "full|-86399|1000.000000|local|host-1|2|f|1000|down|200|183211|9000|21000|40000"
                   "|98000|15211|5120|2001:db8::1|253402300799.000000|pattern|no \"match\"\\|f"
                   "|[[\"v12\", \"12\"], [\"\xc3\xa9\", null]]\n"
                   "bare|-86398|1000.000000|local|host-1|1|t|1000|up|-|-|-|-|-|-|-|-|-|-|-|-|-|-");
}

/* The list of the table is the list of common/event. */
static void test_every_status_and_error_is_stored(void **state)
{
    struct fixture *f = *state;
    struct event events[ERROR_TYPES_END + 1];

    for (int i = 0; i < ERROR_TYPES_END; i++) {
        events[i] = fixture_event("a", fixture_slot_us(i));
        events[i].error = (enum error_type)i;
        events[i].status = i == ERROR_NONE ? CHECK_UP : error_type_status(events[i].error);
    }
    events[ERROR_TYPES_END] = fixture_event("a", fixture_slot_us(ERROR_TYPES_END));
    events[ERROR_TYPES_END].status = CHECK_DEGRADED;
    write_events(f, events, ROWS(events));
    fixture_assert(f->conn,
                   "SELECT count(DISTINCT error_type), count(DISTINCT status),"
                   " count(*) = count(DISTINCT error_type) + 2 FROM checks",
                   "28|4|t");
}

static void test_monitoring_data(void **state)
{
    struct fixture *f = *state;
    struct event e = fixture_event("a", fixture_slot_us(0));

    e.http_status = 503;
    e.timing.total_us = 183211;
    e.answers_json = "[[\"x\"]]";
    e.answers_json_len = strlen(e.answers_json);
    write_events(f, &e, 1);
    fixture_assert(f->conn,
                   "SELECT m.website_id = w.website_id, http_status, entry_timestamp = checked_at,"
                   " response_time, m.regex_response, pg_typeof(m.id), pg_typeof(response_time)"
                   " FROM monitoring_data m JOIN checks c USING (http_status), websites w",
                   "t|503|t|0.183211|[[\"x\"]]|bigint|double precision");

    /* The id is the row's whatever the session says of times. */
    fixture_exec(f->conn, "CREATE TABLE seen AS SELECT id FROM monitoring_data;"
                          "SET TimeZone = 'America/New_York'; SET DateStyle = 'German'");
    fixture_assert(f->conn, "SELECT count(*) FROM monitoring_data JOIN seen USING (id)", "1");
}

static void test_letters(void **state)
{
    struct fixture *f = *state;
    struct batch *b = batch_of(f, NULL, 0);
    char *large = mem_alloc(100000, 1);
    struct err err;

    memset(large, '\xff', 100000);
    batch_add_letter(b, 0, 7, "json", "not JSON at offset 0", "k\0y", 3, large, 100000,
                     1700000001234);
    batch_add_letter(b, 0, 9, "field", "a \xff detail", NULL, 0, NULL, 0, -1);
    free(large);
    assert_done(fixture_write(f, b));
    assert_int_equal(f->delivered, 1);
    fixture_assert(f->conn,
                   "SELECT topic, partition, \"offset\", reason, detail, key, length(payload),"
                   " payload_bytes, extract(epoch FROM message_time) * 1000, in_topic,"
                   " payload_sha256 = sha256(convert_to('', 'UTF8')),"
                   " payload_sha256 = sha256(decode(repeat('ff', 100000), 'hex')),"
                   " now() - received_at < interval '1 minute' FROM dead_letters ORDER BY id",
                   "t|0|7|json|not JSON at offset 0|\\x6b0079|65536|100000|1700000001234.000000|t|f"
                   "|t|t\n"
                   "t|0|9|field|a \xef\xbf\xbd detail|-|-|0|-|t|t|f|t");
    fixture_assert(f->conn, "SELECT next_offset FROM kafka_offsets", "10");
    assert_ok(store_connect(f->store, &err), err);
    batch_free(b);
}

/* More than one chunk of COPY, of rows and of letters. */
static void test_large_batch(void **state)
{
    enum { COUNT = 5000 };
    struct fixture *f = *state;
    struct batch *b = batch_new(2 * COUNT, 64 << 20);
    struct store_claim claim = fixture_claim(f->store, "t", 0);
    char payload[512];

    fixture_add(b, &claim, "a", COUNT);
    memset(payload, 'x', sizeof(payload));
    for (int i = 0; i < COUNT; i++) {
        batch_add_letter(b, 0, COUNT + i, "json", "no", NULL, 0, payload, sizeof(payload), 0);
    }
    assert_true(batch_is_full(b));
    assert_done(fixture_write(f, b));
    fixture_assert(f->conn,
                   "SELECT (SELECT count(*) FROM checks), (SELECT count(*) FROM dead_letters)",
                   "5000|5000");
    batch_free(b);
}

/* --- Ids --- */

static void test_names_and_ids(void **state)
{
    struct fixture *f = *state;
    struct event events[5];
    struct err err;

    fixture_exec(f->conn,
                 "INSERT INTO websites (website_id, name, website_url, monitoring_interval, source,"
                 " deleted_at) VALUES (42, 'old name', 'u', 30, 'api', now()),"
                 " (43, 'by name', 'u', 30, 'file', now())");
    for (size_t i = 0; i < ROWS(events); i++) {
        events[i] = fixture_event("by name", fixture_slot_us((int64_t)i));
    }
    events[0].site_name = "renamed";
    events[0].site_id = 42;    /* the id wins over the name */
    events[1].site_id = 99999; /* there is none: the name */
    events[2].site_id = 42;
    events[3].site_name = "it's \"new\" \\ {\xc3\xa9}";
    events[3].interval_s = 0; /* not ours to judge here: what the column takes */
    events[3].location = "second, place";
    write_events(f, events, ROWS(events));
    fixture_assert(f->conn,
                   "SELECT website_id, l.name FROM checks JOIN locations l USING (location_id)"
                   " WHERE website_id >= 42 ORDER BY slot",
                   "42|local\n43|local\n42|local\n43|local");
    fixture_assert(f->conn,
                   "SELECT w.name, website_url, monitoring_interval, source, version, enabled,"
                   " config, l.name FROM checks JOIN websites w USING (website_id)"
                   " JOIN locations l USING (location_id) WHERE website_id < 42",
                   "it's \"new\" \\ {\xc3\xa9}|https://example.com/|1|event|1|t|{}|second, place");
    fixture_assert(f->conn, "SELECT count(*), count(deleted_at) FROM websites", "3|2");

    /* From the cache, from the server again, and from a cache that was forgotten: the same. */
    for (size_t i = 0; i < ROWS(events); i++) {
        events[i].slot_us += 100 * US_PER_SEC;
    }
    write_events(f, events, ROWS(events));
    fixture_exec(f->conn, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                          " WHERE application_name = 'sitewatch-store_rows_test'"
                          " AND datname = current_database()");

    struct batch *b = batch_new(10, 1 << 20);
    struct store_claim claim = {.topic = "t"};

    assert_int_equal(store_claim(f->store, &claim, &err), -1);
    assert_ok(store_connect(f->store, &err), err);
    claim = fixture_claim(f->store, "t", 0);
    for (size_t i = 0; i < ROWS(events); i++) {
        events[i].slot_us += 100 * US_PER_SEC;
        batch_add_row(b, batch_partition(b, "t", 0, claim.epoch, claim.next_offset),
                      claim.next_offset + (int64_t)i, &events[i]);
    }
    assert_done(fixture_write(f, b));
    batch_free(b);
    fixture_assert(f->conn, "SELECT count(*), count(DISTINCT website_id) FROM checks", "15|3");
    fixture_assert(f->conn, "SELECT count(*), count(deleted_at) FROM websites", "3|2");
}

/* The notice comes to the connection when it pleases the server: rows until then have the old id.
 */
static void test_a_site_made_anew_does_not_get_the_id_of_one_that_is_gone(void **state)
{
    struct fixture *f = *state;
    struct event e = fixture_event("again", fixture_slot_us(0));
    int64_t give_up_ns = clock_mono_ns() + 60 * NS_PER_SEC;
    bool is_new = false;

    write_events(f, &e, 1);
    fixture_exec(f->conn, "BEGIN; DELETE FROM websites WHERE name = 'again'; NOTIFY sites_gone;"
                          "COMMIT; INSERT INTO websites (website_id, name, website_url,"
                          " monitoring_interval, source) VALUES (77, 'again', 'u', 30, 'file')");
    while (!is_new && clock_mono_ns() < give_up_ns) {
        e.slot_us += US_PER_SEC;
        write_events(f, &e, 1);

        PGresult *result = PQexec(f->conn, "SELECT count(*) FROM checks WHERE website_id = 77");

        is_new = strcmp(PQgetvalue(result, 0, 0), "1") == 0;
        PQclear(result);
    }
    assert_true(is_new);
}

static void test_sites_ceiling(void **state)
{
    struct fixture *f = *state;
    struct store *s = fixture_store(f, f->dsn, 2);
    struct batch *b = batch_new(100, 1 << 20);
    struct store_claim claim = fixture_claim(f->store, "t", 0);
    struct err err;

    fixture_exec(f->conn, "INSERT INTO websites (name, website_url, monitoring_interval, source)"
                          " VALUES ('known', 'u', 30, 'file'), ('first', 'u', 30, 'event')");
    fixture_add(b, &claim, "known", 2);
    fixture_add(b, &claim, "first", 2);
    fixture_add(b, &claim, "second", 2);
    assert_ok(store_connect(s, &err), err);
    assert_done(fixture_write_to(f, s, b));
    fixture_assert(f->conn, "SELECT count(*) FROM checks", "6");

    claim.next_offset = 6;
    batch_clear(b);
    fixture_add(b, &claim, "third", 2);
    fixture_add(b, &claim, "second", 1);
    fixture_add(b, &claim, "third", 1);
    assert_done(fixture_write_to(f, s, b));
    fixture_assert(f->conn, "SELECT count(*) FROM checks", "7");
    fixture_assert(f->conn,
                   "SELECT \"offset\", reason, convert_from(key, 'UTF8'),"
                   " convert_from(payload, 'UTF8')::json #>> '{site,name}', in_topic"
                   " FROM dead_letters ORDER BY id",
                   "6|unknown_site|third|third|t\n7|unknown_site|third|third|t\n"
                   "9|unknown_site|third|third|t");
    store_free(s);
    batch_free(b);
}

static void test_locations_ceiling(void **state)
{
    struct fixture *f = *state;
    struct event events[2];

    fixture_exec(f->conn, "INSERT INTO locations (name) SELECT 'l' || i FROM"
                          " generate_series(1, 1000) i");
    events[0] = fixture_event("a", fixture_slot_us(0));
    events[1] = fixture_event("a", fixture_slot_us(0));
    events[1].location = "l1000";
    write_events(f, events, 2);
    fixture_assert(f->conn, "SELECT reason, \"offset\" FROM dead_letters", "unknown_location|0");
    fixture_assert(f->conn, "SELECT name FROM checks JOIN locations USING (location_id)", "l1000");
}

static void test_name_that_is_refused_keeps_no_other_out(void **state)
{
    struct fixture *f = *state;
    struct event events[3];

    fixture_exec(f->conn, "ALTER TABLE websites ADD CHECK (name <> 'bad')");
    events[0] = fixture_event("good", fixture_slot_us(0));
    events[1] = fixture_event("bad", fixture_slot_us(1));
    events[2] = fixture_event("better", fixture_slot_us(2));
    write_events(f, events, 3);
    fixture_assert(f->conn, "SELECT reason, \"offset\" FROM dead_letters", "sqlstate_23514|1");
    fixture_assert(f->conn, "SELECT count(*) FROM checks", "2");
}

static void test_dropped_rows_make_no_names(void **state)
{
    struct fixture *f = *state;
    struct batch *b = batch_new(100, 1 << 20);
    struct store_claim kept = fixture_claim(f->store, "t", 0);
    struct store_claim lost = fixture_claim(f->store, "t", 1);

    fixture_add(b, &lost, "lost", 2);
    fixture_add(b, &kept, "kept", 2);
    b->partitions[0].dropped = true; /* rows and all */
    assert_done(fixture_write(f, b));
    fixture_assert(f->conn, "SELECT name FROM websites", "kept");
    fixture_assert(f->conn, "SELECT partition, next_offset FROM kafka_offsets ORDER BY 1",
                   "0|2\n1|0");
    fixture_assert(f->conn, "SELECT count(*) FROM checks", "2");
    batch_free(b);
}

/* --- Days --- */

static const char days_sql[] =
    "SELECT count(*) FROM pg_inherits WHERE inhparent = 'checks'::regclass";

static void test_days_ahead(void **state)
{
    struct fixture *f = *state;
    struct err err;

    for (int i = 0; i < 2; i++) {
        assert_ok(store_days_ahead(f->store, STORE_DAYS_AHEAD, &err), err);
        fixture_assert(f->conn, days_sql, "8");
    }
    fixture_assert(f->conn,
                   "SELECT to_regclass('checks_' || to_char(now() AT TIME ZONE 'UTC' + '7 days',"
                   " 'YYYYMMDD')) IS NOT NULL",
                   "t");

    /* A row at each end of a day (UTC) goes into that day's partition. */
    struct event events[] = {fixture_event("a", fixture_slot_us(DAY_S)),
                             fixture_event("a", fixture_slot_us(2 * DAY_S) - 1000)};

    write_events(f, events, 2);
    fixture_assert(f->conn, days_sql, "8");
    fixture_assert(f->conn,
                   "SELECT count(*), max(tableoid)::regclass::text = 'checks_' || to_char("
                   "now() AT TIME ZONE 'UTC', 'YYYYMMDD') FROM checks GROUP BY tableoid",
                   "2|t");
}

static void test_days_on_demand(void **state)
{
    struct fixture *f = *state;
    struct event events[] = {
        fixture_event("a", fixture_slot_us(0)), /* yesterday */
        fixture_event("a", fixture_slot_us(-20 * DAY_S)),
        fixture_event("a", fixture_slot_us(-30 * DAY_S) - 1), /* 30 days are kept, one of grace */
        fixture_event("a", fixture_slot_us(-30 * DAY_S)),
        fixture_event("a", fixture_slot_us(10 * DAY_S) - 1), /* the 8th day from today */
        fixture_event("a", fixture_slot_us(10 * DAY_S)),
        fixture_event("a", -US_PER_SEC), /* 1969 */
        fixture_event("a", INT64_C(253402300799) * US_PER_SEC),
        fixture_event("a", fixture_slot_us(-20 * DAY_S + 5)),
    };

    write_events(f, events, 6);
    fixture_assert(f->conn, days_sql, "4");
    fixture_assert(f->conn, "SELECT \"offset\", reason FROM dead_letters ORDER BY 1",
                   "2|slot_expired\n5|slot_future");
    fixture_exec(f->conn, "DELETE FROM dead_letters");
    write_events(f, events + 6, 3);
    fixture_assert(f->conn, "SELECT \"offset\", reason FROM dead_letters ORDER BY 1",
                   "6|slot_expired\n7|slot_future");
    fixture_assert(f->conn, "SELECT count(*) FROM checks", "5");
    fixture_assert(f->conn, days_sql, "4");
}

static void test_day_that_was_dropped_is_made_again(void **state)
{
    struct fixture *f = *state;
    struct event e = fixture_event("a", fixture_slot_us(0));

    write_events(f, &e, 1);
    fixture_assert(f->conn, days_sql, "1");
    fixture_exec(f->conn, "DO $$ DECLARE day text := (SELECT inhrelid::regclass FROM pg_inherits"
                          " WHERE inhparent = 'checks'::regclass);"
                          " BEGIN EXECUTE 'DROP TABLE ' || day; END $$");
    fixture_assert(f->conn, days_sql, "0");
    e.slot_us += US_PER_SEC;
    write_events(f, &e, 1);
    fixture_assert(f->conn, days_sql, "1");
    fixture_assert(f->conn, "SELECT count(*), (SELECT count(*) FROM dead_letters) FROM checks",
                   "1|0");
}

/* --- Duplicates --- */

static void test_duplicates_are_left_out_and_counted(void **state)
{
    struct fixture *f = *state;
    struct event events[6];
    struct err err;

    for (size_t i = 0; i < ROWS(events); i++) {
        events[i] = fixture_event("a", fixture_slot_us((int64_t)i));
    }
    write_events(f, events, 3);
    events[2].status = CHECK_DOWN; /* the first one that was stored stays */
    write_events(f, events, 6);
    fixture_assert(f->conn, "SELECT count(*), count(*) FILTER (WHERE status = 'up') FROM checks",
                   "6|6");
    fixture_assert(f->conn, "SELECT next_offset FROM kafka_offsets", "9");
    assert_int_equal(fixture_count(f, "sitewatch_rows"), 6);
    assert_int_equal(fixture_count(f, "sitewatch_duplicates"), 3);

    /* The next batch goes the short way again; one of its own duplicates does not. */
    events[0] = fixture_event("b", fixture_slot_us(0));
    write_events(f, events, 1);
    events[0] = fixture_event("c", fixture_slot_us(0));
    events[1] = events[0];
    write_events(f, events, 2);
    assert_int_equal(fixture_count(f, "sitewatch_rows"), 8);
    assert_int_equal(fixture_count(f, "sitewatch_duplicates"), 4);
    assert_ok(store_connect(f->store, &err), err);
}

/* What goes to stderr while `events` are written. */
static void written_log(struct fixture *f, const struct event *events, size_t count, char *out,
                        size_t size)
{
    FILE *file = tmpfile();
    int kept = dup(STDERR_FILENO);

    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    write_events(f, events, count);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    rewind(file);
    out[fread(out, 1, size - 1, file)] = '\0';
    fclose(file);
}

static void test_another_observer_is_warned_of_once(void **state)
{
    struct fixture *f = *state;
    struct event events[2];
    char said[4096];

    events[0] = fixture_event("a", fixture_slot_us(0));
    events[1] = fixture_event("a", fixture_slot_us(1));
    write_events(f, events, 2);
    written_log(f, events, 2, said, sizeof(said));
    assert_string_equal(said, ""); /* the same host, twice */
    events[1].observer = "host-2";
    written_log(f, events, 2, said, sizeof(said));
    assert_non_null(strstr(said, "two hosts check the same location"));
    assert_non_null(strstr(said, "site=a location=local observer_stored=host-1"
                                 " observer_left_out=host-2"));
    written_log(f, events, 2, said, sizeof(said));
    assert_string_equal(said, "");
}

/* --- Refusals --- */

static void refuse_599(struct fixture *f)
{
    fixture_exec(f->conn, "ALTER TABLE checks ADD CONSTRAINT no_599 CHECK (http_status <> 599)");
}

/* `count` rows, every `nth` of which Postgres refuses. */
static struct batch *batch_with_refused(struct fixture *f, int count, int nth)
{
    struct event *events = mem_alloc((size_t)count, sizeof(*events));

    for (int i = 0; i < count; i++) {
        events[i] = fixture_event("a", fixture_slot_us(i));
        events[i].http_status = (i + 1) % nth == 0 ? 599 : 200;
    }
    struct batch *b = batch_of(f, events, (size_t)count);

    free(events);
    return b;
}

static void test_refused_rows_become_letters(void **state)
{
    struct fixture *f = *state;
    struct batch *b = batch_with_refused(f, 1000, 40);

    refuse_599(f);
    assert_done(fixture_write(f, b));
    assert_int_equal(f->delivered, 1);
    assert_int_equal(b->rows_count, 975);
    assert_int_equal(b->letters_count, 25);
    assert_string_equal(b->letters[24].reason, "sqlstate_23514");
    assert_non_null(strstr(b->letters[24].detail, "no_599"));
    assert_int_equal(fixture_count(f, "sitewatch_rows"), 975);
    assert_int_equal(fixture_count(f, "sitewatch_duplicates"), 0);
    fixture_assert(f->conn,
                   "SELECT count(*), count(*) FILTER (WHERE http_status = 200) FROM checks",
                   "975|975");
    fixture_assert(f->conn,
                   "SELECT count(*), min(\"offset\"), max(\"offset\"), bool_and((\"offset\" + 1) %"
                   " 40 = 0), count(DISTINCT \"offset\"), bool_and(convert_from(payload,"
                   " 'UTF8')::json #>> '{http,status_code}' = '599') FROM dead_letters",
                   "25|39|999|t|25|t");
    fixture_assert(f->conn, "SELECT next_offset FROM kafka_offsets", "1000");
    batch_free(b);
}

static void test_refused_rows_among_duplicates(void **state)
{
    struct fixture *f = *state;
    struct event first[] = {fixture_event("a", fixture_slot_us(3)),
                            fixture_event("a", fixture_slot_us(77))};

    refuse_599(f);
    write_events(f, first, 2);

    struct batch *b = batch_with_refused(f, 100, 20);

    assert_done(fixture_write(f, b));
    fixture_assert(f->conn, "SELECT count(*) FROM checks", "95");
    fixture_assert(f->conn, "SELECT count(*) FROM dead_letters", "5");
    assert_int_equal(fixture_count(f, "sitewatch_rows"), 95);
    assert_int_equal(fixture_count(f, "sitewatch_duplicates"), 2);
    batch_free(b);
}

static void test_refusals_survive_a_failed_delivery(void **state)
{
    struct fixture *f = *state;
    struct batch *b = batch_with_refused(f, 100, 20);

    refuse_599(f);
    f->deliver_fails = true;
    assert_refused(fixture_write(f, b), ERR_RETRY);
    fixture_assert(f->conn, "SELECT count(*) FROM checks", "0");
    f->deliver_fails = false;
    assert_done(fixture_write(f, b));
    fixture_assert(f->conn, "SELECT count(*) FROM checks", "95");
    fixture_assert(f->conn, "SELECT count(*) FROM dead_letters", "5");
    batch_free(b);
}

static const struct {
    const char *name;
    int rows, nth;
    bool fatal;
} shares[] = {
    {"one row of one", 1, 1, false},          {"five rows of five", 5, 1, false},
    {"six rows of six", 6, 1, true},          {"six rows of 60 are ten percent", 60, 10, false},
    {"six rows of 59 are more", 59, 9, true}, {"all of many", 3000, 1, true},
};

static void test_share_that_may_be_refused(void **state)
{
    for (size_t i = 0; i < ROWS(shares); i++) {
        print_message("  %s\n", shares[i].name);
        fixture_setup(state);

        struct fixture *f = *state;
        struct batch *b = batch_with_refused(f, shares[i].rows, shares[i].nth);
        int left_out = shares[i].rows / shares[i].nth;
        char expected[64];

        refuse_599(f);
        if (shares[i].fatal) {
            assert_refused(fixture_write(f, b), ERR_FATAL);
            assert_int_equal(b->rows_count, shares[i].rows);
            assert_int_equal(b->letters_count, 0);
            assert_int_equal(f->delivered, 0);
            fixture_assert(f->conn, "SELECT next_offset FROM kafka_offsets", "0");
        } else {
            assert_done(fixture_write(f, b));
        }
        snprintf(expected, sizeof(expected), "%d", shares[i].fatal ? 0 : shares[i].rows - left_out);
        fixture_assert(f->conn, "SELECT count(*) FROM checks", expected);
        batch_free(b);
        fixture_teardown(state);
    }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_every_column),
        TEST(test_every_status_and_error_is_stored),
        TEST(test_monitoring_data),
        TEST(test_letters),
        TEST(test_large_batch),
        TEST(test_names_and_ids),
        TEST(test_a_site_made_anew_does_not_get_the_id_of_one_that_is_gone),
        TEST(test_sites_ceiling),
        TEST(test_locations_ceiling),
        TEST(test_name_that_is_refused_keeps_no_other_out),
        TEST(test_dropped_rows_make_no_names),
        TEST(test_days_ahead),
        TEST(test_days_on_demand),
        TEST(test_day_that_was_dropped_is_made_again),
        TEST(test_duplicates_are_left_out_and_counted),
        TEST(test_another_observer_is_warned_of_once),
        TEST(test_refused_rows_become_letters),
        TEST(test_refused_rows_among_duplicates),
        TEST(test_refusals_survive_a_failed_delivery),
        cmocka_unit_test(test_share_that_may_be_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
