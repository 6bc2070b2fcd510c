/*
 * odd_server - a small HTTP server on loopback for tests, that also misbehaves as it is told.
 *
 * The path of a request chooses the reply. It notes the requests it was sent. A thread accepts,
 * and each connection has a thread of its own.
 */
#ifndef TESTS_UNIT_ODD_SERVER_H
#define TESTS_UNIT_ODD_SERVER_H

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ODD_REQUEST_BYTES_MAX 8192

enum odd_end {
    ODD_CLOSE,   /* after the text */
    ODD_KEEP,    /* wait for the next request */
    ODD_RESET,   /* after the text, not in an orderly way */
    ODD_HOLD,    /* say nothing more until the other side leaves */
    ODD_ENDLESS, /* the second text again and again */
};

struct odd_reply {
    const char *path;
    enum odd_end end;
    const char *text; /* "%PEER%" stands for the other server's host:port, "%BYTES%" at its end
                       * for the server's bytes */
    const char *again;
};

struct odd_server {
    const struct odd_reply *_Atomic replies; /* ends with path NULL */
    SSL_CTX *tls;                            /* NULL: plain */
    char peer[64];
    const char *bytes; /* a body that is no text */
    size_t bytes_len;
    int listen_fd;
    uint16_t port;
    pthread_t thread;
    _Atomic int connections;
    _Atomic int open;
    _Atomic int requests; /* that were read */
    pthread_mutex_t lock;
    char request[ODD_REQUEST_BYTES_MAX]; /* the last one, whole */
};

struct odd_connection {
    struct odd_server *server;
    int fd;
    SSL *ssl;
};

static inline int odd_listen(const char *address, uint16_t port, int backlog, uint16_t *bound)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t size = sizeof(name);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    inet_pton(AF_INET, address, &name.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0 || listen(fd, backlog) < 0) {
        perror("odd_server");
        abort();
    }
    getsockname(fd, (struct sockaddr *)&name, &size);
    *bound = ntohs(name.sin_port);
    return fd;
}

static inline ssize_t odd_hear(struct odd_connection *c, char *out, size_t size)
{
    return c->ssl != NULL ? SSL_read(c->ssl, out, (int)size) : recv(c->fd, out, size, 0);
}

static inline bool odd_say(struct odd_connection *c, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = c->ssl != NULL ? SSL_write(c->ssl, text, (int)len)
                                   : send(c->fd, text, len, MSG_NOSIGNAL);

        if (n <= 0) {
            return false;
        }
        text += n;
        len -= (size_t)n;
    }
    return true;
}

/* A request with its body, into out. False when the other side left. */
static inline bool odd_read_request(struct odd_connection *c, char *out, size_t size)
{
    size_t have = 0, wanted = SIZE_MAX;

    while (have < wanted) {
        ssize_t n = odd_hear(c, out + have, size - 1 - have);

        if (n <= 0) {
            return false;
        }
        have += (size_t)n;
        out[have] = '\0';
        if (out[0] == '\x16') { /* TLS where none is spoken: answered as most servers do */
            odd_say(c, "HTTP/1.1 400 Bad\r\n\r\n", 20);
            return false;
        }

        const char *end = strstr(out, "\r\n\r\n");
        const char *length = strstr(out, "Content-Length: ");

        if (end != NULL) {
            wanted = (size_t)(end + 4 - out);
            wanted += length != NULL ? (size_t)strtoul(length + 16, NULL, 10) : 0;
        }
    }
    return true;
}

static inline const struct odd_reply *odd_find(const struct odd_server *server, const char *request)
{
    const char *path = strchr(request, ' ');
    const struct odd_reply *reply = server->replies;

    for (; reply->path != NULL; reply++) {
        size_t len = strlen(reply->path);

        if (path != NULL && strncmp(path + 1, reply->path, len) == 0 && path[1 + len] == ' ') {
            return reply;
        }
    }
    fprintf(stderr, "no reply for: %s\n", request);
    abort();
}

static inline bool odd_say_text(struct odd_connection *c, const char *text)
{
    const char *mark = strstr(text, "%PEER%");
    const char *bytes = strstr(text, "%BYTES%");

    if (bytes != NULL) {
        return odd_say(c, text, (size_t)(bytes - text)) &&
               odd_say(c, c->server->bytes, c->server->bytes_len);
    }
    if (mark == NULL) {
        return odd_say(c, text, strlen(text));
    }
    return odd_say(c, text, (size_t)(mark - text)) &&
           odd_say(c, c->server->peer, strlen(c->server->peer)) &&
           odd_say(c, mark + strlen("%PEER%"), strlen(mark + strlen("%PEER%")));
}

/* True: read another request. */
static inline bool odd_reply_to(struct odd_connection *c, const char *request)
{
    const struct odd_reply *reply = odd_find(c->server, request);
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    char sink[1024];

    if (!odd_say_text(c, reply->text)) {
        return false;
    }
    switch (reply->end) {
    case ODD_KEEP:
        return true;
    case ODD_RESET:
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        return false;
    case ODD_HOLD:
        while (odd_hear(c, sink, sizeof(sink)) > 0) {
        }
        return false;
    case ODD_ENDLESS:
        while (odd_say(c, reply->again, strlen(reply->again))) {
        }
        return false;
    default:
        return false;
    }
}

static inline void *odd_serve(void *arg)
{
    struct odd_connection *c = arg;
    struct odd_server *server = c->server;
    char *request = malloc(ODD_REQUEST_BYTES_MAX);
    bool more = true;

    if (server->tls != NULL) {
        c->ssl = SSL_new(server->tls);
        SSL_set_fd(c->ssl, c->fd);
        more = SSL_accept(c->ssl) == 1;
    }
    while (more && odd_read_request(c, request, ODD_REQUEST_BYTES_MAX)) {
        pthread_mutex_lock(&server->lock);
        snprintf(server->request, sizeof(server->request), "%s", request);
        pthread_mutex_unlock(&server->lock);
        server->requests++;
        more = odd_reply_to(c, request);
    }
    if (c->ssl != NULL) {
        SSL_shutdown(c->ssl);
        SSL_free(c->ssl);
    }
    close(c->fd);
    free(request);
    free(c);
    server->open--;
    return NULL;
}

static inline void *odd_accept(void *arg)
{
    struct odd_server *server = arg;

    for (;;) {
        int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0 && errno == EMFILE) {
            usleep(1000); /* the test has taken all descriptors away for a while */
            continue;
        }
        if (fd < 0) {
            return NULL; /* shut down */
        }
        struct odd_connection *c = calloc(1, sizeof(*c));
        pthread_t thread;

        *c = (struct odd_connection){.server = server, .fd = fd};
        server->connections++;
        server->open++;
        pthread_create(&thread, NULL, odd_serve, c);
        pthread_detach(thread);
    }
}

static inline void odd_start(struct odd_server *server, const char *address, uint16_t port)
{
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    pthread_mutex_init(&server->lock, NULL);
    server->listen_fd = odd_listen(address, port, 64, &server->port);
    pthread_create(&server->thread, NULL, odd_accept, server);
}

/* Wait for its connections to end, after which nothing it was given to say is read any more.
 * Clients must have left. */
static inline void odd_wait(struct odd_server *server)
{
    while (server->open > 0) {
        usleep(1000);
    }
}

/* Clients must have left. */
static inline void odd_stop(struct odd_server *server)
{
    shutdown(server->listen_fd, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listen_fd);
    odd_wait(server);
}

/* A copy of the last request; the caller frees. */
static inline char *odd_last_request(struct odd_server *server)
{
    pthread_mutex_lock(&server->lock);

    char *copy = strdup(server->request);

    pthread_mutex_unlock(&server->lock);
    return copy;
}

#endif
