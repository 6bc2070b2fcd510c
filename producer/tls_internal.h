/*
 * tls_internal - what the files of producer/tls share; no other module includes it.
 *
 *   tls.c        a handshake: what it is told, and its verification
 *   tls_files.c  trust stores and our own certificates, read once a file
 *   tls_words.c  what is wrong with a certificate, for a person
 *   tls_memo.c   chains that were verified
 *   tls_resume.c how a session is resumed and kept
 *   tls_sessions.c  the sessions
 *   tls_lean.c   OpenSSL's algorithms, with shorter lists
 *   tls_shared.c one SSL_CTX for all connections
 */
#ifndef PRODUCER_TLS_INTERNAL_H
#define PRODUCER_TLS_INTERNAL_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/metrics.h"
#include "producer/tls.h"
#include "producer/tls_lean.h"
#include "producer/tls_memo.h"
#include "producer/tls_sessions.h"

/* One file's certificates, as they were when it was read. */
struct tls_trust {
    struct tls_trust *next;
    char *ca_file; /* NULL: the system's */
    X509_STORE *store;
    struct stat read_from;
    uint64_t generation; /* another with each reading */
};

/* A certificate of ours, what it hangs from, and its key. */
struct tls_held {
    X509 *leaf;
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
};

struct tls_identity {
    struct tls_identity *next;
    char *cert_file, *key_file;
    struct tls_held held;
    struct stat read_from[2];
    uint64_t generation;
};

struct tls {
    struct tls_lean lean;
    OSSL_LIB_CTX *before; /* the thread's, while we are entered */
    SSL_CTX *shared;      /* NULL: none could be made */
    EVP_MD *sha256;
    struct tls_trust *trusts;
    struct tls_identity *identities;
    uint64_t generation; /* counts readings of files */
    struct tls_memo *memo;
    struct tls_sessions *sessions;
    struct metric *chains_verified, *chains_known, *full, *resumed;
};

/* --- tls_files --- */

/* NULL: it was not read. */
const struct tls_trust *tls_trust_find(const struct tls *t, const char *ca_file);
const struct tls_identity *tls_identity_find(const struct tls *t, const char *cert_file,
                                             const char *key_file);
void tls_trusts_free(struct tls *t);
void tls_identities_free(struct tls *t);

/* --- tls_resume: all of them for an SSL of a check with resume, or for any other --- */

/* Once in a process, before the others. */
void tls_resume_make_index(void);
/* For each library context that is the default while an SSL may go. NULL: the usual one. */
void tls_resume_know_index(OSSL_LIB_CTX *context);
/* The handshake begins. */
void tls_resume_begin(SSL *ssl, struct tls_check *check);
/* A chain was found good, or is not looked at. */
void tls_resume_verified(const SSL *ssl, const struct tls_check *check,
                         const struct tls_times *times);
/* The handshake ended well: of a resumed one, fills what its certificate said. */
void tls_resume_done(SSL *ssl, struct tls_check *check);
/* For SSL_CTX_sess_set_new_cb. */
int tls_resume_on_session(SSL *ssl, SSL_SESSION *session);
/* Its length, then the bytes. */
bool tls_digest_bytes(EVP_MD_CTX *hash, const void *bytes, size_t len);

/* --- tls_words --- */

/* Seconds since the epoch, or EVENT_ABSENT. */
int64_t tls_time_s(const ASN1_TIME *time);
/* Put OpenSSL's verdict into check: its type, and a message. cert: the one of the chain that was
 * found wrong; NULL: none in particular. */
void tls_error_note(struct tls_check *check, int code, X509 *cert);
/* The handshake cannot even begin. reason may be NULL. */
void tls_refuse(struct tls_check *check, const char *reason);

#endif
