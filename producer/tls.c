#include "producer/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/mem.h"

/* What every site can do, the fastest first. OpenSSL 3.5 would else make a post-quantum key
 * share for each connection, which costs a fifth of the handshake. */
#define GROUPS "X25519:P-256:P-384:P-521"

#define NAMES_SHOWN_MAX 4 /* of a certificate, in a message */

/* One file's certificates, as they were when it was read. */
struct trust {
    struct trust *next;
    char *ca_file; /* NULL: the system's */
    X509_STORE *store;
    struct stat read_from;
};

struct tls {
    struct trust *trusts;
};

/* Where distributions keep the bundle: Debian, Fedora, Alpine and BSD. */
static const char *const system_bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
};

/* --- Trust stores --- */

struct tls *tls_new(void)
{
    return mem_alloc(1, sizeof(struct tls));
}

void tls_free(struct tls *t)
{
    if (t == NULL) {
        return;
    }
    while (t->trusts != NULL) {
        struct trust *trust = t->trusts;

        t->trusts = trust->next;
        X509_STORE_free(trust->store); /* connections that use it hold it too */
        free(trust->ca_file);
        free(trust);
    }
    free(t);
}

static struct trust *trust_find(const struct tls *t, const char *ca_file)
{
    for (struct trust *trust = t->trusts; trust != NULL; trust = trust->next) {
        bool same = trust->ca_file == NULL || ca_file == NULL
                        ? trust->ca_file == ca_file
                        : strcmp(trust->ca_file, ca_file) == 0;

        if (same) {
            return trust;
        }
    }
    return NULL;
}

/* The operator's own choice, as every OpenSSL program takes it, or what is there. */
static const char *system_bundle(void)
{
    const char *chosen = getenv(X509_get_default_cert_file_env());
    struct stat found;

    if (chosen != NULL && chosen[0] != '\0') {
        return chosen;
    }
    for (size_t i = 0; i < sizeof(system_bundles) / sizeof(system_bundles[0]); i++) {
        if (stat(system_bundles[i], &found) == 0) {
            return system_bundles[i];
        }
    }
    return system_bundles[0];
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static X509_STORE *store_read(const char *path, struct err *err)
{
    X509_STORE *store = X509_STORE_new();

    if (store == NULL || X509_STORE_load_file(store, path) != 1) {
        const char *reason = ERR_reason_error_string(ERR_peek_last_error());

        err_set(err, ERR_INVALID, "%s: no certificates could be read: %s", path,
                reason == NULL ? "empty" : reason);
        ERR_clear_error(); /* libcurl would take what is left for the next connection's */
        X509_STORE_free(store);
        return NULL;
    }
    /* An intermediate in the file is trusted as it stands, as libcurl does it. */
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    return store;
}

int tls_trust(struct tls *t, const char *ca_file, struct err *err)
{
    const char *path = ca_file == NULL ? system_bundle() : ca_file;
    struct trust *trust = trust_find(t, ca_file);
    struct stat now;

    if (stat(path, &now) < 0) {
        return err_set(err, ERR_INVALID, "%s: %m", path);
    }
    if (trust != NULL && same_file(&trust->read_from, &now)) {
        return 0;
    }
    X509_STORE *store = store_read(path, err);

    if (store == NULL) {
        return -1; /* what was read before, if anything, stays */
    }
    if (trust == NULL) {
        trust = mem_alloc(1, sizeof(*trust));
        trust->ca_file = mem_copy_string(ca_file);
        trust->next = t->trusts;
        t->trusts = trust;
    }
    X509_STORE_free(trust->store);
    trust->store = store;
    trust->read_from = now;
    return 0;
}

/* --- What a certificate says, for the message --- */

static void name_text(X509_NAME *name, char *out, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int len = 0;

    /* RFC 2253 escapes whatever could break a line. */
    if (bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
        len = BIO_read(bio, out, (int)size - 1);
    }
    out[len > 0 ? len : 0] = '\0';
    BIO_free(bio);
}

static void time_text(const ASN1_TIME *time, char *out, size_t size)
{
    struct tm parts;

    if (ASN1_TIME_to_tm(time, &parts) != 1 ||
        strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
        snprintf(out, size, "an unreadable time");
    }
}

/* One name of the certificate; false for kinds that no URL has (mail addresses and so on). */
static bool alternative_text(const GENERAL_NAME *name, char *out, size_t size)
{
    const unsigned char *bytes;
    int len;

    if (name->type == GEN_DNS) {
        bytes = ASN1_STRING_get0_data(name->d.dNSName);
        len = ASN1_STRING_length(name->d.dNSName);
        snprintf(out, size, "%.*s", len, (const char *)bytes);
        return true;
    }
    if (name->type == GEN_IPADD) {
        bytes = ASN1_STRING_get0_data(name->d.iPAddress);
        len = ASN1_STRING_length(name->d.iPAddress);
        return (len == 4 && inet_ntop(AF_INET, bytes, out, (socklen_t)size) != NULL) ||
               (len == 16 && inet_ntop(AF_INET6, bytes, out, (socklen_t)size) != NULL);
    }
    return false;
}

/* "a.example, b.example, ...", or the subject of a certificate without alternative names. */
static void names_text(X509 *cert, char *out, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    size_t used = 0;
    int shown = 0;

    out[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && used < size; i++) {
        char one[128];

        if (!alternative_text(sk_GENERAL_NAME_value(names, i), one, sizeof(one))) {
            continue;
        }
        if (shown == NAMES_SHOWN_MAX) {
            snprintf(out + used, size - used, ", ...");
            break;
        }
        int len = snprintf(out + used, size - used, "%s%s", shown == 0 ? "" : ", ", one);

        used += (size_t)len;
        shown++;
    }
    GENERAL_NAMES_free(names);
    if (shown == 0) {
        name_text(X509_get_subject_name(cert), out, size);
    }
}

static int64_t not_after_s(const X509 *cert)
{
    struct tm parts;

    if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &parts) != 1) {
        return EVENT_ABSENT;
    }
    int64_t seconds = timegm(&parts);

    return seconds < 0 ? EVENT_ABSENT : seconds;
}

/* --- Verification --- */

static enum error_type error_type_of(int code)
{
    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return ERROR_TLS_EXPIRED;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return ERROR_TLS_HOSTNAME;
    default:
        return ERROR_TLS_UNTRUSTED;
    }
}

/* A message too long is cut. */
static void PRINTF_LIKE(2, 3) message_set(struct tls_check *check, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(check->message, sizeof(check->message), fmt, args);
    va_end(args);
}

/* `cert` is the one of the chain that was found wrong. */
static void error_describe(struct tls_check *check, int code, X509 *cert)
{
    const char *words = X509_verify_cert_error_string(code);
    char subject[160], issuer[160], time[32];

    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        name_text(X509_get_subject_name(cert), subject, sizeof(subject));
        time_text(X509_get0_notAfter(cert), time, sizeof(time));
        message_set(check, "%s: %s ended %s", words, subject, time);
        return;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        name_text(X509_get_subject_name(cert), subject, sizeof(subject));
        time_text(X509_get0_notBefore(cert), time, sizeof(time));
        message_set(check, "%s: %s begins %s", words, subject, time);
        return;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        names_text(cert, subject, sizeof(subject));
        message_set(check, "%s: the certificate is for %s", words, subject);
        return;
    default:
        name_text(X509_get_subject_name(cert), subject, sizeof(subject));
        name_text(X509_get_issuer_name(cert), issuer, sizeof(issuer));
        message_set(check, "%s: %s, issued by %s", words, subject, issuer);
    }
}

/* Called by OpenSSL in place of its own verification, which we call. */
static int on_verify(X509_STORE_CTX *ctx, void *unused)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_check *check = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    X509 *leaf = X509_STORE_CTX_get0_cert(ctx);

    (void)unused;
    if (check == NULL) {
        return X509_verify_cert(ctx); /* a handshake anew, long after the check it was for */
    }
    check->not_after_s = leaf == NULL ? EVENT_ABSENT : not_after_s(leaf);
    if (!check->verify) {
        return 1;
    }
    if (X509_verify_cert(ctx) == 1) {
        return 1;
    }
    int code = X509_STORE_CTX_get_error(ctx);
    X509 *wrong = X509_STORE_CTX_get_current_cert(ctx);

    check->error = error_type_of(code);
    if (wrong == NULL) {
        wrong = leaf;
    }
    if (wrong != NULL) {
        error_describe(check, code, wrong);
    } else {
        message_set(check, "%s", X509_verify_cert_error_string(code));
    }
    return 0;
}

static void on_info(const SSL *ssl, int where, int unused)
{
    SSL_CTX *ctx = SSL_get_SSL_CTX(ssl);
    struct tls_check *check = SSL_CTX_get_app_data(ctx);

    (void)unused;
    if (check == NULL || (where & SSL_CB_HANDSHAKE_DONE) == 0) {
        return;
    }
    check->version = SSL_get_version(ssl);
    /* The connection may live on for other checks, and tickets and key updates count as
     * handshakes too: from here on it knows ours no more. */
    SSL_CTX_set_app_data(ctx, NULL);
}

static int want_host(SSL_CTX *ctx, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
    size_t len = strlen(host);

    if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1) {
        return 1;
    }
    ERR_clear_error(); /* it is a name then */
    if (len > 0 && host[len - 1] == '.') {
        len--; /* the root's dot is not in certificates */
    }
    if (len == 0) {
        return 0; /* OpenSSL would take it for any name */
    }
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, host, len);
}

/* "any" is what OpenSSL 3 can do in its usual setting: older versions than 1.2 are off there. */
static long want_version(SSL_CTX *ctx, enum site_min_tls min_tls)
{
    return SSL_CTX_set_min_proto_version(ctx,
                                         min_tls == SITE_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
}

int tls_prepare(void *ssl_ctx, struct tls_check *check, struct err *err)
{
    SSL_CTX *ctx = ssl_ctx;

    check->not_after_s = EVENT_ABSENT;
    check->version = NULL;
    check->error = ERROR_NONE;
    check->message[0] = '\0';
    if (check->verify) {
        const struct trust *trust = trust_find(check->tls, check->ca_file);

        if (trust == NULL) {
            return err_set(err, ERR_FATAL, "the certificates of %s were not read",
                           check->ca_file == NULL ? "the system" : check->ca_file);
        }
        SSL_CTX_set1_cert_store(ctx, trust->store);
        if (want_host(ctx, check->host) != 1) {
            ERR_clear_error();
            return err_set(err, ERR_FATAL, "cannot verify a certificate for \"%s\"", check->host);
        }
    }
    if (want_version(ctx, check->min_tls) != 1 || SSL_CTX_set1_groups_list(ctx, GROUPS) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_FATAL, "OpenSSL refuses the versions or groups asked for");
    }
    SSL_CTX_set_verify(ctx, check->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, on_verify, NULL);
    SSL_CTX_set_info_callback(ctx, on_info);
    SSL_CTX_set_app_data(ctx, check);
    return 0;
}

void tls_read(void *ssl, struct tls_check *check)
{
    X509 *leaf = SSL_get0_peer_certificate(ssl);

    check->version = SSL_get_version(ssl);
    check->not_after_s = leaf == NULL ? EVENT_ABSENT : not_after_s(leaf);
}
