/*
 * pg_proxy - a TCP proxy before Postgres, in a thread, that cuts the connection at the moment of a
 * COMMIT: the one moment at which a client cannot know what became of its transaction.
 */
#ifndef TESTS_INTEGRATION_PG_PROXY_H
#define TESTS_INTEGRATION_PG_PROXY_H

#include <assert.h>
#include <libpq-fe.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/mem.h"

enum proxy_cut {
    CUT_NEVER,
    CUT_BEFORE,  /* the server never sees the COMMIT */
    CUT_AT_ONCE, /* it sees it, and nobody waits for what it does */
    CUT_AFTER,   /* it has answered, and the answer is lost */
};

struct proxy {
    int listener;
    char port[8];
    pthread_t thread;
    _Atomic int cut; /* of the next COMMIT; back to CUT_NEVER then */
    _Atomic bool stop;
    char host[256], server_port[16]; /* of the server */
};

static inline int proxy_dial(const struct proxy *p)
{
    if (p->host[0] == '/') {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        snprintf(address.sun_path, sizeof(address.sun_path), "%.80s/.s.PGSQL.%s", p->host,
                 p->server_port);
        assert(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
        return fd;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;

    assert(getaddrinfo(p->host, p->server_port, &hints, &found) == 0);

    int fd = socket(found->ai_family, SOCK_STREAM, 0);

    assert(connect(fd, found->ai_addr, found->ai_addrlen) == 0);
    freeaddrinfo(found);
    return fd;
}

static inline bool proxy_send(int to, const char *bytes, ssize_t len)
{
    for (ssize_t sent = 0; sent < len;) {
        ssize_t n = send(to, bytes + sent, (size_t)(len - sent), MSG_NOSIGNAL);

        if (n <= 0) {
            return false;
        }
        sent += n;
    }
    return true;
}

/* A COMMIT is alone in its packet: the client has waited for the answer to what came before. */
static inline bool is_commit(const char *bytes, ssize_t len)
{
    static const char commit[] = "Q\0\0\0\013COMMIT"; /* with its NUL */

    return len == sizeof(commit) && memcmp(bytes, commit, sizeof(commit)) == 0;
}

/* False when the connection is over. */
static inline bool proxy_pass(struct proxy *p, int from, int to, bool from_client)
{
    char bytes[65536];
    ssize_t len = recv(from, bytes, sizeof(bytes), 0);

    if (len <= 0) {
        return false;
    }
    int cut =
        from_client && is_commit(bytes, len) ? atomic_exchange(&p->cut, CUT_NEVER) : CUT_NEVER;

    if (cut == CUT_BEFORE) {
        return false;
    }
    if (!proxy_send(to, bytes, len)) {
        return false;
    }
    if (cut == CUT_AFTER) {
        (void)!recv(to, bytes, sizeof(bytes), 0);
    }
    return cut == CUT_NEVER;
}

static inline void proxy_serve(struct proxy *p, int client)
{
    int server = proxy_dial(p);
    struct pollfd fds[] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
    bool on = true;

    while (on && !atomic_load(&p->stop)) {
        if (poll(fds, 2, 50) > 0) {
            on = (fds[0].revents == 0 || proxy_pass(p, client, server, true)) &&
                 (fds[1].revents == 0 || proxy_pass(p, server, client, false));
        }
    }
    close(client);
    close(server);
}

static inline void *proxy_run(void *context)
{
    struct proxy *p = context;
    struct pollfd listener = {.fd = p->listener, .events = POLLIN};

    while (!atomic_load(&p->stop)) {
        if (poll(&listener, 1, 50) > 0) {
            proxy_serve(p, accept(p->listener, NULL, NULL));
        }
    }
    return NULL;
}

/* `conn` is connected to the server itself. */
static inline struct proxy *proxy_start(PGconn *conn)
{
    struct proxy *p = mem_alloc(1, sizeof(*p));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    snprintf(p->host, sizeof(p->host), "%s", PQhost(conn));
    snprintf(p->server_port, sizeof(p->server_port), "%s", PQport(conn));
    p->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(p->listener, 4), 0);
    assert_int_equal(getsockname(p->listener, (struct sockaddr *)&address, &len), 0);
    snprintf(p->port, sizeof(p->port), "%u", (unsigned)ntohs(address.sin_port));
    assert_int_equal(pthread_create(&p->thread, NULL, proxy_run, p), 0);
    return p;
}

static inline void proxy_stop(struct proxy *p)
{
    atomic_store(&p->stop, true);
    pthread_join(p->thread, NULL);
    close(p->listener);
    free(p);
}

#endif
