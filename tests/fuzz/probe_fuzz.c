/*
 * A check against a server that says what the fuzzer wants: it ends with exactly one verdict,
 * within its limits, and leaves no descriptor open.
 *
 * The first byte of the input chooses the site's options (enum option). The rest is said as it is,
 * to one connection after the other, each once its request has come; these bytes stand for
 * something else, and none of them is in UTF-8:
 *
 *   F8    the end of a piece: what follows is sent in a later turn of the loop
 *   F9    close the connection; what follows is for the next one
 *   FA    reset it
 *   FB    say nothing more, and leave it open
 *   FC n  repeat the piece so far, 16 n times
 *   FF c  the byte c itself
 *
 * Every name leads to 127.0.0.1, and the guard lets no port pass but the server's own, so a
 * Location can make no traffic elsewhere.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "producer/guard.h"
#include "producer/judge.h"
#include "producer/probe.h"

#define TIMEOUT_MS 40
#define SLACK_MS 8000 /* a sanitizer's run on a machine that does other work */
#define CONNECTIONS_MAX 32
#define SAID_BYTES_MAX (512 * 1024) /* more than the headers' ceiling */
#define PIECE_BYTES_MAX 65536
#define SMALL_BODY_BYTES 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum option {
    FOLLOWS_REDIRECTS = 1,
    HAS_HEADER_PATTERN = 2,
    ASKS_HEAD = 4,
    SMALL_BODY = 8,
    REUSES = 16,
    POSTS = 32,
    SPEAKS_TLS = 64,
    HAS_PATTERN = 128,
};

/* --- Names and addresses --- */

struct resolver_request *resolver_ask(struct resolver *r, const char *host,
                                      enum resolver_family family, int64_t now_ns,
                                      resolver_answer_fn *on_answer, void *context)
{
    struct resolver_answer answer = {
        .outcome = RESOLVER_FOUND,
        .addresses = {.count = 1, .list = {{.bytes = {127, 0, 0, 1}}}},
    };

    (void)r;
    (void)host;
    (void)family;
    (void)now_ns;
    on_answer(context, &answer);
    return NULL;
}

void resolver_cancel(struct resolver *r, struct resolver_request *request)
{
    (void)r;
    (void)request;
    assert(false); /* every name is answered at once */
}

static uint16_t server_port;

const char *guard_reason(const struct sockaddr *address)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)address;

    assert(address->sa_family == AF_INET && four->sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    return ntohs(four->sin_port) == server_port ? NULL : "not the server's port";
}

/* --- The server --- */

struct server {
    int listen_fd;
    int fds[CONNECTIONS_MAX]; /* open ones */
    size_t fd_count;
    int fd;       /* that is spoken to; -1: none */
    bool asked;   /* it has sent something */
    bool holding; /* nothing more is said to it */
    const uint8_t *at, *end;
    size_t said;
    char piece[PIECE_BYTES_MAX];
    size_t piece_len, piece_sent;
    size_t repeats;
    int after; /* what ends the piece: 0, F9, FA, FB, or F8 */
};

static void server_open(struct server *s)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(name);

    s->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->listen_fd < 0 || bind(s->listen_fd, (struct sockaddr *)&name, sizeof(name)) < 0 ||
        listen(s->listen_fd, CONNECTIONS_MAX) < 0 ||
        getsockname(s->listen_fd, (struct sockaddr *)&name, &size) < 0) {
        perror("probe_fuzz");
        abort();
    }
    server_port = ntohs(name.sin_port);
}

/* The next piece of the script. */
static void piece_read(struct server *s)
{
    s->piece_len = s->piece_sent = s->repeats = 0;
    s->after = 0xF9; /* the end of the script closes */
    while (s->at < s->end) {
        uint8_t byte = *s->at++;

        if (byte >= 0xF8 && byte <= 0xFB) {
            s->after = byte;
            return;
        }
        if (byte == 0xFC && s->at < s->end) {
            s->repeats = (size_t)*s->at++ * 16;
            s->after = 0xF8;
            return;
        }
        if (byte == 0xFF && s->at < s->end) {
            byte = *s->at++;
        }
        if (s->piece_len == PIECE_BYTES_MAX) {
            s->after = 0xF8;
            return;
        }
        s->piece[s->piece_len++] = (char)byte;
    }
}

static void connection_end(struct server *s, bool reset)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    if (reset) {
        setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    }
    for (size_t i = 0; i < s->fd_count; i++) {
        if (s->fds[i] == s->fd) {
            s->fds[i] = s->fds[--s->fd_count];
            break;
        }
    }
    close(s->fd);
    s->fd = -1;
}

static void connection_take(struct server *s)
{
    int fd = s->fd_count < CONNECTIONS_MAX ? accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK) : -1;

    if (fd < 0) {
        return;
    }
    s->fds[s->fd_count++] = fd;
    s->fd = fd;
    s->asked = s->holding = false;
    piece_read(s);
}

/* True: it has sent all of the piece that there is. */
static bool piece_send(struct server *s)
{
    while (s->piece_sent < s->piece_len) {
        ssize_t sent = send(s->fd, s->piece + s->piece_sent, s->piece_len - s->piece_sent,
                            MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0) {
            return errno != EAGAIN; /* the other side left */
        }
        s->piece_sent += (size_t)sent;
        s->said += (size_t)sent;
        if (s->piece_sent == s->piece_len && s->repeats > 0 && s->said < SAID_BYTES_MAX) {
            s->repeats--;
            s->piece_sent = 0;
        }
    }
    return true;
}

/* One thing a turn. True: there is more to do at once. */
static bool server_step(struct server *s)
{
    char drain[4096];
    ssize_t got;

    if (s->fd < 0 || s->holding) {
        connection_take(s);
    }
    if (s->fd < 0 || s->holding) {
        return false;
    }
    while ((got = recv(s->fd, drain, sizeof(drain), MSG_DONTWAIT)) > 0) {
        s->asked = true;
    }
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        connection_end(s, false);
        return true;
    }
    if (!s->asked) {
        return false;
    }
    if (!piece_send(s)) {
        return true;
    }
    if (s->after == 0xF9 || s->after == 0xFA) {
        connection_end(s, s->after == 0xFA);
    } else if (s->after == 0xFB) {
        s->holding = true;
    } else {
        piece_read(s);
    }
    return true;
}

static void server_begin(struct server *s, const uint8_t *data, size_t size)
{
    s->at = data;
    s->end = data + size;
    s->said = 0;
    s->fd = -1;
    s->holding = false;
}

static void server_end(struct server *s)
{
    int fd;

    while (s->fd_count > 0) {
        s->fd = s->fds[0];
        connection_end(s, true);
    }
    while ((fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        close(fd);
    }
}

/* --- The check --- */

struct run {
    const struct site *site;
    struct judge_patterns patterns;
    int verdicts;
};

static bool is_absent_or_more(int64_t us)
{
    return us == EVENT_ABSENT || us >= 0;
}

static void check_timing(const struct event_timing *t)
{
    const int64_t phases[] = {t->dns_us, t->connect_us, t->tls_us, t->wait_us, t->transfer_us};
    int64_t sum = 0;

    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        assert(is_absent_or_more(phases[i]));
        sum += phases[i] == EVENT_ABSENT ? 0 : phases[i];
    }
    assert(t->total_us >= sum && t->total_us <= (TIMEOUT_MS + SLACK_MS) * US_PER_MS);
}

static void on_done(void *context, void *tag, const struct probe_result *r)
{
    struct run *run = context;
    struct verdict verdict;

    assert(tag == run);
    run->verdicts++;
    assert(r->body_len <= (size_t)run->site->max_body_bytes);
    assert(r->headers_len <= PROBE_HEADER_BYTES_MAX + 1);
    assert(r->redirects >= 0 && r->redirects <= run->site->max_redirects);
    assert((r->final_url != NULL) == (r->redirects > 0));
    check_timing(&r->timing);
    if (r->error == ERROR_NONE) {
        assert(r->error_message == NULL && r->http_status >= 100 && r->http_status <= 999);
        assert(r->body == NULL || (int64_t)r->body_len == r->body_bytes);
        assert(r->peer != NULL && r->http_version != NULL);
    } else {
        assert(r->error_message != NULL && r->error_phase != PHASE_NONE);
        if (error_type_status(r->error) != CHECK_DOWN) {
            fprintf(stderr, "what the server said is taken for our own trouble: %s: %s\n",
                    error_type_name(r->error), r->error_message);
            abort();
        }
    }
    judge(run->site, &run->patterns, r, clock_real_ns() / NS_PER_SEC, &verdict);
    assert(verdict.status != CHECK_UNKNOWN);
    assert((verdict.error == ERROR_NONE) == (verdict.status == CHECK_UP));
    verdict_free(&verdict);
}

static void set_text(char **field, const char *text)
{
    free(*field);
    *field = mem_copy_string(text);
}

static void site_make(struct site *site, uint8_t options)
{
    char url[64];

    site_init(site);
    snprintf(url, sizeof(url), "http%s://site.test:%u/", (options & SPEAKS_TLS) ? "s" : "",
             (unsigned)server_port);
    set_text(&site->url, url);
    set_text(&site->name, "site");
    site->timeout_ms = TIMEOUT_MS;
    site->allow_private = false; /* so that the guard is asked */
    site->verify_tls = false;    /* it would need authorities of the machine */
    site->follow_redirects = (options & FOLLOWS_REDIRECTS) != 0;
    site->reuse_connection = (options & REUSES) != 0;
    site->max_body_bytes = (options & SMALL_BODY) ? SMALL_BODY_BYTES : PIECE_BYTES_MAX;
    if (options & HAS_HEADER_PATTERN) {
        set_text(&site->header_pattern, "(?i)^server: (\\w+)");
    }
    if (options & HAS_PATTERN) {
        set_text(&site->pattern, "v=(\\d+)");
    }
    if (options & ASKS_HEAD) {
        set_text(&site->method, "HEAD");
    } else if (options & POSTS) {
        set_text(&site->body, "a=b");
    }
}

static struct pattern *compile(const char *text)
{
    struct err err;
    struct pattern *pattern = text == NULL ? NULL : pattern_new(text, &err);

    assert((text == NULL) == (pattern == NULL));
    return pattern;
}

static void fail(const struct err *err)
{
    fprintf(stderr, "%s\n", err->message);
    abort();
}

static void wait_for_verdict(struct probe *probe, struct loop *loop, struct server *server,
                             const struct run *run)
{
    int64_t deadline_ns = clock_mono_ns() + (TIMEOUT_MS + SLACK_MS) * NS_PER_MS;
    struct err err;

    while (run->verdicts == 0) {
        int64_t now_ns = clock_mono_ns();
        int64_t until_ns = server_step(server) ? now_ns : now_ns + NS_PER_MS;
        int64_t due_ns = probe_next_due_ns(probe);

        assert(now_ns < deadline_ns);
        if (loop_turn(loop, due_ns < until_ns ? due_ns : until_ns, &err) < 0 ||
            probe_run_due(probe, clock_mono_ns(), &err) < 0) {
            fail(&err);
        }
    }
}

/* The lowest number that is free: the same as before when all that was opened is closed. */
static int lowest_fd(void)
{
    int fd = dup(STDERR_FILENO);

    close(fd);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct probe_settings settings = {.in_flight_max = 1, .user_agent = "fuzz"};
    static struct server server;
    static struct loop *loop;
    static struct tls *tls;
    static struct metrics *metrics;
    struct site site;
    struct run run = {.site = &site};
    struct err err;

    if (loop == NULL) {
        signal(SIGPIPE, SIG_IGN);
        loop = loop_new(&err);
        metrics = metrics_new();
        tls = tls_new(metrics);
        server_open(&server);
    }
    int free_fd = lowest_fd();
    struct probe *probe = probe_new(&settings, loop, NULL, tls, metrics, on_done, &run, &err);
    uint8_t options = size > 0 ? data[0] : 0;

    if (probe == NULL) {
        fail(&err);
    }
    site_make(&site, options);
    run.patterns.present = compile(site.pattern);
    run.patterns.header = compile(site.header_pattern);
    server_begin(&server, data + (size > 0), size - (size > 0));
    for (int check = 0; check < ((options & REUSES) ? 2 : 1); check++) {
        run.verdicts = 0;
        probe_start(probe, &site, true, &run, clock_mono_ns());
        wait_for_verdict(probe, loop, &server, &run);
        assert(probe_in_flight(probe) == 0 && probe_has_room(probe));
        if (probe_run_due(probe, clock_mono_ns(), &err) < 0) {
            fail(&err);
        }
        assert(run.verdicts == 1);
    }
    server_end(&server);
    probe_free(probe);
    assert(lowest_fd() == free_fd);
    pattern_free(run.patterns.present);
    pattern_free(run.patterns.header);
    site_free(&site);
    return 0;
}
