/*
 * idempotency - keys of requests that make something (the header Idempotency-Key): a key that was
 * used leads to what its first request made. It knows that by its id alone, and not what it is.
 *
 * A key is its token's, and goes with one body: of that a hash is stored.
 */
#ifndef API_IDEMPOTENCY_H
#define API_IDEMPOTENCY_H

#include <libpq-fe.h>

#include "api/request.h"

#define IDEMPOTENCY_KEY_BYTES_MAX 255
#define IDEMPOTENCY_HOURS 24
#define IDEMPOTENCY_ROWS_MAX 100000

/* The request's key, or NULL where it has none. False, with an answer: it is not one. */
bool idempotency_key(const struct request *r, const char **key, struct answer *a);

/* The id of what the key made before; 0: nothing, the key is ours; -1 with an answer. In a
 * transaction, as is what follows: who comes with the same key meanwhile waits for its end. */
int64_t idempotency_claim(PGconn *conn, const struct request *r, const char *key, struct answer *a);

/* What was made with the key that was claimed. */
int idempotency_keep(PGconn *conn, const struct request *r, const char *key, int64_t id,
                     struct err *err) MUST_CHECK;

#endif
