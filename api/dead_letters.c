#include "api/dead_letters.h"

#include <inttypes.h>
#include <string.h>

#include "common/mem.h"

#define SIZE_MAX_ROWS 200
#define SIZE_DEFAULT 50

const struct route_parameter dead_letters_list_query[] = {
    {"reason", ROUTE_TEXT, "only those with this reason", false},
    {"topic", ROUTE_TEXT, "only those from this topic", false},
    {"before", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000000000000000}",
     "only those with a lower id: the `next` of an answer", false},
    {"size", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":200,\"default\":50}",
     "letters of a page", false},
    {0},
};

#define COMMON_MEMBERS                                                                             \
    "'id', d.id, 'received_at', d.received_at, 'message_time', d.message_time,"                    \
    " 'replayed_at', d.replayed_at, 'topic', d.topic, 'partition', d.partition,"                   \
    " 'offset', d.\"offset\", 'reason', d.reason, 'detail', d.detail, 'in_topic', d.in_topic,"     \
    " 'payload_bytes', d.payload_bytes"

/* Bytes that are UTF-8 without NULs are text, others base64, under another name. */
#define BYTES(name)                                                                                \
    "'" name "', bytes_text(d." name "), '" name "_base64', CASE WHEN bytes_text(d." name          \
    ") IS NULL THEN replace(encode(d." name ", 'base64'), E'\\n', '') END"

static void answer_list(const PGresult *rows, int64_t size, struct answer *a)
{
    struct answer_text t;

    answer_text_begin(&t);
    fprintf(t.out, "{");
    db_print_items(t.out, rows, 0, size);
    fprintf(t.out, ",\"size\":%" PRId64, size);
    if (PQntuples(rows) > size) {
        fprintf(t.out, ",\"next\":%s", PQgetvalue(rows, (int)size - 1, 1));
    }
    fprintf(t.out, "}");
    answer_text_end(&t);
    answer_body(a, 200, ANSWER_JSON, t.text, t.len);
}

void dead_letters_list(const struct api *api, PGconn *conn, const struct request *r,
                       struct answer *a)
{
    static const char sql[] =
        "SELECT jsonb_strip_nulls(jsonb_build_object(" COMMON_MEMBERS "))::text, d.id"
        " FROM dead_letters d WHERE ($1::text IS NULL OR d.reason = $1)"
        " AND ($2::text IS NULL OR d.topic = $2) AND d.id < $3::bigint"
        " ORDER BY d.id DESC LIMIT $4::bigint + 1";
    struct pg_params p = {0};
    struct err err;
    int64_t before, size;

    (void)api;
    if (!request_int(r, "before", 1, REQUEST_ID_MAX, INT64_MAX, &before, a) ||
        !request_int(r, "size", 1, SIZE_MAX_ROWS, SIZE_DEFAULT, &size, a)) {
        return;
    }
    pg_add_text(&p, request_query(r, "reason"));
    pg_add_text(&p, request_query(r, "topic"));
    pg_add_int(&p, before);
    pg_add_int(&p, size);

    PGresult *rows = pg_query(conn, "list dead letters", sql, &p, NULL, &err);

    if (rows == NULL) {
        db_fail(&err, a);
        return;
    }
    answer_list(rows, size, a);
    PQclear(rows);
}

void dead_letters_get(const struct api *api, PGconn *conn, const struct request *r,
                      struct answer *a)
{
    static const char sql[] =
        "SELECT jsonb_strip_nulls(jsonb_build_object(" COMMON_MEMBERS
        ", 'payload_sha256', encode(d.payload_sha256, 'hex'), " BYTES("key") ", " BYTES(
            "payload") "))::text FROM dead_letters d WHERE d.id = $1";
    struct pg_params p = {0};
    struct err err;
    int64_t id;

    (void)api;
    if (!request_id(r, &id, a)) {
        return;
    }
    pg_add_int(&p, id);

    PGresult *rows = pg_query(conn, "read a dead letter", sql, &p, NULL, &err);

    if (rows == NULL) {
        db_fail(&err, a);
        return;
    }
    if (PQntuples(rows) == 0) {
        answer_problem(a, 404, "there is no dead letter with this id");
    } else {
        char *text = mem_copy_string(PQgetvalue(rows, 0, 0));

        answer_body(a, 200, ANSWER_JSON, text, strlen(text));
    }
    PQclear(rows);
}
