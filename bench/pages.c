/*
 * pages - the sites of the benches: one page for every request, as cheaply as a server can.
 *
 *     pages --port 0 [--tls CERTIFICATE KEY]
 *
 * One thread and epoll on every address of the machine, so it is for a network namespace with
 * loopback alone. Prints "port=N" and dies with the process that started it. GET /count says
 * {"requests": N, "connections": N, "resumed": N}, itself not counted as a request.
 *
 * A request is taken as it comes out of one read: on loopback the clients of the benches send one
 * whole. With a certificate every connection is TLS 1.3 with a handshake of its own, and tickets
 * for those clients that resume.
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

#include <openssl/ssl.h>

#define CONNECTIONS_MAX 40000
#define BODY_BYTES 981

static SSL *tls_by_fd[CONNECTIONS_MAX];
static SSL_CTX *tls;
static int poller;
static unsigned long requests, connections, resumed;
static char kept[BODY_BYTES + 256], closed[BODY_BYTES + 256];
static size_t kept_len, closed_len;

static void drop(int fd)
{
    if (tls_by_fd[fd] != NULL) {
        SSL_free(tls_by_fd[fd]);
        tls_by_fd[fd] = NULL;
    }
    close(fd);
}

/* -1: nothing yet; 0: the connection is over. */
static ssize_t take(int fd, char *bytes, size_t size)
{
    SSL *ssl = tls_by_fd[fd];
    if (ssl == NULL) {
        ssize_t n = recv(fd, bytes, size, 0);
        return n >= 0 ? n : errno == EAGAIN ? -1 : 0;
    }
    int n = SSL_read(ssl, bytes, (int)size);
    return n > 0 ? n : SSL_get_error(ssl, n) == SSL_ERROR_WANT_READ ? -1 : 0;
}

static bool give(int fd, const char *bytes, size_t len)
{
    if (tls_by_fd[fd] != NULL) {
        return SSL_write(tls_by_fd[fd], bytes, (int)len) == (int)len;
    }
    return send(fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static bool give_count(int fd)
{
    char body[128];
    char answer[256];
    int len = snprintf(body, sizeof(body),
                       "{\"requests\": %lu, \"connections\": %lu, \"resumed\": %lu}\n", requests,
                       connections, resumed);
    len =
        snprintf(answer, sizeof(answer),
                 "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len, body);
    return give(fd, answer, (size_t)len);
}

static void serve(int fd)
{
    char request[8192];
    ssize_t n;

    while ((n = take(fd, request, sizeof(request) - 1)) > 0) {
        request[n] = '\0';
        if (strncmp(request, "GET /count ", 11) == 0) {
            give_count(fd);
            break;
        }
        requests++;
        resumed += tls_by_fd[fd] != NULL && SSL_session_reused(tls_by_fd[fd]) != 0;
        if (strstr(request, "\r\nConnection: close") != NULL) {
            give(fd, closed, closed_len);
            break;
        }
        if (!give(fd, kept, kept_len)) {
            break;
        }
    }
    if (n == -1) {
        return;
    }
    if (n > 0 && tls_by_fd[fd] != NULL) {
        SSL_shutdown(tls_by_fd[fd]); /* says that the answer is whole; nobody waits for a reply */
    }
    drop(fd);
}

static void accept_all(int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (fd >= CONNECTIONS_MAX) {
            close(fd);
            continue;
        }
        connections++;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        if (tls != NULL) {
            tls_by_fd[fd] = SSL_new(tls);
            SSL_set_fd(tls_by_fd[fd], fd);
            SSL_set_accept_state(tls_by_fd[fd]);
        }
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
}

static size_t make_page(char *page, size_t size, const char *connection)
{
    char body[BODY_BYTES + 1];
    int n = snprintf(body, sizeof(body), "<html><body><p>All systems operational v4.2</p>\n");

    memset(body + n, '.', BODY_BYTES - (size_t)n);
    body[BODY_BYTES] = '\0';
    n = snprintf(page, size,
                 "HTTP/1.1 200 OK\r\nServer: pages\r\nContent-Type: text/html\r\n"
                 "Content-Length: %d\r\nConnection: %s\r\n\r\n%s",
                 BODY_BYTES, connection, body);
    return (size_t)n;
}

static int listen_on(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 4096) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        return -1;
    }
    *port = ntohs(address.sin_port);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    return fd;
}

static SSL_CTX *open_tls(const char *certificate, const char *key)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"pages", 5);
    if (SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

int main(int argc, char **argv)
{
    struct rlimit files = {CONNECTIONS_MAX + 100, CONNECTIONS_MAX + 100};

    if ((argc != 3 && argc != 6) || strcmp(argv[1], "--port") != 0 ||
        (argc == 6 && strcmp(argv[3], "--tls") != 0)) {
        fprintf(stderr, "usage: pages --port N [--tls CERTIFICATE KEY]\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGPIPE, SIG_IGN);
    setrlimit(RLIMIT_NOFILE, &files);
    kept_len = make_page(kept, sizeof(kept), "keep-alive");
    closed_len = make_page(closed, sizeof(closed), "close");
    if (argc == 6 && (tls = open_tls(argv[4], argv[5])) == NULL) {
        fprintf(stderr, "pages: %s or %s is of no use\n", argv[4], argv[5]);
        return 1;
    }
    poller = epoll_create1(EPOLL_CLOEXEC);
    uint16_t port = (uint16_t)strtoul(argv[2], NULL, 10);
    int listener = listen_on(&port);
    if (listener < 0) {
        perror("pages: listen");
        return 1;
    }
    printf("port=%u\n", (unsigned)port);
    fflush(stdout);
    for (;;) {
        struct epoll_event ready[512];
        int count = epoll_wait(poller, ready, 512, -1);
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener) {
                accept_all(listener);
            } else {
                serve(fd);
            }
        }
    }
}
