/*
 * token - who may ask what: bearer tokens (RFC 6750) with an owner and a scope.
 *
 * A token is "sw_<id>_<secret>"; the secret is 32 random bytes. Only the SHA-256 of the secret is
 * stored: it has 256 bits of its own, so a slow hash would add nothing. A token is looked up at
 * every request, so that one that is revoked is refused at once.
 */
#ifndef API_TOKEN_H
#define API_TOKEN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "api/request.h"
#include "common/pg.h"

#define TOKEN_SIZE 80 /* of its text, with the terminator */
#define TOKEN_OWNER_BYTES_MAX 200
#define TOKEN_DAYS_MAX 3650

/* Before anything else here. ERR_FATAL when the system gives no random numbers. */
int token_setup(struct err *err) MUST_CHECK;

/* A new one; days: until it ends, 0: never. The text is in `out` and nowhere else. */
int token_create(PGconn *conn, const char *owner, enum scope scope, int64_t days,
                 char out[TOKEN_SIZE], struct err *err) MUST_CHECK;

/* A table for a person. */
int token_list(PGconn *conn, FILE *out, struct err *err) MUST_CHECK;

/* ERR_FATAL when there is none with this id, or it is revoked. */
int token_revoke(PGconn *conn, int64_t id, struct err *err) MUST_CHECK;

/* Whether there is one that is valid. */
int token_exists(PGconn *conn, bool *exists, struct err *err) MUST_CHECK;

/*
 * Sets r->scope and r->token_id from the Authorization header; SCOPE_NONE when there is none, or
 * when its token is not, or no longer, valid. How long the comparison takes tells nothing about
 * the secret.
 */
int token_check(PGconn *conn, struct request *r, struct err *err) MUST_CHECK;

/* Of ids[0..*count) those that are no token, or no longer a valid one, stay. */
int token_keep_invalid(PGconn *conn, int64_t *ids, size_t *count, struct err *err) MUST_CHECK;

/* "read" or "write". */
const char *scope_name(enum scope scope);

#endif
