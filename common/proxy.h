/*
 * proxy - take the URL of a site's proxy apart: http, https, socks5 or socks5h, a user and password
 * if it asks for them, a host and a port.
 */
#ifndef COMMON_PROXY_H
#define COMMON_PROXY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

enum proxy_kind {
    PROXY_HTTP,
    PROXY_HTTPS,
    PROXY_SOCKS5,  /* names are resolved by us */
    PROXY_SOCKS5H, /* names are resolved by the proxy */
};

struct proxy {
    enum proxy_kind kind;
    char *host;     /* without brackets */
    char *user;     /* decoded; NULL when there is none */
    char *password; /* likewise */
    uint16_t port;
};

/* ERR_INVALID says what is wrong, without the user and password. *out is set only on success;
 * free it with proxy_free. */
int proxy_parse(const char *text, struct proxy *out, struct err *err) MUST_CHECK;
void proxy_free(struct proxy *proxy);

/* "socks5h", static. */
const char *proxy_scheme(enum proxy_kind kind);

#endif
