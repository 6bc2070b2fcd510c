/* Files for TLS to Kafka: which cannot be used and in which words, and when they count as renewed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/kafka_files.h"
#include "common/kafka_words.h"
#include "tests/unit/certs.h"
#include "tests/unit/logged.h"

#define REAL_NS (clock_real_ns())

struct files {
    char dir[64], ca[96], cert[96], key[96], missing[96], empty[96], locked[96];
    struct cert authority, first, second;
    struct metrics *metrics;
    struct kafka_settings settings;
};

static FILE *open_new(const char *path)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    return file;
}

static void cert_write(const struct cert *cert, const char *path)
{
    FILE *file = open_new(path);

    PEM_write_X509(file, cert->x509);
    fclose(file);
}

static void key_write(const struct cert *cert, const char *path, const char *password)
{
    FILE *file = open_new(path);

    PEM_write_PKCS8PrivateKey(file, cert->key, password == NULL ? NULL : EVP_aes_128_cbc(),
                              password, password == NULL ? 0 : (int)strlen(password), NULL, NULL);
    fclose(file);
}

static int files_make(void **state)
{
    struct files *f = calloc(1, sizeof(*f));

    snprintf(f->dir, sizeof(f->dir), "/tmp/kafka_files_test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->ca, sizeof(f->ca), "%s/ca.pem", f->dir);
    snprintf(f->cert, sizeof(f->cert), "%s/service.cert", f->dir);
    snprintf(f->key, sizeof(f->key), "%s/service.key", f->dir);
    snprintf(f->missing, sizeof(f->missing), "%s/missing", f->dir);
    snprintf(f->empty, sizeof(f->empty), "%s/empty", f->dir);
    snprintf(f->locked, sizeof(f->locked), "%s/locked", f->dir);
    f->authority = cert_make(&(struct cert_wish){.subject = "CA", .authority = true});
    f->first = cert_make(&(struct cert_wish){.subject = "1", .issuer = &f->authority});
    f->second = cert_make(&(struct cert_wish){.subject = "2", .issuer = &f->authority});
    cert_write(&f->authority, f->ca);
    cert_write(&f->first, f->cert);
    key_write(&f->first, f->key, NULL);
    key_write(&f->first, f->locked, "secret");
    fclose(open_new(f->empty));
    f->metrics = metrics_new();
    f->settings = (struct kafka_settings){.bootstrap_servers = (char *)(uintptr_t) "localhost:1",
                                          .ca_file = f->ca,
                                          .cert_file = f->cert,
                                          .key_file = f->key};
    *state = f;
    return 0;
}

static int files_remove(void **state)
{
    struct files *f = *state;
    const char *const paths[] = {f->ca, f->cert, f->key, f->empty, f->locked};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        unlink(paths[i]);
    }
    rmdir(f->dir);
    cert_free(&f->authority);
    cert_free(&f->first);
    cert_free(&f->second);
    metrics_free(f->metrics);
    free(f);
    return 0;
}

static void files_that_cannot_be_used_are_named_with_their_setting(void **state)
{
    struct files *f = *state;
    const struct {
        const char *name;
        char *ca, *cert, *key;
        const char *says[3];
    } rows[] = {
        {"the CA is missing",
         f->missing,
         NULL,
         NULL,
         {"kafka-cafile (KAFKA_CAFILE)", f->missing, "No such file"}},
        {"the CA is empty", f->empty, NULL, NULL, {"kafka-cafile", f->empty, "no certificate"}},
        {"the CA is a key", f->key, NULL, NULL, {"kafka-cafile", f->key, "no certificate"}},
        {"the certificate is missing",
         f->ca,
         f->missing,
         f->key,
         {"kafka-certfile (KAFKA_CERTFILE)", f->missing, "No such file"}},
        {"the certificate is empty",
         f->ca,
         f->empty,
         f->key,
         {"kafka-certfile (KAFKA_CERTFILE)", f->empty, "no certificate"}},
        {"the key is missing",
         f->ca,
         f->cert,
         f->missing,
         {"kafka-keyfile (KAFKA_KEYFILE)", f->missing, "No such file"}},
        {"the key is a directory",
         f->ca,
         f->cert,
         f->dir,
         {"kafka-keyfile (KAFKA_KEYFILE)", f->dir, "Is a directory"}},
        {"the key is a certificate",
         f->ca,
         f->cert,
         f->ca,
         {"kafka-keyfile (KAFKA_KEYFILE)", f->ca, "no key"}},
        {"the key is another certificate's",
         f->ca,
         f->ca,
         f->key,
         {"kafka-keyfile (KAFKA_KEYFILE)", f->key, "is not the key of the certificate"}},
        {"a certificate without its key",
         f->ca,
         f->cert,
         NULL,
         {"go together", "kafka-keyfile is not set", "KAFKA_KEYFILE"}},
        {"a key without its certificate",
         f->ca,
         NULL,
         f->key,
         {"go together", "kafka-certfile is not set", "KAFKA_CERTFILE"}},
        {"a certificate without TLS",
         NULL,
         f->cert,
         f->key,
         {"kafka-certfile", "kafka-cafile", "turns TLS on"}},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct kafka_settings settings = {.bootstrap_servers = f->settings.bootstrap_servers,
                                          .ca_file = rows[i].ca,
                                          .cert_file = rows[i].cert,
                                          .key_file = rows[i].key};
        struct err err;

        assert_null(kafka_conf_new(&settings, "me", &err));
        assert_int_equal(err.kind, ERR_INVALID);
        for (size_t j = 0; j < 3; j++) {
            if (strstr(err.message, rows[i].says[j]) == NULL) {
                fail_msg("%s: no \"%s\" in: %s", rows[i].name, rows[i].says[j], err.message);
            }
        }
    }
}

static void files_that_can_be_used_become_properties(void **state)
{
    struct files *f = *state;
    const struct {
        const char *pair; /* NULL: none */
        char *ca, *key;
        const char *protocol;
    } rows[] = {
        {"security.protocol=sasl_ssl", f->ca, f->key, "sasl_ssl"},
        {"security.protocol=ssl", NULL, f->key, "ssl"}, /* with the system's CAs */
        {NULL, f->ca, f->key, "ssl"},
        {NULL, f->ca, f->locked, "ssl"}, /* librdkafka is given the password */
        {NULL, f->dir, f->key, "ssl"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *name = (char *)(uintptr_t) "security.protocol";
        char *value =
            (char *)(uintptr_t)(rows[i].pair == NULL ? "" : strchr(rows[i].pair, '=') + 1);
        struct kafka_settings settings = {
            .bootstrap_servers = f->settings.bootstrap_servers,
            .ca_file = rows[i].ca,
            .cert_file = f->cert,
            .key_file = rows[i].key,
            .properties = {.names = &name, .values = &value, .count = rows[i].pair != NULL}};
        char protocol[32], cert[128];
        size_t protocol_size = sizeof(protocol), cert_size = sizeof(cert);
        struct err err;
        rd_kafka_conf_t *conf = kafka_conf_new(&settings, "me", &err);

        if (conf == NULL) {
            fail_msg("row %zu: %s", i, err.message);
        }
        rd_kafka_conf_get(conf, "security.protocol", protocol, &protocol_size);
        rd_kafka_conf_get(conf, "ssl.certificate.location", cert, &cert_size);
        assert_string_equal(protocol, rows[i].protocol);
        assert_string_equal(cert, f->cert);
        rd_kafka_conf_destroy(conf);
    }
}

static void a_pair_counts_as_renewed_once_it_belongs_together(void **state)
{
    struct files *f = *state;
    struct kafka_files files;
    struct logged l;
    int64_t now_ns = 0;

    kafka_files_init(&files, &f->settings, f->metrics);
    assert_false(kafka_files_look(&files, now_ns, REAL_NS));

    cert_write(&f->second, f->cert);
    assert_false(kafka_files_look(&files, now_ns + KAFKA_FILES_LOOK_NS - 1, REAL_NS));
    log_begin(&l);
    assert_false(kafka_files_look(&files, now_ns += KAFKA_FILES_LOOK_NS, REAL_NS));
    assert_false(kafka_files_look(&files, now_ns += KAFKA_FILES_LOOK_NS, REAL_NS));
    log_end(&l);
    assert_int_equal(count_of(&l, "those of before stay in use"), 1);
    assert_int_equal(count_of(&l, "is not the key of the certificate"), 1);

    key_write(&f->second, f->key, NULL);
    log_begin(&l);
    assert_true(kafka_files_look(&files, now_ns += KAFKA_FILES_LOOK_NS, REAL_NS));
    assert_false(kafka_files_look(&files, now_ns += KAFKA_FILES_LOOK_NS, REAL_NS));
    log_end(&l);
    assert_int_equal(count_of(&l, "files for Kafka were renewed"), 1);

    unlink(f->ca);
    log_begin(&l);
    assert_false(kafka_files_look(&files, now_ns += KAFKA_FILES_LOOK_NS, REAL_NS));
    log_end(&l);
    assert_int_equal(count_of(&l, "No such file"), 1);
    cert_write(&f->authority, f->ca); /* as it was: nothing is renewed */
    assert_false(kafka_files_look(&files, now_ns + KAFKA_FILES_LOOK_NS, REAL_NS));
}

static void without_files_nothing_is_looked_at(void **state)
{
    struct files *f = *state;
    struct kafka_settings settings = {.bootstrap_servers = f->settings.bootstrap_servers};
    struct kafka_files files;

    kafka_files_init(&files, &settings, f->metrics);
    assert_false(kafka_files_look(&files, TIME_NEVER - 1, REAL_NS));
}

static void the_end_of_our_certificate_is_told_of_in_time(void **state)
{
    static const struct {
        const char *name;
        long ends_s;
        const char *says; /* NULL: nothing */
    } rows[] = {
        {"it has ended", -60, "level=error msg=\"our certificate for Kafka has expired\""},
        {"it ends in a day", CERT_DAY, "level=warning msg=\"our certificate for Kafka ends soon\""},
        {"it ends in a month", 30 * CERT_DAY, NULL},
    };
    struct files *f = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct cert cert = cert_make(&(struct cert_wish){.subject = "x",
                                                         .issuer = &f->authority,
                                                         .begins_s = -2 * CERT_DAY,
                                                         .ends_s = rows[i].ends_s});
        struct kafka_files files;
        struct logged l;

        cert_write(&cert, f->cert);
        key_write(&cert, f->key, NULL);
        kafka_files_init(&files, &f->settings, f->metrics);
        log_begin(&l);
        kafka_files_look(&files, 0, REAL_NS);
        kafka_files_look(&files, KAFKA_FILES_LOOK_NS, REAL_NS);
        log_end(&l);
        if (rows[i].says == NULL ? l.text[0] != '\0' : count_of(&l, rows[i].says) != 1) {
            fail_msg("%s: %s", rows[i].name, l.text);
        }
        log_begin(&l);
        kafka_files_look(&files, KAFKA_FILES_TELL_NS, REAL_NS);
        log_end(&l);
        assert_int_equal(count_of(&l, "our certificate"), rows[i].says == NULL ? 0 : 1);
        cert_free(&cert);
    }
}

static void each_fault_of_a_brokers_certificate_has_its_own_words(void **state)
{
    static const struct {
        int error;
        const char *says;
    } rows[] = {
        {X509_V_ERR_HOSTNAME_MISMATCH, "of another host"},
        {X509_V_ERR_IP_ADDRESS_MISMATCH, "of another host"},
        {X509_V_ERR_CERT_HAS_EXPIRED, "renew the certificate on the broker"},
        {X509_V_ERR_CERT_NOT_YET_VALID, "clock"},
        {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "kafka-cafile (KAFKA_CAFILE)"},
        {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "kafka-cafile (KAFKA_CAFILE)"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_non_null(strstr(kafka_words_of_certificate(rows[i].error), rows[i].says));
    }
}

#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, files_make, files_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILES(files_that_cannot_be_used_are_named_with_their_setting),
        WITH_FILES(files_that_can_be_used_become_properties),
        WITH_FILES(a_pair_counts_as_renewed_once_it_belongs_together),
        WITH_FILES(without_files_nothing_is_looked_at),
        WITH_FILES(the_end_of_our_certificate_is_told_of_in_time),
        cmocka_unit_test(each_fault_of_a_brokers_certificate_has_its_own_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
