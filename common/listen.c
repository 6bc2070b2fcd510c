#include "common/listen.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"

#define PORT_MAX 65535

static int port_check(const char *text, struct err *err)
{
    char *end = NULL;
    long port = strtol(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != '\0' || port > PORT_MAX) {
        return err_set(err, ERR_INVALID, "port \"%s\" is not in 0..%d", text, PORT_MAX);
    }
    return 0;
}

/* Splits "host:port", "[v6]:port" and ":port"; *host is owned by the caller, "" for all. */
static int listen_split(const char *listen_text, char **host, const char **port, struct err *err)
{
    const char *colon = strrchr(listen_text, ':');
    const char *start = listen_text;
    const char *end = colon;

    if (colon == NULL) {
        return err_set(err, ERR_INVALID, "there is no \":port\"");
    }
    if (listen_text[0] == '[') {
        start++;
        end--;
        if (end < start || *end != ']' || end == start) {
            return err_set(err, ERR_INVALID, "an IPv6 address is written [address]:port");
        }
    } else if (memchr(listen_text, ':', (size_t)(colon - listen_text)) != NULL) {
        return err_set(err, ERR_INVALID, "an IPv6 address is written [address]:port");
    }
    *host = mem_copy(start, (size_t)(end - start));
    *port = colon + 1;
    return 0;
}

static int socket_bind(const struct addrinfo *address, int backlog, struct err *err)
{
    static const int off = 0, on = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return err_set(err, ERR_FATAL, "socket: %s", strerror(errno));
    }
    /* A restart must not wait for the last one's connections to leave TIME_WAIT. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (address->ai_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)); /* "::" is IPv4's too */
    }
    if (bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, backlog) != 0) {
        err_set(err, ERR_FATAL, "%s", strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

/* All addresses: "::" takes IPv4 too, but there are kernels without IPv6. */
static const char *any_address(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return "0.0.0.0";
    }
    close(fd);
    return "::";
}

/* The address that the text is. *found is to be freed by freeaddrinfo. */
static int listen_parse(const char *text, struct addrinfo **found, struct err *err)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                                   .ai_socktype = SOCK_STREAM};
    const char *port = NULL;
    char *host = NULL;
    int rc = -1;

    if (listen_split(text, &host, &port, err) == 0 && port_check(port, err) == 0) {
        rc = getaddrinfo(host[0] == '\0' ? any_address() : host, port, &hints, found) == 0
                 ? 0
                 : err_set(err, ERR_INVALID, "\"%s\" is not a numeric address", host);
    }
    free(host);
    return rc;
}

int listen_check(const char *text, struct err *err)
{
    struct addrinfo *found;

    if (listen_parse(text, &found, err) < 0) {
        return err_context(err, "\"%s\"", text);
    }
    freeaddrinfo(found);
    return 0;
}

int listen_open(const char *text, int backlog, struct err *err)
{
    struct addrinfo *found;
    int fd = -1;

    if (listen_parse(text, &found, err) == 0) {
        fd = socket_bind(found, backlog, err);
        freeaddrinfo(found);
    }
    if (fd < 0) {
        err_context(err, "\"%s\"", text);
    }
    return fd;
}

/* The address and the port of the socket as text. */
static void address_text(int fd, char host[NI_MAXHOST], char port[NI_MAXSERV])
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);

    getsockname(fd, (struct sockaddr *)&address, &len);
    getnameinfo((struct sockaddr *)&address, len, host, NI_MAXHOST, port, NI_MAXSERV,
                NI_NUMERICHOST | NI_NUMERICSERV);
}

uint16_t listen_port(int fd)
{
    char host[NI_MAXHOST] = "", port[NI_MAXSERV] = "0";

    address_text(fd, host, port);
    return (uint16_t)strtol(port, NULL, 10);
}

bool listen_is_loopback(int fd)
{
    char host[NI_MAXHOST] = "", port[NI_MAXSERV] = "";

    address_text(fd, host, port);
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}
