/*
 * certs - certificates for tests, made in memory: an authority, and what it signs.
 */
#ifndef TESTS_UNIT_CERTS_H
#define TESTS_UNIT_CERTS_H

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CERT_DAY 86400L

struct cert {
    X509 *x509;
    EVP_PKEY *key;
};

struct cert_wish {
    const char *subject;       /* the common name */
    const char *names;         /* "DNS:a.example,IP:127.0.0.1"; NULL: none */
    const char *usage;         /* extended key usage; NULL: none */
    const struct cert *issuer; /* NULL: signs itself */
    bool authority;
    const char *curve;     /* NULL: P-256; "RSA" and "ED25519" are no curves and do too */
    long begins_s, ends_s; /* from now; both 0: a day ago to 30 days from now */
};

static inline void cert_extend(X509 *x509, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    assert(extension != NULL);
    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
}

static inline EVP_PKEY *cert_key(const char *curve)
{
    if (curve == NULL) {
        return EVP_EC_gen("P-256");
    }
    if (strcmp(curve, "RSA") == 0) {
        return EVP_RSA_gen(2048);
    }
    return strcmp(curve, "ED25519") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, curve) : EVP_EC_gen(curve);
}

static inline struct cert cert_make(const struct cert_wish *wish)
{
    static long serial = 1;
    struct cert cert = {.x509 = X509_new(), .key = cert_key(wish->curve)};
    const struct cert *issuer = wish->issuer == NULL ? &cert : wish->issuer;
    bool has_times = wish->begins_s != 0 || wish->ends_s != 0;
    X509_NAME *name;

    assert(cert.x509 != NULL && cert.key != NULL);
    X509_set_version(cert.x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert.x509), serial++);
    X509_gmtime_adj(X509_getm_notBefore(cert.x509), has_times ? wish->begins_s : -CERT_DAY);
    X509_gmtime_adj(X509_getm_notAfter(cert.x509), has_times ? wish->ends_s : 30 * CERT_DAY);
    X509_set_pubkey(cert.x509, cert.key);
    name = X509_get_subject_name(cert.x509);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)wish->subject, -1,
                               -1, 0);
    X509_set_issuer_name(cert.x509, X509_get_subject_name(issuer->x509));
    cert_extend(cert.x509, NID_basic_constraints,
                wish->authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (wish->names != NULL) {
        cert_extend(cert.x509, NID_subject_alt_name, wish->names);
    }
    if (wish->usage != NULL) {
        cert_extend(cert.x509, NID_ext_key_usage, wish->usage);
    }
    X509_sign(cert.x509, issuer->key, EVP_PKEY_is_a(issuer->key, "ED25519") ? NULL : EVP_sha256());
    return cert;
}

static inline void cert_free(struct cert *cert)
{
    X509_free(cert->x509);
    EVP_PKEY_free(cert->key);
}

/* Write the certificate, and its key too when asked, to a new file under /tmp; path has room for
 * 32 bytes. */
static inline void cert_save(const struct cert *cert, bool with_key, char *path)
{
    snprintf(path, 32, "/tmp/cert.XXXXXX");

    int fd = mkstemp(path);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

    assert(file != NULL);
    PEM_write_X509(file, cert->x509);
    if (with_key) {
        PEM_write_PrivateKey(file, cert->key, NULL, NULL, 0, NULL, NULL);
    }
    fclose(file);
}

static inline SSL_CTX *cert_server(const struct cert *cert)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    assert(ctx != NULL);
    SSL_CTX_use_certificate(ctx, cert->x509);
    SSL_CTX_use_PrivateKey(ctx, cert->key);
    return ctx;
}

#endif
