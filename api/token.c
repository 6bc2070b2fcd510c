#include "api/token.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/utf8.h"

#define PREFIX "sw_"
#define SECRET_BYTES 32
#define SECRET_CHARS 43 /* 32 bytes as base64 without padding */
#define HASH_BYTES crypto_hash_sha256_BYTES
#define HASH_HEX_SIZE (2 * HASH_BYTES + 1)
#define VALID "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())"

int token_setup(struct err *err)
{
    return sodium_init() < 0 ? err_set(err, ERR_FATAL, "libsodium: no random numbers") : 0;
}

const char *scope_name(enum scope scope)
{
    return scope == SCOPE_WRITE ? "write" : "read";
}

/* The hash of a secret in hexadecimal, as Postgres' decode() takes it. */
static void hash_hex(const unsigned char secret[SECRET_BYTES], char out[HASH_HEX_SIZE])
{
    unsigned char hash[HASH_BYTES];

    crypto_hash_sha256(hash, secret, SECRET_BYTES);
    sodium_bin2hex(out, HASH_HEX_SIZE, hash, sizeof(hash));
}

static int check_owner(const char *owner, struct err *err)
{
    if (!utf8_is_name(owner, TOKEN_OWNER_BYTES_MAX)) {
        return err_set(err, ERR_INVALID, "owner: want a name of 1 to %d bytes on one line",
                       TOKEN_OWNER_BYTES_MAX);
    }
    return 0;
}

int token_create(PGconn *conn, const char *owner, enum scope scope, int64_t days,
                 char out[TOKEN_SIZE], struct err *err)
{
    unsigned char secret[SECRET_BYTES];
    char hash[HASH_HEX_SIZE], text[SECRET_CHARS + 1];
    struct pg_params p = {0};

    if (check_owner(owner, err) < 0) {
        return -1;
    }
    randombytes_buf(secret, sizeof(secret));
    hash_hex(secret, hash);
    pg_add_text(&p, owner);
    pg_add_text(&p, scope_name(scope));
    pg_add_text(&p, hash);
    pg_add_int(&p, days);

    PGresult *result =
        pg_query(conn, "create token",
                 "INSERT INTO api_tokens (owner, scope, hash, expires_at)"
                 " VALUES ($1, $2, decode($3, 'hex'),"
                 "   CASE WHEN $4::bigint > 0 THEN now() + make_interval(days => $4::integer) END)"
                 " RETURNING token_id",
                 &p, NULL, err);

    if (result == NULL) {
        return -1;
    }
    sodium_bin2base64(text, sizeof(text), secret, sizeof(secret),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    snprintf(out, TOKEN_SIZE, PREFIX "%s_%s", PQgetvalue(result, 0, 0), text);
    sodium_memzero(secret, sizeof(secret));
    PQclear(result);
    return 0;
}

int token_list(PGconn *conn, FILE *out, struct err *err)
{
    PGresult *result =
        pg_query(conn, "list tokens",
                 "SELECT token_id, scope, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD'),"
                 " CASE WHEN revoked_at IS NOT NULL THEN 'revoked'"
                 "   WHEN expires_at <= now() THEN 'ended'"
                 "   WHEN expires_at IS NOT NULL"
                 "     THEN 'until ' || to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
                 "   ELSE 'valid' END,"
                 " owner FROM api_tokens ORDER BY token_id",
                 NULL, NULL, err);

    if (result == NULL) {
        return -1;
    }
    fprintf(out, "%6s  %-5s  %-10s  %-16s  %s\n", "id", "scope", "created", "state", "owner");
    for (int i = 0; i < PQntuples(result); i++) {
        fprintf(out, "%6s  %-5s  %-10s  %-16s  %s\n", PQgetvalue(result, i, 0),
                PQgetvalue(result, i, 1), PQgetvalue(result, i, 2), PQgetvalue(result, i, 3),
                PQgetvalue(result, i, 4));
    }
    PQclear(result);
    return 0;
}

int token_revoke(PGconn *conn, int64_t id, struct err *err)
{
    struct pg_params p = {0};
    int64_t affected = 0;

    pg_add_int(&p, id);
    if (pg_execute(conn, "revoke token",
                   "UPDATE api_tokens SET revoked_at = now()"
                   " WHERE token_id = $1 AND revoked_at IS NULL",
                   &p, &affected, NULL, err) < 0) {
        return -1;
    }
    if (affected == 0) {
        return err_set(err, ERR_FATAL, "there is no valid token %" PRId64, id);
    }
    return 0;
}

int token_exists(PGconn *conn, bool *exists, struct err *err)
{
    PGresult *result =
        pg_query(conn, "look for tokens", "SELECT EXISTS (SELECT FROM api_tokens WHERE " VALID ")",
                 NULL, NULL, err);

    if (result == NULL) {
        return -1;
    }
    *exists = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return 0;
}

/* What follows "Bearer ", or NULL. */
static const char *bearer(const struct request *r)
{
    static const char scheme[] = "Bearer ";
    const char *value = request_header(r, "Authorization");

    if (value == NULL || strncasecmp(value, scheme, sizeof(scheme) - 1) != 0) {
        return NULL;
    }
    value += sizeof(scheme) - 1;
    return value + strspn(value, " ");
}

/* "sw_<id>_<secret>" taken apart. */
static bool token_split(const char *text, int64_t *id, unsigned char secret[SECRET_BYTES])
{
    char *end = NULL;
    size_t len = 0;

    if (strncmp(text, PREFIX, sizeof(PREFIX) - 1) != 0) {
        return false;
    }
    text += sizeof(PREFIX) - 1;
    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    *id = strtoll(text, &end, 10);
    return *end == '_' && strlen(end + 1) == SECRET_CHARS &&
           sodium_base642bin(secret, SECRET_BYTES, end + 1, SECRET_CHARS, NULL, &len, NULL,
                             sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
           len == SECRET_BYTES;
}

int token_check(PGconn *conn, struct request *r, struct err *err)
{
    const char *text = bearer(r);
    unsigned char secret[SECRET_BYTES];
    char hash[HASH_HEX_SIZE];
    struct pg_params p = {0};
    int64_t id;

    r->scope = SCOPE_NONE;
    if (text == NULL || !token_split(text, &id, secret)) {
        return 0;
    }
    hash_hex(secret, hash);
    pg_add_int(&p, id);

    PGresult *result = pg_query(conn, "look up token",
                                "SELECT encode(hash, 'hex'), scope = 'write' FROM api_tokens"
                                " WHERE token_id = $1 AND " VALID,
                                &p, NULL, err);

    if (result == NULL) {
        return -1;
    }
    if (PQntuples(result) == 1 &&
        sodium_memcmp(hash, PQgetvalue(result, 0, 0), HASH_HEX_SIZE - 1) == 0) {
        r->scope = PQgetvalue(result, 0, 1)[0] == 't' ? SCOPE_WRITE : SCOPE_READ;
        r->token_id = id;
    }
    PQclear(result);
    return 0;
}

int token_keep_invalid(PGconn *conn, int64_t *ids, size_t *count, struct err *err)
{
    struct pg_params p = {0};
    struct pg_array array;

    pg_array_init(&array, PG_INT8);
    for (size_t i = 0; i < *count; i++) {
        pg_array_int8(&array, ids[i]);
    }
    pg_add_array(&p, &array);

    PGresult *result = pg_query(conn, "look up tokens",
                                "SELECT DISTINCT id FROM unnest($1::bigint[]) id WHERE NOT EXISTS"
                                " (SELECT FROM api_tokens WHERE token_id = id AND " VALID ")",
                                &p, NULL, err);

    pg_array_free(&array);
    if (result == NULL) {
        return -1;
    }
    *count = (size_t)PQntuples(result);
    for (size_t i = 0; i < *count; i++) {
        ids[i] = pg_int(result, (int)i, 0);
    }
    PQclear(result);
    return 0;
}
