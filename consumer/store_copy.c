#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "consumer/store_internal.h"

#define CHUNK_BYTES ((size_t)256 * 1024) /* sent at once */

/* In the order in which put_check writes them. */
const char store_check_columns[] =
    "website_id, slot, checked_at, lag_us, response_time_us, dns_us, connect_us, tls_us, wait_us,"
    " transfer_us, body_bytes, cert_not_after, location_id, attempt, http_status, final,"
    " regex_matched, status, observer, peer, error_type, error_message, regex_response";
#define CHECK_COLUMNS 23

static const char letter_columns[] =
    "message_time, \"offset\", payload_bytes, partition, in_topic, topic, reason, detail, key,"
    " payload, payload_sha256";
#define LETTER_COLUMNS 11

static void put_measured(struct copyrows *c, int64_t value)
{
    if (value == EVENT_ABSENT) {
        copyrows_null(c);
    } else {
        copyrows_int8(c, value);
    }
}

static void put_text(struct copyrows *c, const char *text)
{
    if (text == NULL) {
        copyrows_null(c);
    } else {
        copyrows_text(c, text, strlen(text));
    }
}

static void put_numbers(struct copyrows *c, const struct event *e)
{
    copyrows_int8(c, e->lag_us);
    put_measured(c, e->timing.total_us);
    put_measured(c, e->timing.dns_us);
    put_measured(c, e->timing.connect_us);
    put_measured(c, e->timing.tls_us);
    put_measured(c, e->timing.wait_us);
    put_measured(c, e->timing.transfer_us);
    put_measured(c, e->http_status == 0 ? EVENT_ABSENT : e->body_bytes);
    if (e->cert_not_after_s == EVENT_ABSENT) {
        copyrows_null(c);
    } else {
        copyrows_timestamptz(c, e->cert_not_after_s * US_PER_SEC);
    }
}

static void put_outcome(struct copyrows *c, const struct event *e)
{
    if (e->has_pattern) {
        copyrows_bool(c, e->pattern_matched);
    } else {
        copyrows_null(c);
    }
    put_text(c, check_status_name(e->status));
    put_text(c, e->observer);
    if (e->peer == NULL) {
        copyrows_null(c);
    } else {
        copyrows_inet(c, e->peer); /* what is no address is NULL */
    }
    put_text(c, e->error == ERROR_NONE ? NULL : error_type_name(e->error));
    put_text(c, e->error_message);
    if (e->answers_json == NULL) {
        copyrows_null(c);
    } else {
        copyrows_jsonb(c, e->answers_json, e->answers_json_len);
    }
}

static void put_check(struct copyrows *c, const struct batch_row *row)
{
    const struct event *e = &row->event;

    copyrows_begin_row(c, CHECK_COLUMNS);
    copyrows_int8(c, row->website_id);
    copyrows_timestamptz(c, e->slot_us);
    copyrows_timestamptz(c, e->time_us);
    put_numbers(c, e);
    copyrows_int4(c, row->location_id);
    copyrows_int4(c, e->attempt);
    if (e->http_status == 0) {
        copyrows_null(c);
    } else {
        copyrows_int4(c, e->http_status);
    }
    copyrows_bool(c, e->final);
    put_outcome(c, e);
}

/* bytes NULL: there were none, which is not the same as an empty value. */
static void put_bytes(struct copyrows *c, const char *bytes, size_t len)
{
    if (bytes == NULL) {
        copyrows_null(c);
    } else {
        copyrows_bytea(c, bytes, len);
    }
}

static void put_letter(struct copyrows *c, const struct batch *batch,
                       const struct batch_letter *letter)
{
    const struct batch_partition *partition = &batch->partitions[letter->partition];
    size_t kept = letter->payload_len < DEAD_LETTER_PAYLOAD_BYTES_MAX
                      ? letter->payload_len
                      : DEAD_LETTER_PAYLOAD_BYTES_MAX;
    unsigned char digest[SHA256_DIGEST_LENGTH];

    SHA256((const unsigned char *)(letter->payload == NULL ? "" : letter->payload),
           letter->payload_len, digest);
    copyrows_begin_row(c, LETTER_COLUMNS);
    if (letter->message_ms < 0) {
        copyrows_null(c);
    } else {
        copyrows_timestamptz(c, letter->message_ms * US_PER_MS);
    }
    copyrows_int8(c, letter->offset);
    copyrows_int8(c, (int64_t)letter->payload_len);
    copyrows_int4(c, partition->partition);
    copyrows_bool(c, letter->in_topic);
    put_text(c, partition->topic);
    put_text(c, letter->reason);
    put_text(c, letter->detail);
    put_bytes(c, letter->key, letter->key_len);
    put_bytes(c, letter->payload, kept);
    copyrows_bytea(c, digest, sizeof(digest));
}

static int copy_begin(struct store *s, const char *table, const char *columns, struct err *err)
{
    char sql[768];

    snprintf(sql, sizeof(sql), "COPY %s (%s) FROM STDIN (FORMAT binary)", table, columns);

    PGresult *result = PQexec(s->conn, sql);
    int rc = pg_expect(s->conn, result, PGRES_COPY_IN, "COPY", &s->fault, err);

    PQclear(result);
    copyrows_begin(&s->copy);
    return rc;
}

static int copy_send(struct store *s, size_t at_least, struct err *err)
{
    if (s->copy.len < at_least) {
        return 0;
    }
    if (PQputCopyData(s->conn, s->copy.data, (int)s->copy.len) != 1) {
        s->fault = (struct pg_fault){0};
        return err_set(err, ERR_RETRY, "COPY: %s", PQerrorMessage(s->conn));
    }
    copyrows_rewind(&s->copy);
    return 0;
}

static int copy_end(struct store *s, struct err *err)
{
    copyrows_end(&s->copy);
    if (copy_send(s, 0, err) < 0) {
        return -1;
    }
    if (PQputCopyEnd(s->conn, NULL) != 1) {
        s->fault = (struct pg_fault){0};
        return err_set(err, ERR_RETRY, "COPY: %s", PQerrorMessage(s->conn));
    }
    /* The first result is the verdict on the rows; libpq wants the rest read as well. */
    PGresult *result = PQgetResult(s->conn);
    int rc = pg_expect(s->conn, result, PGRES_COMMAND_OK, "COPY", &s->fault, err);

    while (result != NULL) {
        PQclear(result);
        result = PQgetResult(s->conn);
    }
    return rc;
}

static int compare_places(const void *a, const void *b)
{
    const struct copy_place *x = a, *y = b;

    if (x->website_id != y->website_id) {
        return x->website_id < y->website_id ? -1 : 1;
    }
    return x->slot_us < y->slot_us ? -1 : x->slot_us > y->slot_us;
}

/* Live rows in the order of the key: those of a site then meet in the same pages of the index, and
 * lie side by side in the table, where they are read together. Returns their number. */
static size_t put_in_order(struct store *s, const struct batch *batch, size_t from, size_t to)
{
    size_t count = 0;

    if (s->places_size < to - from) {
        s->places_size = to - from;
        s->places = mem_resize(s->places, s->places_size, sizeof(s->places[0]));
    }
    for (size_t i = from; i < to; i++) {
        const struct batch_row *row = &batch->rows[i];

        if (store_row_is_live(batch, row)) {
            s->places[count++] = (struct copy_place){
                .website_id = row->website_id, .slot_us = row->event.slot_us, .row = row};
        }
    }
    if (count > 0) {
        qsort(s->places, count, sizeof(s->places[0]), compare_places);
    }
    return count;
}

#define CACHE_LINE_BYTES 64
#define ROWS_AHEAD 8 /* that are asked for while one is written; their texts half as far ahead */

/* In the order of the key the rows lie anywhere in the batch, whose 30 MB no cache holds: each is
 * asked for before it is needed. */
static void fetch_ahead(const struct store *s, size_t at, size_t count)
{
    if (at + ROWS_AHEAD < count) {
        const char *row = (const char *)s->places[at + ROWS_AHEAD].row;

        for (size_t i = 0; i < sizeof(struct batch_row); i += CACHE_LINE_BYTES) {
            __builtin_prefetch(row + i);
        }
    }
    if (at + ROWS_AHEAD / 2 < count) {
        __builtin_prefetch(s->places[at + ROWS_AHEAD / 2].row->event.answers_json);
    }
}

int store_copy_rows(struct store *s, const char *table, const struct batch *batch, size_t from,
                    size_t to, struct err *err)
{
    size_t count = put_in_order(s, batch, from, to);

    if (copy_begin(s, table, store_check_columns, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        fetch_ahead(s, i, count);
        put_check(&s->copy, s->places[i].row);
        if (copy_send(s, CHUNK_BYTES, err) < 0) {
            return -1;
        }
    }
    return copy_end(s, err);
}

int store_copy_letters(struct store *s, const struct batch *batch, struct err *err)
{
    if (copy_begin(s, "dead_letters", letter_columns, err) < 0) {
        return store_outage(err);
    }
    for (size_t i = 0; i < batch->letters_count; i++) {
        if (store_letter_is_live(batch, &batch->letters[i])) {
            put_letter(&s->copy, batch, &batch->letters[i]);
        }
        if (copy_send(s, CHUNK_BYTES, err) < 0) {
            return -1;
        }
    }
    return copy_end(s, err) < 0 ? store_outage(err) : 0;
}
