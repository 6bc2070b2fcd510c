#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>

#include "tests/unit/certs.h"
#include "tests/unit/odd_server.h"
#include "tests/unit/probe_stand.h"

#define OK_200 "HTTP/1.1 200 OK\r\n"
#define BODY_MAX 100000
#define TIMES_8(text) text text text text text text text text
#define LONG_MS                                                                                    \
    60000 /* of a time-out: longer than any machine takes to come where it is waited for */
#define LONG_TEXT "60000 ms"
#define HEARD_US_MAX                                                                               \
    150000 /* of a connection on loopback; libcurl looks by itself after 200 ms                    \
            */
#define TRIES_MAX 20

static const struct odd_reply replies[] = {
    {"/ok", ODD_CLOSE, OK_200 "Content-Length: 5\r\n\r\nhello", NULL},
    {"/keep", ODD_KEEP, OK_200 "Content-Length: 5\r\n\r\nhello", NULL},
    {"/until-close", ODD_CLOSE, "HTTP/1.0 200 OK\r\n\r\nhello, old world", NULL},
    {"/chunks", ODD_CLOSE,
     OK_200
     "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nLocation: /x\r\n\r\n",
     NULL},
    {"/empty", ODD_CLOSE, "HTTP/1.1 204 No Content\r\n\r\n", NULL},
    {"/500", ODD_CLOSE, "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno", NULL},
    {"/early", ODD_CLOSE,
     "HTTP/1.1 103 Early Hints\r\nLocation: /500\r\n\r\n" OK_200 "Content-Length: 2\r\n\r\nhi",
     NULL},
    {"/exactly", ODD_CLOSE, OK_200 "Content-Length: 6\r\n\r\n123456", NULL},
    /* What goes wrong */
    {"/nothing", ODD_CLOSE, "", NULL},
    {"/reset", ODD_RESET, "", NULL},
    {"/reset-in-body", ODD_RESET, OK_200 "Content-Length: 50\r\n\r\nhello", NULL},
    {"/cut", ODD_CLOSE, OK_200 "Content-Length: 50\r\n\r\nhello", NULL},
    {"/cut-chunk", ODD_CLOSE, OK_200 "Transfer-Encoding: chunked\r\n\r\n5\r\nhel", NULL},
    {"/bad-chunk", ODD_CLOSE, OK_200 "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n", NULL},
    {"/garbage", ODD_CLOSE, "\x16\x03\x01 what is this?\r\n\r\n", NULL},
    {"/http09", ODD_CLOSE, "<html>hello</html>\n", NULL},
    {"/version-9", ODD_CLOSE, "HTTP/9.9 200 OK\r\n\r\n", NULL},
    {"/status-0", ODD_CLOSE, "HTTP/1.1 000 Zero\r\nContent-Length: 0\r\n\r\n", NULL},
    {"/no-status", ODD_CLOSE, "HTTP/200 OK\r\nContent-Length: 0\r\n\r\n", NULL},
    {"/folded-first", ODD_CLOSE, OK_200 " folded: line\r\nContent-Length: 0\r\n\r\n", NULL},
    {"/folded-tab", ODD_CLOSE, OK_200 "\tfolded: line\r\nContent-Length: 0\r\n\r\n", NULL},
    {"/folded-after-100", ODD_CLOSE,
     "HTTP/1.1 100 Continue\r\n\r\n" OK_200 " folded: line\r\nContent-Length: 0\r\n\r\n", NULL},
    {"/folded-lower-case", ODD_CLOSE,
     "http/1.1 200 OK\r\n folded: line\r\nContent-Length: 0\r\n\r\n", NULL},
    {"127.0.0.1:1", ODD_CLOSE, OK_200 " folded: line\r\n\r\n", NULL}, /* of a CONNECT */
    {"/status-alone", ODD_CLOSE, OK_200, NULL},
    {"/continue-alone", ODD_CLOSE, "HTTP/1.1 100 Continue\r\n\r\n", NULL},
    {"/cut-header", ODD_CLOSE, OK_200 "Content-Length: 5\r\nContent-Ty", NULL},
    {"/long-first", ODD_CLOSE,
     OK_200 "X-Long:" TIMES_8(TIMES_8(TIMES_8(" 0123 56789 1234")))
         TIMES_8(TIMES_8(TIMES_8(" 0123 56789 1234")))
             TIMES_8(TIMES_8(TIMES_8(" 0123 56789 1234"))) "\r\nContent-Length: 5\r\n\r\nhello",
     NULL},
    {"/folded-second", ODD_CLOSE, OK_200 "X-Two: lines\r\n of it\r\nContent-Length: 5\r\n\r\nhello",
     NULL},
    {"/bad-length", ODD_CLOSE, OK_200 "Content-Length: -5\r\n\r\nhello", NULL},
    {"/body-endless", ODD_ENDLESS, OK_200 "\r\n", "0123456789012345678901234567890123456789"},
    {"/headers-endless", ODD_ENDLESS, OK_200, "X-More: and more and more and more and more\r\n"},
    {"/line-endless", ODD_ENDLESS, OK_200 "X-Long: ", "and more and more and more and more "},
    {"/status-endless", ODD_ENDLESS, "HTTP/1.1 200 ", "and more and more and more and more "},
    {"/hold", ODD_HOLD, "", NULL},
    {"/hold-headers", ODD_HOLD, OK_200, NULL},
    {"/hold-body", ODD_HOLD, OK_200 "Content-Length: 50\r\n\r\nhello", NULL},
    /* Redirects */
    {"/to-ok", ODD_CLOSE, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 3\r\n\r\nbye",
     NULL},
    {"/to-keep", ODD_KEEP, "HTTP/1.1 302 Found\r\nlocation:/keep \r\nContent-Length: 0\r\n\r\n",
     NULL},
    {"/301", ODD_CLOSE, "HTTP/1.1 301 M\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n", NULL},
    {"/303", ODD_CLOSE, "HTTP/1.1 303 S\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n", NULL},
    {"/307", ODD_CLOSE, "HTTP/1.1 307 T\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n", NULL},
    {"/304", ODD_CLOSE, "HTTP/1.1 304 Not Modified\r\nLocation: /ok\r\n\r\n", NULL},
    {"/302-nowhere", ODD_CLOSE, "HTTP/1.1 302 Found\r\nContent-Length: 3\r\n\r\nbye", NULL},
    {"/loop", ODD_CLOSE, "HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n",
     NULL},
    {"/to-ftp", ODD_CLOSE,
     "HTTP/1.1 302 F\r\nLocation: ftp://u:secret@h.test/\r\nContent-Length: 0\r\n\r\n", NULL},
    {"/to-bad", ODD_CLOSE,
     "HTTP/1.1 302 F\r\nLocation: http://u:secret@:99999/\r\nContent-Length: 0\r\n\r\n", NULL},
    {"/to-empty", ODD_CLOSE, "HTTP/1.1 302 F\r\nLocation: \r\nContent-Length: 0\r\n\r\n", NULL},
    {"/to-missing", ODD_CLOSE,
     "HTTP/1.1 302 F\r\nLocation: http://missing.test/\r\nContent-Length: 0\r\n\r\n", NULL},
    {"/to-refusing", ODD_CLOSE,
     "HTTP/1.1 302 F\r\nLocation: http://u:secret@127.0.0.9:1/x\r\nContent-Length: 0\r\n\r\n",
     NULL},
    {"/to-hold", ODD_CLOSE, "HTTP/1.1 302 F\r\nLocation: /hold\r\nContent-Length: 0\r\n\r\n", NULL},
    {"/to-peer", ODD_CLOSE,
     "HTTP/1.1 302 F\r\nLocation: //u:secret@%PEER%/ok\r\nContent-Length: 0\r\n\r\n", NULL},
    {"/307-peer", ODD_CLOSE,
     "HTTP/1.1 307 F\r\nLocation: http://%PEER%/ok\r\nContent-Length: 0\r\n\r\n", NULL},
    {"/to-body-endless", ODD_ENDLESS, "HTTP/1.1 302 F\r\nLocation: /ok\r\n\r\n",
     "0123456789012345678901234567890123456789"},
    /* Encoded bodies */
    {"/gzip", ODD_CLOSE, OK_200 "Content-Encoding: gzip\r\n\r\n%BYTES%", NULL},
    {"/deflate", ODD_CLOSE, OK_200 "Content-Encoding: deflate\r\n\r\n%BYTES%", NULL},
    {"/br", ODD_CLOSE, OK_200 "Content-Encoding: br\r\n\r\n%BYTES%", NULL},
    {"/zstd", ODD_CLOSE, OK_200 "Content-Encoding: zstd\r\n\r\n%BYTES%", NULL},
    {"/unknown", ODD_CLOSE, OK_200 "Content-Encoding: rot13\r\n\r\n%BYTES%", NULL},
    {NULL, ODD_CLOSE, NULL, NULL},
};

static struct odd_server here = {.replies = replies};  /* 127.0.0.1 */
static struct odd_server there = {.replies = replies}; /* 127.0.0.2, another port */
static struct odd_server secure = {.replies = replies};
static struct cert authority, leaf, wrong_leaf;
static struct odd_server secure_wrong = {.replies = replies};
static int swallowing_fd, swallowed_fds[8], mute_fd; /* accept nothing; say nothing */
static uint16_t mute_port;
static char ca_file[32];

/* A listener whose queue is full: the kernel drops what comes after. */
static void swallow(void)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(here.port)};
    uint16_t port;

    swallowing_fd = odd_listen("127.0.0.3", here.port, 0, &port);
    inet_pton(AF_INET, "127.0.0.3", &name.sin_addr);
    for (size_t i = 0; i < sizeof(swallowed_fds) / sizeof(swallowed_fds[0]); i++) {
        swallowed_fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(swallowed_fds[i], (struct sockaddr *)&name, sizeof(name));
    }
}

static int servers_start(void **state)
{
    (void)state;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    authority = cert_make(&(struct cert_wish){.subject = "Root", .authority = true});
    leaf = cert_make(&(struct cert_wish){
        .subject = "leaf", .names = "DNS:one.test,IP:127.0.0.1", .issuer = &authority});
    wrong_leaf = cert_make(
        &(struct cert_wish){.subject = "wrong", .names = "DNS:x.test", .issuer = &authority});
    cert_save(&authority, false, ca_file);
    secure.tls = cert_server(&leaf);
    secure_wrong.tls = cert_server(&wrong_leaf);
    odd_start(&here, "127.0.0.1", 0);
    odd_start(&there, "127.0.0.2", 0);
    odd_start(&secure, "127.0.0.1", 0);
    odd_start(&secure_wrong, "127.0.0.1", 0);
    snprintf(here.peer, sizeof(here.peer), "127.0.0.2:%d", there.port);
    snprintf(there.peer, sizeof(there.peer), "127.0.0.1:%d", here.port);
    mute_fd = odd_listen("127.0.0.1", 0, 64, &mute_port);
    swallow();
    return 0;
}

static int servers_stop(void **state)
{
    (void)state;
    odd_stop(&here);
    odd_stop(&there);
    odd_stop(&secure);
    odd_stop(&secure_wrong);
    for (size_t i = 0; i < sizeof(swallowed_fds) / sizeof(swallowed_fds[0]); i++) {
        close(swallowed_fds[i]);
    }
    close(swallowing_fd);
    close(mute_fd);
    SSL_CTX_free(secure.tls);
    SSL_CTX_free(secure_wrong.tls);
    cert_free(&authority);
    cert_free(&leaf);
    cert_free(&wrong_leaf);
    unlink(ca_file);
    curl_global_cleanup();
    return 0;
}

static struct site site_of(char url[256], const char *scheme, const char *host, uint16_t port,
                           const char *path)
{
    snprintf(url, 256, "%s://%s:%d%s", scheme, host, port, path);
    return (struct site){
        .url = url,
        .timeout_ms = 3000,
        .max_redirects = 5,
        .max_body_bytes = BODY_MAX,
        .min_tls = SITE_TLS_1_2,
        .ca_file = ca_file,
        .follow_redirects = true,
        .verify_tls = true,
        .allow_private = true,
    };
}

static struct site site_here(char url[256], const char *path)
{
    return site_of(url, "http", "127.0.0.1", here.port, path);
}

/* What holds for every result. */
static void assert_sound(const struct probe_result *r)
{
    const struct event_timing *t = &r->timing;
    const int64_t phases[] = {t->dns_us, t->connect_us, t->tls_us, t->wait_us, t->transfer_us};
    int64_t sum_us = 0;

    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        assert_true(phases[i] >= EVENT_ABSENT);
        sum_us += phases[i] == EVENT_ABSENT ? 0 : phases[i];
    }
    assert_true(t->total_us >= sum_us);
    assert_int_equal(r->error == ERROR_NONE, r->error_message == NULL);
    if (r->error_message != NULL) {
        assert_true(r->error_message[0] != '\0');
        assert_null(strstr(r->error_message, "secret"));
        assert_null(r->body);
    }
    assert_int_equal(r->redirects > 0, r->final_url != NULL);
    if (r->final_url != NULL) {
        assert_null(strstr(r->final_url, "secret"));
    }
    assert_int_equal(r->http_status != 0, r->http_version != NULL);
}

static void assert_failed(const struct probe_result *r, enum error_type error,
                          enum check_phase phase, const char *message)
{
    assert_sound(r);
    if (phase == PHASE_NONE && error != ERROR_URL) {
        phase = r->error_phase; /* libcurl's versions differ in it */
    }
    if (r->error != error || r->error_phase != phase) {
        print_message("  got error %d in phase %d: %s\n", (int)r->error, (int)r->error_phase,
                      r->error_message);
    }
    assert_int_equal(r->error, error);
    assert_int_equal(r->error_phase, phase);
    if (strstr(r->error_message, message) == NULL) {
        print_message("  got message: %s\n", r->error_message);
    }
    assert_non_null(strstr(r->error_message, message));
}

static void fails_as(struct stand *stand, const struct site *site, enum error_type error,
                     enum check_phase phase, const char *message)
{
    assert_failed(stand_check(stand, site), error, phase, message);
}

static int requests_read(void)
{
    return here.requests + there.requests + secure.requests + secure_wrong.requests;
}

/* The check may be over before a server has read its request, which is not to be taken for that of
 * the next check: it is waited for. */
static const struct probe_result *check_held(struct stand *stand, const struct site *site,
                                             const struct stand_hold *hold)
{
    int until = requests_read() + (hold->phase >= PHASE_WAIT ? hold->redirects + 1 : 0);
    const struct probe_result *r = stand_check_held(stand, site, hold);

    while (requests_read() < until) {
        usleep(1000);
    }
    return r;
}

/* All of its time goes by in that phase. */
static void runs_out(struct stand *stand, const struct site *site, int redirects,
                     enum error_type error, enum check_phase phase, const char *message)
{
    const struct stand_hold hold = {phase, redirects, site->timeout_ms};

    assert_failed(check_held(stand, site, &hold), error, phase, message);
    assert_true(stand->seen.result.timing.total_us >= site->timeout_ms * US_PER_MS);
}

static const struct probe_result *assert_succeeded(const struct stand *stand,
                                                   const struct site *site)
{
    const struct probe_result *r = &stand->seen.result;

    assert_sound(r);
    if (r->error != ERROR_NONE) {
        print_message("  got error: %s\n", r->error_message);
    }
    assert_int_equal(r->error, ERROR_NONE);
    assert_ptr_equal(stand->seen.tag, site);
    return r;
}

static const struct probe_result *succeeds(struct stand *stand, const struct site *site)
{
    stand_check(stand, site);
    return assert_succeeded(stand, site);
}

/* --- What goes wrong --- */

static void bad_responses_fail(void **state)
{
    static const struct {
        const char *name, *path;
        enum error_type error;
        enum check_phase phase;
        const char *message;
        int32_t http_status;
    } rows[] = {
        {"closed without a word", "/nothing", ERROR_EMPTY_REPLY, PHASE_WAIT, "Empty reply", 0},
        {"reset without a word", "/reset", ERROR_READ_FAILURE, PHASE_WAIT, "reset", 0},
        {"reset within the body", "/reset-in-body", ERROR_READ_FAILURE, PHASE_TRANSFER, "", 200},
        {"closed after the status line", "/status-alone", ERROR_READ_FAILURE, PHASE_TRANSFER,
         "within the response headers", 200},
        {"closed after a 100", "/continue-alone", ERROR_READ_FAILURE, PHASE_TRANSFER, "interim",
         100},
        {"closed within a header", "/cut-header", ERROR_READ_FAILURE, PHASE_TRANSFER, "", 200},
        {"closed within the body", "/cut", ERROR_READ_FAILURE, PHASE_TRANSFER, "", 200},
        {"closed within a chunk", "/cut-chunk", ERROR_READ_FAILURE, PHASE_TRANSFER, "", 200},
        {"a chunk without a length", "/bad-chunk", ERROR_PROTOCOL, PHASE_TRANSFER, "chunk", 200},
        {"bytes of another protocol", "/garbage", ERROR_PROTOCOL, PHASE_WAIT, "", 0},
        {"HTTP/0.9", "/http09", ERROR_PROTOCOL, PHASE_WAIT, "", 0},
        {"HTTP/9.9", "/version-9", ERROR_PROTOCOL, PHASE_WAIT, "", 0},
        {"status 000", "/status-0", ERROR_PROTOCOL, PHASE_NONE, "", 0},
        {"a negative length", "/bad-length", ERROR_PROTOCOL, PHASE_TRANSFER, "", 200},
        {"a body without end", "/body-endless", ERROR_BODY_TOO_LARGE, PHASE_TRANSFER,
         "longer than 100000 bytes", 200},
        {"headers without end", "/headers-endless", ERROR_PROTOCOL, PHASE_TRANSFER, "", 200},
        {"a header line without end", "/line-endless", ERROR_PROTOCOL, PHASE_TRANSFER, "", 200},
        {"a status line without end", "/status-endless", ERROR_PROTOCOL, PHASE_WAIT, "", 0},
    };
    struct stand stand;

    (void)state;
    stand_open(&stand, 2);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char url[256];
        struct site site = site_here(url, rows[i].path);

        print_message("  %s\n", rows[i].name);
        fails_as(&stand, &site, rows[i].error, rows[i].phase, rows[i].message);
        /* libcurl versions differ in whether a status line they refuse has a status. */
        if (rows[i].http_status != 0) {
            assert_int_equal(stand.seen.result.http_status, rows[i].http_status);
        }
        assert_string_equal(stand.seen.result.peer, "127.0.0.1");
        assert_true(stand.seen.result.timing.connect_us != EVENT_ABSENT);
        assert_int_equal(stand.seen.result.timing.transfer_us != EVENT_ABSENT,
                         rows[i].phase == PHASE_CHECK);
        assert_true(stand.seen.result.timing.total_us < 2 * US_PER_SEC);
    }
    stand_close(&stand);
}

/* "HTTP/200 OK": libcurl 7 takes it for HTTP/2 without a status, libcurl 8 for an old 200. */
static void a_line_without_a_version_has_no_other_status(void **state)
{
    struct stand stand;
    char url[256];

    (void)state;
    stand_open(&stand, 2);

    struct site site = site_here(url, "/no-status");
    const struct probe_result *r = stand_check(&stand, &site);

    assert_sound(r);
    if (r->error == ERROR_NONE) {
        assert_int_equal(r->http_status, 200);
    } else {
        assert_int_equal(r->error, ERROR_PROTOCOL);
    }
    stand_close(&stand);
}

/* libcurl 7 has a pointer left to a header of the check before, which is freed by then. */
static void a_folded_first_line_is_no_line_of_the_check_before(void **state)
{
    static const char *const paths[] = {"/folded-first", "/folded-tab", "/folded-after-100",
                                        "/folded-lower-case"};
    struct stand stand;
    char good[256], folded[256];

    (void)state;
    stand_open(&stand, 1);

    struct site before = site_here(good, "/ok");

    for (size_t i = 0; i < 2 * sizeof(paths) / sizeof(paths[0]); i++) {
        struct site site = site_here(folded, paths[i / 2]);

        print_message("  %s\n", paths[i / 2]);
        succeeds(&stand, &before);
        fails_as(&stand, &site, ERROR_PROTOCOL, PHASE_TRANSFER, "folded line");
    }
    stand_close(&stand);
}

static void a_folded_line_of_a_proxy_is_no_line_of_the_check_before(void **state)
{
    struct stand stand;
    char good[256], folded[256], proxy[64];

    (void)state;
    stand_open(&stand, 1);

    struct site before = site_here(good, "/ok");
    struct site site = site_of(folded, "https", "127.0.0.1", 1, "/");

    snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", (unsigned)here.port);
    site.proxy = proxy;
    for (int i = 0; i < 3; i++) {
        succeeds(&stand, &before);

        const struct probe_result *r = stand_check(&stand, &site);

        assert_sound(r);
        assert_int_not_equal(r->error, ERROR_NONE);
    }
    stand_close(&stand);
}

/* With libcurl 7 the line after a status line comes where the body does. */
static void a_line_after_the_status_is_no_part_of_the_body(void **state)
{
    static const struct {
        const char *path, *body;
    } rows[] = {
        {"/ok", "hello"},         {"/until-close", "hello, old world"}, {"/early", "hi"},
        {"/long-first", "hello"}, {"/folded-second", "hello"},
    };
    struct stand stand;
    char url[256], cut[256];

    (void)state;
    stand_open(&stand, 1);

    struct site before = site_here(cut, "/status-alone");

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct site site = site_here(url, rows[i].path);

        print_message("  %s\n", rows[i].path);
        fails_as(&stand, &before, ERROR_READ_FAILURE, PHASE_TRANSFER, "within");
        for (int turn = 0; turn < 2; turn++) {
            assert_int_equal(succeeds(&stand, &site)->body_bytes, strlen(rows[i].body));
            assert_string_equal(stand.seen.body, rows[i].body);
        }
    }
    stand_close(&stand);
}

static void connections_that_fail_are_told_apart(void **state)
{
    static const struct {
        const char *name, *host;
        enum error_type error;
        enum check_phase phase;
        const char *message;
    } rows[] = {
        {"nobody listens", "127.0.0.9", ERROR_CONNECT_REFUSED, PHASE_CONNECT, "127.0.0.9 port"},
        {"nobody listens on any address", "refusing.test", ERROR_CONNECT_REFUSED, PHASE_CONNECT,
         "127.0.0.8 port"},
        {"four addresses are tried, the fifth is not", "many.test", ERROR_CONNECT_REFUSED,
         PHASE_CONNECT, "127.0.0.6 port"},
        {"our own network does not lead there", "no-network.test", ERROR_LOCAL_NETWORK,
         PHASE_CONNECT, "ff02::1 port"},
        {"it leads to one address, which refuses", "no-network-first.test", ERROR_CONNECT_REFUSED,
         PHASE_CONNECT, "127.0.0.9"},
        {"in the other order too", "no-network-last.test", ERROR_CONNECT_REFUSED, PHASE_CONNECT,
         "127.0.0.9"},
        {"the name does not exist", "missing.test", ERROR_DNS_NOT_FOUND, PHASE_DNS,
         "missing.test: the stand's words"},
        {"the name does not exist, said later", "missing-later.test", ERROR_DNS_NOT_FOUND,
         PHASE_DNS, ""},
        {"the name has no address", "nothing.test", ERROR_DNS_FAILURE, PHASE_DNS, "no address"},
    };
    struct stand stand;

    (void)state;
    stand_open(&stand, 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char url[256];
        struct site site = site_of(url, "http", rows[i].host, here.port, "/ok");

        print_message("  %s\n", rows[i].name);
        fails_as(&stand, &site, rows[i].error, rows[i].phase, rows[i].message);
        assert_null(stand.seen.result.peer);
        assert_int_equal(stand.seen.result.timing.connect_us, EVENT_ABSENT);
        assert_true(stand.seen.result.timing.dns_us >= 0);
        assert_int_equal(stand.seen.result.body_bytes, 0);
    }
    stand_close(&stand);
}

static void time_runs_out_in_each_phase(void **state)
{
    const struct {
        const char *name, *scheme, *host;
        uint16_t port;
        const char *path;
        enum error_type error;
        struct stand_hold hold;
    } rows[] = {
        {"while the name is asked for",
         "http",
         "silent.test",
         here.port,
         "/ok",
         ERROR_DNS_TIMEOUT,
         {PHASE_DNS, 0, LONG_MS}},
        {"while connecting",
         "http",
         "127.0.0.3",
         here.port,
         "/ok",
         ERROR_CONNECT_TIMEOUT,
         {PHASE_CONNECT, 0, LONG_MS}},
        {"while connecting for TLS",
         "https",
         "127.0.0.3",
         here.port,
         "/ok",
         ERROR_CONNECT_TIMEOUT,
         {PHASE_CONNECT, 0, LONG_MS}},
        /* The second address fails at once, after the first one's share of the time. */
        {"while connecting, then no network",
         "http",
         "swallowing-then-none.test",
         here.port,
         "/ok",
         ERROR_CONNECT_TIMEOUT,
         {PHASE_CONNECT, 0, LONG_MS / 2}},
        {"in the TLS handshake",
         "https",
         "127.0.0.1",
         mute_port,
         "/ok",
         ERROR_TIMEOUT,
         {PHASE_TLS, 0, LONG_MS}},
        {"before the response",
         "http",
         "127.0.0.1",
         here.port,
         "/hold",
         ERROR_TIMEOUT,
         {PHASE_WAIT, 0, LONG_MS}},
        {"before the response over TLS",
         "https",
         "127.0.0.1",
         secure.port,
         "/hold",
         ERROR_TIMEOUT,
         {PHASE_WAIT, 0, LONG_MS}},
        {"within the headers",
         "http",
         "127.0.0.1",
         here.port,
         "/hold-headers",
         ERROR_TIMEOUT,
         {PHASE_TRANSFER, 0, LONG_MS}},
        {"within the body",
         "http",
         "127.0.0.1",
         here.port,
         "/hold-body",
         ERROR_TIMEOUT,
         {PHASE_TRANSFER, 0, LONG_MS}},
        {"after a redirect",
         "http",
         "127.0.0.1",
         here.port,
         "/to-hold",
         ERROR_TIMEOUT,
         {PHASE_WAIT, 1, LONG_MS}},
    };
    struct stand stand;
    struct err err;

    (void)state;
    stand_open(&stand, 1);
    assert_int_equal(tls_trust(stand.tls, ca_file, &err), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char url[256];
        struct site site = site_of(url, rows[i].scheme, rows[i].host, rows[i].port, rows[i].path);
        const struct event_timing *t = &stand.seen.result.timing;

        print_message("  %s\n", rows[i].name);
        site.timeout_ms = LONG_MS;
        assert_failed(check_held(&stand, &site, &rows[i].hold), rows[i].error, rows[i].hold.phase,
                      LONG_TEXT);
        assert_true(t->total_us >= rows[i].hold.ms * US_PER_MS);
        assert_int_equal(t->connect_us != EVENT_ABSENT, rows[i].hold.phase > PHASE_CONNECT);
        assert_int_equal(t->tls_us != EVENT_ABSENT,
                         rows[i].hold.phase == PHASE_WAIT && strcmp(rows[i].scheme, "https") == 0);
        assert_int_equal(stand.resolver.cancelled, 1);
    }
    stand_close(&stand);
}

static void certificates_that_fail_are_told(void **state)
{
    struct stand stand;
    char url[256];
    struct site site = site_of(url, "https", "127.0.0.1", secure_wrong.port, "/ok");
    const struct probe_result *r = &stand.seen.result;
    struct err err;

    (void)state;
    stand_open(&stand, 1);
    fails_as(&stand, &site, ERROR_INTERNAL, PHASE_TLS, "were not read");
    assert_int_equal(tls_trust(stand.tls, ca_file, &err), 0);
    fails_as(&stand, &site, ERROR_TLS_HOSTNAME, PHASE_TLS, "the certificate is for x.test");
    assert_true(r->cert_not_after_s > time(NULL));
    assert_null(r->tls_version);
    assert_string_equal(r->peer, "127.0.0.1");
    assert_true(r->timing.connect_us > 0);
    assert_int_equal(r->timing.tls_us, EVENT_ABSENT);

    print_message("  a plain server is asked for TLS\n");
    site = site_of(url, "https", "127.0.0.1", here.port, "/ok");
    fails_as(&stand, &site, ERROR_TLS_FAILURE, PHASE_TLS, "");

    print_message("  a version that the server lacks\n");
    SSL_CTX_set_max_proto_version(secure_wrong.tls, TLS1_2_VERSION);
    site = site_of(url, "https", "127.0.0.1", secure_wrong.port, "/ok");
    site.min_tls = SITE_TLS_1_3;
    fails_as(&stand, &site, ERROR_TLS_FAILURE, PHASE_TLS, "");
    SSL_CTX_set_max_proto_version(secure_wrong.tls, 0);

    print_message("  our own certificate was not read\n");
    site.min_tls = SITE_TLS_1_2;
    site.cert_file = site.key_file = "/nonexistent";
    fails_as(&stand, &site, ERROR_INTERNAL, PHASE_TLS, "/nonexistent was not read");
    stand_close(&stand);
}

static void what_is_ours_is_unknown(void **state)
{
    struct stand stand;
    char url[256];
    struct site site = site_here(url, "/ok");
    struct rlimit before, none;

    (void)state;
    stand_open(&stand, 1);
    getrlimit(RLIMIT_NOFILE, &before);
    /* Whatever the servers close meanwhile has another number. */
    none = (struct rlimit){.rlim_cur = STDERR_FILENO + 1, .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    fails_as(&stand, &site, ERROR_LOCAL_RESOURCES, PHASE_CONNECT, "Too many open files");
    setrlimit(RLIMIT_NOFILE, &before);

    site.url = (char *)"http://";
    fails_as(&stand, &site, ERROR_URL, PHASE_NONE, "");
    stand_close(&stand);
}

/* --- Redirects --- */

static void redirects_that_fail(void **state)
{
    static const struct {
        const char *name, *path;
        enum error_type error;
        enum check_phase phase;
        const char *message;
        int32_t redirects, http_status;
    } rows[] = {
        {"a loop ends", "/loop", ERROR_REDIRECT, PHASE_CHECK, "more than 5 redirects", 5, 302},
        {"to ftp", "/to-ftp", ERROR_REDIRECT, PHASE_CHECK, "ftp is neither http nor https", 0, 302},
        {"to nonsense", "/to-bad", ERROR_REDIRECT, PHASE_CHECK, "redirect: ", 0, 302},
        {"to nothing", "/to-empty", ERROR_REDIRECT, PHASE_CHECK, "Location is empty", 0, 302},
        {"to a name that does not exist", "/to-missing", ERROR_DNS_NOT_FOUND, PHASE_DNS, "missing",
         1, 0},
        {"to where nobody listens", "/to-refusing", ERROR_CONNECT_REFUSED, PHASE_CONNECT,
         "127.0.0.9 port 1: ", 1, 0},
        {"with a body without end", "/to-body-endless", ERROR_BODY_TOO_LARGE, PHASE_TRANSFER, "", 0,
         302},
    };
    struct stand stand;
    char url[256];

    (void)state;
    stand_open(&stand, 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct site site = site_here(url, rows[i].path);

        print_message("  %s\n", rows[i].name);
        fails_as(&stand, &site, rows[i].error, rows[i].phase, rows[i].message);
        assert_int_equal(stand.seen.result.redirects, rows[i].redirects);
        assert_int_equal(stand.seen.result.http_status, rows[i].http_status);
        assert_true(stand.seen.result.timing.wait_us != EVENT_ABSENT);
    }
    stand_close(&stand);
}

static void a_location_too_long_is_refused(void **state)
{
    char *text = malloc(20000);
    struct odd_reply long_replies[] = {{"/", ODD_CLOSE, text, NULL}, {NULL, ODD_CLOSE, NULL, NULL}};
    struct odd_server server = {.replies = long_replies};
    struct stand stand;
    char url[256];

    (void)state;
    memset(text, 'x', 20000);
    memcpy(text, "HTTP/1.1 302 F\r\nLocation: /", 27);
    memcpy(text + 19900, "\r\n\r\n", 5);
    odd_start(&server, "127.0.0.1", 0);
    stand_open(&stand, 1);

    struct site site = site_of(url, "http", "127.0.0.1", server.port, "/");

    fails_as(&stand, &site, ERROR_REDIRECT, PHASE_CHECK, "Location is too long");
    stand_close(&stand);
    odd_stop(&server);
    free(text);
}

static void redirects_are_followed(void **state)
{
    struct stand stand;
    char url[256], expected[300];
    struct site site = site_here(url, "/to-ok");
    const struct probe_result *r;

    (void)state;
    stand_open(&stand, 1);
    r = succeeds(&stand, &site);
    snprintf(expected, sizeof(expected), "http://127.0.0.1:%d/ok", here.port);
    assert_string_equal(r->final_url, expected);
    assert_int_equal(r->redirects, 1);
    assert_int_equal(r->http_status, 200);
    assert_int_equal(r->body_bytes, 5); /* not the redirect's own */
    assert_string_equal(r->body, "hello");

    print_message("  to a place that does not count as one\n");
    site = site_here(url, "/304");
    assert_int_equal(succeeds(&stand, &site)->http_status, 304);
    site = site_here(url, "/302-nowhere");
    r = succeeds(&stand, &site);
    assert_int_equal(r->http_status, 302);
    assert_string_equal(r->body, "bye");

    print_message("  not when it is not wanted\n");
    site = site_here(url, "/to-ok");
    site.follow_redirects = false;
    r = succeeds(&stand, &site);
    assert_int_equal(r->http_status, 302);
    assert_int_equal(r->redirects, 0);
    assert_string_equal(r->body, "bye");
    stand_close(&stand);
}

static bool request_has(struct odd_server *server, const char *text)
{
    char *request = odd_last_request(server);
    bool has = strcasestr(request, text) != NULL;

    free(request);
    return has;
}

static void methods_change_as_they_should(void **state)
{
    static const struct {
        const char *path, *method, *body;
        const char *line;
        bool with_body;
    } rows[] = {
        {"/301", "POST", "b=1", "GET /ok ", false},
        {"/to-ok", "POST", "b=1", "GET /ok ", false},
        {"/303", "PUT", "b=1", "GET /ok ", false},
        {"/307", "POST", "b=1", "POST /ok ", true},
        {"/301", "PUT", "b=1", "PUT /ok ", true},
        {"/303", "HEAD", NULL, "HEAD /ok ", false},
        {"/307", "DELETE", NULL, "DELETE /ok ", false},
        {"/303", NULL, "b=1", "GET /ok ", false},
    };
    char *headers[] = {"Content-Type: text/x-test", "Content-Language: de", NULL};
    struct stand stand;
    char url[256];

    (void)state;
    stand_open(&stand, 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct site site = site_here(url, rows[i].path);

        print_message("  %s after %s\n", rows[i].line, rows[i].path);
        site.method = (char *)rows[i].method;
        site.body = (char *)rows[i].body;
        site.headers = headers;
        succeeds(&stand, &site);
        assert_true(request_has(&here, rows[i].line));
        assert_int_equal(request_has(&here, "b=1"), rows[i].with_body);
        assert_int_equal(request_has(&here, "text/x-test"), rows[i].with_body);
        assert_int_equal(request_has(&here, "Content-Language"), rows[i].with_body);
        assert_false(request_has(&here, "Expect"));
    }
    stand_close(&stand);
}

static void credentials_stay_with_their_host(void **state)
{
    static const char *const private[] = {"Authorization", "Cookie: c", "X-Api-Key", "X-CSRF-Token",
                                          "one.test",      "secret",    "dTpwdw"};
    char *headers[] = {
        "Cookie: c=secret", "X-Api-Key: secret", "X-CSRF-Token: secret",   "Host: one.test:1",
        "X-Plain: yes",     "X-Blank:",          "Proxy-Authorization: s", NULL};
    struct stand stand;
    char url[256];
    struct site site = site_here(url, "/to-peer");

    (void)state;
    stand_open(&stand, 1);
    site.headers = headers;
    site.username = "u";
    site.password = "pw-secret";
    succeeds(&stand, &site);
    assert_true(request_has(&here, "Authorization: Basic "));
    assert_true(request_has(&here, "Host: one.test:1\r\n"));
    assert_true(request_has(&here, "X-Blank:"));
    assert_true(request_has(&there, "GET /ok "));
    assert_true(request_has(&there, "X-Plain: yes\r\n"));
    assert_true(request_has(&there, "Host: 127.0.0.2:"));
    for (size_t i = 0; i < sizeof(private) / sizeof(private[0]); i++) {
        assert_false(request_has(&there, private[i]));
    }

    print_message("  a bearer token too\n");
    site = site_here(url, "/307-peer");
    site.bearer_token = "secret";
    site.method = "POST";
    site.body = "b=1";
    succeeds(&stand, &site);
    assert_true(request_has(&here, "Authorization: Bearer secret\r\n"));
    assert_true(request_has(&there, "\r\n\r\nb=1"));
    assert_false(request_has(&there, "Authorization"));

    print_message("  a user without a password, and nothing is left of it in the next check\n");
    site = site_here(url, "/to-ok");
    site.username = "user";
    succeeds(&stand, &site);
    assert_true(request_has(&here, "GET /ok "));
    assert_true(request_has(&here, "Authorization: Basic dXNlcjo="));
    site = site_here(url, "/ok");
    succeeds(&stand, &site);
    assert_false(request_has(&here, "Authorization"));
    stand_close(&stand);
}

/* One handle makes them all, one after the other. */
static void a_check_sends_nothing_of_the_one_before(void **state)
{
    static char *headers[] = {"X-Mine: 1", "Content-Type: text/x", NULL};
    static const struct {
        const char *name, *method, *body, *user, *token;
        char **headers;
        bool reuse;
        const char *start; /* of the request */
    } rows[] = {
        {"a form", "POST", "b=1", "u", NULL, headers, false, "POST /ok "},
        {"a page", NULL, NULL, NULL, NULL, NULL, false, "GET /ok "},
        {"the headers alone", "HEAD", NULL, NULL, NULL, NULL, false, "HEAD /ok "},
        {"a page again", NULL, NULL, NULL, NULL, NULL, false, "GET /ok "},
        {"a page with headers", NULL, NULL, NULL, "t", headers, false, "GET /ok "},
        {"a page without", NULL, NULL, NULL, NULL, NULL, false, "GET /ok "},
        {"a method of its own", "OPTIONS", NULL, NULL, NULL, NULL, false, "OPTIONS /ok "},
        {"a page for a user", NULL, NULL, "u", NULL, NULL, false, "GET /ok "},
        {"a page on a connection that is kept", NULL, NULL, NULL, NULL, NULL, true, "GET /ok "},
        {"and one that is not", NULL, NULL, NULL, NULL, NULL, false, "GET /ok "},
    };
    struct stand stand;
    char url[256];

    (void)state;
    stand_open(&stand, 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct site site = site_here(url, "/ok");

        print_message("  %s\n", rows[i].name);
        site.method = (char *)rows[i].method;
        site.body = (char *)rows[i].body;
        site.username = (char *)rows[i].user;
        site.bearer_token = (char *)rows[i].token;
        site.headers = rows[i].headers;
        site.reuse_connection = rows[i].reuse;
        succeeds(&stand, &site);
        assert_true(request_has(&here, rows[i].start));
        assert_int_equal(request_has(&here, "Authorization: Basic"), rows[i].user != NULL);
        assert_int_equal(request_has(&here, "Authorization: Bearer"), rows[i].token != NULL);
        assert_int_equal(request_has(&here, "X-Mine"), rows[i].headers != NULL);
        assert_int_equal(request_has(&here, "Content-"), rows[i].body != NULL);
        assert_int_equal(request_has(&here, "\r\n\r\nb=1"), rows[i].body != NULL);
        assert_int_equal(request_has(&here, "Connection: close"), !rows[i].reuse);
        assert_true(request_has(&here, "User-Agent: "));
        assert_true(request_has(&here, "Accept-Encoding: "));
    }
    stand_close(&stand);
}

/* --- What goes well --- */

static void responses_are_measured(void **state)
{
    static const struct {
        const char *path, *version, *body;
        int32_t http_status;
    } rows[] = {
        {"/ok", "1.1", "hello", 200},
        {"/until-close", "1.0", "hello, old world", 200},
        {"/chunks", "1.1", "hello world", 200},
        {"/empty", "1.1", "", 204},
        {"/500", "1.1", "no", 500},
        {"/early", "1.1", "hi", 200},
    };
    struct stand stand;
    char url[256];

    (void)state;
    stand_open(&stand, 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct site site = site_here(url, rows[i].path);
        const struct probe_result *r = succeeds(&stand, &site);

        print_message("  %s\n", rows[i].path);
        assert_int_equal(r->http_status, rows[i].http_status);
        assert_string_equal(r->http_version, rows[i].version);
        assert_string_equal(r->body, rows[i].body);
        assert_int_equal(r->body_bytes, strlen(rows[i].body));
        assert_int_equal(r->redirects, 0);
        assert_string_equal(r->peer, "127.0.0.1");
        assert_null(r->tls_version);
        assert_int_equal(r->cert_not_after_s, EVENT_ABSENT);
        assert_true(r->timing.dns_us >= 0); /* next to nothing: no name to look up */
        assert_true(r->timing.connect_us > 0);
        assert_int_equal(r->timing.tls_us, EVENT_ABSENT);
        assert_true(r->timing.wait_us > 0);
        assert_true(r->timing.transfer_us >= 0);
    }
    assert_true(request_has(&here, "User-Agent: stand/1\r\n"));
    assert_true(request_has(&here, "Connection: close\r\n"));
    assert_true(request_has(&here, "Accept-Encoding: "));
    stand_close(&stand);
}

static void the_body_has_a_ceiling(void **state)
{
    struct stand stand;
    char url[256];
    struct site site = site_here(url, "/exactly");

    (void)state;
    stand_open(&stand, 1);
    site.max_body_bytes = 6;
    assert_string_equal(succeeds(&stand, &site)->body, "123456");
    site.max_body_bytes = 5;
    fails_as(&stand, &site, ERROR_BODY_TOO_LARGE, PHASE_TRANSFER, "longer than 5 bytes");
    site.method = "HEAD";
    assert_string_equal(succeeds(&stand, &site)->body, "");
    site.method = NULL;
    site.max_body_bytes = BODY_MAX;
    probe_start(stand.probe, &site, false, NULL, clock_mono_ns());
    stand_wait(&stand, 4);
    assert_null(stand.seen.result.body);
    assert_int_equal(stand.seen.result.body_bytes, 6);
    stand_close(&stand);
}

/* Larger than what a slot keeps, so it grows, shrinks and grows again. */
static void a_long_body_comes_whole(void **state)
{
    size_t body_len = 300000;
    char *text = malloc(body_len + 100);
    struct odd_reply long_replies[] = {{"/", ODD_CLOSE, text, NULL}, {NULL, ODD_CLOSE, NULL, NULL}};
    struct odd_server server = {.replies = long_replies};
    struct stand stand;
    char url[256];

    (void)state;
    int len = snprintf(text, 100, OK_200 "Content-Length: %zu\r\n\r\n", body_len);

    for (size_t i = 0; i < body_len; i++) {
        text[(size_t)len + i] = (char)('a' + i % 23);
    }
    text[(size_t)len + body_len] = '\0';
    odd_start(&server, "127.0.0.1", 0);
    stand_open(&stand, 1);

    struct site site = site_of(url, "http", "127.0.0.1", server.port, "/");

    for (int turn = 0; turn < 3; turn++) {
        site.max_body_bytes = turn == 1 ? 300001 : 1000000;

        const struct probe_result *r = succeeds(&stand, &site);

        assert_int_equal(r->body_len, body_len);
        assert_memory_equal(r->body, text + len, body_len);
    }
    stand_close(&stand);
    odd_stop(&server);
    free(text);
}

static void addresses_are_tried_in_turn(void **state)
{
    static const struct {
        const char *name, *host;
        int64_t ms; /* that go by with the first */
    } rows[] = {
        {"the second answers", "refusing-first.test", 0},
        {"the first swallows its share of the time", "swallowing-first.test", LONG_MS / 2},
        {"one of the other family is among the first", "many-ipv6.test", 0},
        {"the answer comes later", "later.test", 0},
    };
    struct stand stand;
    char url[256];

    (void)state;
    stand_open(&stand, 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct site site = site_of(url, "http", rows[i].host, here.port, "/ok");

        print_message("  %s\n", rows[i].name);
        site.timeout_ms = LONG_MS;
        if (rows[i].ms > 0) {
            const struct stand_hold hold = {PHASE_CONNECT, 0, rows[i].ms};

            check_held(&stand, &site, &hold);
        } else {
            stand_check(&stand, &site);
        }
        const struct probe_result *r = assert_succeeded(&stand, &site);

        assert_string_equal(r->peer, "127.0.0.1");
        assert_true(r->timing.dns_us != EVENT_ABSENT);
        assert_true(r->timing.connect_us >= rows[i].ms * US_PER_MS);
    }
    stand_close(&stand);
}

/* libcurl may have closed its descriptor unseen, and the next one has the same number. On a busy
 * machine a connection may take long all the same, but not each time. */
static void a_connection_that_was_given_up_does_not_hold_up_the_next(void **state)
{
    struct stand stand;
    char url[256], next_url[256];
    struct site site = site_of(url, "http", "127.0.0.3", here.port, "/ok");
    struct site next = site_here(next_url, "/ok");
    int64_t connect_us = INT64_MAX;

    (void)state;
    stand_open(&stand, 1);
    site.timeout_ms = next.timeout_ms = LONG_MS;
    for (int i = 0; i < TRIES_MAX && connect_us > HEARD_US_MAX; i++) {
        runs_out(&stand, &site, 0, ERROR_CONNECT_TIMEOUT, PHASE_CONNECT, LONG_TEXT);
        connect_us = succeeds(&stand, &next)->timing.connect_us;
    }
    assert_true(connect_us <= HEARD_US_MAX);
    stand_close(&stand);
}

/* Its share is over, but the connection is there: it is not given up. */
static void a_slow_response_keeps_its_address(void **state)
{
    struct stand stand;
    char url[256];
    struct site site = site_of(url, "http", "refusing-first.test", here.port, "/hold");

    (void)state;
    stand_open(&stand, 1);
    site.resolve_to = "127.0.0.1";
    site.timeout_ms = LONG_MS;
    runs_out(&stand, &site, 0, ERROR_TIMEOUT, PHASE_WAIT, LONG_TEXT);
    site.resolve_to = NULL;
    site.url = url;
    snprintf(url, sizeof(url), "http://many-ipv6.test:%d/hold", here.port);
    runs_out(&stand, &site, 0, ERROR_TIMEOUT, PHASE_WAIT, LONG_TEXT);
    stand_close(&stand);
}

static void the_site_says_where_its_name_leads(void **state)
{
    struct stand stand;
    char url[256];
    struct site site = site_of(url, "http", "silent.test", here.port, "/to-ok");

    (void)state;
    stand_open(&stand, 1);
    site.resolve_to = "127.0.0.1";

    const struct probe_result *r = succeeds(&stand, &site);

    assert_string_equal(r->peer, "127.0.0.1");
    assert_true(r->timing.dns_us >= 0); /* next to nothing: no name to look up */
    assert_true(request_has(&here, "Host: silent.test:"));

    print_message("  but not where another name does\n");
    site = site_here(url, "/to-peer");
    site.resolve_to = "127.0.0.1";
    assert_string_equal(succeeds(&stand, &site)->peer, "127.0.0.2");

    print_message("  and which family is wanted\n");
    site = site_of(url, "http", "one.test", here.port, "/ok");
    site.ip_version = SITE_IP_4;
    succeeds(&stand, &site);
    assert_int_equal(stand.resolver.family, RESOLVER_IPV4);
    site.ip_version = SITE_IP_6;
    succeeds(&stand, &site);
    assert_int_equal(stand.resolver.family, RESOLVER_IPV6);
    stand_close(&stand);
}

static void tls_is_measured(void **state)
{
    struct stand stand;
    char url[256];
    struct site site = site_of(url, "https", "one.test", secure.port, "/ok");
    const struct probe_result *r;
    struct err err;

    (void)state;
    stand_open(&stand, 1);
    assert_int_equal(tls_trust(stand.tls, ca_file, &err), 0);
    r = succeeds(&stand, &site);
    assert_string_equal(r->tls_version, "TLSv1.3");
    assert_true(r->cert_not_after_s > time(NULL) + 29 * CERT_DAY);
    assert_true(r->timing.tls_us > 0);
    assert_true(r->timing.dns_us >= 0);
    assert_string_equal(r->body, "hello");

    print_message("  not verified, when it is not wanted\n");
    site = site_of(url, "https", "127.0.0.1", secure_wrong.port, "/ok");
    site.verify_tls = false;
    assert_string_equal(succeeds(&stand, &site)->tls_version, "TLSv1.3");

    print_message("  HTTP/2 that is wanted and not had\n");
    site = site_of(url, "https", "127.0.0.1", secure.port, "/ok");
    site.http_version = SITE_HTTP_2;
    fails_as(&stand, &site, ERROR_PROTOCOL, PHASE_CHECK, "wanted HTTP/2, got 1.1");
    site.http_version = SITE_HTTP_1_1;
    assert_string_equal(succeeds(&stand, &site)->http_version, "1.1");
    stand_close(&stand);
}

static void a_certificate_of_ours_is_shown_at_home(void **state)
{
    struct stand stand;
    char url[256], own_file[32];
    struct site site = site_of(url, "https", "127.0.0.1", secure.port, "/ok");
    struct err err;

    (void)state;
    cert_save(&leaf, true, own_file);
    stand_open(&stand, 1);
    assert_int_equal(tls_trust(stand.tls, ca_file, &err), 0);
    X509_STORE_load_file(SSL_CTX_get_cert_store(secure.tls), ca_file);
    SSL_CTX_set_verify(secure.tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    assert_true(stand_check(&stand, &site)->error != ERROR_NONE);
    assert_int_equal(tls_identify(stand.tls, own_file, own_file, &err), 0);
    site.cert_file = site.key_file = own_file;
    succeeds(&stand, &site);

    print_message("  and to no other site\n");
    site.cert_file = site.key_file = NULL;
    assert_true(stand_check(&stand, &site)->error != ERROR_NONE);
    SSL_CTX_set_verify(secure.tls, SSL_VERIFY_NONE, NULL);
    stand_close(&stand);
    unlink(own_file);
}

static void connections_are_used_again_when_wanted(void **state)
{
    struct stand stand;
    char url[256];
    struct site site = site_of(url, "https", "127.0.0.1", secure.port, "/keep");
    const struct probe_result *r;
    struct err err;

    (void)state;
    stand_open(&stand, 2);
    assert_int_equal(tls_trust(stand.tls, ca_file, &err), 0);

    int before = secure.connections;

    site.reuse_connection = true;
    succeeds(&stand, &site);
    r = succeeds(&stand, &site);
    assert_int_equal(secure.connections, before + 1);
    assert_false(request_has(&secure, "Connection: close"));
    assert_int_equal(r->timing.connect_us, EVENT_ABSENT);
    assert_int_equal(r->timing.tls_us, EVENT_ABSENT);
    assert_true(r->timing.wait_us > 0);
    assert_string_equal(r->peer, "127.0.0.1");
    /* The handshake was another check's, and still we know. */
    assert_string_equal(r->tls_version, "TLSv1.3");
    assert_true(r->cert_not_after_s > time(NULL));

    print_message("  for the next hop too\n");
    snprintf(url, sizeof(url), "https://127.0.0.1:%d/to-keep", secure.port);
    assert_int_equal(succeeds(&stand, &site)->redirects, 1);
    assert_int_equal(secure.connections, before + 1);

    print_message("  one that was verified otherwise is not\n");
    site.verify_tls = false;
    succeeds(&stand, &site);
    assert_int_equal(secure.connections, before + 2);
    site.min_tls = SITE_TLS_1_3;
    succeeds(&stand, &site);
    assert_int_equal(secure.connections, before + 3);

    print_message("  time runs out on one that is used again\n");
    snprintf(url, sizeof(url), "https://127.0.0.1:%d/hold", secure.port);
    site.timeout_ms = LONG_MS;
    runs_out(&stand, &site, 0, ERROR_TIMEOUT, PHASE_WAIT, "no response");
    assert_int_equal(secure.connections, before + 3);

    print_message("  not when every check measures all of it\n");
    site = site_of(url, "https", "127.0.0.1", secure.port, "/keep");
    assert_true(succeeds(&stand, &site)->timing.tls_us > 0);
    assert_true(succeeds(&stand, &site)->timing.tls_us > 0);
    stand_close(&stand);
}

static void addresses_that_are_not_public_are_refused(void **state)
{
    static const char blocked[] = "is loopback in the stand, and allow_private is false";
    struct stand stand;
    char url[256];
    struct site site = site_of(url, "http", "one.test", here.port, "/ok");
    int before = here.connections;

    (void)state;
    stand_open(&stand, 1);
    site.allow_private = false;
    fails_as(&stand, &site, ERROR_BLOCKED_ADDRESS, PHASE_CONNECT, blocked);
    assert_null(stand.seen.result.peer);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/ok", here.port);
    fails_as(&stand, &site, ERROR_BLOCKED_ADDRESS, PHASE_CONNECT, blocked);

    print_message("  the address that the site gives itself\n");
    snprintf(url, sizeof(url), "http://other.test:%d/ok", here.port);
    site.resolve_to = (char *)(uintptr_t) "127.0.0.1";
    fails_as(&stand, &site, ERROR_BLOCKED_ADDRESS, PHASE_CONNECT, "127.0.0.1 port");
    site.resolve_to = NULL;

    print_message("  the next address of a name is not tried\n");
    snprintf(url, sizeof(url), "http://mixed.test:%d/ok", there.port);
    fails_as(&stand, &site, ERROR_BLOCKED_ADDRESS, PHASE_CONNECT, "127.0.0.1 port");

    print_message("  a redirect from a public name\n");
    snprintf(url, sizeof(url), "http://other.test:%d/to-peer", there.port);
    fails_as(&stand, &site, ERROR_BLOCKED_ADDRESS, PHASE_CONNECT, blocked);
    assert_int_equal(stand.seen.result.redirects, 1);
    assert_int_equal(here.connections, before); /* nobody was there */

    print_message("  a connection that another site made\n");
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/keep", here.port);
    site.reuse_connection = true;
    site.allow_private = true;
    succeeds(&stand, &site);
    site.allow_private = false;
    fails_as(&stand, &site, ERROR_BLOCKED_ADDRESS, PHASE_CONNECT, blocked);
    assert_int_equal(here.connections, before + 1);

    print_message("  a public one is not\n");
    snprintf(url, sizeof(url), "http://other.test:%d/ok", there.port);
    assert_int_equal(succeeds(&stand, &site)->http_status, 200);
    stand_close(&stand);
}

static void headers_are_kept_for_a_pattern(void **state)
{
    static const struct {
        const char *name, *path, *headers;
    } rows[] = {
        {"the lines without the status line", "/ok", "Content-Length: 5\n"},
        {"none", "/until-close", ""},
        {"the last response's, after hints", "/early", "Content-Length: 2\n"},
        {"the last hop's", "/to-ok", "Content-Length: 5\n"},
        {"not what comes after the chunks", "/chunks", "Transfer-Encoding: chunked\n"},
    };
    struct stand stand;
    char url[256];
    struct site site = site_here(url, "/ok");

    (void)state;
    stand_open(&stand, 1);
    succeeds(&stand, &site);
    assert_null(stand.seen.headers);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("  %s\n", rows[i].name);
        site = site_here(url, rows[i].path);
        site.header_pattern = (char *)(uintptr_t) "x";
        assert_int_equal(succeeds(&stand, &site)->headers_len, strlen(rows[i].headers));
        assert_string_equal(stand.seen.headers, rows[i].headers);
    }
    site = site_here(url, "/headers-endless");
    site.header_pattern = (char *)(uintptr_t) "x";
    fails_as(&stand, &site, ERROR_PROTOCOL, PHASE_TRANSFER, "headers"); /* ours or libcurl 8's */
    assert_null(stand.seen.headers);
    stand_close(&stand);
}

/* --- Encoded bodies --- */

#define HELLO_GZIP                                                                                 \
    "\x1f\x8b\x08\0\0\0\0\0\x02\x03\xcb\x48\xcd\xc9\xc9\x07\0\x86\xa6\x10\x36\x05\0\0\0"
#define HELLO_BR "\x0b\x02\x80hello\x03"
#define HELLO_ZSTD "\x28\xb5\x2f\xfd\x20\x05\x29\0\0hello"

static void bytes_of(struct odd_server *server, const char *bytes, size_t len)
{
    server->bytes = bytes;
    server->bytes_len = len;
}

static void encoded_bodies_are_decoded(void **state)
{
    static const struct {
        const char *name, *path, *bytes;
        size_t len;
        enum error_type error; /* ERROR_NONE: it is "hello" */
    } rows[] = {
        {"gzip", "/gzip", HELLO_GZIP, sizeof(HELLO_GZIP) - 1, ERROR_NONE},
        {"br", "/br", HELLO_BR, sizeof(HELLO_BR) - 1, ERROR_NONE},
        {"zstd", "/zstd", HELLO_ZSTD, sizeof(HELLO_ZSTD) - 1, ERROR_NONE},
        {"gzip that ends before its checksum", "/gzip", HELLO_GZIP, sizeof(HELLO_GZIP) - 1 - 8,
         ERROR_NONE},
        {"gzip of two members", "/gzip", HELLO_GZIP HELLO_GZIP, 2 * (sizeof(HELLO_GZIP) - 1),
         ERROR_PROTOCOL},
        {"text that is said to be gzip", "/gzip", "hello, world", 12, ERROR_PROTOCOL},
        {"text that is said to be deflate", "/deflate", "hello, world", 12, ERROR_PROTOCOL},
        {"text that is said to be br", "/br", "hello, world", 12, ERROR_PROTOCOL},
        {"text that is said to be zstd", "/zstd", "hello, world", 12, ERROR_PROTOCOL},
        {"an encoding nobody knows", "/unknown", "uryyb", 5, ERROR_PROTOCOL},
    };
    struct stand stand;
    char url[256];

    (void)state;
    stand_open(&stand, 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct site site = site_here(url, rows[i].path);

        print_message("  %s\n", rows[i].name);
        bytes_of(&here, rows[i].bytes, rows[i].len);
        if (rows[i].error != ERROR_NONE) {
            fails_as(&stand, &site, rows[i].error, PHASE_TRANSFER, "");
            continue;
        }
        assert_int_equal(succeeds(&stand, &site)->body_bytes, 5);
        assert_string_equal(stand.seen.body, "hello");
        assert_true(request_has(&here, "Accept-Encoding: deflate, gzip, br, zstd"));
        site.max_body_bytes = 5;
        succeeds(&stand, &site);
        site.max_body_bytes = 4;
        fails_as(&stand, &site, ERROR_BODY_TOO_LARGE, PHASE_TRANSFER, "longer than 4 bytes");
    }
    stand_close(&stand);
}

/* One bit after the other, from the lowest of a byte. */
static void put_bits(unsigned char *out, size_t *at, const char *bits)
{
    for (; *bits != '\0'; bits++, ++*at) {
        out[*at / 8] |= (unsigned char)((*bits == '1') << *at % 8);
    }
}

/* An 'a' and then 258 more of them again and again: 13 bits each time (RFC 1951, 3.2.6). */
static void a_gzip_bomb_ends_early(void **state)
{
    static const unsigned char header[10] = {0x1f, 0x8b, 8};
    const size_t repeats = 250000; /* 64 MB */
    size_t size = sizeof(header) + repeats * 13 / 8 + 16, at = 8 * sizeof(header);
    unsigned char *bomb = mem_alloc(size, 1);
    struct rusage before, after;
    struct stand stand;
    char url[256];
    struct site site = site_here(url, "/gzip");

    (void)state;
    memcpy(bomb, header, sizeof(header));
    put_bits(bomb, &at,
             "110"
             "10010001");
    for (size_t i = 0; i < repeats; i++) {
        put_bits(bomb, &at,
                 "11000101"
                 "00000");
    }
    put_bits(bomb, &at, "0000000");
    bytes_of(&here, (const char *)bomb, size);
    stand_open(&stand, 1);
    getrusage(RUSAGE_SELF, &before);
    fails_as(&stand, &site, ERROR_BODY_TOO_LARGE, PHASE_TRANSFER, "longer than 100000 bytes");
    assert_true(stand.seen.result.body_bytes < 2 * BODY_MAX);
    site.max_body_bytes = 8 * 1024 * 1024;
    fails_as(&stand, &site, ERROR_BODY_TOO_LARGE, PHASE_TRANSFER, "longer than 8388608 bytes");
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 32 * 1024); /* KiB; twice the body at most */
    stand_close(&stand);
    odd_wait(&here);
    free(bomb);
}

static void methods_are_sent(void **state)
{
    static const struct {
        const char *method, *body, *line, *length;
    } rows[] = {
        {NULL, NULL, "GET /ok ", NULL},
        {NULL, "b=1", "POST /ok ", "Content-Length: 3"},
        {"POST", NULL, "POST /ok ", "Content-Length: 0"},
        {"PUT", NULL, "PUT /ok ", "Content-Length: 0"},
        {"PATCH", NULL, "PATCH /ok ", "Content-Length: 0"},
        {"PUT", "b=1", "PUT /ok ", "Content-Length: 3"},
        {"GET", "b=1", "GET /ok ", "Content-Length: 3"},
        {"OPTIONS", NULL, "OPTIONS /ok ", NULL},
        {"HEAD", NULL, "HEAD /ok ", NULL},
    };
    char *headers[] = {"Connection: keep-alive", "User-Agent: mine", NULL};
    struct stand stand;
    char url[256];

    (void)state;
    stand_open(&stand, 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct site site = site_here(url, "/ok");

        print_message("  %s\n", rows[i].line);
        site.method = (char *)rows[i].method;
        site.body = (char *)rows[i].body;
        site.headers = headers;
        succeeds(&stand, &site);
        assert_true(request_has(&here, rows[i].line));
        if (rows[i].length != NULL) {
            assert_true(request_has(&here, rows[i].length));
        } else {
            assert_false(request_has(&here, "Content-Length"));
        }
        assert_true(request_has(&here, "User-Agent: mine\r\n"));
        assert_false(request_has(&here, "stand/1"));
        assert_false(request_has(&here, "Connection: close"));
    }
    stand_close(&stand);
}

/* --- Slots --- */

static void many_checks_run_at_a_time(void **state)
{
    struct stand stand;
    char url[256], hold_url[256];
    struct site site = site_of(url, "http", "later.test", here.port, "/ok");
    struct site hold = site_here(hold_url, "/hold");

    (void)state;
    stand_open(&stand, 20);
    hold.timeout_ms = 200;
    for (int i = 0; i < 20; i++) {
        assert_true(probe_has_room(stand.probe));
        assert_int_equal(probe_in_flight(stand.probe), i);
        probe_start(stand.probe, i % 2 == 0 ? &site : &hold, true, NULL, clock_mono_ns());
    }
    assert_false(probe_has_room(stand.probe));
    stand_wait(&stand, 20);
    assert_int_equal(probe_in_flight(stand.probe), 0);
    stand_close(&stand);
}

static void the_next_check_starts_from_within_the_last(void **state)
{
    struct stand stand;
    char url[256];
    struct site site = site_of(url, "http", "missing.test", here.port, "/ok");

    (void)state;
    stand_open(&stand, 1);
    stand.again = 5;
    stand.again_site = &site;
    probe_start(stand.probe, &site, true, NULL, clock_mono_ns());
    assert_int_equal(stand.seen.count, 0); /* never from within probe_start */
    assert_int_equal(probe_next_due_ns(stand.probe), 0);
    stand_turn(&stand);
    assert_int_equal(stand.seen.count, 1); /* each in a turn of its own */
    stand_wait(&stand, 6);
    assert_int_equal(probe_in_flight(stand.probe), 0);
    assert_int_equal(probe_next_due_ns(stand.probe) == 0, 0);
    stand_close(&stand);
}

static void checks_in_flight_end_without_a_word(void **state)
{
    struct stand stand;
    char urls[4][256];
    struct site sites[] = {
        site_of(urls[0], "http", "silent.test", here.port, "/ok"),
        site_here(urls[1], "/hold"),
        site_of(urls[2], "http", "missing.test", here.port, "/ok"),
        site_of(urls[3], "http", "swallowing-first.test", here.port, "/ok"),
    };

    (void)state;
    stand_open(&stand, 4);
    for (size_t i = 0; i < 4; i++) {
        probe_start(stand.probe, &sites[i], true, NULL, clock_mono_ns());
        if (i == 1) {
            stand_turn(&stand);
            stand_turn(&stand);
        }
    }
    stand_close(&stand);
    assert_int_equal(stand.seen.count, 0);
    assert_int_equal(stand.resolver.cancelled, 1);
    probe_free(NULL);
}

/* What the loop waits with is put out of order: the first socket cannot be watched. */
static void a_broken_loop_is_told(void **state)
{
    struct stand stand;
    char url[256], path[64], target[64];
    struct site site = site_here(url, "/ok");
    struct err err;
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC), replaced = 0;

    (void)state;
    stand_open(&stand, 1);
    for (int fd = 0; fd < 1024; fd++) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);

        ssize_t len = readlink(path, target, sizeof(target) - 1);

        target[len < 0 ? 0 : len] = '\0';
        if (strstr(target, "eventpoll") != NULL) {
            replaced += dup2(null_fd, fd) == fd;
        }
    }
    assert_true(replaced > 0);
    probe_start(stand.probe, &site, true, NULL, clock_mono_ns());

    int result = 0;

    for (int turn = 0; turn < 100 && result == 0; turn++) {
        result = probe_run_due(stand.probe, clock_mono_ns() + 1, &err);
    }
    assert_int_equal(result, -1);
    assert_int_equal(err.kind, ERR_FATAL);
    assert_int_equal(probe_next_due_ns(stand.probe), 0);
    assert_int_equal(probe_run_due(stand.probe, clock_mono_ns(), &err), -1); /* and stays so */
    stand_close(&stand);
    close(null_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_responses_fail),
        cmocka_unit_test(a_line_without_a_version_has_no_other_status),
        cmocka_unit_test(a_folded_first_line_is_no_line_of_the_check_before),
        cmocka_unit_test(a_folded_line_of_a_proxy_is_no_line_of_the_check_before),
        cmocka_unit_test(a_line_after_the_status_is_no_part_of_the_body),
        cmocka_unit_test(connections_that_fail_are_told_apart),
        cmocka_unit_test(time_runs_out_in_each_phase),
        cmocka_unit_test(certificates_that_fail_are_told),
        cmocka_unit_test(what_is_ours_is_unknown),
        cmocka_unit_test(redirects_that_fail),
        cmocka_unit_test(a_location_too_long_is_refused),
        cmocka_unit_test(redirects_are_followed),
        cmocka_unit_test(methods_change_as_they_should),
        cmocka_unit_test(credentials_stay_with_their_host),
        cmocka_unit_test(a_check_sends_nothing_of_the_one_before),
        cmocka_unit_test(responses_are_measured),
        cmocka_unit_test(the_body_has_a_ceiling),
        cmocka_unit_test(a_long_body_comes_whole),
        cmocka_unit_test(addresses_are_tried_in_turn),
        cmocka_unit_test(a_connection_that_was_given_up_does_not_hold_up_the_next),
        cmocka_unit_test(a_slow_response_keeps_its_address),
        cmocka_unit_test(the_site_says_where_its_name_leads),
        cmocka_unit_test(tls_is_measured),
        cmocka_unit_test(a_certificate_of_ours_is_shown_at_home),
        cmocka_unit_test(connections_are_used_again_when_wanted),
        cmocka_unit_test(addresses_that_are_not_public_are_refused),
        cmocka_unit_test(headers_are_kept_for_a_pattern),
        cmocka_unit_test(encoded_bodies_are_decoded),
        cmocka_unit_test(a_gzip_bomb_ends_early),
        cmocka_unit_test(methods_are_sent),
        cmocka_unit_test(many_checks_run_at_a_time),
        cmocka_unit_test(the_next_check_starts_from_within_the_last),
        cmocka_unit_test(checks_in_flight_end_without_a_word),
        cmocka_unit_test(a_broken_loop_is_told),
    };

    return cmocka_run_group_tests(tests, servers_start, servers_stop);
}
