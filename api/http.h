/*
 * http - the server (libmicrohttpd): reads a request whole, within limits, has it answered, sends
 * the answer. It knows no route, no site and no database.
 *
 * It serves from a pool of threads; each asks the handler for one request at a time. A slow client
 * takes a connection, never a thread, and neither does one who reads a stream that has nothing for
 * it. HEAD is answered as GET, without the body. A body is compressed where the client takes gzip;
 * an ETag is compared with If-None-Match.
 */
#ifndef API_HTTP_H
#define API_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "api/request.h"
#include "common/metrics.h"

#define HTTP_HEADER_BYTES_MAX 16384 /* of a request's line and headers */

/* Whether a request of which the headers are in may have a body of the larger size. Called from
 * several threads at once. */
typedef bool http_may_send_much(void *context, const struct request *r);

struct http_settings {
    int listen_fd; /* taken over */
    int threads;
    int connections_max;
    int connections_per_address_max;
    int timeout_s;          /* without a byte */
    int64_t body_bytes_max; /* of a request */
    int64_t much_bytes_max; /* of one that may send more */
    http_may_send_much *may_send_much;
    int64_t rate_per_second;        /* requests of one address; 0: without limit */
    const char *cert_pem, *key_pem; /* NULL: without TLS; kept by pointer */
};

/* Fills `a`. Called from several threads at once. */
typedef void http_handle(void *context, struct request *r, struct answer *a);

struct http;

/* NULL and ERR_FATAL when the server does not start, with what to look at. */
struct http *http_new(const struct http_settings *settings, struct metrics *metrics,
                      http_handle *handle, void *context, struct err *err);

/* Ends the requests that are being answered, closes the others. Streams have ended: every one has
 * been woken to read its end, and none begins any more. */
void http_free(struct http *http);

#endif
