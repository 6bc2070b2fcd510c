/* Whether a part of the pipeline is well: figures to rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "api/diagnosis.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
#define BUCKET(le, count) "sitewatch_schedule_lag_seconds_bucket{le=\"" le "\"} " count "\n"
#define PRODUCER "sitewatch_checks_total 10\nsitewatch_sites 4\n"
#define CONSUMER "sitewatch_rows_total 10\n"

static struct readings read_text(const char *text)
{
    struct readings_reader reader;
    struct readings r;

    readings_begin(&reader, &r);
    readings_take(&reader, text, strlen(text));
    return r;
}

static const char *member(const cJSON *row, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, name));

    assert_non_null(text);
    return text;
}

static const cJSON *find_row(const struct diagnosis *d, const char *part, const char *what)
{
    const cJSON *row;

    cJSON_ArrayForEach (row, d->rows) {
        if (strcmp(member(row, "part"), part) == 0 && strcmp(member(row, "what"), what) == 0) {
            return row;
        }
    }
    return NULL;
}

static void check_row(const struct diagnosis *d, const char *part, const char *what,
                      const char *state, const char *why)
{
    const cJSON *row = find_row(d, part, what);

    assert_non_null(row);
    assert_string_equal(member(row, "state"), state);
    if (strstr(member(row, "why"), why) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", why, member(row, "why"));
    }
}

static void programs_are_judged_by_their_figures(void **state)
{
    static const struct {
        const char *name, *before, *now;
        double seconds;
        const char *part, *what, *state, *why;
    } rows[] = {
        {"a producer", PRODUCER, PRODUCER "sitewatch_checks_total 5\n", 60, "producer", "sites",
         "well", "5 checks in 60 s, 0 at this moment"},
        {"checks begin in time", "", PRODUCER BUCKET("0.1", "99") BUCKET("+Inf", "100"), 0,
         "producer", "schedule lag", "well", "within 100 ms of their slot since its start"},
        {"checks begin late", PRODUCER BUCKET("0.1", "1") BUCKET("0.2", "1") BUCKET("+Inf", "1"),
         PRODUCER BUCKET("0.1", "1") BUCKET("0.2", "9") BUCKET("+Inf", "9"), 60, "producer",
         "schedule lag", "not_well", "within 200 ms of their slot in 60 s; well up to 100 ms"},
        {"checks begin very late", PRODUCER BUCKET("60", "1") BUCKET("+Inf", "1"),
         PRODUCER BUCKET("60", "1") BUCKET("+Inf", "9"), 60, "producer", "schedule lag", "not_well",
         "over 60 s after"},
        {"what was late since the start may be over", "",
         PRODUCER BUCKET("60", "1") BUCKET("+Inf", "9"), 0, "producer", "schedule lag", "unknown",
         "since its start"},
        {"no check was made", PRODUCER BUCKET("60", "1") BUCKET("+Inf", "1"),
         PRODUCER BUCKET("60", "1") BUCKET("+Inf", "1"), 60, "producer", "schedule lag", "unknown",
         "no check was made in 60 s"},
        {"no slot was missed", PRODUCER "sitewatch_slots_missed_total 3\n",
         PRODUCER "sitewatch_slots_missed_total 3\n", 60, "producer", "slots missed", "well",
         "0 slots"},
        {"slots were missed", PRODUCER "sitewatch_slots_missed_total 3\n",
         PRODUCER "sitewatch_slots_missed_total 5\n", 60, "producer", "slots missed", "not_well",
         "2 slots"},
        {"slots were missed some time since the start", "",
         PRODUCER "sitewatch_slots_missed_total 5\n", 0, "producer", "slots missed", "unknown",
         "5 slots passed before their check could start since its start"},
        {"events are in the spool", PRODUCER,
         PRODUCER "sitewatch_spool_events 7\nsitewatch_spool_bytes 2500000\n", 60, "producer",
         "spool", "not_well", "7 events, 2.5 MB, are on disk"},
        {"the spool is empty", PRODUCER, PRODUCER "sitewatch_spool_events 0\n", 60, "producer",
         "spool", "well", "0 events"},
        {"events were given up", PRODUCER,
         PRODUCER "sitewatch_events_dropped_total{reason=\"spool_full\"} 1\n", 60, "producer",
         "events given up", "not_well", "1 events were given up in 60 s"},
        {"shards are read", PRODUCER, PRODUCER "sitewatch_shards{state=\"read\"} 64\n", 60,
         "producer", "shards", "well", "64 shards"},
        {"shards are being read", PRODUCER,
         PRODUCER "sitewatch_shards{state=\"read\"} 1\nsitewatch_shards{state=\"reading\"} 2\n", 60,
         "producer", "shards", "unknown", "2 are being read"},
        {"a consumer", CONSUMER, CONSUMER "sitewatch_consumer_partitions 12\n", 60, "consumer",
         "rows", "well", "0 rows were stored in 60 s, from 12 partitions"},
        {"it is behind as far as is well", CONSUMER, CONSUMER "sitewatch_consumer_lag 10000\n", 60,
         "consumer", "consumer lag", "well", "10000 messages"},
        {"it is further behind", CONSUMER, CONSUMER "sitewatch_consumer_lag 10001\n", 60,
         "consumer", "consumer lag", "not_well", "well up to 10000"},
        {"storing stopped", CONSUMER "sitewatch_outages_total 0\n",
         CONSUMER "sitewatch_outages_total 1\n", 60, "consumer", "outages", "not_well", "1 times"},
        {"dead letters came", CONSUMER "sitewatch_dead_letters_total{reason=\"json\"} 0\n",
         CONSUMER "sitewatch_dead_letters_total{reason=\"json\"} 2\n", 60, "consumer",
         "dead letters", "not_well", "2 messages"},
        {"offsets were lost", CONSUMER, CONSUMER "sitewatch_offsets_skipped_total 4\n", 60,
         "consumer", "offsets skipped", "not_well", "4 offsets"},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct scrape_found now = {.address = "a:1", .reached = true, .ready = true};
        struct readings before = read_text(rows[i].before);
        struct diagnosis d;

        print_message("  %s\n", rows[i].name);
        now.readings = read_text(rows[i].now);
        diagnosis_begin(&d);
        diagnosis_program(&d, &now, &before, rows[i].seconds);
        check_row(&d, rows[i].part, rows[i].what, rows[i].state, rows[i].why);
        check_row(&d, rows[i].part, "ready", "well", "it does its work");
        cJSON_Delete(d.rows);
    }
}

static void a_program_that_is_not_ready_or_not_there_is_not_well(void **state)
{
    struct scrape_found found = {.address = "a:1", .reached = true};
    const struct readings none = {0};
    struct diagnosis d;

    (void)state;
    found.readings = read_text(CONSUMER);
    diagnosis_begin(&d);
    diagnosis_program(&d, &found, &none, 60);
    check_row(&d, "consumer", "ready", "not_well", "/readyz says");
    cJSON_Delete(d.rows);

    found = (struct scrape_found){.address = "a:1", .error = "Connection refused"};
    diagnosis_begin(&d);
    diagnosis_program(&d, &found, &none, 60);
    check_row(&d, "program", "answers", "not_well", "Connection refused");
    assert_int_equal(cJSON_GetArraySize(d.rows), 1);
    assert_string_equal(member(d.rows->child, "subject"), "a:1");
    cJSON_Delete(d.rows);

    found = (struct scrape_found){.address = "a:1", .reached = true, .ready = true};
    diagnosis_begin(&d);
    diagnosis_program(&d, &found, &none, 60); /* of another kind */
    check_row(&d, "program", "ready", "well", "");
    assert_int_equal(cJSON_GetArraySize(d.rows), 1);
    cJSON_Delete(d.rows);
}

static void the_database_is_judged_by_what_waits(void **state)
{
    struct diagnosis_location location = {"local", "host-1", 40, 0, 3.2};
    struct diagnosis d;

    (void)state;
    diagnosis_begin(&d);
    assert_int_equal(diagnosis_state(&d), WELL);
    diagnosis_location(&d, &location);
    check_row(&d, "location", "checks stored", "well", "0 of 40 sites");
    assert_string_equal(member(d.rows->child, "value"), "3 s");
    diagnosis_letters(&d, 0, "");
    check_row(&d, "database", "dead letters", "well", "0 messages");
    diagnosis_outbox(&d, 5, 60);
    check_row(&d, "database", "outbox", "well", "5 changes of sites");
    diagnosis_rollups(&d, 5, 900);
    check_row(&d, "database", "rollups", "well", "well up to 15 min");
    diagnosis_stored(&d, "g", 12, 7, 60);
    check_row(&d, "group", "messages stored", "well",
              "7 messages of 12 partitions were stored in 60 s");
    assert_int_equal(diagnosis_state(&d), WELL);
    assert_int_equal(d.counts[WELL], 5);
    diagnosis_no_programs(&d);
    assert_int_equal(diagnosis_state(&d), UNKNOWN);
    cJSON_Delete(d.rows);

    diagnosis_begin(&d);
    location = (struct diagnosis_location){"local", "", 40, 2, -1};
    diagnosis_location(&d, &location);
    check_row(&d, "location", "checks stored", "not_well", "are of nobody");
    diagnosis_letters(&d, 3, "2 json, 1 field");
    check_row(&d, "database", "dead letters", "not_well", "not put back: 2 json, 1 field; well");
    diagnosis_outbox(&d, 1, 61);
    check_row(&d, "database", "outbox", "not_well", "the oldest for 61 s");
    diagnosis_rollups(&d, 1, 901);
    check_row(&d, "database", "rollups", "not_well", "the oldest for 15 min");
    diagnosis_stored(&d, "g", 12, 0, 60);
    check_row(&d, "group", "messages stored", "unknown", "none came, or nobody stores them");
    assert_int_equal(diagnosis_state(&d), NOT_WELL);
    assert_int_equal(d.counts[NOT_WELL], 4);
    cJSON_Delete(d.rows);

    diagnosis_begin(&d);
    diagnosis_stored(&d, "g", 12, 0, 0);
    check_row(&d, "group", "messages stored", "unknown", "looked at once so far");
    cJSON_Delete(d.rows);
}

static void lists_of_programs_are_checked(void **state)
{
    static const struct {
        const char *name, *list, *error; /* NULL: it is right */
    } rows[] = {
        {"none", NULL, NULL},
        {"an empty list", " , ", NULL},
        {"one", "127.0.0.1:9101", NULL},
        {"several, by comma and blank", "a:1,b.example:65535 [::1]:9102", NULL},
        {"no port", "127.0.0.1", "want HOST:PORT"},
        {"no host", ":9101", "want HOST:PORT"},
        {"a port that is none", "a:0", "want HOST:PORT"},
        {"one that is too large", "a:65536", "want HOST:PORT"},
        {"one with a sign", "a:+1", "want HOST:PORT"},
        {"one with more after it", "a:1x", "want HOST:PORT"},
        {"a URL", "http://a:1", "want HOST:PORT"},
        {"a path", "a:1/metrics", "want HOST:PORT"},
        {"a user", "u@a:1", "want HOST:PORT"},
        {"IPv6 without brackets", "::1:9101", "want HOST:PORT"},
        {"the second of two", "a:1,b", "b: want"},
        {"too many",
         "a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 "
         "a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 "
         "a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1 a:1",
         "more than 64"},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct err err;

        print_message("  %s\n", rows[i].name);
        if (rows[i].error == NULL) {
            assert_int_equal(scrape_check(rows[i].list, &err), 0);
        } else {
            assert_int_equal(scrape_check(rows[i].list, &err), -1);
            assert_int_equal(err.kind, ERR_INVALID);
            assert_non_null(strstr(err.message, rows[i].error));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_are_judged_by_their_figures),
        cmocka_unit_test(a_program_that_is_not_ready_or_not_there_is_not_well),
        cmocka_unit_test(the_database_is_judged_by_what_waits),
        cmocka_unit_test(lists_of_programs_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
