/*
 * tls - verification of a site's certificate, and what is learnt from it.
 *
 * libcurl is told not to verify, and calls tls_prepare for each new SSL_CTX; we then verify with
 * OpenSSL ourselves. That buys three things libcurl does not give: the trust store is parsed once
 * a file and not once a connection (25 ms of CPU each), the certificate's end is known also when
 * verification fails, and an expired certificate, a wrong name and an unknown issuer are told
 * apart. Verification is the same: chain to the store, dates, purpose, host name or address
 * (RFC 9110 4.3.4, RFC 6125 through X509_VERIFY_PARAM_set1_host / set1_ip).
 *
 * The one owner of openssl/ssl.h. It knows nothing of curl but the void pointer.
 */
#ifndef PRODUCER_TLS_H
#define PRODUCER_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/event.h"
#include "common/metrics.h"
#include "common/site.h"

struct tls; /* what was read from files, and what was verified; for one thread */

struct tls *tls_new(struct metrics *m);
void tls_free(struct tls *t);

/* Call what may begin a handshake between these two, on one thread: there libcurl's SSL_CTX is
 * cheap. */
void tls_enter(struct tls *t);
void tls_leave(struct tls *t);

/* What one connection is to verify, and what came of it. Lives as long as the transfer. */
struct tls_check {
    struct tls *tls;           /* in */
    const char *host;          /* in: name or numeric address that the certificate must be for */
    const char *ca_file;       /* in: NULL for the system's store */
    const char *cert_file;     /* in: NULL: none of ours; with key_file */
    const char *key_file;      /* in */
    bool verify;               /* in */
    bool send_name;            /* in: in the handshake too, where libcurl does not */
    const char *resume;        /* in: whose session is resumed and kept; NULL: a full handshake */
    const char *address;       /* in: with resume; numeric, of the server */
    uint16_t port;             /* in: likewise */
    enum site_min_tls min_tls; /* in */
    int64_t not_after_s;       /* out: the leaf's end, EVENT_ABSENT when none was shown */
    const char *version;       /* out: "TLSv1.3", static; NULL before the handshake ended */
    int64_t done_ns;           /* out: when the handshake ended well, monotonic */
    enum error_type error;     /* out: ERROR_NONE, TLS_EXPIRED, TLS_HOSTNAME, TLS_UNTRUSTED */
    char message[256];         /* out: OpenSSL's words with the certificate's subject or names */
    uint64_t trust_generation; /* the module's own */
};

/* Parse the store of `ca_file` (NULL: the system's) unless it is there already. Not in the hot
 * path: called when sites are loaded. A file that changed since is read anew. ERR_INVALID. */
int tls_trust(struct tls *t, const char *ca_file, struct err *err) MUST_CHECK;

/* The same for a certificate of ours and its key, both PEM, the key without a password. */
int tls_identify(struct tls *t, const char *cert_file, const char *key_file,
                 struct err *err) MUST_CHECK;

/* For CURLOPT_SSL_CTX_FUNCTION: ssl_ctx is an SSL_CTX *. check must outlive the connection's
 * handshake. ERR_FATAL when OpenSSL refuses. */
int tls_prepare(void *ssl_ctx, struct tls_check *check, struct err *err) MUST_CHECK;

/* Of a connection that is used again, and so had its handshake for an earlier check: ssl is an
 * SSL *; fills version and not_after_s. */
void tls_read(void *ssl, struct tls_check *check);

#endif
