#include "consumer/letters.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define PORTION_ROWS "200" /* with 64 KiB each: what a replay holds in memory */

/* In the order of `enum column`, in binary, so that a payload is not written in hex and back. */
#define COLUMNS(payload)                                                                           \
    "id, " UTC("received_at") ", " UTC("message_time") ", " UTC(                                   \
        "replayed_at") ", topic, partition, \"offset\", reason, detail, in_topic, payload_bytes, " \
                       "payload_sha256" payload
#define UTC(column) "to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
#define WHOLE ", key, payload"

enum column {
    ID,
    RECEIVED,
    MESSAGE_TIME,
    REPLAYED,
    TOPIC,
    PARTITION,
    OFFSET,
    REASON,
    DETAIL,
    IN_TOPIC,
    BYTES,
    SHA256,
    KEY, /* from here on only in WHOLE */
    PAYLOAD,
};

#define FILTER                                                                                     \
    "($1::text IS NULL OR reason = $1) AND ($2::text IS NULL OR topic = $2)"                       \
    " AND ($3::timestamptz IS NULL OR received_at >= $3)"                                          \
    " AND ($4::timestamptz IS NULL OR received_at < $4)"

int letters_filter_check(const struct letters_filter *filter, struct err *err)
{
    int64_t ignored;

    if (filter->since != NULL &&
        timestamp_parse_us(filter->since, strlen(filter->since), &ignored, err) < 0) {
        return err_context(err, "--since %s", filter->since);
    }
    if (filter->until != NULL &&
        timestamp_parse_us(filter->until, strlen(filter->until), &ignored, err) < 0) {
        return err_context(err, "--until %s", filter->until);
    }
    return 0;
}

/* --- From rows --- */

static int64_t int8_at(const PGresult *result, int row, enum column column)
{
    uint64_t wire;

    memcpy(&wire, PQgetvalue(result, row, (int)column), sizeof(wire));
    return (int64_t)be64toh(wire);
}

static int32_t int4_at(const PGresult *result, int row, enum column column)
{
    uint32_t wire;

    memcpy(&wire, PQgetvalue(result, row, (int)column), sizeof(wire));
    return (int32_t)be32toh(wire);
}

/* A NULL is "". */
static void time_at(const PGresult *result, int row, enum column column, char out[TIMESTAMP_SIZE])
{
    snprintf(out, TIMESTAMP_SIZE, "%s", PQgetvalue(result, row, (int)column));
}

static const char *bytes_at(const PGresult *result, int row, enum column column, size_t *len)
{
    *len = (size_t)PQgetlength(result, row, (int)column);
    return PQgetisnull(result, row, (int)column) ? NULL : PQgetvalue(result, row, (int)column);
}

static void read_letter(const PGresult *result, int row, struct letter *l)
{
    l->id = int8_at(result, row, ID);
    time_at(result, row, RECEIVED, l->received);
    time_at(result, row, MESSAGE_TIME, l->message_time);
    time_at(result, row, REPLAYED, l->replayed);
    l->topic = PQgetvalue(result, row, TOPIC);
    l->partition = int4_at(result, row, PARTITION);
    l->offset = int8_at(result, row, OFFSET);
    l->reason = PQgetvalue(result, row, REASON);
    l->detail = PQgetvalue(result, row, DETAIL);
    l->in_topic = PQgetvalue(result, row, IN_TOPIC)[0] != 0;
    l->payload_bytes = int8_at(result, row, BYTES);
    if (PQgetlength(result, row, SHA256) == LETTERS_SHA256_BYTES) {
        memcpy(l->sha256, PQgetvalue(result, row, SHA256), LETTERS_SHA256_BYTES);
    }
    if (PQnfields(result) > KEY) {
        l->key = bytes_at(result, row, KEY, &l->key_len);
        l->payload = bytes_at(result, row, PAYLOAD, &l->payload_len);
    }
}

static int ask(PGconn *conn, const char *step, const char *sql, const struct pg_params *p,
               struct letters *letters, struct err *err)
{
    PGresult *result =
        PQexecParams(conn, sql, p->count, NULL, p->values, p->lengths, p->formats, 1);

    if (pg_expect(conn, result, PGRES_TUPLES_OK, step, NULL, err) < 0) {
        PQclear(result);
        return -1;
    }
    letters->result = result;
    letters->count = (size_t)PQntuples(result);
    letters->all = mem_alloc(letters->count, sizeof(*letters->all));
    for (size_t i = 0; i < letters->count; i++) {
        read_letter(result, (int)i, &letters->all[i]);
    }
    return 0;
}

void letters_free(struct letters *letters)
{
    free(letters->all);
    PQclear(letters->result);
    *letters = (struct letters){0};
}

/* --- Questions --- */

static void add_filter(struct pg_params *p, const struct letters_filter *filter)
{
    pg_add_text(p, filter->reason);
    pg_add_text(p, filter->topic);
    pg_add_text(p, filter->since);
    pg_add_text(p, filter->until);
}

int letters_list(PGconn *conn, const struct letters_filter *filter, int64_t before, int64_t limit,
                 struct letters *letters, struct err *err)
{
    static const char sql[] =
        "SELECT " COLUMNS("") " FROM dead_letters WHERE " FILTER
                              " AND ($5 = 0 OR id < $5::bigint) ORDER BY id DESC LIMIT $6::bigint";
    struct pg_params p = {0};

    add_filter(&p, filter);
    pg_add_int(&p, before);
    pg_add_int(&p, limit);
    return ask(conn, "list dead letters", sql, &p, letters, err);
}

int letters_get(PGconn *conn, int64_t id, struct letters *letters, struct err *err)
{
    struct pg_params p = {0};

    pg_add_int(&p, id);
    return ask(conn, "read a dead letter",
               "SELECT " COLUMNS(WHOLE) " FROM dead_letters WHERE id = $1", &p, letters, err);
}

int letters_last(PGconn *conn, int64_t *id, struct err *err)
{
    PGresult *result = pg_query(conn, "look at the dead letters",
                                "SELECT coalesce(max(id), 0) FROM dead_letters", NULL, NULL, err);

    if (result == NULL) {
        return -1;
    }
    *id = pg_int(result, 0, 0);
    PQclear(result);
    return 0;
}

int letters_portion(PGconn *conn, const struct letters_choice *choice, int64_t after, int64_t last,
                    struct letters *letters, struct err *err)
{
    static const char sql[] =
        "SELECT " COLUMNS(WHOLE) " FROM dead_letters WHERE " FILTER
                                 " AND ($5 OR replayed_at IS NULL) AND id > $6 AND id <= $7"
                                 " AND ($8::bigint[] IS NULL OR id = ANY ($8))"
                                 " ORDER BY id LIMIT " PORTION_ROWS " FOR UPDATE SKIP LOCKED";
    struct pg_params p = {0};
    struct pg_array ids;

    pg_array_init(&ids, PG_INT8);
    for (size_t i = 0; i < choice->ids_count; i++) {
        pg_array_int8(&ids, choice->ids[i]);
    }
    add_filter(&p, &choice->filter);
    pg_add_text(&p, choice->again ? "true" : "false");
    pg_add_int(&p, after);
    pg_add_int(&p, last);
    if (choice->ids == NULL) {
        pg_add_text(&p, NULL);
    } else {
        pg_add_array(&p, &ids);
    }
    int rc = ask(conn, "read dead letters", sql, &p, letters, err);

    pg_array_free(&ids);
    return rc;
}

int letters_mark_replayed(PGconn *conn, const int64_t *ids, size_t count, struct err *err)
{
    struct pg_params p = {0};
    struct pg_array array;

    pg_array_init(&array, PG_INT8);
    for (size_t i = 0; i < count; i++) {
        pg_array_int8(&array, ids[i]);
    }
    pg_add_array(&p, &array);

    int rc = pg_execute(conn, "mark dead letters",
                        "UPDATE dead_letters SET replayed_at = now() WHERE id = ANY ($1)", &p, NULL,
                        NULL, err);

    pg_array_free(&array);
    return rc;
}
