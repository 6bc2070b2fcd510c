/*
 * dnsd - a name server on 127.0.0.1 that answers from a zone file, for tests.
 *
 *     dnsd --port 0 --zone FILE
 *
 * Prints "port=N" when it listens. Ends on SIGTERM, or when its parent ends. The zone's format is
 * in dnsmsg.h; every name that it does not have is NXDOMAIN.
 */
#include "tests/stand/dnsmsg.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define ZONE_BYTES_MAX (1024 * 1024)

static struct dns_zone zone;
static char zone_text[ZONE_BYTES_MAX];
static volatile sig_atomic_t stopping;

static void on_stop(int number)
{
    (void)number;
    stopping = 1;
}

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "dnsd: %s: %s\n", what, why);
    return 1;
}

static int read_zone(const char *path)
{
    FILE *file = fopen(path, "r");
    size_t line = 0;
    char where[32];

    if (file == NULL) {
        return fail(path, strerror(errno));
    }
    size_t len = fread(zone_text, 1, sizeof(zone_text) - 1, file);

    fclose(file);
    zone_text[len] = '\0';
    if (!dns_zone_read(&zone, zone_text, &line)) {
        snprintf(where, sizeof(where), "line %zu", line);
        return fail(path, where);
    }
    return 0;
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0) {
        fail("socket", strerror(errno));
        return -1;
    }
    printf("port=%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

/* Signals come only while it waits, so that none is lost between a look and the wait. */
static void serve(int fd, const sigset_t *waiting)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    while (!stopping) {
        struct sockaddr_storage from;
        socklen_t from_len = sizeof(from);
        uint8_t query[DNS_BYTES_MAX];
        struct dns_question question;
        struct dns_message answer;

        if (ppoll(&poll_fd, 1, NULL, waiting) <= 0) {
            continue;
        }
        ssize_t len =
            recvfrom(fd, query, sizeof(query), MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);

        if (len > 0 && dns_answer(&zone, query, (size_t)len, &question, &answer)) {
            sendto(fd, answer.bytes, answer.len, 0, (struct sockaddr *)&from, from_len);
        }
    }
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_stop};
    pid_t parent = getppid();
    sigset_t blocked;
    sigset_t waiting;

    if (argc != 5 || strcmp(argv[1], "--port") != 0 || strcmp(argv[3], "--zone") != 0) {
        fprintf(stderr, "usage: dnsd --port N --zone FILE\n");
        return 2;
    }
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, &waiting);
    sigdelset(&waiting, SIGTERM);
    sigaction(SIGTERM, &action, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        return 0; /* the parent ended before that was in force */
    }
    if (read_zone(argv[4]) != 0) {
        return 1;
    }
    int fd = listen_on((uint16_t)strtoul(argv[2], NULL, 10));

    if (fd < 0) {
        return 1;
    }
    serve(fd, &waiting);
    close(fd);
    return 0;
}
