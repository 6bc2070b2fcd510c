/*
 * Checks that come after newer ones of their site and location. Incidents lie between successes:
 * what a late check can change ends at the success before it and the success after it. That
 * piece, which is short while the site is up, is read from checks and folded anew; incidents in
 * it that are not found again are withdrawn.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "consumer/store_state.h"

/* A final check that no lower final attempt of its slot precedes. */
#define FIRST_FINAL                                                                                \
    "c.website_id = k.w AND c.location_id = k.l AND c.final AND NOT EXISTS"                        \
    " (SELECT FROM checks e WHERE e.website_id = c.website_id AND e.slot = c.slot"                 \
    "  AND e.location_id = c.location_id AND e.attempt < c.attempt AND e.final)"

/* The slots of the first and last late check of a key, of where a piece begins, and slots read. */
#define FIRST STORE_SLOT("k.first")
#define LAST STORE_SLOT("k.last")
#define PIECE_BEGINS STORE_SLOT("$3::bigint")
#define SLOT_US STORE_US("r.slot")
#define FIRST_US STORE_US("min(c.slot)")

/* What was read back of one key. */
struct piece {
    struct state_key *key;
    const struct fold_check *checks;
    size_t count;
    bool has_before; /* checks[0] is the success before it */
    bool has_after;  /* the last one is the success after it: newer ones stand as they are */
};

static void add_keys(const struct state_work *work, struct pg_array columns[4])
{
    for (size_t i = 0; i < work->keys_count; i++) {
        const struct state_key *key = &work->keys[i];

        if (key->late) {
            int64_t last_us = key->checks[key->count - 1].slot_us;

            pg_array_int8(&columns[0], key->id.website_id);
            pg_array_int8(&columns[1], key->id.location_id);
            pg_array_int8(&columns[2], key->checks[0].slot_us);
            pg_array_int8(&columns[3], key->old.last_slot_us == FOLD_NEVER ? FOLD_NEVER : last_us);
        }
    }
}

/* Rows of all pieces: key, before, after, slot, status, error. A key without state is read to its
 * end, as is one without a success after its last check. */
static int read_rows(struct store *s, struct state_work *work, struct err *err)
{
    static const char sql[] =
        "SELECT k.n, (a.slot IS NOT NULL)::int, (b.slot IS NOT NULL)::int," SLOT_US ","
        "   r.status, r.error_type, r.error_message"
        " FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY"
        "   AS k (w, l, first, last, n)"
        " LEFT JOIN LATERAL (SELECT c.slot FROM checks c WHERE " FIRST_FINAL
        "   AND c.slot < " FIRST " AND c.status IN ('up', 'degraded')"
        "   ORDER BY c.slot DESC LIMIT 1) a ON true"
        " LEFT JOIN LATERAL (SELECT c.slot FROM checks c WHERE " FIRST_FINAL "   AND c.slot > " LAST
        " AND c.status IN ('up', 'degraded')"
        "   ORDER BY c.slot LIMIT 1) b ON k.last <> " STORE_NEVER
        " JOIN LATERAL (SELECT c.slot, c.status, c.error_type, c.error_message FROM checks c"
        "   WHERE " FIRST_FINAL " AND c.slot >= coalesce(a.slot, '-infinity')"
        "   AND c.slot <= coalesce(b.slot, 'infinity')) r ON true"
        " ORDER BY k.n, r.slot";
    struct pg_params p = {0};
    struct pg_array columns[4];

    for (size_t i = 0; i < 4; i++) {
        pg_array_init(&columns[i], PG_INT8);
    }
    add_keys(work, columns);
    for (size_t i = 0; i < 4; i++) {
        pg_add_array(&p, &columns[i]);
    }
    work->rows = pg_query(s->conn, "read checks back", sql, &p, &s->fault, err);
    for (size_t i = 0; i < 4; i++) {
        pg_array_free(&columns[i]);
    }
    return work->rows == NULL ? -1 : 0;
}

static const char *text_of(const PGresult *rows, int row, int column)
{
    return PQgetisnull(rows, row, column) != 0 ? NULL : PQgetvalue(rows, row, column);
}

static void take_rows(struct state_work *work)
{
    int count = PQntuples(work->rows);

    work->late = mem_alloc((size_t)count + 1, sizeof(*work->late));
    for (int i = 0; i < count; i++) {
        work->late[i] = (struct fold_check){
            .slot_us = pg_int(work->rows, i, 3),
            .status = CHECK_UNKNOWN,
            .error_type = text_of(work->rows, i, 5),
            .error_message = text_of(work->rows, i, 6),
        };
        check_status_find(PQgetvalue(work->rows, i, 4), &work->late[i].status);
    }
}

/* The rare case: the row of equal checks goes on before the piece. */
static int search_since(struct store *s, const struct piece *piece, enum check_status status,
                        int64_t *since_us, struct err *err)
{
    static const char sql[] =
        "SELECT" FIRST_US " FROM (SELECT $1::bigint AS w, $2::integer AS l) k, checks c"
        " WHERE " FIRST_FINAL
        " AND c.slot > coalesce((SELECT max(c.slot) FROM checks c WHERE " FIRST_FINAL
        "   AND c.slot < " PIECE_BEGINS " AND c.status <> $4), '-infinity')";
    struct pg_params p = {0};

    pg_add_int(&p, piece->key->id.website_id);
    pg_add_int(&p, piece->key->id.location_id);
    pg_add_int(&p, piece->checks[0].slot_us);
    pg_add_text(&p, check_status_name(status));

    PGresult *result = pg_query(s->conn, "search since", sql, &p, &s->fault, err);

    if (result == NULL) {
        return -1;
    }
    *since_us = pg_int(result, 0, 0);
    PQclear(result);
    return 0;
}

static int find_since(struct store *s, const struct piece *piece, enum check_status status,
                      int64_t *since_us, struct err *err)
{
    const struct fold_state *old = &piece->key->old;
    size_t i = piece->count;

    if (piece->has_after && old->since_us > piece->checks[piece->count - 1].slot_us) {
        *since_us = old->since_us; /* it begins after the piece */
        return 0;
    }
    while (i > 0 && piece->checks[i - 1].status == status) {
        i--;
    }
    if (i > 0 || !piece->has_before) {
        *since_us = piece->checks[i].slot_us;
        return 0;
    }
    if (old->status == status && old->since_us != FOLD_NEVER &&
        old->since_us <= piece->checks[0].slot_us) {
        *since_us = old->since_us; /* it began before the piece, where nothing changed */
        return 0;
    }
    return search_since(s, piece, status, since_us, err);
}

static int fold_piece(struct store *s, const struct piece *piece, struct err *err)
{
    struct state_key *key = piece->key;
    struct fold_state state;

    fold_state_init(&state);
    fold_checks(&state, piece->checks, piece->count, key->failures_max, &key->incidents);
    if (key->incidents.count > 0) {
        store_state_change(key, piece->checks[0].slot_us);
    }
    if (piece->has_after) { /* newer checks stand, and what they made of the state */
        state = key->old;
    }
    if (find_since(s, piece, state.status, &state.since_us, err) < 0) {
        return -1;
    }
    key->state = state;
    return 0;
}

/* All incidents of a piece; those that are found again are written again. */
static int withdraw(struct store *s, const struct piece *pieces, size_t count, struct err *err)
{
    static const char sql[] =
        "UPDATE incidents i SET withdrawn = true"
        " FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY"
        "   AS k (w, l, first, last, n)"
        " WHERE i.website_id = k.w AND i.location_id = k.l AND NOT i.withdrawn"
        " AND i.opened_slot >= " FIRST " AND (k.last = " STORE_NEVER " OR i.opened_slot <= " LAST
        ") RETURNING k.n";
    struct pg_params p = {0};
    struct pg_array columns[4];

    for (size_t i = 0; i < 4; i++) {
        pg_array_init(&columns[i], PG_INT8);
    }
    for (size_t i = 0; i < count; i++) {
        const struct piece *piece = &pieces[i];

        pg_array_int8(&columns[0], piece->key->id.website_id);
        pg_array_int8(&columns[1], piece->key->id.location_id);
        pg_array_int8(&columns[2], piece->checks[0].slot_us);
        pg_array_int8(&columns[3],
                      piece->has_after ? piece->checks[piece->count - 1].slot_us : FOLD_NEVER);
    }
    for (size_t i = 0; i < 4; i++) {
        pg_add_array(&p, &columns[i]);
    }
    PGresult *result = pg_query(s->conn, "withdraw incidents", sql, &p, &s->fault, err);

    for (int row = 0; result != NULL && row < PQntuples(result); row++) {
        const struct piece *piece = &pieces[pg_int(result, row, 0) - 1];

        store_state_change(piece->key, piece->checks[0].slot_us);
    }
    for (size_t i = 0; i < 4; i++) {
        pg_array_free(&columns[i]);
    }
    PQclear(result);
    return result == NULL ? -1 : 0;
}

/* Cut what was read into the pieces of the keys. */
static size_t cut_pieces(struct state_work *work, struct piece *pieces)
{
    size_t count = 0;
    int64_t last = 0;
    size_t next_key = 0;

    for (int i = 0; i < PQntuples(work->rows); i++) {
        int64_t n = pg_int(work->rows, i, 0);

        if (n != last) {
            for (; last < n; last++, next_key++) { /* the n-th of the late ones */
                while (!work->keys[next_key].late) {
                    next_key++;
                }
            }
            pieces[count++] = (struct piece){
                .key = &work->keys[next_key - 1],
                .checks = &work->late[i],
                .has_before = pg_int(work->rows, i, 1) != 0,
                .has_after = pg_int(work->rows, i, 2) != 0,
            };
        }
        pieces[count - 1].count++;
    }
    return count;
}

int store_late_fold(struct store *s, struct state_work *work, struct err *err)
{
    struct piece *pieces = mem_alloc(work->keys_count, sizeof(*pieces));
    int rc = read_rows(s, work, err);

    if (rc == 0) {
        take_rows(work);

        size_t count = cut_pieces(work, pieces);

        rc = withdraw(s, pieces, count, err);
        for (size_t i = 0; rc == 0 && i < count; i++) {
            rc = fold_piece(s, &pieces[i], err);
        }
    }
    free(pieces);
    return rc;
}
