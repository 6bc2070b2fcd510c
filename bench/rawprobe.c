/*
 * rawprobe - checks made with sockets and epoll alone: what a check costs without an HTTP library.
 *
 * It understands as much HTTP as the answers of bench/pages and of blackbox_exporter need: a
 * Content-Length or chunks, in one buffer. With -v it also is what a Prometheus would be to a
 * blackbox_exporter: it asks for /probe over connections that are kept.
 */
#include "bench/limit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"

#define REQUEST_BYTES_MAX 256
#define STARTS_A_TURN 64

/* One that is kept keeps its site as well, as its address is the site's. */
struct check {
    int fd; /* -1: not connected */
    unsigned site;
    bool busy;
    bool connecting;
    size_t len;
    char answer[LIMIT_BODY_MAX];
};

static struct limit limit;
static struct check *checks;
static unsigned *idle; /* indexes of checks that nobody uses */
static unsigned idle_count;
static int poller;

static void disconnect(struct check *check)
{
    close(check->fd);
    check->fd = -1;
}

static void finish(struct check *check, bool answered, const char *body)
{
    size_t len = answered ? check->len - (size_t)(body - check->answer) : 0;

    limit_count(&limit, answered, body, len);
    if (!limit.reuse || !answered) {
        disconnect(check);
    }
    check->busy = false;
    idle[idle_count++] = (unsigned)(check - checks);
}

static void send_request(struct check *check)
{
    char request[REQUEST_BYTES_MAX];
    unsigned last = 1 + check->site % limit.addresses;
    const char *close_line = limit.reuse ? "" : "Connection: close\r\n";
    int len;

    if (limit.via_port != 0) {
        len = snprintf(request, sizeof(request),
                       "GET /probe?module=bench&target=http://127.0.0.%u:%u/t/%u HTTP/1.1\r\n"
                       "Host: 127.0.0.1:%u\r\n%s\r\n",
                       last, limit.port, check->site, limit.via_port, close_line);
    } else {
        len = snprintf(request, sizeof(request),
                       "GET /t/%u HTTP/1.1\r\nHost: 127.0.0.%u:%u\r\nUser-Agent: rawprobe\r\n"
                       "Accept: */*\r\n%s\r\n",
                       check->site, last, limit.port, close_line);
    }
    check->connecting = false;
    check->len = 0;
    if (send(check->fd, request, (size_t)len, MSG_NOSIGNAL) != len) {
        finish(check, false, NULL);
    }
}

static void start(void)
{
    struct check *check = &checks[idle[--idle_count]];
    uint64_t number = limit.starts++;

    check->busy = true;
    if (check->fd >= 0) {
        send_request(check);
        return;
    }
    check->site = (unsigned)(limit.reuse ? (uint64_t)(check - checks) : number) % limit.sites;
    unsigned last = limit.via_port != 0 ? 1 : 1 + check->site % limit.addresses;
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)(limit.via_port != 0 ? limit.via_port : limit.port)),
        .sin_addr.s_addr = htonl(0x7f000000 + last)};
    check->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(check->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    int done = connect(check->fd, (struct sockaddr *)&to, sizeof(to));
    if (done != 0 && errno != EINPROGRESS) {
        finish(check, false, NULL);
        return;
    }
    check->connecting = done != 0;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET | (done != 0 ? EPOLLOUT : 0U),
                                .data.u32 = (uint32_t)(check - checks)};
    epoll_ctl(poller, EPOLL_CTL_ADD, check->fd, &event);
    if (done == 0) {
        send_request(check);
    }
}

/* The body of a whole answer with status 200; NULL while more is to come. */
static const char *whole_body(struct check *check)
{
    char *end = strstr(check->answer, "\r\n\r\n");
    if (end == NULL) {
        return NULL;
    }
    size_t head = (size_t)(end - check->answer) + 4;
    const char *length = strcasestr(check->answer, "\r\nContent-Length:");
    if (length != NULL && length < end) {
        return check->len >= head + strtoul(length + 17, NULL, 10) ? end + 4 : NULL;
    }
    bool last_chunk =
        check->len >= 5 && memcmp(check->answer + check->len - 5, "0\r\n\r\n", 5) == 0;
    return last_chunk ? end + 4 : NULL;
}

static void receive(struct check *check)
{
    for (;;) {
        ssize_t n = recv(check->fd, check->answer + check->len, LIMIT_BODY_MAX - 1 - check->len, 0);
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n <= 0) {
            finish(check, false, NULL);
            return;
        }
        check->len += (size_t)n;
        check->answer[check->len] = '\0';
        const char *body = whole_body(check);
        if (body != NULL) {
            finish(check, strncmp(check->answer, "HTTP/1.1 200", 12) == 0, body);
            return;
        }
    }
}

int main(int argc, char **argv)
{
    if (limit_read(&limit, argc, argv) != 0 || limit_start(&limit) != 0) {
        return 2;
    }
    poller = epoll_create1(EPOLL_CLOEXEC);
    checks = mem_alloc(limit.in_flight, sizeof(*checks));
    idle = mem_alloc(limit.in_flight, sizeof(*idle));
    for (unsigned i = 0; i < limit.in_flight; i++) {
        checks[i].fd = -1;
        idle[idle_count++] = limit.in_flight - 1 - i;
    }
    while (!limit_stop) {
        struct epoll_event ready[512];
        int wait_ms = 100;
        int turn = STARTS_A_TURN;

        while (turn > 0 && idle_count > 0 && limit_due(&limit, &wait_ms)) {
            start();
            turn--;
        }
        int count = epoll_wait(poller, ready, 512, turn == 0 ? 0 : wait_ms);
        for (int i = 0; i < count; i++) {
            struct check *check = &checks[ready[i].data.u32];
            if (check->busy && check->connecting) {
                send_request(check);
            } else if (check->busy) {
                receive(check);
            } else if (check->fd >= 0) {
                disconnect(check); /* the server ends a connection that was kept */
            }
        }
    }
    limit_report(&limit);
    free(idle);
    free(checks);
    return 0;
}
