#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"
#include "producer/tls_internal.h"

/* Where distributions keep the bundle: Debian, Fedora, Alpine and BSD. */
static const char *const system_bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
};

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* OpenSSL's word for what went wrong first. It is taken away: libcurl would take what is left for
 * the next connection's. */
static const char *reason_take(const char *otherwise)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    ERR_clear_error();
    return reason == NULL ? otherwise : reason;
}

/* --- Trust stores --- */

static struct tls_trust *trust_find(const struct tls *t, const char *ca_file)
{
    for (struct tls_trust *trust = t->trusts; trust != NULL; trust = trust->next) {
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

static X509_STORE *store_read(const struct tls *t, const char *path, struct err *err)
{
    X509_STORE *store = X509_STORE_new();

    if (store == NULL || X509_STORE_load_file_ex(store, path, t->lean.context, NULL) != 1) {
        err_set(err, ERR_INVALID, "%s: no certificates could be read: %s", path,
                reason_take("empty"));
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
    struct tls_trust *trust = trust_find(t, ca_file);
    struct stat now;

    if (stat(path, &now) < 0) {
        return err_set(err, ERR_INVALID, "%s: %m", path);
    }
    if (trust != NULL && same_file(&trust->read_from, &now)) {
        return 0;
    }
    X509_STORE *store = store_read(t, path, err);

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
    trust->generation = ++t->generation;
    return 0;
}

const struct tls_trust *tls_trust_find(const struct tls *t, const char *ca_file)
{
    return trust_find(t, ca_file);
}

void tls_trusts_free(struct tls *t)
{
    while (t->trusts != NULL) {
        struct tls_trust *trust = t->trusts;

        t->trusts = trust->next;
        X509_STORE_free(trust->store); /* connections that use it hold it too */
        free(trust->ca_file);
        free(trust);
    }
}

/* --- Our own certificates --- */

static struct tls_identity *identity_find(const struct tls *t, const char *cert_file,
                                          const char *key_file)
{
    struct tls_identity *identity = t->identities;

    while (identity != NULL && (strcmp(identity->cert_file, cert_file) != 0 ||
                                strcmp(identity->key_file, key_file) != 0)) {
        identity = identity->next;
    }
    return identity;
}

/* A key that asks for one cannot be used: nobody is there to ask. */
static int no_password(char *password, int size, int encrypts, void *context)
{
    (void)encrypts;
    (void)context;
    if (size > 0) {
        password[0] = '\0';
    }
    return 0;
}

static void held_free(struct tls_held *held)
{
    X509_free(held->leaf);
    sk_X509_pop_free(held->chain, X509_free);
    EVP_PKEY_free(held->key);
    *held = (struct tls_held){0};
}

static int certs_read(const char *path, struct tls_held *held, struct err *err)
{
    BIO *file = BIO_new_file(path, "r");
    X509 *cert;

    if (file != NULL) {
        held->leaf = PEM_read_bio_X509(file, NULL, no_password, NULL);
    }
    if (held->leaf == NULL) {
        BIO_free(file);
        return err_set(err, ERR_INVALID, "cert_file: %s: no certificate could be read: %s", path,
                       reason_take("empty"));
    }
    held->chain = sk_X509_new_null();
    while ((cert = PEM_read_bio_X509(file, NULL, no_password, NULL)) != NULL) {
        sk_X509_push(held->chain, cert);
    }
    ERR_clear_error(); /* the file's end is one */
    BIO_free(file);
    return 0;
}

static int key_read(const char *path, struct tls_held *held, struct err *err)
{
    BIO *file = BIO_new_file(path, "r");

    if (file != NULL) {
        held->key = PEM_read_bio_PrivateKey(file, NULL, no_password, NULL);
        BIO_free(file);
    }
    if (held->key == NULL) {
        return err_set(err, ERR_INVALID, "key_file: %s: no key could be read: %s", path,
                       reason_take("empty"));
    }
    if (X509_check_private_key(held->leaf, held->key) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_INVALID, "key_file: %s: not the key of the certificate", path);
    }
    return 0;
}

int tls_identify(struct tls *t, const char *cert_file, const char *key_file, struct err *err)
{
    struct tls_identity *identity = identity_find(t, cert_file, key_file);
    struct tls_held held = {0};
    struct stat now[2];

    if (stat(cert_file, &now[0]) < 0) {
        return err_set(err, ERR_INVALID, "cert_file: %s: %m", cert_file);
    }
    if (stat(key_file, &now[1]) < 0) {
        return err_set(err, ERR_INVALID, "key_file: %s: %m", key_file);
    }
    if (identity != NULL && same_file(&identity->read_from[0], &now[0]) &&
        same_file(&identity->read_from[1], &now[1])) {
        return 0;
    }
    if (certs_read(cert_file, &held, err) < 0 || key_read(key_file, &held, err) < 0) {
        held_free(&held);
        return -1; /* what was read before, if anything, stays */
    }
    if (identity == NULL) {
        identity = mem_alloc(1, sizeof(*identity));
        identity->cert_file = mem_copy_string(cert_file);
        identity->key_file = mem_copy_string(key_file);
        identity->next = t->identities;
        t->identities = identity;
    }
    held_free(&identity->held);
    identity->held = held;
    identity->generation = ++t->generation;
    memcpy(identity->read_from, now, sizeof(now));
    return 0;
}

const struct tls_identity *tls_identity_find(const struct tls *t, const char *cert_file,
                                             const char *key_file)
{
    return identity_find(t, cert_file, key_file);
}

void tls_identities_free(struct tls *t)
{
    while (t->identities != NULL) {
        struct tls_identity *identity = t->identities;

        t->identities = identity->next;
        held_free(&identity->held);
        free(identity->cert_file);
        free(identity->key_file);
        free(identity);
    }
}
