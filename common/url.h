/*
 * url - take a site's URL apart, by libcurl's own parser, so that what we accept is what it
 * fetches (RFC 3986, with libcurl's CURLU rules).
 *
 * With producer/probe this is the one other place that includes curl.h.
 */
#ifndef COMMON_URL_H
#define COMMON_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

#define URL_BYTES_MAX 2048

struct url {
    char *text;     /* normalised, without user, password and fragment: may be shown and stored */
    char *host;     /* without brackets or zone; lower case is not forced */
    char *user;     /* decoded; NULL when there is none */
    char *password; /* decoded; NULL when there is none */
    uint16_t port;  /* the scheme's default when the text names none */
    bool tls;       /* https */
};

/*
 * ERR_INVALID says what is wrong: not http or https, no host, a control character or space, a
 * host that is not ASCII (write it in punycode), longer than URL_BYTES_MAX. *out is set only on
 * success; free it with url_free.
 */
int url_parse(const char *text, struct url *out, struct err *err) MUST_CHECK;
void url_free(struct url *url);

#endif
