#include "api/idempotency.h"

#include <sodium.h>
#include <stdatomic.h>
#include <string.h>

#include "api/db.h"

#define HASH_HEX_SIZE (2 * crypto_hash_sha256_BYTES + 1)
#define KEYS_BETWEEN_CLEANINGS 256

bool idempotency_key(const struct request *r, const char **key, struct answer *a)
{
    *key = request_header(r, "Idempotency-Key");
    if (*key != NULL && ((*key)[0] == '\0' || strlen(*key) > IDEMPOTENCY_KEY_BYTES_MAX)) {
        answer_problem_at(a, 400, "header", "Idempotency-Key",
                          "Idempotency-Key: want 1 to 255 bytes");
        return false;
    }
    return true;
}

/* Keys past their time or number, now and then, so that most requests do not pay for it. */
static int clean_keys(PGconn *conn, struct err *err)
{
    static atomic_uint count;
    struct pg_params p = {0};

    if (atomic_fetch_add(&count, 1) % KEYS_BETWEEN_CLEANINGS != 0) {
        return 0;
    }
    pg_add_int(&p, IDEMPOTENCY_HOURS);
    pg_add_int(&p, IDEMPOTENCY_ROWS_MAX);
    return pg_execute(conn, "clean idempotency keys",
                      "DELETE FROM api_idempotency"
                      " WHERE made_at < now() - make_interval(hours => $1::integer)"
                      " OR made_at < (SELECT made_at FROM api_idempotency"
                      "   ORDER BY made_at DESC OFFSET $2 LIMIT 1)",
                      &p, NULL, NULL, err);
}

/* With the token, which nobody can guess: from the hash of a body alone a password in it could be
 * found by trying. */
static void hash_request(const struct request *r, char hash_hex[HASH_HEX_SIZE])
{
    const char *token = request_header(r, "Authorization");
    unsigned char hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state state;

    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const unsigned char *)token, strlen(token) + 1);
    crypto_hash_sha256_update(&state, (const unsigned char *)r->body, r->body_len);
    crypto_hash_sha256_final(&state, hash);
    sodium_bin2hex(hash_hex, HASH_HEX_SIZE, hash, sizeof(hash));
}

int64_t idempotency_claim(PGconn *conn, const struct request *r, const char *key, struct answer *a)
{
    struct pg_params claim = {0}, look = {0};
    char hash_hex[HASH_HEX_SIZE];
    int64_t affected = 0;
    struct err err;

    hash_request(r, hash_hex);
    pg_add_int(&claim, r->token_id);
    pg_add_text(&claim, key);
    pg_add_text(&claim, hash_hex);
    look = claim;
    if (clean_keys(conn, &err) < 0 ||
        pg_execute(conn, "claim idempotency key",
                   "INSERT INTO api_idempotency (token_id, key, request_hash, website_id)"
                   " VALUES ($1, $2, decode($3, 'hex'), 0) ON CONFLICT DO NOTHING",
                   &claim, &affected, NULL, &err) < 0) {
        db_fail(&err, a);
        return -1;
    }
    if (affected == 1) {
        return 0;
    }
    PGresult *result = pg_query(conn, "look up idempotency key",
                                "SELECT website_id, request_hash = decode($3, 'hex')"
                                " FROM api_idempotency WHERE token_id = $1 AND key = $2",
                                &look, NULL, &err);
    int64_t id = -1;

    if (result == NULL) {
        db_fail(&err, a);
    } else if (PQntuples(result) == 0) { /* cleaned away just now */
        answer_problem(a, 409, "Idempotency-Key: has just ended, send the request again");
    } else if (PQgetvalue(result, 0, 1)[0] != 't') {
        answer_problem_at(a, 422, "header", "Idempotency-Key",
                          "Idempotency-Key: was used for another body");
    } else {
        id = pg_int(result, 0, 0);
    }
    PQclear(result);
    return id;
}

int idempotency_keep(PGconn *conn, const struct request *r, const char *key, int64_t id,
                     struct err *err)
{
    struct pg_params p = {0};

    pg_add_int(&p, r->token_id);
    pg_add_text(&p, key);
    pg_add_int(&p, id);
    return pg_execute(conn, "keep idempotency key",
                      "UPDATE api_idempotency SET website_id = $3 WHERE token_id = $1 AND key = $2",
                      &p, NULL, NULL, err);
}
