#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/mem.h"
#include "producer/tls_internal.h"

/* Where an SSL keeps its keeper. */
static int keeper_index = -1;

/* Of an SSL whose sessions are kept, as long as it lives: tickets come after the handshake. */
struct keeper {
    struct tls *tls;
    unsigned char key[TLS_MEMO_KEY_BYTES];
    struct tls_resumable was; /* of the session that is resumed, or of this handshake */
};

static void on_free_keeper(void *unused, void *data, CRYPTO_EX_DATA *unused_too, int unused_index,
                           long unused_long, void *unused_arg)
{
    struct keeper *keeper = data;

    (void)unused;
    (void)unused_too;
    (void)unused_index;
    (void)unused_long;
    (void)unused_arg;
    if (keeper != NULL) {
        SSL_SESSION_free(keeper->was.session);
        free(keeper);
    }
}

void tls_resume_make_index(void)
{
    keeper_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, on_free_keeper);
}

/* What frees a keeper is looked up in the library context that is the default when the SSL goes,
 * and an index is known where it was made alone. Each context gives out numbers in order, so it is
 * made there again under the same one; what comes before it stands for nothing. */
void tls_resume_know_index(OSSL_LIB_CTX *context)
{
    OSSL_LIB_CTX *before = OSSL_LIB_CTX_set0_default(context);
    int index = context == NULL ? keeper_index : SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);

    while (index >= 0 && index < keeper_index) {
        CRYPTO_EX_free *on_free = index + 1 == keeper_index ? on_free_keeper : NULL;

        index = SSL_get_ex_new_index(0, NULL, NULL, NULL, on_free);
    }
    OSSL_LIB_CTX_set0_default(before);
    assert(index == keeper_index); /* the check's own index is made before the keeper's */
}

bool tls_digest_bytes(EVP_MD_CTX *hash, const void *bytes, size_t len)
{
    uint64_t size = len;

    return EVP_DigestUpdate(hash, &size, sizeof(size)) == 1 &&
           EVP_DigestUpdate(hash, bytes, len) == 1;
}

/* Whose it is, whom it was made with, and all that its verification depended on but the clock.
 * False: it has no key. */
static bool session_key(const struct tls_check *check, unsigned char key[TLS_MEMO_KEY_BYTES])
{
    const struct tls_identity *identity =
        check->cert_file == NULL ? NULL
                                 : tls_identity_find(check->tls, check->cert_file, check->key_file);
    const uint64_t numbers[] = {
        check->verify ? check->trust_generation : 0,
        identity == NULL ? 0 : identity->generation,
        (uint64_t)check->min_tls,
        check->port,
    };
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    bool ok = hash != NULL && EVP_DigestInit_ex(hash, check->tls->sha256, NULL) == 1 &&
              tls_digest_bytes(hash, check->resume, strlen(check->resume)) &&
              tls_digest_bytes(hash, check->host, strlen(check->host)) &&
              tls_digest_bytes(hash, check->address, strlen(check->address)) &&
              tls_digest_bytes(hash, numbers, sizeof(numbers)) &&
              EVP_DigestFinal_ex(hash, key, NULL) == 1;

    EVP_MD_CTX_free(hash);
    return ok;
}

/*
 * Sessions are lent and kept as copies: OpenSSL spoils the one that an SSL holds when the
 * connection goes without our close_notify, as libcurl 8 lets it go after the server's end. Only
 * TLS 1.0 asked for that (RFC 5246, 7.2.1).
 *
 * What a full handshake would say is said by one: a session whose chain is not valid any more is
 * not resumed.
 */
static bool lend(SSL *ssl, const struct tls_resumable *was)
{
    SSL_SESSION *copy =
        tls_times_hold(&was->times, time(NULL)) ? SSL_SESSION_dup(was->session) : NULL;
    bool ok = copy != NULL && SSL_set_session(ssl, copy) == 1;

    SSL_SESSION_free(copy);
    return ok;
}

void tls_resume_begin(SSL *ssl, struct tls_check *check)
{
    struct keeper *keeper = mem_alloc(1, sizeof(*keeper));
    struct tls_resumable *was = &keeper->was;

    keeper->tls = check->tls;
    if (!session_key(check, keeper->key) || SSL_set_ex_data(ssl, keeper_index, keeper) != 1) {
        free(keeper);
        return;
    }
    SSL_clear_options(ssl, SSL_OP_NO_TICKET); /* of TLS 1.2; libcurl sets it */
    if (tls_sessions_take(check->tls->sessions, keeper->key, was) && !lend(ssl, was)) {
        SSL_SESSION_free(was->session);
        was->session = NULL;
    }
}

/* The handshake has ended well. A session that failed was taken out, and stays out. */
void tls_resume_done(SSL *ssl, struct tls_check *check)
{
    struct keeper *keeper = SSL_get_ex_data(ssl, keeper_index);

    if (SSL_session_reused(ssl) != 1 || keeper == NULL || keeper->was.session == NULL) {
        metric_add(check->tls->full, 1);
        return;
    }
    metric_add(check->tls->resumed, 1);
    check->not_after_s = keeper->was.not_after_s;
    tls_sessions_put(check->tls->sessions, keeper->key, &keeper->was);
    keeper->was.session = NULL;
}

/* OpenSSL has a session to give: with TLS 1.3 a ticket that came after the handshake. */
int tls_resume_on_session(SSL *ssl, SSL_SESSION *session)
{
    struct keeper *keeper = SSL_get_ex_data(ssl, keeper_index);

    if (keeper == NULL || SSL_SESSION_is_resumable(session) != 1) {
        return 0;
    }
    SSL_SESSION *copy = SSL_SESSION_dup(session);

    if (copy != NULL) {
        tls_sessions_put(keeper->tls->sessions, keeper->key,
                         &(struct tls_resumable){copy, keeper->was.times, keeper->was.not_after_s});
    }
    return 0; /* the SSL's own is not ours */
}

void tls_resume_verified(const SSL *ssl, const struct tls_check *check,
                         const struct tls_times *times)
{
    struct keeper *keeper = SSL_get_ex_data(ssl, keeper_index);

    if (keeper != NULL) {
        keeper->was.times = *times;
        keeper->was.not_after_s = check->not_after_s;
    }
}
