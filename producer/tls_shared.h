/*
 * tls_shared - one SSL_CTX for all of libcurl's connections.
 *
 * libcurl makes an SSL_CTX for each connection, and CURLOPT_SSL_CTX_FUNCTION is called when it is
 * made: a fifth of a handshake, for a context that is the same each time. libcurl makes it by
 * SSL_CTX_new, and so does this file: the program's own SSL_CTX_new comes before the library's
 * when the linker resolves libcurl's. Between tls_shared_lend and tls_shared_keep, on that thread,
 * it gives the lent context; at all other times it is OpenSSL's, and where a libcurl does not call
 * it nothing is different but the time.
 *
 * That is sound as long as nothing of one connection stays in the context for the next. libcurl
 * sets the same there for each of ours but ALPN, which is taken out here; what is a site's own
 * (host, trust, our certificate, session) is put into the SSL and not into its context: see tls.c.
 */
#ifndef PRODUCER_TLS_SHARED_H
#define PRODUCER_TLS_SHARED_H

#include <openssl/types.h>

/* ctx is borrowed until tls_shared_keep; each SSL_CTX_new takes a reference of its own. */
void tls_shared_lend(SSL_CTX *ctx);
void tls_shared_keep(void);

#endif
