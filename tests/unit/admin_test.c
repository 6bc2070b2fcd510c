/* The admin endpoint answers each request with the right status, and refuses what is no address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/admin.h"
#include "common/clock.h"

#define REPLY_SIZE 16384
#define DEADLINE_MS 5000

struct world {
    struct metrics *metrics;
    struct admin_health health;
    struct admin *admin;
};

static void world_open(struct world *w, const char *listen_text)
{
    struct err err;

    *w = (struct world){.metrics = metrics_new()};
    metric_add(metrics_counter(w->metrics, "sitewatch_checks", "Checks.", NULL), 7);
    w->admin = admin_new(listen_text, w->metrics, &w->health, &err);
    if (w->admin == NULL) {
        fail_msg("%s", err.message);
    }
}

static void world_close(struct world *w)
{
    admin_free(w->admin);
    metrics_free(w->metrics);
}

static int dial(const struct world *w)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(admin_port(w->admin)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Reads until `end` was received, or the peer closed when end is NULL. */
static void read_until(int fd, const char *end, char reply[REPLY_SIZE])
{
    size_t len = 0;

    reply[0] = '\0';
    while (end == NULL || strstr(reply, end) == NULL) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};

        if (poll(&ready, 1, DEADLINE_MS) != 1) {
            fail_msg("no answer in time after: %s", reply);
        }

        ssize_t got = recv(fd, reply + len, REPLY_SIZE - 1 - len, 0);

        assert_true(got >= 0);
        if (got == 0) {
            break;
        }
        len += (size_t)got;
        reply[len] = '\0';
    }
}

static void ask(const struct world *w, const char *request, char reply[REPLY_SIZE])
{
    int fd = dial(w);

    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    read_until(fd, NULL, reply);
    close(fd);
}

#define HOST " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

static void each_request_has_its_answer(void **state)
{
    static const struct {
        const char *name;
        const char *request;
        const char *status;
        const char *has[3];
        const char *has_not;
    } rows[] = {
        {"a path that is not there", "GET /nothing" HOST, "HTTP/1.1 404 ", {"not found\n"}, NULL},
        {"a path that goes on", "GET /metrics/" HOST, "HTTP/1.1 404 ", {NULL}, NULL},
        {"a post",
         "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
         "HTTP/1.1 405 ",
         {"\r\nAllow: GET, HEAD\r\n"},
         NULL},
        {"a delete of what is not there", "DELETE /x" HOST, "HTTP/1.1 405 ", {"Allow: "}, NULL},
        {"a method of no standard", "BREW /" HOST, "HTTP/1.1 405 ", {"Allow: "}, NULL},
        {"the index", "GET /" HOST, "HTTP/1.1 200 ", {"/metrics\n/healthz\n/readyz\n"}, NULL},
        {"metrics",
         "GET /metrics" HOST,
         "HTTP/1.1 200 ",
         {"\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n",
          "\r\nCache-Control: no-store\r\n", "sitewatch_checks_total 7\n# EOF\n"},
         NULL},
        {"metrics as text",
         "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAccept: text/plain\r\n\r\n",
         "HTTP/1.1 200 ",
         {"\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n",
          "\r\nVary: Accept, Accept-Encoding\r\n", "# TYPE sitewatch_checks_total counter\n"},
         "# EOF"},
        {"metrics of an old client",
         "GET /metrics HTTP/1.0\r\n\r\n",
         "HTTP/1.",
         {"\r\n\r\n# TYPE", "sitewatch_checks_total 7\n# EOF\n"},
         "Transfer-Encoding"},
        {"metrics with a query", "GET /metrics?x=1" HOST, "HTTP/1.1 200 ", {"# EOF\n"}, NULL},
        {"the head of metrics",
         "HEAD /metrics" HOST,
         "HTTP/1.1 200 ",
         {"\r\nContent-Type: application/openmetrics-text; "},
         "EOF"},
        {"a get with a body",
         "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
         "Content-Length: 3\r\n\r\nabc",
         "HTTP/1.1 200 ",
         {"\r\n\r\nok\n"},
         NULL},
        {"health before the first beat",
         "GET /healthz" HOST,
         "HTTP/1.1 200 ",
         {"\r\n\r\nok\n", "Content-Type: text/plain"},
         NULL},
        {"not ready at the start", "GET /readyz" HOST, "HTTP/1.1 503 ", {"not ready\n"}, NULL},
    };
    struct world w;
    char reply[REPLY_SIZE];

    (void)state;
    world_open(&w, "127.0.0.1:0");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ask(&w, rows[i].request, reply);
        if (strncmp(reply, rows[i].status, strlen(rows[i].status)) != 0) {
            fail_msg("%s: %s", rows[i].name, reply);
        }
        for (size_t j = 0; j < 3 && rows[i].has[j] != NULL; j++) {
            if (strstr(reply, rows[i].has[j]) == NULL) {
                fail_msg("%s: no \"%s\" in %s", rows[i].name, rows[i].has[j], reply);
            }
        }
        if (rows[i].has_not != NULL && strstr(reply, rows[i].has_not) != NULL) {
            fail_msg("%s: \"%s\" in %s", rows[i].name, rows[i].has_not, reply);
        }
    }
    world_close(&w);
}

static void health_follows_the_beat_and_readiness_the_flag(void **state)
{
    struct world w;
    char reply[REPLY_SIZE];

    (void)state;
    world_open(&w, "127.0.0.1:0");
    atomic_store(&w.health.beat_ns, clock_mono_ns() - ADMIN_STALL_NS - 2 * NS_PER_SEC);
    ask(&w, "GET /healthz" HOST, reply);
    assert_non_null(strstr(reply, " 503 "));
    assert_non_null(strstr(reply, "\r\n\r\nthe main loop has not turned for 17 s\n"));

    atomic_store(&w.health.beat_ns, clock_mono_ns());
    ask(&w, "GET /healthz" HOST, reply);
    assert_non_null(strstr(reply, "HTTP/1.1 200 "));

    atomic_store(&w.health.ready, true);
    ask(&w, "GET /readyz" HOST, reply);
    assert_non_null(strstr(reply, "HTTP/1.1 200 "));
    assert_non_null(strstr(reply, "\r\n\r\nready\n"));
    world_close(&w);
}

static void a_connection_takes_more_than_one_request(void **state)
{
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    struct world w;
    char reply[REPLY_SIZE];

    (void)state;
    world_open(&w, "127.0.0.1:0");

    int fd = dial(&w);

    for (int i = 0; i < 3; i++) {
        assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
        read_until(fd, "ok\n", reply);
        assert_non_null(strstr(reply, "HTTP/1.1 200 "));
    }
    close(fd);
    world_close(&w);
}

static void idle_connections_do_not_keep_others_out(void **state)
{
    struct world w;
    char reply[REPLY_SIZE];
    int idle[ADMIN_CONNECTIONS_MAX - 1];

    (void)state;
    world_open(&w, "127.0.0.1:0");
    for (size_t i = 0; i < ADMIN_CONNECTIONS_MAX - 1; i++) {
        idle[i] = dial(&w);
    }
    ask(&w, "GET /healthz" HOST, reply);
    assert_non_null(strstr(reply, "HTTP/1.1 200 "));
    for (size_t i = 0; i < ADMIN_CONNECTIONS_MAX - 1; i++) {
        close(idle[i]);
    }
    world_close(&w);
}

static void garbage_ends_its_own_connection_only(void **state)
{
    struct world w;
    char reply[REPLY_SIZE];

    (void)state;
    world_open(&w, "127.0.0.1:0");
    ask(&w, "\x16\x03\x01\x02 what is this\r\n\r\n", reply);
    assert_null(strstr(reply, " 200 "));
    ask(&w, "GET /healthz" HOST, reply);
    assert_non_null(strstr(reply, "HTTP/1.1 200 "));
    world_close(&w);
}

static void what_is_no_address_is_refused(void **state)
{
    static const struct {
        const char *name, *listen_text, *says;
    } rows[] = {
        {"nothing", "", "there is no \":port\""},
        {"a host alone", "127.0.0.1", "there is no \":port\""},
        {"a port alone", "9101", "there is no \":port\""},
        {"an empty port", "127.0.0.1:", "port \"\" is not in 0..65535"},
        {"a port that is too high", ":65536", "port \"65536\" is not in 0..65535"},
        {"a port that overflows", ":99999999999999999999", "is not in 0..65535"},
        {"a negative port", ":-1", "port \"-1\" is not in"},
        {"a port with a sign", ":+80", "port \"+80\" is not in"},
        {"a port with a space", ": 80", "port \" 80\" is not in"},
        {"a port that goes on", ":80x", "port \"80x\" is not in"},
        {"a name", "localhost:80", "\"localhost\" is not a numeric address"},
        {"an address that goes on", "127.0.0.1.5:80", "is not a numeric address"},
        {"IPv6 without brackets", "::1:9101", "an IPv6 address is written [address]:port"},
        {"a bracket that is not closed", "[::1:9101", "an IPv6 address is written"},
        {"brackets around nothing", "[]:9101", "an IPv6 address is written"},
        {"brackets without a port", "[::1]", "an IPv6 address is written"},
        {"brackets around a name", "[x]:1", "\"x\" is not a numeric address"},
    };
    struct metrics *m = metrics_new();
    struct admin_health health = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct err err;

        assert_null(admin_new(rows[i].listen_text, m, &health, &err));
        if (err.kind != ERR_INVALID || strstr(err.message, rows[i].says) == NULL) {
            fail_msg("%s: %s", rows[i].name, err.message);
        }
    }
    metrics_free(m);
    admin_free(NULL);
}

static void every_form_of_address_listens(void **state)
{
    static const char *const rows[] = {"127.0.0.1:0", ":0", "0.0.0.0:0"};
    char reply[REPLY_SIZE];
    struct world w;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        world_open(&w, rows[i]);
        assert_true(admin_port(w.admin) > 0);
        ask(&w, "GET /healthz" HOST, reply);
        assert_non_null(strstr(reply, "HTTP/1.1 200 "));
        world_close(&w);
    }
}

/* A machine may have no IPv6; then it is refused as the world's fault, not as wrong text. */
static void an_ipv6_address_listens_where_there_is_ipv6(void **state)
{
    struct metrics *m = metrics_new();
    struct admin_health health = {0};
    struct err err;
    struct admin *admin = admin_new("[::1]:0", m, &health, &err);

    (void)state;
    if (admin == NULL) {
        assert_int_equal(err.kind, ERR_FATAL);
    } else {
        assert_true(admin_port(admin) > 0);
    }
    admin_free(admin);
    metrics_free(m);
}

static void a_port_in_use_is_fatal_and_said_by_name(void **state)
{
    struct world w;
    struct err err;
    char text[64];

    (void)state;
    world_open(&w, "127.0.0.1:0");
    snprintf(text, sizeof(text), "127.0.0.1:%u", admin_port(w.admin));
    assert_null(admin_new(text, w.metrics, &w.health, &err));
    assert_int_equal(err.kind, ERR_FATAL);
    assert_non_null(strstr(err.message, text));
    assert_non_null(strstr(err.message, "Address already in use"));
    world_close(&w);
}

static void a_process_out_of_descriptors_says_so(void **state)
{
    static const struct {
        const char *name, *listen_text;
        rlim_t left;
        const char *says;
    } rows[] = {
        {"none for a socket", "127.0.0.1:0", 0, "socket: Too many open files"},
        {"none to ask for IPv6 with", ":0", 0, "socket: Too many open files"},
        {"none for the server", "127.0.0.1:0", 1, "the HTTP server does not start"},
    };
    struct metrics *m = metrics_new();
    struct admin_health health = {0};
    struct rlimit before;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct err err;
        int lowest_free = dup(STDERR_FILENO);
        struct rlimit now = {(rlim_t)lowest_free + rows[i].left, before.rlim_max};

        close(lowest_free);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);

        struct admin *admin = admin_new(rows[i].listen_text, m, &health, &err);

        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_null(admin);
        if (err.kind != ERR_FATAL || strstr(err.message, rows[i].says) == NULL) {
            fail_msg("%s: %s", rows[i].name, err.message);
        }
        assert_int_equal(lowest_free, dup(STDERR_FILENO)); /* none was left open */
        close(lowest_free);
    }
    metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_has_its_answer),
        cmocka_unit_test(health_follows_the_beat_and_readiness_the_flag),
        cmocka_unit_test(a_connection_takes_more_than_one_request),
        cmocka_unit_test(idle_connections_do_not_keep_others_out),
        cmocka_unit_test(garbage_ends_its_own_connection_only),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(every_form_of_address_listens),
        cmocka_unit_test(an_ipv6_address_listens_where_there_is_ipv6),
        cmocka_unit_test(a_port_in_use_is_fatal_and_said_by_name),
        cmocka_unit_test(a_process_out_of_descriptors_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
