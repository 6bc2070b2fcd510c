#include "common/kafka_files.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/textfile.h"
#include "common/timestamp.h"

#define FILE_BYTES_MAX (4 * 1024 * 1024) /* a bundle of all public CAs has 220 KB */

_Static_assert(KAFKA_FILES_DIGEST_BYTES == SHA256_DIGEST_LENGTH, "a SHA-256");

#define CA_SETTING "kafka-cafile (KAFKA_CAFILE)"
#define CERT_SETTING "kafka-certfile (KAFKA_CERTFILE)"
#define KEY_SETTING "kafka-keyfile (KAFKA_KEYFILE)"

static bool is_given(const struct kafka_settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->properties.count; i++) {
        if (strcmp(settings->properties.names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* --- What is in a file --- */

/* Asked before librdkafka does, whose own message names neither the setting nor the file. */
static int file_check(const char *setting, const char *path, bool may_be_dir, bool *is_dir,
                      struct err *err)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        return err_set(err, ERR_INVALID, "%s: %s: %s", setting, path, strerror(errno));
    }
    fstat(fd, &status);
    close(fd);
    *is_dir = S_ISDIR(status.st_mode);
    if (*is_dir && !may_be_dir) {
        return err_set(err, ERR_INVALID, "%s: %s: %s", setting, path, strerror(EISDIR));
    }
    return 0;
}

/* The first certificate in the file. NULL and ERR_INVALID. */
static X509 *cert_read(const char *setting, const char *path, struct err *err)
{
    BIO *bio = BIO_new_file(path, "re");
    X509 *cert = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);

    BIO_free(bio);
    ERR_clear_error();
    if (cert == NULL) {
        err_set(err, ERR_INVALID, "%s: %s: no certificate in it, want PEM", setting, path);
    }
    return cert;
}

/* librdkafka has the password, we only learn that one is needed. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the type is OpenSSL's */
static int on_password(char *buffer, int size, int writing, void *context)
{
    bool *is_asked = context;

    (void)buffer;
    (void)size;
    (void)writing;
    *is_asked = true;
    return 0;
}

/* NULL with *is_locked: it has a password. Else NULL and ERR_INVALID. */
static EVP_PKEY *key_read(const char *path, bool *is_locked, struct err *err)
{
    BIO *bio = BIO_new_file(path, "re");

    *is_locked = false;

    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, on_password, is_locked);

    BIO_free(bio);
    ERR_clear_error();
    if (key == NULL && !*is_locked) {
        err_set(err, ERR_INVALID, KEY_SETTING ": %s: no key in it, want PEM", path);
    }
    return key;
}

static int pair_check(const struct kafka_settings *settings, struct err *err)
{
    bool is_locked;
    X509 *cert = cert_read(CERT_SETTING, settings->cert_file, err);
    EVP_PKEY *key = cert == NULL ? NULL : key_read(settings->key_file, &is_locked, err);
    int rc = cert != NULL && (key != NULL || is_locked) ? 0 : -1;

    if (key != NULL && X509_check_private_key(cert, key) != 1) {
        rc = err_set(err, ERR_INVALID,
                     KEY_SETTING ": %s is not the key of the certificate in " CERT_SETTING ", %s",
                     settings->key_file, settings->cert_file);
    }
    EVP_PKEY_free(key);
    X509_free(cert);
    ERR_clear_error();
    return rc;
}

static int ca_check(const char *path, struct err *err)
{
    bool is_dir;

    if (file_check(CA_SETTING, path, true, &is_dir, err) < 0) {
        return -1;
    }
    if (is_dir) {
        return 0;
    }
    X509 *cert = cert_read(CA_SETTING, path, err);

    X509_free(cert);
    return cert == NULL ? -1 : 0;
}

int kafka_files_check(const struct kafka_settings *settings, struct err *err)
{
    bool has_cert = settings->cert_file != NULL;
    bool has_key = settings->key_file != NULL;
    bool ignored;

    if (has_cert != has_key) {
        return err_set(err, ERR_INVALID,
                       CERT_SETTING " and " KEY_SETTING " go together: %s is not set",
                       has_cert ? "kafka-keyfile" : "kafka-certfile");
    }
    /* Without this the certificate would be ignored, and everything sent in the clear. */
    if (has_cert && settings->ca_file == NULL && !is_given(settings, "security.protocol")) {
        return err_set(err, ERR_INVALID,
                       CERT_SETTING " is set and " CA_SETTING ", which turns TLS on, is not");
    }
    if (settings->ca_file != NULL && ca_check(settings->ca_file, err) < 0) {
        return -1;
    }
    if (!has_cert) {
        return 0;
    }
    return file_check(CERT_SETTING, settings->cert_file, false, &ignored, err) < 0 ||
                   file_check(KEY_SETTING, settings->key_file, false, &ignored, err) < 0
               ? -1
               : pair_check(settings, err);
}

/* --- Whether they were renewed --- */

/* A file that is not there, or a directory, counts as empty. */
static void digest_make(const struct kafka_settings *settings,
                        unsigned char digest[KAFKA_FILES_DIGEST_BYTES])
{
    const char *const paths[] = {settings->ca_file, settings->cert_file, settings->key_file};
    unsigned char each[3][KAFKA_FILES_DIGEST_BYTES] = {{0}};

    for (size_t i = 0; i < 3; i++) {
        struct err ignored;
        char *text;
        size_t len;

        if (paths[i] != NULL &&
            textfile_read(paths[i], FILE_BYTES_MAX, &text, &len, &ignored) == 0) {
            SHA256((const unsigned char *)text, len, each[i]);
            free(text);
        }
    }
    SHA256(each[0], sizeof(each), digest);
}

/* When the certificate ends, in seconds since the epoch; 0 when there is none. */
static int64_t end_of_cert(const struct kafka_settings *settings)
{
    struct err ignored;
    struct tm end;
    X509 *cert =
        settings->cert_file == NULL ? NULL : cert_read(CERT_SETTING, settings->cert_file, &ignored);
    int64_t ends_s = 0;

    if (cert != NULL && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &end) == 1) {
        ends_s = timegm(&end);
    }
    X509_free(cert);
    return ends_s;
}

static void take_end(struct kafka_files *files)
{
    files->ends_s = end_of_cert(files->settings);
    files->tell_ns = 0;
    if (files->ends != NULL) {
        metric_set(files->ends, files->ends_s);
    }
}

static void tell_end(struct kafka_files *files, int64_t now_ns, int64_t real_ns)
{
    int64_t left_s = files->ends_s - real_ns / NS_PER_SEC;
    char text[TIMESTAMP_SIZE];

    if (files->ends_s == 0 || left_s > KAFKA_FILES_SOON_S || now_ns < files->tell_ns) {
        return;
    }
    files->tell_ns = now_ns + KAFKA_FILES_TELL_NS;
    timestamp_format_s(files->ends_s, text);
    log_write(
        left_s <= 0 ? LOG_ERROR : LOG_WARN,
        left_s <= 0 ? "our certificate for Kafka has expired"
                    : "our certificate for Kafka ends soon",
        LOG_S("file", files->settings->cert_file), LOG_S("end", text),
        LOG_S("fix", "put a renewed one into " CERT_SETTING ", it is taken up without a restart"));
}

void kafka_files_init(struct kafka_files *files, const struct kafka_settings *settings,
                      struct metrics *m)
{
    bool any = settings->ca_file != NULL || settings->cert_file != NULL;

    *files = (struct kafka_files){.settings = settings, .look_ns = any ? 0 : TIME_NEVER};
    if (settings->cert_file != NULL) {
        files->ends = metrics_gauge(m, "sitewatch_kafka_certificate_expiry_timestamp_seconds",
                                    "When our client certificate for Kafka ends, Unix time", NULL);
    }
    if (any) {
        digest_make(settings, files->used);
        take_end(files);
    }
}

bool kafka_files_look(struct kafka_files *files, int64_t now_ns, int64_t real_ns)
{
    unsigned char digest[KAFKA_FILES_DIGEST_BYTES];
    struct err why;
    char text[TIMESTAMP_SIZE];

    if (now_ns < files->look_ns) {
        return false;
    }
    files->look_ns = now_ns + KAFKA_FILES_LOOK_NS;
    tell_end(files, now_ns, real_ns);
    digest_make(files->settings, digest);
    if (memcmp(digest, files->used, sizeof(digest)) == 0 ||
        memcmp(digest, files->refused, sizeof(digest)) == 0) {
        return false;
    }
    if (kafka_files_check(files->settings, &why) < 0) {
        memcpy(files->refused, digest, sizeof(digest));
        log_write(LOG_WARN, "renewed files for Kafka cannot be used, those of before stay in use",
                  LOG_S("reason", why.message));
        return false;
    }
    memcpy(files->used, digest, sizeof(digest));
    take_end(files);
    timestamp_format_s(files->ends_s, text);
    log_write(LOG_INFO, "files for Kafka were renewed, its clients are made anew",
              LOG_S("certificate_end", files->ends_s == 0 ? NULL : text));
    return true;
}
