/* A batch keeps what it is given, in order, counts what it holds, and forgets by partition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "consumer/batch.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))

static struct event event_of(const char *site)
{
    struct event e;

    event_init(&e);
    e.site_name = site;
    e.site_url = "https://example.com/";
    e.location = "local";
    e.observer = "host-1";
    e.slot_us = 1795248000000000;
    e.time_us = e.slot_us;
    e.attempt = 1;
    e.final = true;
    e.interval_s = 30;
    e.status = CHECK_UP;
    return e;
}

static void add(struct batch *b, uint32_t partition, int64_t offset, const char *site)
{
    struct event e = event_of(site);

    batch_add_row(b, partition, offset, &e);
}

static void test_strings_are_copied(void **state)
{
    struct batch *b = batch_new(10, 1 << 20);
    uint32_t p = batch_partition(b, "t", 0, 1, 0);
    char texts[11][40];
    struct event e = event_of("");

    (void)state;
    for (int row = 0; row < 2; row++) {
        for (size_t i = 0; i < ROWS(texts); i++) {
            snprintf(texts[i], sizeof(texts[i]), "text %zu %d", i, row);
        }
        e.site_name = texts[0];
        e.site_url = texts[1];
        e.location = texts[2];
        e.observer = texts[3];
        e.http_version = texts[4];
        e.final_url = texts[5];
        e.peer = texts[6];
        e.tls_version = texts[7];
        e.error_message = texts[8];
        e.answers_json = texts[9];
        e.answers_json_len = strlen(texts[9]);
        batch_add_row(b, p, row, &e);
    }
    memset(texts, 'x', sizeof(texts));
    for (int row = 0; row < 2; row++) {
        const struct event *kept = &b->rows[row].event;
        const char *const strings[] = {kept->site_name,   kept->site_url,     kept->location,
                                       kept->observer,    kept->http_version, kept->final_url,
                                       kept->peer,        kept->tls_version,  kept->error_message,
                                       kept->answers_json};

        for (size_t i = 0; i < ROWS(strings); i++) {
            char expected[40];

            snprintf(expected, sizeof(expected), "text %zu %d", i, row);
            assert_string_equal(strings[i], expected);
        }
        assert_int_equal(kept->answers_json_len, 8);
        assert_int_equal(kept->slot_us, e.slot_us);
        assert_int_equal(b->rows[row].website_id, 0);
        assert_int_equal(b->rows[row].location_id, 0);
    }
    batch_free(b);
    batch_free(NULL);
}

static void test_absent_strings_stay_absent_and_equal_ones_are_shared(void **state)
{
    struct batch *b = batch_new(10, 1 << 20);
    uint32_t p = batch_partition(b, "t", 0, 1, 0);

    (void)state;
    add(b, p, 0, "a");

    size_t bytes = b->bytes;

    add(b, p, 1, "a");
    assert_null(b->rows[1].event.peer);
    assert_null(b->rows[1].event.answers_json);
    assert_ptr_equal(b->rows[0].event.location, b->rows[1].event.location);
    assert_int_equal(b->bytes - bytes, sizeof(struct batch_row));
    batch_free(b);
}

static void test_letters_are_whole(void **state)
{
    struct batch *b = batch_new(10, 1 << 20);
    uint32_t p = batch_partition(b, "t", 0, 1, 5);
    size_t len = 700000; /* more than a block of the arena */
    char *payload = mem_alloc(len, 1);

    (void)state;
    memset(payload, 'p', len);
    batch_add_letter(b, p, 5, "json", "d", "k\0", 2, payload, len, 77);
    batch_add_letter(b, p, 6, "field", "", NULL, 0, NULL, 0, -1);
    batch_add_letter(b, p, 7, "field", "", "", 0, "x", 1, 0);
    assert_int_equal(b->letters_count, 3);
    assert_int_equal(b->letters[0].payload_len, len);
    assert_memory_equal(b->letters[0].payload, payload, len);
    assert_memory_equal(b->letters[0].key, "k\0", 2);
    assert_int_equal(b->letters[0].key_len, 2);
    assert_int_equal(b->letters[0].message_ms, 77);
    assert_int_equal(b->letters[0].offset, 5);
    assert_false(b->letters[0].in_topic);
    assert_null(b->letters[1].key);
    assert_int_equal(b->letters[1].payload_len, 0);
    assert_null(b->letters[1].payload); /* no value is not an empty one */
    assert_non_null(b->letters[2].key); /* an empty key is a key */
    assert_int_equal(b->partitions[p].next, 8);
    assert_true(b->bytes > len);
    free(payload);
    batch_free(b);
}

static const struct {
    const char *name;
    const char *detail;
    size_t repeat;
    const char *kept;
    size_t kept_len;
} details[] = {
    {"bytes that are no text are replaced",
     "a\xff"
     "b",
     1,
     "a\xef\xbf\xbd"
     "b",
     5},
    {"a long one is cut", "x", 300, NULL, 255},
    {"and never inside a letter", "\xc3\xa9", 200, NULL, 254},
};

static void test_details_are_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(details); i++) {
        struct batch *b = batch_new(10, 1 << 20);
        uint32_t p = batch_partition(b, "t", 0, 1, 0);
        char detail[1024] = "";
        size_t len = strlen(details[i].detail);

        print_message("  %s\n", details[i].name);
        for (size_t n = 0; n < details[i].repeat; n++) {
            memcpy(detail + n * len, details[i].detail, len + 1);
        }
        batch_add_letter(b, p, 0, detail, detail, NULL, 0, "x", 1, -1);
        assert_int_equal(strlen(b->letters[0].detail), details[i].kept_len);
        if (details[i].kept != NULL) {
            assert_string_equal(b->letters[0].detail, details[i].kept);
        }
        assert_true(strlen(b->letters[0].reason) < sizeof(b->letters[0].reason));
        batch_free(b);
    }
}

static void test_partitions_are_found_again(void **state)
{
    struct batch *b = batch_new(1000, 1 << 20);

    (void)state;
    for (int32_t i = 0; i < 100; i++) {
        assert_int_equal(batch_partition(b, i % 2 == 0 ? "a" : "b", i / 2, 7, 1000 + i), i);
    }
    for (int32_t i = 99; i >= 0; i--) {
        /* Where reading stands now is not where the batch began. */
        assert_int_equal(batch_partition(b, i % 2 == 0 ? "a" : "b", i / 2, 7, 5000), i);
        assert_int_equal(b->partitions[i].stored, 1000 + i);
        assert_int_equal(b->partitions[i].next, 1000 + i);
    }
    assert_int_equal(b->partitions_count, 100);
    assert_true(batch_is_empty(b));
    add(b, 50, 1060, "s"); /* a gap in the offsets */
    assert_int_equal(b->partitions[50].next, 1061);
    assert_false(batch_is_empty(b));
    batch_clear(b);
    assert_true(batch_is_empty(b));
    assert_int_equal(b->partitions_count, 0);
    assert_int_equal(b->bytes, 0);
    batch_free(b);
}

static void test_full_by_rows_bytes_or_partitions(void **state)
{
    struct batch *b = batch_new(2, 1 << 20);
    uint32_t p = batch_partition(b, "t", 0, 1, 0);

    (void)state;
    assert_false(batch_is_full(b));
    add(b, p, 0, "a");
    assert_false(batch_is_full(b));
    batch_add_letter(b, p, 1, "json", "", NULL, 0, "x", 1, -1);
    assert_true(batch_is_full(b));
    batch_clear(b);
    assert_false(batch_is_full(b));
    batch_free(b);

    b = batch_new(100, 1000);
    p = batch_partition(b, "t", 0, 1, 0);
    batch_add_letter(b, p, 0, "json", "", NULL, 0, "x", 1, -1);
    assert_false(batch_is_full(b));
    batch_add_letter(b, p, 1, "json", "", NULL, 0, "0123456789", 10, -1);
    add(b, p, 2, "a");
    assert_true(batch_is_full(b));
    batch_free(b);

    b = batch_new(100, 1000);
    for (int32_t i = 0; i < BATCH_PARTITIONS_MAX; i++) {
        assert_false(batch_is_full(b));
        batch_partition(b, "t", i, 1, 0);
    }
    assert_true(batch_is_full(b));
    batch_free(b);
}

/* The sites of the rows that are left, joined. */
static void assert_rows(const struct batch *b, const char *expected)
{
    char sites[64] = "";

    for (size_t i = 0; i < b->rows_count; i++) {
        memcpy(sites + i, b->rows[i].event.site_name, 2);
    }
    assert_string_equal(sites, expected);
}

static const struct {
    const char *name;
    const char *rows;
    size_t refused[8];
    size_t count;
    const char *left;
    const char *letters;
} refusals[] = {
    {"none of none", "", {0}, 0, "", ""},
    {"none", "abc", {0}, 0, "abc", ""},
    {"the only one", "a", {0}, 1, "", "a"},
    {"the first", "abc", {0}, 1, "bc", "a"},
    {"the last", "abc", {2}, 1, "ab", "c"},
    {"some between", "abcdef", {1, 2, 4}, 3, "adf", "bce"},
    {"all", "abcd", {0, 1, 2, 3}, 4, "", "abcd"},
};

static void test_refused_rows_become_letters(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(refusals); i++) {
        struct batch *b = batch_new(10, 1 << 20);
        uint32_t p = batch_partition(b, "t", 3, 1, 100);
        struct batch_refusal list[8] = {0};

        print_message("  %s\n", refusals[i].name);
        for (size_t n = 0; n < strlen(refusals[i].rows); n++) {
            add(b, p, 100 + (int64_t)n, (char[]){refusals[i].rows[n], '\0'});
        }
        for (size_t n = 0; n < refusals[i].count; n++) {
            list[n].row = refusals[i].refused[n];
            snprintf(list[n].reason, sizeof(list[n].reason), "sqlstate_%zu", n);
            snprintf(list[n].detail, sizeof(list[n].detail), "why %zu", n);
        }
        batch_reject_rows(b, list, refusals[i].count);
        assert_rows(b, refusals[i].left);
        assert_int_equal(b->letters_count, refusals[i].count);
        for (size_t n = 0; n < refusals[i].count; n++) {
            const struct batch_letter *letter = &b->letters[n];

            assert_int_equal(letter->offset, 100 + (int64_t)refusals[i].refused[n]);
            assert_int_equal(letter->partition, p);
            assert_string_equal(letter->reason, list[n].reason);
            assert_string_equal(letter->detail, list[n].detail);
            assert_int_equal(letter->key_len, 1);
            assert_int_equal(letter->key[0], refusals[i].letters[n]);
            assert_int_equal(letter->message_ms, -1);
        }
        assert_int_equal(b->partitions[p].next, 100 + (int64_t)strlen(refusals[i].rows));
        batch_free(b);
    }
}

static void test_letter_of_a_row_is_its_event(void **state)
{
    struct batch *b = batch_new(10, 1 << 20);
    uint32_t p = batch_partition(b, "t", 0, 1, 0);
    struct batch_refusal refusal = {
        .row = 0, .reason = "sqlstate_22P05", .detail = "a \xff detail"};
    struct event e = event_of("a");
    enum event_fault fault;
    struct event_doc *doc;
    struct err err;
    size_t len;
    char *json;

    (void)state;
    e.http_status = 599;
    e.answers_json = "[[\"x\"]]";
    e.answers_json_len = 7;
    json = event_encode(&e, &len);
    doc = event_decode(json, len, &e, &fault, &err);
    assert_non_null(doc);
    batch_add_row(b, p, 0, &e);
    event_doc_free(doc);
    batch_reject_rows(b, &refusal, 1);
    assert_int_equal(b->rows_count, 0);
    assert_int_equal(b->letters[0].payload_len, len);
    assert_memory_equal(b->letters[0].payload, json, len);
    assert_string_equal(b->letters[0].reason, "sqlstate_22P05");
    assert_string_equal(b->letters[0].detail, "a \xef\xbf\xbd detail");
    free(json);
    batch_free(b);
}

static void test_dropped_partition_is_forgotten(void **state)
{
    struct batch *b = batch_new(10, 1 << 20);
    uint32_t kept = batch_partition(b, "t", 0, 1, 0);
    uint32_t lost = batch_partition(b, "t", 1, 1, 0);

    (void)state;
    add(b, kept, 0, "a");
    add(b, lost, 0, "b");
    add(b, kept, 1, "c");
    batch_add_letter(b, lost, 1, "json", "", NULL, 0, "x", 1, -1);
    batch_add_letter(b, kept, 2, "json", "", NULL, 0, "y", 1, -1);
    batch_drop_partition(b, "u", 1); /* not in the batch */
    batch_drop_partition(b, "t", 2);
    assert_rows(b, "abc");
    batch_drop_partition(b, "t", 1);
    assert_rows(b, "ac");
    assert_int_equal(b->letters_count, 1);
    assert_int_equal(b->letters[0].payload[0], 'y');
    assert_true(b->partitions[lost].dropped);
    assert_false(b->partitions[kept].dropped);
    assert_false(batch_is_empty(b));

    /* Claimed anew, it is another partition of the batch. */
    uint32_t anew = batch_partition(b, "t", 1, 2, 40);

    assert_int_not_equal(anew, lost);
    assert_int_equal(b->partitions[anew].next, 40);
    add(b, anew, 40, "d");
    assert_rows(b, "acd");
    batch_drop_partition(b, "t", 0);
    assert_rows(b, "d");
    batch_drop_partition(b, b->partitions[anew].topic, 1);
    assert_rows(b, "");
    assert_true(batch_is_empty(b));
    assert_int_equal(b->bytes, 0);
    assert_string_equal(b->partitions[anew].topic, "t"); /* whoever dropped it may still ask */
    assert_int_equal(b->partitions_count, 3);

    /* A batch of which nothing is left begins anew. */
    assert_int_equal(batch_partition(b, "t", 1, 3, 40), 0);
    assert_int_equal(b->partitions_count, 1);
    assert_false(b->partitions[0].dropped);
    batch_free(b);
}

/* Memory of the batch before is used again, and what is too much of it goes. */
static void test_used_again_and_again(void **state)
{
    static const int64_t rows[] = {2000, 2000, 10, 0, 2000};
    static char large[600 * 1024];
    struct batch *b = batch_new(2000, 1 << 20);

    (void)state;
    memset(large, 'x', sizeof(large));
    for (size_t round = 0; round < sizeof(rows) / sizeof(rows[0]); round++) {
        uint32_t p = batch_partition(b, "t", 0, 1, 0);

        for (int64_t i = 0; i < rows[round]; i++) {
            char site[400];

            snprintf(site, sizeof(site), "%0300d", (int)i);
            add(b, p, i, site);
        }
        batch_add_letter(b, p, rows[round], "text", "", NULL, 0, large, sizeof(large), -1);
        assert_int_equal(batch_is_full(b), rows[round] == 2000);
        assert_memory_equal(b->letters[0].payload, large, sizeof(large));
        for (int i = 0; i < rows[round]; i++) {
            assert_int_equal(strtol(b->rows[i].event.site_name, NULL, 10), i);
        }
        batch_clear(b);
    }
    batch_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings_are_copied),
        cmocka_unit_test(test_absent_strings_stay_absent_and_equal_ones_are_shared),
        cmocka_unit_test(test_letters_are_whole),
        cmocka_unit_test(test_details_are_text),
        cmocka_unit_test(test_partitions_are_found_again),
        cmocka_unit_test(test_full_by_rows_bytes_or_partitions),
        cmocka_unit_test(test_refused_rows_become_letters),
        cmocka_unit_test(test_letter_of_a_row_is_its_event),
        cmocka_unit_test(test_dropped_partition_is_forgotten),
        cmocka_unit_test(test_used_again_and_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
