#include "producer/tls_shared.h"

#include <openssl/ssl.h>

static _Thread_local SSL_CTX *lent; /* NULL: none */

void tls_shared_lend(SSL_CTX *ctx)
{
    lent = ctx;
}

void tls_shared_keep(void)
{
    lent = NULL;
}

/* OpenSSL's own is defined as what we call for others (SSL_CTX_new(3)). */
SSL_CTX *SSL_CTX_new(const SSL_METHOD *method)
{
    if (lent == NULL || method != TLS_client_method() || SSL_CTX_up_ref(lent) != 1) {
        return SSL_CTX_new_ex(NULL, NULL, method);
    }
    SSL_CTX_set_alpn_protos(lent, NULL, 0);
    return lent;
}
