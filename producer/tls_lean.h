/*
 * tls_lean - an OpenSSL library context that lists only what a handshake needs.
 *
 * OpenSSL 3 looks for an algorithm by walking through all that its providers list: making an
 * SSL_CTX walks through fifty groups, and reading the key of one certificate through thirty kinds
 * of keys and forty ways to write one. This context's one provider is OpenSSL's own "default",
 * the same code, with shorter lists: the kinds of keys that certificates and key exchanges have,
 * a public key as it stands in a certificate, and our groups. docs/tls.md has the figures.
 *
 * Where the operator's configuration of OpenSSL names other providers (FIPS, hardware), theirs
 * are used and this context is not made.
 */
#ifndef PRODUCER_TLS_LEAN_H
#define PRODUCER_TLS_LEAN_H

#include <openssl/types.h>

/* What every site can do, the fastest first. OpenSSL 3.5 would else make a post-quantum key
 * share for each connection, which costs a fifth of the handshake. */
#define TLS_GROUPS "x25519:secp256r1:secp384r1:secp521r1"

/* OpenSSL's own, the fastest first: docs/tls.md. */
#define TLS_SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

struct tls_lean {
    OSSL_LIB_CTX *context; /* NULL: OpenSSL's own has to do */
    OSSL_PROVIDER *provider;
};

/* Close it after all that was made in the context is freed. */
void tls_lean_open(struct tls_lean *lean);
void tls_lean_close(struct tls_lean *lean);

#endif
