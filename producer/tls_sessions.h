/*
 * tls_sessions - TLS sessions of sites that resume them (tls_resume), and beside each what its
 * full handshake verified.
 *
 * A session is known by the SHA-256 of all that its verification depended on and of whom it was
 * made with: see session_key in tls.c. Change one of these, and there is no session.
 *
 * A table of fixed size; of those that share a place the one not used for longest goes.
 */
#ifndef PRODUCER_TLS_SESSIONS_H
#define PRODUCER_TLS_SESSIONS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/metrics.h"
#include "producer/tls_memo.h"

#define TLS_SESSIONS_MAX 4096

struct tls_resumable {
    SSL_SESSION *session;
    struct tls_times times; /* of the chain that was verified */
    int64_t not_after_s;    /* of the leaf */
};

struct tls_sessions;

struct tls_sessions *tls_sessions_new(struct metrics *m);
void tls_sessions_free(struct tls_sessions *s);

/* Take it out: it belongs to the caller then. False: there is none. */
bool tls_sessions_take(struct tls_sessions *s, const unsigned char key[TLS_MEMO_KEY_BYTES],
                       struct tls_resumable *out);
/* Keep it, in the place of one with the same key. Takes over the session. */
void tls_sessions_put(struct tls_sessions *s, const unsigned char key[TLS_MEMO_KEY_BYTES],
                      const struct tls_resumable *resumable);

#endif
