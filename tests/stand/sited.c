/*
 * sited - the sites that the tests check: fast ones for load, and ones that misbehave.
 *
 * One thread, epoll, HTTP/1.1 over plain TCP on 127.0.0.1 and ::1. The path chooses what a
 * request gets (the table in answers.h); a query after it changes nothing but the count, so that
 * a test can tell its sites apart. Prints "port=N" and dies with the process that started it.
 *
 *     sited --port 0 [--open]
 *
 * GET /_counts: {"path?query": requests, ...} of all that was asked for. A request counts when
 * its headers are complete, whatever becomes of the answer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"
#include "tests/stand/answers.h"

#define CONNECTIONS_MAX 12000
#define REQUEST_BYTES_MAX 16384
#define STREAM_BYTES 16384

static struct connection *by_fd[CONNECTIONS_MAX];
static int poller;
static bool is_open; /* IPv4 on all addresses: in a container, for others */

static void drop(struct connection *c)
{
    if (c->after == AFTER_RESET) {
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1},
                   sizeof(struct linger));
    }
    release(c);
    close(c->fd);
    by_fd[c->fd] = NULL;
    free(c->in);
    free(c->out);
    free(c);
}

/* Take one request from the input. Returns false when none is complete, or the input is none. */
static bool take_request(struct connection *c)
{
    char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
    if (c->in_len > 0 && (c->in[0] < 'A' || c->in[0] > 'Z')) { /* no method: TLS, perhaps */
        c->in_len = 0;
        c->close_asked = true;
        c->after = AFTER_CLOSE;
        answer(c, 400, "", "this is HTTP\n");
        return true;
    }
    if (end == NULL) {
        c->after = c->in_len == REQUEST_BYTES_MAX ? AFTER_CLOSE : c->after;
        return false;
    }
    size_t len = (size_t)(end - c->in) + 4;
    end[2] = '\0';
    const char *declared = strcasestr(c->in, "\r\nContent-Length:");
    size_t body = declared == NULL ? 0 : (size_t)number(declared + 17, 0, REQUEST_BYTES_MAX);
    if (len + body > c->in_len) {
        end[2] = '\r';
        return false;
    }
    struct request r = {.c = c, .query = "", .whole = c->in, .whole_len = len + body};
    c->head = strncmp(c->in, "HEAD ", 5) == 0;
    c->close_asked = strcasestr(c->in, "\r\nConnection: close") != NULL;
    c->after = c->close_asked ? AFTER_CLOSE : AFTER_KEEP;
    /* The path is cut out of a copy, as /echo wants the headers whole. */
    char target[8192] = "";
    const char *from = strchr(c->in, ' ');
    if (from != NULL) {
        size_t n = strcspn(from + 1, " \r\n");
        n = n < sizeof(target) ? n : sizeof(target) - 1;
        memcpy(target, from + 1, n);
    }
    if (strcmp(target, "/_counts") != 0) {
        counts_add(&counts, target);
    }
    char *query = strchr(target, '?');
    if (query != NULL) {
        *query = '\0';
        r.query = query + 1;
    }
    end[2] = '\r';
    act(&r, target);
    memmove(c->in, c->in + len + body, c->in_len - len - body);
    c->in_len -= len + body;
    return true;
}

/* Write what may be written now. Returns false when the connection is over. */
static bool flush(struct connection *c)
{
    for (;;) {
        while (c->sent < c->out_len && c->due_ms == 0) {
            size_t len = c->drip_ms > 0 ? 1 : c->out_len - c->sent;
            ssize_t n = send(c->fd, c->out + c->sent, len, MSG_NOSIGNAL);
            if (n < 0) {
                return errno == EAGAIN;
            }
            c->sent += (size_t)n;
            if (c->drip_ms > 0) {
                hold(c, c->drip_ms);
            }
        }
        if (c->sent < c->out_len) {
            return true;
        }
        if (c->after != AFTER_STREAM) {
            break;
        }
        c->sent = c->out_len = 0;
        for (size_t len = strlen(c->stream); c->out_len + len <= STREAM_BYTES;) {
            send_bytes(c, c->stream, len);
        }
    }
    c->sent = c->out_len = 0;
    c->drip_ms = 0;
    return c->after == AFTER_KEEP;
}

static void serve(struct connection *c)
{
    for (;;) {
        if (!flush(c)) {
            drop(c);
            return;
        }
        if (c->out_len > 0) {
            return;
        }
        if (take_request(c)) {
            continue;
        }
        if (c->after != AFTER_KEEP) {
            drop(c);
            return;
        }
        ssize_t n = recv(c->fd, c->in + c->in_len, REQUEST_BYTES_MAX - c->in_len, 0);
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n <= 0) {
            drop(c);
            return;
        }
        c->in_len += (size_t)n;
    }
}

static void accept_all(int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (fd >= CONNECTIONS_MAX) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        struct connection *c = mem_alloc(1, sizeof(*c));
        c->fd = fd;
        c->in = mem_alloc(REQUEST_BYTES_MAX, 1);
        by_fd[fd] = c;
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = fd};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
    }
}

static void serve_due(void)
{
    int64_t now = now_ms();
    for (int fd = 0; fd < CONNECTIONS_MAX; fd++) {
        struct connection *c = by_fd[fd];
        if (c != NULL && c->due_ms != 0 && c->due_ms <= now) {
            release(c);
            serve(c);
        }
    }
}

static int listen_on(int family, uint16_t *port)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a = {0};
    socklen_t len = family == AF_INET ? sizeof(a.v4) : sizeof(a.v6);
    if (family == AF_INET) {
        a.v4 =
            (struct sockaddr_in){.sin_family = AF_INET,
                                 .sin_port = htons(*port),
                                 .sin_addr.s_addr = htonl(is_open ? INADDR_ANY : INADDR_LOOPBACK)};
    } else {
        a.v6 = (struct sockaddr_in6){
            .sin6_family = AF_INET6, .sin6_port = htons(*port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    }
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(fd, &a.any, len) != 0 || listen(fd, 4096) != 0 || getsockname(fd, &a.any, &len) != 0) {
        close(fd);
        return -1;
    }
    *port = ntohs(family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
    return fd;
}

static void on_term(int number_of_signal)
{
    (void)number_of_signal;
    _exit(0);
}

int main(int argc, char **argv)
{
    is_open = argc == 4 && strcmp(argv[3], "--open") == 0;
    if ((argc != 3 && !is_open) || strcmp(argv[1], "--port") != 0) {
        fprintf(stderr, "usage: sited --port N [--open]\n");
        return 2;
    }
    signal(SIGTERM, on_term); /* the first process of a container is not ended by default */
    uint16_t port = (uint16_t)number(argv[2], 0, 65535);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    struct rlimit files = {CONNECTIONS_MAX + 100, CONNECTIONS_MAX + 100};
    setrlimit(RLIMIT_NOFILE, &files);
    int n = snprintf(page, sizeof(page), "<html><body>v=42 build=17\n");
    memset(page + n, '.', sizeof(page) - (size_t)n - 1);
    poller = epoll_create1(EPOLL_CLOEXEC);
    int v4 = listen_on(AF_INET, &port);
    int v6 = v4 < 0 ? -1 : listen_on(AF_INET6, &port); /* a machine may have no IPv6 */
    if (v4 < 0) {
        perror("sited: listen");
        return 1;
    }
    printf("port=%u\n", (unsigned)port);
    fflush(stdout);
    for (;;) {
        struct epoll_event ready[256];
        int count = epoll_wait(poller, ready, 256, held > 0 ? 1 : -1);
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (fd == v4 || fd == v6) {
                accept_all(fd);
            } else if (by_fd[fd] != NULL) {
                serve(by_fd[fd]);
            }
        }
        if (held > 0) {
            serve_due();
        }
    }
}
