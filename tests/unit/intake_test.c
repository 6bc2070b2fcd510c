/* Every message is a row or a letter, never both and never neither. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/timestamp.h"
#include "consumer/intake.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
#define NOW_MS INT64_C(1795248000000) /* 2026-11-21T08:00:00Z */
#define DAY_MS INT64_C(86400000)
#define RETENTION_DAYS 90

static const struct {
    const char *name;
    const char *bytes; /* NULL: an event with these times */
    size_t len;
    int64_t slot_ms, time_ms;
    const char *reason; /* NULL: a row */
} cases[] = {
    {"a tombstone is no event", "", 0, 0, 0, "json"},
    {"what is not JSON is a letter", "{", 1, 0, 0, "json"},
    {"a NUL byte is a letter", "{\"a\":\"\0\"}", 9, 0, 0, "text"},
    {"another schema is a letter", "{\"schema\":2}", 12, 0, 0, "schema"},
    {"a missing member is a letter", "{\"schema\":1}", 12, 0, 0, "field"},
    {"a slot in the year 9999 is a letter", NULL, 0, INT64_C(253370764800000),
     INT64_C(253370764800000), "slot_future"},
    {"a time in the year 9999 is a letter", NULL, 0, NOW_MS, INT64_C(253370764800000),
     "slot_future"},
    {"a slot 5 min ahead and a millisecond is a letter", NULL, 0, NOW_MS + 300001, NOW_MS,
     "slot_future"},
    {"a slot 5 min ahead is a row", NULL, 0, NOW_MS + 300000, NOW_MS + 300000, NULL},
    {"a slot older than retention is a letter", NULL, 0, NOW_MS - RETENTION_DAYS *DAY_MS - 1,
     NOW_MS, "slot_expired"},
    {"a slot as old as retention is a row", NULL, 0, NOW_MS - RETENTION_DAYS *DAY_MS, NOW_MS, NULL},
    {"a slot of now is a row", NULL, 0, NOW_MS, NOW_MS, NULL},
};

static size_t event_json(int64_t slot_ms, int64_t time_ms, char *out, size_t out_size)
{
    char slot[TIMESTAMP_SIZE];
    char time[TIMESTAMP_SIZE];

    timestamp_format_ms(slot_ms, slot);
    timestamp_format_ms(time_ms, time);
    return (size_t)snprintf(
        out, out_size,
        "{\"schema\":1,\"id\":\"6ba7b811-9dad-51d1-80b4-00c04fd430c8\","
        "\"site\":{\"name\":\"n\",\"url\":\"http://h/\"},\"location\":\"l\",\"observer\":\"o\","
        "\"slot\":\"%s\",\"time\":\"%s\",\"lag_us\":0,\"attempt\":1,\"final\":true,"
        "\"interval_s\":5,\"status\":\"up\"}",
        slot, time);
}

static void test_intake(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct batch *b = batch_new(100, 1 << 20);
        uint32_t partition = batch_partition(b, "t", 3, 1, 7);
        char json[512];
        struct intake_message m = {.offset = 7, .timestamp_ms = -1};

        print_message("  %s\n", cases[i].name);
        if (cases[i].bytes != NULL) {
            m.payload = cases[i].len == 0 ? NULL : cases[i].bytes;
            m.payload_len = cases[i].len;
        } else {
            m.payload = json;
            m.payload_len = event_json(cases[i].slot_ms, cases[i].time_ms, json, sizeof(json));
        }
        const char *reason = intake_message(b, partition, &m, NOW_MS, RETENTION_DAYS);

        if (cases[i].reason == NULL) {
            assert_null(reason);
            assert_int_equal(b->rows_count, 1);
            assert_int_equal(b->letters_count, 0);
            assert_int_equal(b->rows[0].event.slot_us, cases[i].slot_ms * 1000);
        } else {
            assert_string_equal(reason, cases[i].reason);
            assert_int_equal(b->rows_count, 0);
            assert_int_equal(b->letters_count, 1);
            assert_string_equal(b->letters[0].reason, cases[i].reason);
            assert_true(strlen(b->letters[0].detail) > 0);
            assert_int_equal(b->letters[0].payload_len, m.payload_len);
        }
        assert_int_equal(b->partitions[partition].next, 8);
        batch_free(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_intake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
