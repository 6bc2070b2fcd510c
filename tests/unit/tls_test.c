#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
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
    KINDS,
};

static struct cert certs[KINDS];
static char authority_file[32], middle_file[32];

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
    [NO_NAMES] = {.subject = "nameless", .names = "email:a@b.test", .issuer = &certs[AUTHORITY]},
};

static int make_certs(void **state)
{
    (void)state;
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
    return 0;
}

/* --- A handshake in memory --- */

struct talk {
    SSL_CTX *client_ctx, *server_ctx;
    SSL *client, *server;
};

static void talk_open(struct talk *talk, enum kind kind, int server_version_max)
{
    BIO *client_end, *server_end;

    *talk = (struct talk){.client_ctx = SSL_CTX_new(TLS_client_method()),
                          .server_ctx = cert_server(&certs[kind])};
    SSL_CTX_set_security_level(talk->server_ctx, 0);
    SSL_CTX_set_min_proto_version(talk->server_ctx, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(talk->server_ctx, server_version_max);
    talk->server = SSL_new(talk->server_ctx);
    BIO_new_bio_pair(&client_end, 0, &server_end, 0);
    SSL_set_bio(talk->server, server_end, server_end);
    SSL_set_accept_state(talk->server);
    talk->client = (SSL *)client_end; /* until talk_shake makes the SSL of the prepared context */
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
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *ca_file = rows[i].trust_middle ? middle_file : authority_file;
        struct tls *tls = tls_new();
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
        talk_open(&talk, rows[i].kind, TLS1_3_VERSION);
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
        struct tls *tls = tls_new(); /* nothing was read: nothing is needed */
        struct tls_check check = {.tls = tls, .host = "x.test", .min_tls = SITE_TLS_1_2};
        long ends_s = wishes[kinds[i]].ends_s != 0 ? wishes[kinds[i]].ends_s : 30 * CERT_DAY;
        int64_t expected_s = time(NULL) + ends_s;
        struct talk talk;
        struct err err;

        talk_open(&talk, kinds[i], TLS1_3_VERSION);
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
        struct tls *tls = tls_new();
        struct tls_check check = {.tls = tls, .host = "x.test", .min_tls = rows[i].min_tls};
        struct talk talk;
        struct err err;

        print_message("  %s\n", rows[i].name);
        talk_open(&talk, GOOD, rows[i].server_version_max);
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
    struct tls *tls = tls_new();
    struct tls_check check = {.tls = tls, .host = "x.test", .min_tls = SITE_TLS_1_2};
    struct tls_check again = {.not_after_s = EVENT_ABSENT};
    struct talk talk;
    struct err err;
    char byte;

    (void)state;
    talk_open(&talk, GOOD, TLS1_2_VERSION);
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
    struct tls *tls = tls_new();
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

    talk_open(&talk, GOOD, TLS1_3_VERSION);
    assert_int_equal(tls_prepare(talk.client_ctx, &check, &err), 0);

    bool accepted = talk_shake(&talk);

    talk_close(&talk);
    return accepted;
}

static void a_changed_file_is_read_anew(void **state)
{
    struct tls *tls = tls_new();
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
    struct tls *tls = tls_new();
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
    struct tls *tls = tls_new();
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshakes_are_judged),
        cmocka_unit_test(without_verification_all_is_accepted_and_told),
        cmocka_unit_test(old_versions_are_refused),
        cmocka_unit_test(a_connection_forgets_its_check),
        cmocka_unit_test(reading_nothing_tells_nothing),
        cmocka_unit_test(files_without_certificates_are_refused),
        cmocka_unit_test(a_changed_file_is_read_anew),
        cmocka_unit_test(the_system_has_a_store),
        cmocka_unit_test(preparing_without_trust_or_name_fails),
    };

    return cmocka_run_group_tests(tests, make_certs, free_certs);
}
