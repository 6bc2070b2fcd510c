#include "producer/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/mem.h"
#include "producer/tls_internal.h"
#include "producer/tls_shared.h"

/* Where an SSL keeps the check that its handshake is for. */
static int check_index = -1;

static void make_index(void)
{
    check_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    tls_resume_make_index();
}

struct tls *tls_new(struct metrics *m)
{
    static const char help[] = "Certificate chains by whether their bytes were verified before";
    static const char handshakes[] = "TLS handshakes that ended well";
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct tls *t = mem_alloc(1, sizeof(*t));

    pthread_once(&once, make_index);
    tls_lean_open(&t->lean);
    tls_resume_know_index(t->lean.context);
    t->shared = SSL_CTX_new_ex(t->lean.context, NULL, TLS_client_method());
    SSL_CTX_set_ciphersuites(t->shared, TLS_SUITES);
    t->sha256 = EVP_MD_fetch(t->lean.context, "SHA256", NULL);
    t->memo = tls_memo_new();
    t->chains_verified = metrics_counter(m, "sitewatch_tls_chains", help, "known=\"no\"");
    t->sessions = tls_sessions_new(m);
    t->full = metrics_counter(m, "sitewatch_tls_handshakes", handshakes, "resumed=\"no\"");
    t->resumed = metrics_counter(m, "sitewatch_tls_handshakes", handshakes, "resumed=\"yes\"");
    t->chains_known = metrics_counter(m, "sitewatch_tls_chains", help, "known=\"yes\"");
    return t;
}

void tls_free(struct tls *t)
{
    if (t == NULL) {
        return;
    }
    tls_trusts_free(t);
    tls_identities_free(t);
    tls_memo_free(t->memo);
    tls_sessions_free(t->sessions);
    EVP_MD_free(t->sha256);
    SSL_CTX_free(t->shared);
    tls_lean_close(&t->lean);
    free(t);
}

void tls_enter(struct tls *t)
{
    t->before = OSSL_LIB_CTX_set0_default(t->lean.context);
    tls_shared_lend(t->shared);
}

void tls_leave(struct tls *t)
{
    tls_shared_keep();
    SSL_CTX_set_app_data(t->shared,
                         NULL); /* a handshake that was prepared has begun, or never will */
    OSSL_LIB_CTX_set0_default(t->before);
}

/* --- Verification --- */

static bool digest_cert(EVP_MD_CTX *hash, X509 *cert)
{
    unsigned char *der = NULL;
    int len = i2d_X509(cert, &der);
    bool ok = len > 0 && tls_digest_bytes(hash, der, (size_t)len);

    OPENSSL_free(der);
    return ok;
}

/* All that the verification of this chain depends on but the clock. False: it has no key. */
static bool chain_key(X509_STORE_CTX *ctx, const struct tls_check *check,
                      unsigned char key[TLS_MEMO_KEY_BYTES])
{
    STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(ctx); /* the leaf is its first */
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    bool ok = hash != NULL && sk_X509_num(sent) > 0 &&
              EVP_DigestInit_ex(hash, check->tls->sha256, NULL) == 1 &&
              tls_digest_bytes(hash, &check->trust_generation, sizeof(check->trust_generation)) &&
              tls_digest_bytes(hash, check->host, strlen(check->host));

    for (int i = 0; ok && i < sk_X509_num(sent); i++) {
        ok = digest_cert(hash, sk_X509_value(sent, i));
    }
    ok = ok && EVP_DigestFinal_ex(hash, key, NULL) == 1;
    EVP_MD_CTX_free(hash);
    return ok;
}

/* The time in which all certificates of the chain that was built are valid, its root too. */
static bool chain_times(X509_STORE_CTX *ctx, struct tls_times *times)
{
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);

    *times = (struct tls_times){0, INT64_MAX};
    for (int i = 0; i < sk_X509_num(chain); i++) {
        const X509 *cert = sk_X509_value(chain, i);
        int64_t begins = tls_time_s(X509_get0_notBefore(cert));
        int64_t ends = tls_time_s(X509_get0_notAfter(cert));

        if (ends == EVENT_ABSENT) {
            return false;
        }
        times->begins_s = begins > times->begins_s ? begins : times->begins_s;
        times->ends_s = ends < times->ends_s ? ends : times->ends_s;
    }
    return sk_X509_num(chain) > 0;
}

static bool verify(X509_STORE_CTX *ctx, struct tls_check *check, struct tls_times *times)
{
    struct tls *t = check->tls;
    unsigned char key[TLS_MEMO_KEY_BYTES];
    bool has_key = chain_key(ctx, check, key);

    if (has_key && tls_memo_knows(t->memo, key, time(NULL), times)) {
        metric_add(t->chains_known, 1);
        return true;
    }
    metric_add(t->chains_verified, 1);
    if (X509_verify_cert(ctx) != 1) {
        return false;
    }
    if (!chain_times(ctx, times)) {
        *times = (struct tls_times){0, 0}; /* good now, and that is all we know */
    } else if (has_key) {
        tls_memo_add(t->memo, key, times);
    }
    return true;
}

/* Called by OpenSSL in place of its own verification, which we call. */
static int on_verify(X509_STORE_CTX *ctx, void *unused)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_check *check = SSL_get_ex_data(ssl, check_index);
    struct tls_times times = {0, INT64_MAX};
    X509 *leaf = X509_STORE_CTX_get0_cert(ctx);

    (void)unused;
    if (check == NULL) {
        return X509_verify_cert(ctx); /* a handshake anew, long after the check it was for */
    }
    check->not_after_s = leaf == NULL ? EVENT_ABSENT : tls_time_s(X509_get0_notAfter(leaf));
    if (check->error != ERROR_NONE) {
        return 0;
    }
    if (!check->verify || verify(ctx, check, &times)) {
        tls_resume_verified(ssl, check, &times);
        return 1;
    }
    X509 *wrong = X509_STORE_CTX_get_current_cert(ctx);

    tls_error_note(check, X509_STORE_CTX_get_error(ctx), wrong == NULL ? leaf : wrong);
    return 0;
}

/* --- What a handshake is told --- */

/* The root's dot is not in certificates. 0: no name, which OpenSSL would take for any. */
static size_t host_len(const char *host)
{
    size_t len = strlen(host);

    return len > 0 && host[len - 1] == '.' ? len - 1 : len;
}

static bool host_is_address(const char *host)
{
    unsigned char bytes[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static bool want_host(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

    if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1) {
        return true;
    }
    ERR_clear_error(); /* it is a name then */
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, host, host_len(host)) == 1;
}

static bool want_trust(SSL *ssl, struct tls_check *check)
{
    const struct tls_trust *trust = tls_trust_find(check->tls, check->ca_file);

    check->trust_generation = trust->generation;
    return SSL_set1_verify_cert_store(ssl, trust->store) == 1 && want_host(ssl, check->host);
}

static bool want_identity(SSL *ssl, const struct tls_check *check)
{
    const struct tls_held *held =
        &tls_identity_find(check->tls, check->cert_file, check->key_file)->held;

    return SSL_use_cert_and_key(ssl, held->leaf, held->key, held->chain, 1) == 1;
}

/* --- The course of a handshake --- */

/* The context is one for all, so that what is the site's own goes into the SSL. tls_prepare has
 * seen that all of it is there. */
static void begin(SSL *ssl, struct tls_check *check)
{
    SSL_set_ex_data(ssl, check_index, check);
    if (check->send_name && !host_is_address(check->host)) {
        SSL_set_tlsext_host_name(ssl, check->host);
    }
    if ((check->verify && !want_trust(ssl, check)) ||
        (check->cert_file != NULL && !want_identity(ssl, check))) {
        tls_refuse(check, ERR_reason_error_string(ERR_peek_error()));
        ERR_clear_error();
        SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL); /* which says no */
    } else if (check->resume != NULL) {
        tls_resume_begin(ssl, check);
    }
}

/* OpenSSL hands itself over as const, and takes changes from here all the same. */
static void on_info(const SSL *const_ssl, int where, int unused)
{
    SSL *ssl = (SSL *)const_ssl;
    SSL_CTX *ctx = SSL_get_SSL_CTX(ssl);
    struct tls_check *check = SSL_get_ex_data(ssl, check_index);

    (void)unused;
    if ((where & SSL_CB_HANDSHAKE_START) != 0 && SSL_CTX_get_app_data(ctx) != NULL) {
        begin(ssl, SSL_CTX_get_app_data(ctx)); /* made since tls_prepare: it is ours */
        SSL_CTX_set_app_data(ctx, NULL);
    } else if ((where & SSL_CB_HANDSHAKE_DONE) != 0 && check != NULL) {
        check->version = SSL_get_version(ssl);
        check->done_ns = clock_mono_ns();
        tls_resume_done(ssl, check);
        SSL_set_read_ahead(ssl, 0);
        /* The connection may live on for other checks, and tickets and key updates count as
         * handshakes too: from here on it knows ours no more. */
        SSL_set_ex_data(ssl, check_index, NULL);
    }
}

/* "any" is what OpenSSL 3 can do in its usual setting: older versions than 1.2 are off there. */
static long want_version(SSL_CTX *ctx, enum site_min_tls min_tls)
{
    return SSL_CTX_set_min_proto_version(ctx,
                                         min_tls == SITE_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
}

/* What begin will need. */
static int needs_check(const struct tls_check *check, struct err *err)
{
    if (check->verify && tls_trust_find(check->tls, check->ca_file) == NULL) {
        return err_set(err, ERR_FATAL, "the certificates of %s were not read",
                       check->ca_file == NULL ? "the system" : check->ca_file);
    }
    if (check->verify && host_len(check->host) == 0) {
        return err_set(err, ERR_FATAL, "cannot verify a certificate for \"%s\"", check->host);
    }
    if (check->cert_file != NULL &&
        tls_identity_find(check->tls, check->cert_file, check->key_file) == NULL) {
        return err_set(err, ERR_FATAL, "the certificate of %s was not read", check->cert_file);
    }
    return 0;
}

int tls_prepare(void *ssl_ctx, struct tls_check *check, struct err *err)
{
    SSL_CTX *ctx = ssl_ctx;

    check->not_after_s = EVENT_ABSENT;
    check->version = NULL;
    check->done_ns = 0;
    check->error = ERROR_NONE;
    check->message[0] = '\0';
    if (needs_check(check, err) < 0) {
        return -1;
    }
    if (want_version(ctx, check->min_tls) != 1 || SSL_CTX_set1_groups_list(ctx, TLS_GROUPS) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_FATAL, "OpenSSL refuses the versions or groups asked for");
    }
    SSL_CTX_set_verify(ctx, check->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, on_verify, NULL);
    SSL_CTX_set_info_callback(ctx, on_info);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, tls_resume_on_session);
    SSL_CTX_set_app_data(ctx, check);
    return 0;
}

void tls_read(void *ssl, struct tls_check *check)
{
    X509 *leaf = SSL_get0_peer_certificate(ssl);

    check->version = SSL_get_version(ssl);
    check->not_after_s = leaf == NULL ? EVENT_ABSENT : tls_time_s(X509_get0_notAfter(leaf));
}
