/* The client configuration: what it takes, what it refuses and in which words, and its log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/kafka.h"

#define PAIRS_MAX 4

/* Settings with "a=b" properties, in memory of the test's own. */
struct given {
    struct kafka_settings settings;
    char *names[PAIRS_MAX], *values[PAIRS_MAX];
    char text[PAIRS_MAX][128];
};

static void given_make(struct given *g, const char *const pairs[PAIRS_MAX])
{
    *g = (struct given){.settings.bootstrap_servers = "localhost:1"};
    for (size_t i = 0; i < PAIRS_MAX && pairs[i] != NULL; i++) {
        char *equals;

        snprintf(g->text[i], sizeof(g->text[i]), "%s", pairs[i]);
        equals = strchr(g->text[i], '=');
        *equals = '\0';
        g->names[i] = g->text[i];
        g->values[i] = equals + 1;
        g->settings.properties.count++;
    }
    g->settings.properties.names = g->names;
    g->settings.properties.values = g->values;
}

static void expect_property(const rd_kafka_conf_t *conf, const char *name, const char *expected)
{
    char value[256] = "";
    size_t size = sizeof(value);

    if (rd_kafka_conf_get(conf, name, value, &size) != RD_KAFKA_CONF_OK ||
        strcmp(value, expected) != 0) {
        fail_msg("%s is \"%s\", not \"%s\"", name, value, expected);
    }
}

static void properties_that_librdkafka_refuses_are_named_without_secrets(void **state)
{
    static const struct {
        const char *name;
        const char *pairs[PAIRS_MAX];
        const char *says[2], *says_not;
    } rows[] = {
        {"an unknown property",
         {"no.such=thing"},
         {"kafka-properties", "no property \"no.such\""},
         "thing"},
        {"an empty name", {"=x"}, {"kafka-properties", "no property \"\""}, NULL},
        {"a value of the wrong type",
         {"linger.ms=soon"},
         {"kafka-properties: linger.ms:", NULL},
         NULL},
        {"a value out of range",
         {"socket.timeout.ms=1"},
         {"kafka-properties: socket.timeout.ms:", NULL},
         NULL},
        {"a word that is none of the choices",
         {"security.protocol=tls"},
         {"kafka-properties: security.protocol:", "tls"},
         NULL},
        {"the second of two", {"linger.ms=1", "acks=many"}, {"acks:", NULL}, NULL},
        {"a refused secret",
         {"sasl.jaas.config=hunter2"},
         {"sasl.jaas.config: the value is refused", NULL},
         "hunter2"},
        {"a refused option of a secret kind",
         {"enable.sasl.oauthbearer.unsecure.jwt=hunter2"},
         {"oauthbearer", "the value is refused"},
         "hunter2"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct given g;
        struct err err;

        given_make(&g, rows[i].pairs);
        assert_null(kafka_conf_new(&g.settings, "me", &err));
        assert_int_equal(err.kind, ERR_INVALID);
        for (size_t j = 0; j < 2 && rows[i].says[j] != NULL; j++) {
            if (strstr(err.message, rows[i].says[j]) == NULL) {
                fail_msg("%s: no \"%s\" in: %s", rows[i].name, rows[i].says[j], err.message);
            }
        }
        if (rows[i].says_not != NULL && strstr(err.message, rows[i].says_not) != NULL) {
            fail_msg("%s: \"%s\" in: %s", rows[i].name, rows[i].says_not, err.message);
        }
    }
}

static void an_operators_property_wins_over_ours_but_not_over_a_guarantee(void **state)
{
    static const struct {
        const char *name;
        const char *pair;
        const char *says; /* NULL: allowed */
    } rows[] = {
        {"the opposite", "enable.idempotence=false",
         "kafka-properties: enable.idempotence=false is not allowed, it must be true"},
        {"by another name", "request.required.acks=1",
         "kafka-properties: acks=1 is not allowed, it must be all"},
        {"the same in other words", "acks=-1", NULL},
        {"the same", "enable.idempotence=true", NULL},
        {"something else", "linger.ms=7", NULL},
        {"nonsense elsewhere", "no.such=thing", "no property \"no.such\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        struct given g;
        struct err err = {0};
        const char *pairs[PAIRS_MAX] = {rows[i].pair};

        given_make(&g, pairs);

        int result = kafka_conf_require(conf, &g.settings, "enable.idempotence", "true", &err);

        if (result == 0) {
            result = kafka_conf_require(conf, &g.settings, "acks", "all", &err);
        }
        if (rows[i].says == NULL) {
            assert_int_equal(result, 0);
            expect_property(conf, "enable.idempotence", "true");
            expect_property(conf, "acks", "-1");
        } else if (result != -1 || err.kind != ERR_INVALID ||
                   strstr(err.message, rows[i].says) == NULL) {
            fail_msg("%s: %d %s", rows[i].name, result, err.message);
        }
        rd_kafka_conf_destroy(conf);
    }
}

static void a_default_gives_way_to_the_operator_under_any_name(void **state)
{
    static const struct {
        const char *name, *pair, *compression;
    } rows[] = {
        {"by its name", "compression.codec=zstd", "zstd"},
        {"by its other name", "compression.type=gzip", "gzip"},
        {"not named", "linger.ms=3", "lz4"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct given g;
        struct err err;
        const char *pairs[PAIRS_MAX] = {rows[i].pair};

        given_make(&g, pairs);

        rd_kafka_conf_t *conf = kafka_conf_new(&g.settings, "me", &err);

        assert_non_null(conf);
        assert_int_equal(kafka_conf_default(conf, &g.settings, "compression.codec", "lz4", &err),
                         0);
        expect_property(conf, "compression.codec", rows[i].compression);
        rd_kafka_conf_destroy(conf);
    }
}

static void a_property_of_ours_that_is_wrong_is_said(void **state)
{
    static const char *const none[PAIRS_MAX] = {NULL};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    struct given g;
    struct err err;

    (void)state;
    given_make(&g, none);
    assert_int_equal(kafka_conf_default(conf, &g.settings, "linger.ms", "x", &err), -1);
    assert_non_null(strstr(err.message, "linger.ms"));
    assert_int_equal(kafka_conf_require(conf, &g.settings, "linger.ms", "x", &err), -1);
    assert_non_null(strstr(err.message, "linger.ms"));
    rd_kafka_conf_destroy(conf);

    g.settings.bootstrap_servers = NULL; /* librdkafka's default */
    conf = kafka_conf_new(&g.settings, "me", &err);
    assert_non_null(conf);
    expect_property(conf, "client.id", "me");
    rd_kafka_conf_destroy(conf);
}

static void a_topic_is_named_as_kafka_allows(void **state)
{
    static const char *const wrong[] = {"", ".", "..", "a b", "a/b", "a\"b", "a\nb", "\xc3\xa9"};
    char name[KAFKA_TOPIC_BYTES_MAX + 2];
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(kafka_topic_check(wrong[i], "KAFKA_TOPIC_X", &err), -1);
        assert_int_equal(err.kind, ERR_INVALID);
        assert_non_null(strstr(err.message, "KAFKA_TOPIC_X"));
    }
    memset(name, 'a', sizeof(name));
    name[KAFKA_TOPIC_BYTES_MAX + 1] = '\0';
    assert_int_equal(kafka_topic_check(name, "x", &err), -1);
    name[KAFKA_TOPIC_BYTES_MAX] = '\0';
    assert_int_equal(kafka_topic_check(name, "x", &err), 0);
    assert_int_equal(kafka_topic_check("checks-success", "x", &err), 0);
    assert_int_equal(kafka_topic_check("...", "x", &err), 0);
}

/* --- Log --- */

struct line {
    int level;
    const char *text;
};

/* What kafka_log writes for these lines, at a level of debug or info. */
static void logged_by(const char *facility, enum log_level level, const struct line *lines,
                      size_t count, char out[4096])
{
    int file = memfd_create("log", MFD_CLOEXEC);
    int saved = dup(STDERR_FILENO);

    assert_true(file >= 0 && saved >= 0);
    fflush(stderr);
    dup2(file, STDERR_FILENO);
    log_setup(level, LOG_LOGFMT);
    for (size_t i = 0; i < count; i++) {
        kafka_log(NULL, lines[i].level, facility, lines[i].text);
    }
    log_setup(LOG_INFO, LOG_LOGFMT);
    dup2(saved, STDERR_FILENO);
    close(saved);

    ssize_t len = pread(file, out, 4095, 0);

    assert_true(len >= 0);
    out[len] = '\0';
    close(file);
}

static void logged(enum log_level level, const struct line *lines, size_t count, char out[4096])
{
    logged_by("FAIL", level, lines, count, out);
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;

    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
        count++;
    }
    return count;
}

static void a_line_of_librdkafka_is_written_once_and_not_again_soon(void **state)
{
    static const struct line lines[] = {
        {3, "broker-1: refused (after 1ms in state CONNECT)"},
        {3, "broker-1: refused (after 2ms in state CONNECT, 3 identical error(s) suppressed)"},
        {3, "broker-2: refused (after 1ms in state CONNECT)"},
        {3, "broker-1: refused (after 1ms in state CONNECT)"},
    };
    char out[4096];

    (void)state;
    logged(LOG_INFO, lines, 4, out);
    assert_int_equal(count_of(out, "\n"), 2);
    assert_int_equal(count_of(out, "broker-1: refused (after 1ms"), 1);
    assert_int_equal(count_of(out, "broker-2"), 1);
    assert_int_equal(count_of(out, "facility=FAIL"), 2);
}

static void what_was_said_already_is_not_said_again(void **state)
{
    static const struct {
        const char *name, *facility;
        struct line line;
    } rows[] = {
        {"what our verification said",
         "FAIL",
         {3, "ssl://a:1: SSL handshake failed: certificate verify failed: broker certificate"}},
        {"what librdkafka says of our verification",
         "SSLCERTVRFY",
         {3, "Certificate (subject=a) verification callback failed"}},
        {"a failure of a consumer's connection",
         "ERROR",
         {3, "consumer-1: ssl://a:1: Receive failed: sslv3 alert certificate unknown"}},
    };
    char out[4096];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        logged_by(rows[i].facility, LOG_INFO, &rows[i].line, 1, out);
        if (out[0] != '\0') {
            fail_msg("%s: %s", rows[i].name, out);
        }
    }
}

static void a_line_that_we_know_says_what_to_do(void **state)
{
    static const struct {
        const char *name;
        struct line line;
        const char *says; /* NULL: no fix */
    } rows[] = {
        {"an expired certificate of ours",
         {3, "SSL routines::sslv3 alert certificate expired: SSL alert number 45"},
         "fix=\"the certificate in kafka-certfile (KAFKA_CERTFILE) has expired"},
        {"no certificate of ours",
         {3, "SSL routines::tlsv13 alert certificate required"},
         "fix=\"the broker wants a client certificate: set kafka-certfile (KAFKA_CERTFILE)"},
        {"a certificate of ours of an unknown authority",
         {3, "SSL routines::tlsv1 alert unknown ca"},
         "fix=\"the broker does not know the CA that signed kafka-certfile"},
        {"TLS to a port without it",
         {3, "SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?"},
         "fix=\"the port speaks no TLS: name the TLS port in kafka-bootstrap-servers"},
        {"TLS to a port without it, as OpenSSL 3 has it",
         {3, "error:0A000126:SSL routines::unexpected eof while reading (after 1ms in state "
             "SSL_HANDSHAKE)"},
         "fix=\"the port speaks no TLS"},
        {"a broker that went away", {3, "Receive failed: unexpected eof while reading"}, NULL},
        {"no TLS to a port with it",
         {3, "might be caused by incorrect security.protocol configuration (connecting to a SSL "
             "listener?)"},
         "fix=\"the port speaks TLS: set kafka-cafile (KAFKA_CAFILE)"},
        {"a wrong password",
         {3, "SASL authentication error: Authentication failed"},
         "sasl.password in kafka-properties"},
        {"a name that is not known", {3, "Failed to resolve 'x:9092'"}, "KAFKA_BOOTSTRAP_SERVERS"},
        {"a line of no interest", {3, "Timed out ApiVersionRequest in flight"}, NULL},
    };
    char out[4096];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        logged(LOG_INFO, &rows[i].line, 1, out);

        bool good = rows[i].says == NULL ? strstr(out, "fix=") == NULL && out[0] != '\0'
                                         : strstr(out, rows[i].says) != NULL;

        if (!good) {
            fail_msg("%s: %s", rows[i].name, out);
        }
    }
}

static void severities_become_our_levels(void **state)
{
    static const struct {
        int severity;
        const char *level;
    } rows[] = {
        {0, "level=error "},   {1, "level=error "},  {2, "level=error "}, {3, "level=error "},
        {4, "level=warning "}, {5, "level=info "},   {6, "level=info "},  {7, "level=debug "},
        {8, "level=debug "},   {-1, "level=debug "},
    };
    char out[4096];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[32];
        const struct line line = {rows[i].severity, text};

        snprintf(text, sizeof(text), "severity %d", rows[i].severity);
        logged(LOG_DEBUG, &line, 1, out);
        if (strstr(out, rows[i].level) == NULL) {
            fail_msg("severity %d: %s", rows[i].severity, out);
        }
    }
}

static void debug_lines_are_all_written_or_none(void **state)
{
    static const struct line lines[] = {{7, "poll"}, {7, "poll"}, {7, "poll"}};
    char out[4096];

    (void)state;
    logged(LOG_DEBUG, lines, 3, out);
    assert_int_equal(count_of(out, "\n"), 3);
    logged(LOG_INFO, lines, 3, out);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(properties_that_librdkafka_refuses_are_named_without_secrets),
        cmocka_unit_test(an_operators_property_wins_over_ours_but_not_over_a_guarantee),
        cmocka_unit_test(a_default_gives_way_to_the_operator_under_any_name),
        cmocka_unit_test(a_property_of_ours_that_is_wrong_is_said),
        cmocka_unit_test(what_was_said_already_is_not_said_again),
        cmocka_unit_test(a_line_that_we_know_says_what_to_do),
        cmocka_unit_test(a_topic_is_named_as_kafka_allows),
        cmocka_unit_test(a_line_of_librdkafka_is_written_once_and_not_again_soon),
        cmocka_unit_test(severities_become_our_levels),
        cmocka_unit_test(debug_lines_are_all_written_or_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
