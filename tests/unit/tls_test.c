#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "producer/tls.h"
#include "tests/unit/certs.h"

enum kind {
    AUTHORITY,
    STRANGER, /* an authority that nobody trusts */
    MIDDLE,   /* signed by AUTHORITY, trusted by itself in one row */
    GOOD,
    UNDER_MIDDLE,
    WILDCARD,
    PARTIAL_WILDCARD,
    ADDRESSES,
    ADDRESS_IN_SUBJECT,
    EXPIRED,
    EXPIRED_AND_WRONG_NAME,
    NOT_YET,
    SELF_SIGNED,
    FROM_STRANGER,
    FOR_CLIENTS,
    MANY_NAMES,
    NO_NAMES,
    RSA_KEY,
    P384_KEY,
    ED25519_KEY,
    FROM_RSA,
    KINDS,
};

static struct cert certs[KINDS];
static char authority_file[32], middle_file[32];
static struct metrics *metrics;

static const struct cert_wish wishes[KINDS] = {
    [AUTHORITY] = {.subject = "Test Root", .authority = true},
    [STRANGER] = {.subject = "Stranger", .authority = true},
    [MIDDLE] = {.subject = "Middle", .authority = true, .issuer = &certs[AUTHORITY]},
    [GOOD] = {.subject = "good", .names = "DNS:www.site.test", .issuer = &certs[AUTHORITY]},
    [UNDER_MIDDLE] = {.subject = "under", .names = "DNS:www.site.test", .issuer = &certs[MIDDLE]},
    [WILDCARD] = {.subject = "wild", .names = "DNS:*.site.test", .issuer = &certs[AUTHORITY]},
    [PARTIAL_WILDCARD] = {.subject = "partial",
                          .names = "DNS:w*.site.test",
                          .issuer = &certs[AUTHORITY]},
    [ADDRESSES] = {.subject = "addresses",
                   .names = "IP:127.0.0.1,IP:::1,email:a@site.test",
                   .issuer = &certs[AUTHORITY]},
    [ADDRESS_IN_SUBJECT] = {.subject = "127.0.0.1",
                            .names = "DNS:127.0.0.1",
                            .issuer = &certs[AUTHORITY]},
    [EXPIRED] = {.subject = "old",
                 .names = "DNS:www.site.test",
                 .issuer = &certs[AUTHORITY],
                 .begins_s = -10 * CERT_DAY,
                 .ends_s = -CERT_DAY},
    [EXPIRED_AND_WRONG_NAME] = {.subject = "old",
                                .names = "DNS:other.test",
                                .issuer = &certs[AUTHORITY],
                                .begins_s = -10 * CERT_DAY,
                                .ends_s = -CERT_DAY},
    [NOT_YET] = {.subject = "early",
                 .names = "DNS:www.site.test",
                 .issuer = &certs[AUTHORITY],
                 .begins_s = CERT_DAY,
                 .ends_s = 2 * CERT_DAY},
    [SELF_SIGNED] = {.subject = "me\nmyself", .names = "DNS:www.site.test"},
    [FROM_STRANGER] = {.subject = "odd", .names = "DNS:other.test", .issuer = &certs[STRANGER]},
    [FOR_CLIENTS] = {.subject = "client",
                     .names = "DNS:www.site.test",
                     .usage = "clientAuth",
                     .issuer = &certs[AUTHORITY]},
    [MANY_NAMES] = {.subject = "many",
                    .names = "DNS:a.test,DNS:b.test,DNS:c.test,DNS:d.test,DNS:e.test",
                    .issuer = &certs[AUTHORITY]},
    [RSA_KEY] = {.subject = "rsa",
                 .names = "DNS:www.site.test",
                 .issuer = &certs[AUTHORITY],
                 .curve = "RSA"},
    [P384_KEY] = {.subject = "p384",
                  .names = "DNS:www.site.test",
                  .issuer = &certs[AUTHORITY],
                  .curve = "P-384"},
    [ED25519_KEY] = {.subject = "ed25519",
                     .names = "DNS:www.site.test",
                     .issuer = &certs[AUTHORITY],
                     .curve = "ED25519"},
    [FROM_RSA] = {.subject = "below", .names = "DNS:www.site.test", .issuer = &certs[RSA_KEY]},
    [NO_NAMES] = {.subject = "nameless", .names = "email:a@b.test", .issuer = &certs[AUTHORITY]},
};

static int make_certs(void **state)
{
    (void)state;
    metrics = metrics_new();
    for (int kind = 0; kind < KINDS; kind++) {
        certs[kind] = cert_make(&wishes[kind]);
    }
    cert_save(&certs[AUTHORITY], false, authority_file);
    cert_save(&certs[MIDDLE], false, middle_file);
    return 0;
}

static int free_certs(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        cert_free(&certs[kind]);
    }
    unlink(authority_file);
    unlink(middle_file);
    metrics_free(metrics);
    return 0;
}

/* --- A handshake in memory --- */

struct talk {
    SSL_CTX *client_ctx, *server_ctx;
    SSL *client, *server;
    struct tls *tls;
};

/* As libcurl does it: a context, our preparation of it, an SSL, its handshake. */
static void talk_open_with(struct talk *talk, struct tls *tls, SSL_CTX *server_ctx,
                           int server_version_max)
{
    BIO *client_end, *server_end;

    *talk = (struct talk){.server_ctx = server_ctx};
    SSL_CTX_set_security_level(talk->server_ctx, 0);
    SSL_CTX_set_min_proto_version(talk->server_ctx, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(talk->server_ctx, server_version_max);
    talk->server = SSL_new(talk->server_ctx);
    BIO_new_bio_pair(&client_end, 0, &server_end, 0);
    SSL_set_bio(talk->server, server_end, server_end);
    SSL_set_accept_state(talk->server);
    talk->client = (SSL *)client_end; /* until talk_shake makes the SSL of the prepared context */
    talk->tls = tls;
    tls_enter(tls);
    talk->client_ctx = SSL_CTX_new(TLS_client_method());
}

static void talk_open(struct talk *talk, struct tls *tls, enum kind kind, int server_version_max)
{
    talk_open_with(talk, tls, cert_server(&certs[kind]), server_version_max);
}

static bool talk_shake(struct talk *talk)
{
    BIO *end = (BIO *)talk->client;
    int ours = 0, theirs = 0;

    talk->client = SSL_new(talk->client_ctx);
    SSL_set_bio(talk->client, end, end);
    SSL_set_connect_state(talk->client);
    for (int turn = 0; turn < 20 && (ours != 1 || theirs != 1); turn++) {
        ours = SSL_do_handshake(talk->client);
        theirs = SSL_do_handshake(talk->server);
    }
    ERR_clear_error();
    tls_leave(talk->tls);
    return ours == 1;
}

static void talk_close(struct talk *talk)
{
    SSL_free(talk->client);
    SSL_free(talk->server);
    SSL_CTX_free(talk->client_ctx);
    SSL_CTX_free(talk->server_ctx);
}

static void handshakes_are_judged(void **state)
{
    static const struct {
        const char *name;
        enum kind kind;
        const char *host;
        enum error_type error;
        const char *message; /* a part of it */
        bool trust_middle;
    } rows[] = {
        {"a self-signed certificate is not trusted, its line break escaped", SELF_SIGNED,
         "www.site.test", ERROR_TLS_UNTRUSTED, "CN=me\\0Amyself", false},
        {"an unknown issuer and a wrong name is untrusted", FROM_STRANGER, "www.site.test",
         ERROR_TLS_UNTRUSTED, "CN=odd, issued by CN=Stranger", false},
        {"a certificate for clients does not do for a server", FOR_CLIENTS, "www.site.test",
         ERROR_TLS_UNTRUSTED, "purpose", false},
        {"an intermediate that is not sent is missed", UNDER_MIDDLE, "www.site.test",
         ERROR_TLS_UNTRUSTED, "issued by CN=Middle", false},
        {"an expired one names the day", EXPIRED, "www.site.test", ERROR_TLS_EXPIRED,
         "CN=old ended 2", false},
        {"one of tomorrow is not valid yet", NOT_YET, "www.site.test", ERROR_TLS_EXPIRED,
         "CN=early begins 2", false},
        {"the name is looked at before the dates", EXPIRED_AND_WRONG_NAME, "www.site.test",
         ERROR_TLS_HOSTNAME, "the certificate is for other.test", false},
        {"another name is refused", GOOD, "site.test", ERROR_TLS_HOSTNAME, "is for www.site.test",
         false},
        {"a name that only begins alike is refused", GOOD, "www.site.test.evil.test",
         ERROR_TLS_HOSTNAME, "is for www.site.test", false},
        {"a wildcard is one label", WILDCARD, "a.b.site.test", ERROR_TLS_HOSTNAME,
         "is for *.site.test", false},
        {"a wildcard is not the domain itself", WILDCARD, "site.test", ERROR_TLS_HOSTNAME, "",
         false},
        {"a wildcard within a label is refused", PARTIAL_WILDCARD, "www.site.test",
         ERROR_TLS_HOSTNAME, "w*.site.test", false},
        {"another address is refused", ADDRESSES, "127.0.0.2", ERROR_TLS_HOSTNAME,
         "is for 127.0.0.1, ::1", false},
        {"an address written as a name is refused", ADDRESS_IN_SUBJECT, "127.0.0.1",
         ERROR_TLS_HOSTNAME, "is for 127.0.0.1", false},
        {"of many names the first are told", MANY_NAMES, "www.site.test", ERROR_TLS_HOSTNAME,
         "is for a.test, b.test, c.test, d.test, ...", false},
        {"without names the subject is told", NO_NAMES, "www.site.test", ERROR_TLS_HOSTNAME,
         "is for CN=nameless", false},
        {"the right name is accepted", GOOD, "www.site.test", ERROR_NONE, "", false},
        {"the case of the name does not matter", GOOD, "WWW.Site.Test", ERROR_NONE, "", false},
        {"the root's dot does not matter", GOOD, "www.site.test.", ERROR_NONE, "", false},
        {"a wildcard covers a name", WILDCARD, "www.site.test", ERROR_NONE, "", false},
        {"an IPv4 address is accepted", ADDRESSES, "127.0.0.1", ERROR_NONE, "", false},
        {"an IPv6 address is accepted", ADDRESSES, "::1", ERROR_NONE, "", false},
        {"an intermediate in the file is trusted", UNDER_MIDDLE, "www.site.test", ERROR_NONE, "",
         true},
        {"a leaf signed by what is no authority is refused", FROM_RSA, "www.site.test",
         ERROR_TLS_UNTRUSTED, "issued by CN=rsa", false},
        {"an RSA key is accepted", RSA_KEY, "www.site.test", ERROR_NONE, "", false},
        {"a P-384 key is accepted", P384_KEY, "www.site.test", ERROR_NONE, "", false},
        {"an Ed25519 key is accepted", ED25519_KEY, "www.site.test", ERROR_NONE, "", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *ca_file = rows[i].trust_middle ? middle_file : authority_file;
        struct tls *tls = tls_new(metrics);
        struct talk talk;
        struct err err;
        struct tls_check check = {
            .tls = tls,
            .host = rows[i].host,
            .ca_file = ca_file,
            .verify = true,
            .min_tls = SITE_TLS_1_2,
        };

        print_message("  %s\n", rows[i].name);
        assert_int_equal(tls_trust(tls, ca_file, &err), 0);
        talk_open(&talk, tls, rows[i].kind, TLS1_3_VERSION);
        assert_int_equal(tls_prepare(talk.client_ctx, &check, &err), 0);
        assert_int_equal(talk_shake(&talk), rows[i].error == ERROR_NONE);
        assert_int_equal(check.error, rows[i].error);
        assert_non_null(strstr(check.message, rows[i].message));
        assert_int_equal(check.message[0] == '\0', rows[i].error == ERROR_NONE);
        assert_true(check.not_after_s != EVENT_ABSENT);
        if (rows[i].error == ERROR_NONE) {
            assert_string_equal(check.version, "TLSv1.3");
        } else {
            assert_null(check.version);
        }
        talk_close(&talk);
        tls_free(tls);
    }
}

static void without_verification_all_is_accepted_and_told(void **state)
{
    static const enum kind kinds[] = {EXPIRED, SELF_SIGNED, FROM_STRANGER, GOOD};

    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct tls *tls = tls_new(metrics); /* nothing was read: nothing is needed */
        struct tls_check check = {.tls = tls, .host = "x.test", .min_tls = SITE_TLS_1_2};
        long ends_s = wishes[kinds[i]].ends_s != 0 ? wishes[kinds[i]].ends_s : 30 * CERT_DAY;
        int64_t expected_s = time(NULL) + ends_s;
        struct talk talk;
        struct err err;

        talk_open(&talk, tls, kinds[i], TLS1_3_VERSION);
        assert_int_equal(tls_prepare(talk.client_ctx, &check, &err), 0);
        assert_true(talk_shake(&talk));
        assert_int_equal(check.error, ERROR_NONE);
        assert_string_equal(check.version, "TLSv1.3");
        assert_in_range(check.not_after_s, expected_s - 60, expected_s + 60);
        talk_close(&talk);
        tls_free(tls);
    }
}

static void old_versions_are_refused(void **state)
{
    static const struct {
        const char *name;
        enum site_min_tls min_tls;
        int server_version_max;
        const char *version; /* NULL: no handshake */
    } rows[] = {
        {"1.3 is asked for, the server has 1.2", SITE_TLS_1_3, TLS1_2_VERSION, NULL},
        {"1.2 is asked for, the server has 1.1", SITE_TLS_1_2, TLS1_1_VERSION, NULL},
        {"1.2 is asked for and had", SITE_TLS_1_2, TLS1_2_VERSION, "TLSv1.2"},
        {"1.2 is asked for, the better one is had", SITE_TLS_1_2, TLS1_3_VERSION, "TLSv1.3"},
        {"any is asked for, the server has 1.1", SITE_TLS_ANY, TLS1_1_VERSION, NULL},
        {"any is asked for, the server has 1.2", SITE_TLS_ANY, TLS1_2_VERSION, "TLSv1.2"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tls *tls = tls_new(metrics);
        struct tls_check check = {.tls = tls, .host = "x.test", .min_tls = rows[i].min_tls};
        struct talk talk;
        struct err err;

        print_message("  %s\n", rows[i].name);
        talk_open(&talk, tls, GOOD, rows[i].server_version_max);
        assert_int_equal(tls_prepare(talk.client_ctx, &check, &err), 0);
        assert_int_equal(talk_shake(&talk), rows[i].version != NULL);
        assert_int_equal(check.error, ERROR_NONE);
        if (rows[i].version != NULL) {
            assert_string_equal(check.version, rows[i].version);
        } else {
            assert_null(check.version);
        }
        talk_close(&talk);
        tls_free(tls);
    }
}

/* The check is over, and its memory may be another's, while the connection lives on. */
static void a_connection_forgets_its_check(void **state)
{
    struct tls *tls = tls_new(metrics);
    struct tls_check check = {.tls = tls, .host = "x.test", .min_tls = SITE_TLS_1_2};
    struct tls_check again = {.not_after_s = EVENT_ABSENT};
    struct talk talk;
    struct err err;
    char byte;

    (void)state;
    talk_open(&talk, tls, GOOD, TLS1_2_VERSION);
    assert_int_equal(tls_prepare(talk.client_ctx, &check, &err), 0);
    SSL_CTX_clear_options(talk.client_ctx, SSL_OP_NO_RENEGOTIATION);
    assert_true(talk_shake(&talk));
    tls_read(talk.client, &again);
    assert_string_equal(again.version, check.version);
    assert_int_equal(again.not_after_s, check.not_after_s);

    memset(&check, 0, sizeof(check));
    SSL_set_options(talk.server, SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION);
    SSL_renegotiate(talk.server);
    for (int turn = 0; turn < 10; turn++) {
        SSL_do_handshake(talk.server);
        SSL_read(talk.server, &byte, 1);
        SSL_read(talk.client, &byte, 1);
    }
    assert_int_equal(SSL_num_renegotiations(talk.client), 1);
    assert_null(check.version);
    assert_int_equal(check.not_after_s, 0);
    talk_close(&talk);
    tls_free(tls);
}

static void reading_nothing_tells_nothing(void **state)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    struct tls_check check = {.not_after_s = 7};

    (void)state;
    tls_read(ssl, &check);
    assert_int_equal(check.not_after_s, EVENT_ABSENT);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

/* --- Trust --- */

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void files_without_certificates_are_refused(void **state)
{
    static const struct {
        const char *name, *text, *message;
    } rows[] = {
        {"an empty file", "", "no certificates"},
        {"not PEM", "hello\n", "no certificates"},
        {"PEM with garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
         "no"},
    };
    char path[] = "/tmp/trust.XXXXXX";
    struct tls *tls = tls_new(metrics);
    struct err err;

    (void)state;
    close(mkstemp(path));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("  %s\n", rows[i].name);
        write_file(path, rows[i].text);
        assert_int_equal(tls_trust(tls, path, &err), -1);
        assert_int_equal(err.kind, ERR_INVALID);
        assert_non_null(strstr(err.message, rows[i].message));
        assert_non_null(strstr(err.message, path));
        assert_int_equal(ERR_peek_error(), 0);
    }
    unlink(path);
    assert_int_equal(tls_trust(tls, path, &err), -1);
    assert_non_null(strstr(err.message, "No such file"));
    tls_free(tls);
}

static bool accepts_good(struct tls *tls, const char *ca_file)
{
    struct tls_check check = {
        .tls = tls, .host = "www.site.test", .ca_file = ca_file, .verify = true};
    struct talk talk;
    struct err err;

    talk_open(&talk, tls, GOOD, TLS1_3_VERSION);
    assert_int_equal(tls_prepare(talk.client_ctx, &check, &err), 0);

    bool accepted = talk_shake(&talk);

    talk_close(&talk);
    return accepted;
}

static void a_changed_file_is_read_anew(void **state)
{
    struct tls *tls = tls_new(metrics);
    struct err err;
    char path[32];

    (void)state;
    cert_save(&certs[STRANGER], false, path);
    assert_int_equal(tls_trust(tls, path, &err), 0);
    assert_int_equal(tls_trust(tls, path, &err), 0);
    assert_false(accepts_good(tls, path));

    rename(authority_file, path);
    cert_save(&certs[AUTHORITY], false, authority_file);
    assert_int_equal(tls_trust(tls, path, &err), 0);
    assert_true(accepts_good(tls, path));

    write_file(path, "broken");
    assert_int_equal(tls_trust(tls, path, &err), -1);
    assert_true(accepts_good(tls, path)); /* what was read before stays */
    unlink(path);
    tls_free(tls);
}

static void the_system_has_a_store(void **state)
{
    struct tls *tls = tls_new(metrics);
    struct err err;

    (void)state;
    setenv("SSL_CERT_FILE", authority_file, 1);
    assert_int_equal(tls_trust(tls, NULL, &err), 0);
    assert_int_equal(tls_trust(tls, middle_file, &err), 0);
    assert_true(accepts_good(tls, NULL));
    assert_false(accepts_good(tls, middle_file));

    setenv("SSL_CERT_FILE", "/nonexistent/ca.pem", 1);
    assert_int_equal(tls_trust(tls, NULL, &err), -1);
    assert_non_null(strstr(err.message, "/nonexistent/ca.pem"));
    unsetenv("SSL_CERT_FILE");
    /* Whether this machine has one or not: the outcome names no other file. */
    if (tls_trust(tls, NULL, &err) < 0) {
        assert_non_null(strstr(err.message, "/etc/"));
    }
    tls_free(tls);
}

static void preparing_without_trust_or_name_fails(void **state)
{
    struct tls *tls = tls_new(metrics);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    struct tls_check check = {.tls = tls, .host = "x.test", .verify = true};
    struct err err;

    (void)state;
    assert_int_equal(tls_prepare(ctx, &check, &err), -1);
    assert_int_equal(err.kind, ERR_FATAL);
    assert_non_null(strstr(err.message, "the system"));
    check.ca_file = authority_file;
    assert_int_equal(tls_prepare(ctx, &check, &err), -1);
    assert_non_null(strstr(err.message, authority_file));

    assert_int_equal(tls_trust(tls, authority_file, &err), 0);
    check.host = ".";
    assert_int_equal(tls_prepare(ctx, &check, &err), -1);
    assert_non_null(strstr(err.message, "cannot verify"));
    SSL_CTX_free(ctx);
    tls_free(tls);
    tls_free(NULL);
}

/* The lists of algorithms that handshakes are made from are short: see tls_lean.h. */
static void what_servers_speak_is_spoken(void **state)
{
    static const struct {
        const char *name;
        enum kind kind;
        int version;
        const char *ciphers; /* NULL: the usual ones */
        const char *groups;  /* NULL: likewise */
    } rows[] = {
        {"only P-256", GOOD, TLS1_3_VERSION, NULL, "P-256"},
        {"only P-384", P384_KEY, TLS1_3_VERSION, NULL, "P-384"},
        {"only P-521", GOOD, TLS1_3_VERSION, NULL, "P-521"},
        {"only X25519", ED25519_KEY, TLS1_3_VERSION, NULL, "X25519"},
        {"1.2, ECDSA, a block cipher with HMAC", GOOD, TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA",
         NULL},
        {"1.2, RSA, a block cipher with HMAC", RSA_KEY, TLS1_2_VERSION, "ECDHE-RSA-AES256-SHA384",
         NULL},
        {"1.2, RSA, finite fields", RSA_KEY, TLS1_2_VERSION, "DHE-RSA-AES128-SHA256", NULL},
        {"1.2, RSA, no key exchange", RSA_KEY, TLS1_2_VERSION, "AES128-GCM-SHA256", NULL},
        {"1.2, CCM", GOOD, TLS1_2_VERSION, "ECDHE-ECDSA-AES128-CCM", NULL},
        {"1.2, ChaCha20", ED25519_KEY, TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", NULL},
    };
    struct tls *tls = tls_new(metrics);
    struct err err;

    (void)state;
    assert_int_equal(tls_trust(tls, authority_file, &err), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tls_check check = {
            .tls = tls, .host = "www.site.test", .ca_file = authority_file, .verify = true};
        struct talk talk;

        print_message("  %s\n", rows[i].name);
        talk_open(&talk, tls, rows[i].kind, rows[i].version);
        SSL_set_dh_auto(talk.server, 1);
        if (rows[i].ciphers != NULL) {
            assert_int_equal(SSL_set_cipher_list(talk.server, rows[i].ciphers), 1);
        }
        if (rows[i].groups != NULL) {
            assert_int_equal(SSL_set1_groups_list(talk.server, rows[i].groups), 1);
        }
        assert_int_equal(tls_prepare(talk.client_ctx, &check, &err), 0);
        SSL_CTX_set_cipher_list(talk.client_ctx, "ALL:!aNULL"); /* as libcurl sets them */
        assert_true(talk_shake(&talk));
        assert_int_equal(check.error, ERROR_NONE);
        talk_close(&talk);
    }
    tls_free(tls);
}

static void the_fastest_suite_that_a_server_has_is_taken(void **state)
{
    static const char *const suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                         "TLS_CHACHA20_POLY1305_SHA256"};
    struct tls *tls = tls_new(metrics);
    struct err err;

    (void)state;
    assert_int_equal(tls_trust(tls, authority_file, &err), 0);
    for (size_t i = 0; i < 1 + sizeof(suites) / sizeof(suites[0]); i++) {
        struct tls_check check = {
            .tls = tls, .host = "www.site.test", .ca_file = authority_file, .verify = true};
        const char *suite = suites[i == 0 ? 0 : i - 1];
        struct talk talk;

        print_message("  %s, the server has %s\n", suite, i == 0 ? "all" : "it alone");
        talk_open(&talk, tls, GOOD, TLS1_3_VERSION);
        if (i > 0) {
            assert_int_equal(SSL_set_ciphersuites(talk.server, suite), 1);
        }
        assert_int_equal(tls_prepare(talk.client_ctx, &check, &err), 0);
        SSL_CTX_set_cipher_list(talk.client_ctx, "ALL:!aNULL"); /* as libcurl sets them */
        assert_true(talk_shake(&talk));
        assert_string_equal(SSL_get_cipher_name(talk.client), suite);
        talk_close(&talk);
    }
    tls_free(tls);
}

/* --- Chains that were verified before --- */

/* How a handshake ends, and whether its chain was known. */
static enum error_type shake(struct tls *tls, enum kind kind, const char *host, const char *ca_file,
                             bool *known)
{
    struct metric *knowns = metrics_counter(metrics, "sitewatch_tls_chains", "", "known=\"yes\"");
    uint64_t before = metric_value(knowns);
    struct tls_check check = {.tls = tls, .host = host, .ca_file = ca_file, .verify = true};
    struct talk talk;
    struct err err;

    talk_open(&talk, tls, kind, TLS1_3_VERSION);
    assert_int_equal(tls_prepare(talk.client_ctx, &check, &err), 0);

    bool well = talk_shake(&talk);

    assert_int_equal(well, check.error == ERROR_NONE);
    assert_true(check.not_after_s != EVENT_ABSENT);
    talk_close(&talk);
    *known = metric_value(knowns) > before;
    return check.error;
}

static void only_the_same_chain_for_the_same_name_is_known(void **state)
{
    static const struct {
        const char *name;
        enum kind kind;
        const char *host;
        const char *ca_file;
        enum error_type error;
        bool known;
    } rows[] = {
        {"what was never seen is verified", WILDCARD, "a.site.test", authority_file, ERROR_NONE,
         false},
        {"the same again is known", WILDCARD, "a.site.test", authority_file, ERROR_NONE, true},
        {"another name is verified", WILDCARD, "b.site.test", authority_file, ERROR_NONE, false},
        {"a name it is not for is refused", WILDCARD, "site.test", authority_file,
         ERROR_TLS_HOSTNAME, false},
        {"and refused again", WILDCARD, "site.test", authority_file, ERROR_TLS_HOSTNAME, false},
        {"another store does not trust it", WILDCARD, "a.site.test", middle_file,
         ERROR_TLS_UNTRUSTED, false},
        {"another certificate is verified", GOOD, "www.site.test", authority_file, ERROR_NONE,
         false},
        {"one that is not trusted", SELF_SIGNED, "www.site.test", authority_file,
         ERROR_TLS_UNTRUSTED, false},
        {"is not trusted later either", SELF_SIGNED, "www.site.test", authority_file,
         ERROR_TLS_UNTRUSTED, false},
        {"an expired one is never known", EXPIRED, "www.site.test", authority_file,
         ERROR_TLS_EXPIRED, false},
        {"the first is still known", WILDCARD, "a.site.test", authority_file, ERROR_NONE, true},
    };
    struct tls *tls = tls_new(metrics);
    struct err err;

    (void)state;
    assert_int_equal(tls_trust(tls, authority_file, &err), 0);
    assert_int_equal(tls_trust(tls, middle_file, &err), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool known;

        print_message("  %s\n", rows[i].name);
        assert_int_equal(shake(tls, rows[i].kind, rows[i].host, rows[i].ca_file, &known),
                         rows[i].error);
        assert_int_equal(known, rows[i].known);
    }
    tls_free(tls);
}

static void a_store_that_was_read_anew_knows_nothing(void **state)
{
    struct tls *tls = tls_new(metrics);
    struct err err;
    char path[32], next[32];
    bool known;

    (void)state;
    cert_save(&certs[AUTHORITY], false, path);
    assert_int_equal(tls_trust(tls, path, &err), 0);
    assert_int_equal(shake(tls, GOOD, "www.site.test", path, &known), ERROR_NONE);
    assert_int_equal(shake(tls, GOOD, "www.site.test", path, &known), ERROR_NONE);
    assert_true(known);

    cert_save(&certs[STRANGER], false, next);
    rename(next, path);
    assert_int_equal(tls_trust(tls, path, &err), 0);
    assert_int_equal(shake(tls, GOOD, "www.site.test", path, &known), ERROR_TLS_UNTRUSTED);
    assert_false(known);
    unlink(path);
    tls_free(tls);
}

/* --- Our own certificates --- */

static void what_is_no_certificate_of_ours_is_refused(void **state)
{
    static const char encrypted[] =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    char cert[32], other[32], text[] = "/tmp/identity.XXXXXX";
    struct tls *tls = tls_new(metrics);
    struct err err;

    (void)state;
    cert_save(&certs[FOR_CLIENTS], true, cert);
    cert_save(&certs[GOOD], true, other);
    close(mkstemp(text));

    const struct {
        const char *name, *cert_file, *key_file, *text, *message;
    } rows[] = {
        {"no certificate file", "/nonexistent", cert, "", "cert_file: /nonexistent: No such"},
        {"no key file", cert, "/nonexistent", "", "key_file: /nonexistent: No such"},
        {"an empty certificate file", text, cert, "", "no certificate could be read"},
        {"a key file without a key", cert, text, "hello\n", "no key could be read"},
        {"a key that asks for a password", cert, text, encrypted, "no key could be read"},
        {"the key of another", cert, other, "", "not the key of the certificate"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("  %s\n", rows[i].name);
        write_file(text, rows[i].text);
        assert_int_equal(tls_identify(tls, rows[i].cert_file, rows[i].key_file, &err), -1);
        assert_int_equal(err.kind, ERR_INVALID);
        assert_non_null(strstr(err.message, rows[i].message));
        assert_int_equal(ERR_peek_error(), 0);
    }
    unlink(text);
    unlink(cert);
    unlink(other);
    tls_free(tls);
}

/* The subject that the server is shown; "" for none. */
static void shown(struct tls *tls, const char *file, char *subject, size_t size)
{
    struct tls_check check = {.tls = tls, .host = "x.test", .cert_file = file, .key_file = file};
    struct talk talk;
    struct err err;

    talk_open(&talk, tls, GOOD, TLS1_3_VERSION);
    SSL_set_verify(talk.server, SSL_VERIFY_PEER, NULL);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(talk.server_ctx), certs[AUTHORITY].x509);
    assert_int_equal(tls_prepare(talk.client_ctx, &check, &err), 0);
    assert_true(talk_shake(&talk));

    X509 *cert = SSL_get0_peer_certificate(talk.server);

    subject[0] = '\0';
    if (cert != NULL) {
        X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, subject, (int)size);
    }
    talk_close(&talk);
}

static void a_certificate_of_ours_is_shown_to_its_site_alone(void **state)
{
    static const enum kind kinds[] = {FOR_CLIENTS, RSA_KEY};
    struct tls *tls = tls_new(metrics);
    struct err err;
    char path[32], next[32], subject[64];

    (void)state;
    cert_save(&certs[FOR_CLIENTS], true, path);
    shown(tls, NULL, subject, sizeof(subject));
    assert_string_equal(subject, "");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        cert_save(&certs[kinds[i]], true, next);
        rename(next, path);
        assert_int_equal(tls_identify(tls, path, path, &err), 0);
        assert_int_equal(tls_identify(tls, path, path, &err), 0);
        shown(tls, path, subject, sizeof(subject));
        assert_string_equal(subject, wishes[kinds[i]].subject);
        shown(tls, NULL, subject, sizeof(subject));
        assert_string_equal(subject, "");
    }
    unlink(path);
    tls_free(tls);
}

/* --- Sessions that are resumed --- */

struct visit {
    const char *resume, *host, *address, *ca_file, *file; /* file: of our certificate */
    uint16_t port;
    bool lax;    /* not verified */
    int version; /* 0: 1.3 */
};

/* A handshake with one server, its tickets too. Tells whether it was resumed. cut: the connection
 * goes without our close_notify. */
static bool resumes_then(bool cut, struct tls *tls, SSL_CTX *server_ctx, const struct visit *visit,
                         struct tls_check *check)
{
    struct talk talk;
    struct err err;
    char byte = 'x';

    *check = (struct tls_check){.tls = tls,
                                .host = visit->host,
                                .ca_file = visit->ca_file,
                                .cert_file = visit->file,
                                .key_file = visit->file,
                                .verify = !visit->lax,
                                .resume = visit->resume,
                                .address = visit->address,
                                .port = visit->port};
    SSL_CTX_up_ref(server_ctx);
    talk_open_with(&talk, tls, server_ctx, visit->version == 0 ? TLS1_3_VERSION : visit->version);
    assert_int_equal(tls_prepare(talk.client_ctx, check, &err), 0);

    bool well = talk_shake(&talk);
    bool resumed = well && SSL_session_reused(talk.client) == 1;

    assert_int_equal(well, check->error == ERROR_NONE);
    if (well) {
        assert_int_equal(SSL_write(talk.server, &byte, 1), 1);
        assert_int_equal(SSL_read(talk.client, &byte, 1), 1);
        if (!cut) {
            SSL_shutdown(talk.client);
        }
        SSL_shutdown(talk.server); /* or the server takes the session for a broken one */
    }
    ERR_clear_error();
    talk_close(&talk);
    return resumed;
}

static bool resumes(struct tls *tls, SSL_CTX *server_ctx, const struct visit *visit,
                    struct tls_check *check)
{
    return resumes_then(false, tls, server_ctx, visit, check);
}

static void only_what_was_verified_alike_is_resumed(void **state)
{
    static const struct visit usual = {.resume = "s",
                                       .host = "a.site.test",
                                       .address = "192.0.2.1",
                                       .ca_file = authority_file,
                                       .port = 443};
    static const char name[] = "a.site.test", other_name[] = "b.site.test";
    const struct {
        const char *name;
        struct visit visit;
        bool resumed;
        enum error_type error;
    } rows[] = {
        {"the first is in full", usual, false, ERROR_NONE},
        {"the next is resumed", usual, true, ERROR_NONE},
        {"without the option it is in full",
         {NULL, name, "192.0.2.1", authority_file, NULL, 443, false, 0},
         false,
         ERROR_NONE},
        {"another site",
         {"t", name, "192.0.2.1", authority_file, NULL, 443, false, 0},
         false,
         ERROR_NONE},
        {"another name",
         {"s", other_name, "192.0.2.1", authority_file, NULL, 443, false, 0},
         false,
         ERROR_NONE},
        {"a name it is not for",
         {"s", "site.test", "192.0.2.1", authority_file, NULL, 443, false, 0},
         false,
         ERROR_TLS_HOSTNAME},
        {"another address",
         {"s", name, "192.0.2.2", authority_file, NULL, 443, false, 0},
         false,
         ERROR_NONE},
        {"another port",
         {"s", name, "192.0.2.1", authority_file, NULL, 444, false, 0},
         false,
         ERROR_NONE},
        {"a store that does not trust it",
         {"s", name, "192.0.2.1", middle_file, NULL, 443, false, 0},
         false,
         ERROR_TLS_UNTRUSTED},
        {"not verified",
         {"s", name, "192.0.2.1", middle_file, NULL, 443, true, 0},
         false,
         ERROR_NONE},
        {"a session that was not verified does not do for one that is",
         {"s", name, "192.0.2.1", middle_file, NULL, 443, false, 0},
         false,
         ERROR_TLS_UNTRUSTED},
        {"the first is resumed still", usual, true, ERROR_NONE},
        {"a server that speaks 1.2 only",
         {"s", name, "192.0.2.1", authority_file, NULL, 443, false, TLS1_2_VERSION},
         false,
         ERROR_NONE},
        {"and again",
         {"s", name, "192.0.2.1", authority_file, NULL, 443, false, TLS1_2_VERSION},
         true,
         ERROR_NONE},
        {"a session of 1.2 does not do for 1.3", usual, false, ERROR_NONE},
    };
    SSL_CTX *server = cert_server(&certs[WILDCARD]);
    struct tls *tls = tls_new(metrics);
    struct tls_check check;
    struct err err;
    int64_t not_after_s = 0;

    (void)state;
    assert_int_equal(tls_trust(tls, authority_file, &err), 0);
    assert_int_equal(tls_trust(tls, middle_file, &err), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("  %s\n", rows[i].name);
        assert_int_equal(resumes(tls, server, &rows[i].visit, &check), rows[i].resumed);
        assert_int_equal(check.error, rows[i].error);
        /* Also of a handshake that sent no certificate. */
        assert_true(check.not_after_s > time(NULL));
        assert_true(not_after_s == 0 || check.not_after_s == not_after_s);
        not_after_s = check.not_after_s;
        assert_int_equal(check.version != NULL, rows[i].error == ERROR_NONE);
    }

    print_message("  not when the store was read anew\n");
    struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

    assert_true(resumes(tls, server, &usual, &check));
    utimensat(AT_FDCWD, authority_file, times, 0);
    assert_int_equal(tls_trust(tls, authority_file, &err), 0);
    assert_false(resumes(tls, server, &usual, &check));
    assert_true(resumes(tls, server, &usual, &check));

    print_message("  nor when our certificate changed\n");
    struct visit identified = usual;
    char own[32];

    cert_save(&certs[FOR_CLIENTS], true, own);
    identified.file = own;
    assert_int_equal(tls_identify(tls, own, own, &err), 0);
    assert_false(resumes(tls, server, &identified, &check));
    assert_true(resumes(tls, server, &identified, &check));
    utimensat(AT_FDCWD, own, times, 0);
    assert_int_equal(tls_identify(tls, own, own, &err), 0);
    assert_false(resumes(tls, server, &identified, &check));

    print_message("  nor when the server forgot it\n");
    SSL_CTX *restarted = cert_server(&certs[WILDCARD]);

    assert_true(resumes(tls, server, &usual, &check));
    assert_false(resumes(tls, restarted, &usual, &check));
    assert_int_equal(check.error, ERROR_NONE);
    assert_true(resumes(tls, restarted, &usual, &check));
    unlink(own);
    tls_free(tls);
    SSL_CTX_free(server);
    SSL_CTX_free(restarted);
}

static void a_session_outlives_a_connection_that_was_cut(void **state)
{
    static const int versions[] = {TLS1_3_VERSION, TLS1_2_VERSION};
    struct visit visit = {.resume = "s",
                          .host = "a.site.test",
                          .address = "192.0.2.1",
                          .ca_file = authority_file,
                          .port = 443};
    SSL_CTX *server = cert_server(&certs[WILDCARD]);
    struct tls *tls = tls_new(metrics);
    struct tls_check check;
    struct err err;

    (void)state;
    assert_int_equal(tls_trust(tls, authority_file, &err), 0);
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        visit.version = versions[i];
        assert_false(resumes_then(true, tls, server, &visit, &check));
        assert_true(resumes_then(true, tls, server, &visit, &check));
        assert_true(resumes_then(true, tls, server, &visit, &check));
    }
    tls_free(tls);
    SSL_CTX_free(server);
}

/* A certificate that ends is seen, though a resumed handshake shows none. */
static void a_session_ends_with_its_certificates(void **state)
{
    static const struct visit visit = {.resume = "s",
                                       .host = "www.site.test",
                                       .address = "192.0.2.1",
                                       .ca_file = authority_file,
                                       .port = 443};
    struct cert brief = cert_make(&(struct cert_wish){.subject = "brief",
                                                      .names = "DNS:www.site.test",
                                                      .issuer = &certs[AUTHORITY],
                                                      .begins_s = -CERT_DAY,
                                                      .ends_s = 3});
    SSL_CTX *server = cert_server(&brief);
    struct tls *tls = tls_new(metrics);
    int64_t ends_s = time(NULL) + 3;
    struct tls_check check;
    struct err err;

    (void)state;
    assert_int_equal(tls_trust(tls, authority_file, &err), 0);
    assert_false(resumes(tls, server, &visit, &check));
    while (time(NULL) <= ends_s) {
        resumes(tls, server, &visit, &check); /* resumed, while it holds */
        usleep(20000);
    }
    assert_false(resumes(tls, server, &visit, &check));
    assert_int_equal(check.error, ERROR_TLS_EXPIRED);
    SSL_CTX_free(server);
    tls_free(tls);
    cert_free(&brief);
}

/* Outside of tls_enter and tls_leave all is OpenSSL's own. */
static void others_have_their_own_contexts(void **state)
{
    struct tls *tls = tls_new(metrics);
    OSSL_LIB_CTX *before = OSSL_LIB_CTX_set0_default(NULL);

    (void)state;
    tls_enter(tls);

    SSL_CTX *first = SSL_CTX_new(TLS_client_method());
    SSL_CTX *second = SSL_CTX_new(TLS_client_method());
    SSL_CTX *server = SSL_CTX_new(TLS_server_method());

    assert_ptr_equal(first, second);
    assert_ptr_not_equal(first, server);
    tls_leave(tls);
    assert_ptr_equal(OSSL_LIB_CTX_set0_default(NULL), before);

    SSL_CTX *own = SSL_CTX_new(TLS_client_method());

    assert_ptr_not_equal(own, first);
    SSL_CTX_free(first);
    SSL_CTX_free(second);
    SSL_CTX_free(server);
    SSL_CTX_free(own);
    tls_free(tls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshakes_are_judged),
        cmocka_unit_test(without_verification_all_is_accepted_and_told),
        cmocka_unit_test(old_versions_are_refused),
        cmocka_unit_test(what_servers_speak_is_spoken),
        cmocka_unit_test(the_fastest_suite_that_a_server_has_is_taken),
        cmocka_unit_test(a_connection_forgets_its_check),
        cmocka_unit_test(reading_nothing_tells_nothing),
        cmocka_unit_test(files_without_certificates_are_refused),
        cmocka_unit_test(a_changed_file_is_read_anew),
        cmocka_unit_test(the_system_has_a_store),
        cmocka_unit_test(preparing_without_trust_or_name_fails),
        cmocka_unit_test(only_the_same_chain_for_the_same_name_is_known),
        cmocka_unit_test(a_store_that_was_read_anew_knows_nothing),
        cmocka_unit_test(what_is_no_certificate_of_ours_is_refused),
        cmocka_unit_test(a_certificate_of_ours_is_shown_to_its_site_alone),
        cmocka_unit_test(only_what_was_verified_alike_is_resumed),
        cmocka_unit_test(a_session_outlives_a_connection_that_was_cut),
        cmocka_unit_test(a_session_ends_with_its_certificates),
        cmocka_unit_test(others_have_their_own_contexts),
    };

    return cmocka_run_group_tests(tests, make_certs, free_certs);
}
