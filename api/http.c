#include "api/http.h"

#include <assert.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "api/http_stream.h"
#include "api/limiter.h"
#include "common/clock.h"
#include "common/gzip.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/utf8.h"

#define GZIP_BYTES_MIN 1024 /* below, the headers cost more than is won */
#define RATE_BURST_SECONDS 2
#define STATUS_CLASSES 6
/* With libmicrohttpd's own needs beside the headers. */
#define CONNECTION_BYTES (HTTP_HEADER_BYTES_MAX + 4096)

struct http {
    struct http_settings settings;
    http_handle *handle;
    void *context;
    struct limiter *limiter; /* NULL: no limit */
    struct MHD_Daemon *daemon;
    struct metric *requests[STATUS_CLASSES]; /* by the first digit of the status */
    struct metric *seconds;
};

/* One request on its way in. */
struct exchange {
    int64_t started_ns;
    char *body; /* NULL: none yet */
    size_t len, size;
    int refused; /* the status to refuse it with once it is in; 0: none */
    int64_t wait_s;
    int64_t body_bytes_max;
    struct request request;
};

/* --- The answer on its way out --- */

static bool is_compressible(const struct answer *a)
{
    return a->len >= GZIP_BYTES_MIN && a->type != NULL &&
           (strncmp(a->type, "text/", 5) == 0 || strstr(a->type, "json") != NULL ||
            strstr(a->type, "javascript") != NULL || strstr(a->type, "openmetrics") != NULL ||
            strstr(a->type, "svg") != NULL);
}

/* What of a body is not compressed yet. */
struct rest {
    const char *bytes;
    size_t len;
};

static size_t read_rest(void *context, char *out, size_t size)
{
    struct rest *rest = context;
    size_t len = rest->len < size ? rest->len : size;

    memcpy(out, rest->bytes, len);
    rest->bytes += len;
    rest->len -= len;
    return len;
}

/* Replaces the body by its compressed form when that is shorter. */
static void compress_body(struct answer *a)
{
    struct rest rest = {a->body, a->len};
    struct gzip *gzip = gzip_new(read_rest, &rest);
    char *out = mem_alloc(a->len, 1);
    char end;
    size_t len = gzip_read(gzip, out, a->len);

    if (len < a->len && gzip_read(gzip, &end, 1) == 0) {
        answer_body(a, a->status, a->type, out, len);
        answer_header(a, "Content-Encoding", "gzip");
    } else {
        free(out);
    }
    gzip_free(gzip);
}

static const char *answer_has(const struct answer *a, const char *name)
{
    for (size_t i = 0; i < a->headers_count; i++) {
        if (strcasecmp(a->headers[i].name, name) == 0) {
            return a->headers[i].value;
        }
    }
    return NULL;
}

/* If-None-Match (RFC 9110, 13.1.2): the client has what we would send. */
static void answer_unless_same(const struct request *r, struct answer *a)
{
    const char *tag = answer_has(a, "ETag");
    const char *known = request_header(r, "If-None-Match");

    if (tag != NULL && known != NULL && a->status == MHD_HTTP_OK &&
        strcmp(r->method, MHD_HTTP_METHOD_GET) == 0 &&
        (strcmp(known, "*") == 0 || strstr(known, tag) != NULL)) {
        free(a->body);
        a->body = NULL;
        a->len = 0;
        a->type = NULL;
        a->status = MHD_HTTP_NOT_MODIFIED;
    }
}

static enum MHD_Result answer_send(struct MHD_Connection *connection, struct answer *a)
{
    struct MHD_Response *response =
        a->stream.close != NULL
            ? http_stream_response(connection, &a->stream)
            : MHD_create_response_from_buffer(a->len, a->body, MHD_RESPMEM_MUST_FREE);

    if (response == NULL) {
        return MHD_NO;
    }
    a->body = NULL;
    a->stream = (struct answer_stream){0};
    if (a->type != NULL) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, a->type);
    }
    for (size_t i = 0; i < a->headers_count; i++) {
        MHD_add_response_header(response, a->headers[i].name, a->headers[i].value);
    }
    if (answer_has(a, "Cache-Control") == NULL) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    }
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");

    enum MHD_Result result = MHD_queue_response(connection, (unsigned)a->status, response);

    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result finish(struct http *http, struct MHD_Connection *connection,
                              struct exchange *x, struct answer *a)
{
    assert(a->status >= 100 && a->status < 100 * STATUS_CLASSES);
    answer_unless_same(&x->request, a);
    if (is_compressible(a)) {
        answer_header(a, "Vary", "Accept-Encoding");
        if (gzip_is_accepted(request_header(&x->request, "Accept-Encoding"))) {
            compress_body(a);
        }
    }
    double seconds = (double)(clock_mono_ns() - x->started_ns) / (double)NS_PER_SEC;

    metric_add(http->requests[a->status / 100], 1);
    metric_observe(http->seconds, seconds);
    log_write(LOG_DEBUG, "request", LOG_S("method", x->request.method),
              LOG_S("path", x->request.path), LOG_I("status", a->status),
              LOG_F("seconds", seconds));

    enum MHD_Result result = answer_send(connection, a);

    answer_clear(a);
    return result;
}

/* --- The request on its way in --- */

/* A name or value that is no text for Postgres and JSON. */
static bool is_text(const char *text, size_t len)
{
    return utf8_valid_prefix(text, len) == len && memchr(text, '\0', len) == NULL;
}

struct collected {
    struct request_pairs *pairs;
    bool bad;
};

static enum MHD_Result on_pair(void *context, enum MHD_ValueKind kind, const char *name,
                               size_t name_len, const char *value, size_t value_len)
{
    struct collected *c = context;
    struct request_pairs *p = c->pairs;

    (void)kind;
    if (value == NULL) { /* "?page": as "?page=" */
        value = "";
        value_len = 0;
    }
    if (p->count == REQUEST_PAIRS_MAX || !is_text(name, name_len) || !is_text(value, value_len)) {
        c->bad = true;
        return MHD_NO;
    }
    p->pairs[p->count++] = (struct request_pair){name, value};
    return MHD_YES;
}

/* False: something of it is no text, or there is too much of it. */
static bool collect(struct MHD_Connection *connection, enum MHD_ValueKind kind,
                    struct request_pairs *pairs)
{
    struct collected c = {.pairs = pairs};

    MHD_get_connection_values_n(connection, kind, on_pair, &c);
    return !c.bad;
}

static int64_t content_length(const struct request *r)
{
    const char *text = request_header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);

    return text == NULL ? 0 : strtoll(text, NULL, 10);
}

static bool says_body(const struct request *r)
{
    return request_header(r, MHD_HTTP_HEADER_CONTENT_LENGTH) != NULL ||
           request_header(r, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL;
}

/* The status to refuse a request with of which only the headers are in; 0: none. */
static int judge_head(struct http *http, struct MHD_Connection *connection, struct exchange *x,
                      const char *url)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

    if (http->limiter != NULL && info != NULL &&
        !limiter_take(http->limiter, info->client_addr, x->started_ns, &x->wait_s)) {
        return MHD_HTTP_TOO_MANY_REQUESTS;
    }
    if (!collect(connection, MHD_HEADER_KIND, &x->request.headers) ||
        !collect(connection, MHD_GET_ARGUMENT_KIND, &x->request.query) ||
        !is_text(url, strlen(url))) {
        return MHD_HTTP_BAD_REQUEST;
    }
    return 0;
}

static struct exchange *exchange_begin(struct http *http, struct MHD_Connection *connection,
                                       const char *url, const char *method)
{
    struct exchange *x = mem_alloc(1, sizeof(*x));

    x->started_ns = clock_mono_ns();
    x->request.path = url;
    x->request.method = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0 ? MHD_HTTP_METHOD_GET : method;
    x->refused = judge_head(http, connection, x, url);
    x->body_bytes_max = http->settings.body_bytes_max;
    if (x->refused == 0 && says_body(&x->request) &&
        http->settings.may_send_much(http->context, &x->request)) {
        x->body_bytes_max = http->settings.much_bytes_max;
    }
    if (x->refused == 0 && content_length(&x->request) > x->body_bytes_max) {
        x->refused = MHD_HTTP_CONTENT_TOO_LARGE;
    }
    return x;
}

/* What is over the limit is passed over, so that the client reads the answer before the end. */
static void exchange_add(struct exchange *x, const char *bytes, size_t len)
{
    if (x->refused != 0) {
        return;
    }
    if (len > (size_t)x->body_bytes_max - x->len) {
        x->refused = MHD_HTTP_CONTENT_TOO_LARGE;
        return;
    }
    if (x->len + len + 1 > x->size) {
        x->size = 2 * (x->len + len + 1);
        x->body = mem_resize(x->body, x->size, 1);
    }
    memcpy(x->body + x->len, bytes, len);
    x->len += len;
    x->body[x->len] = '\0';
}

/* A NUL would end the path for all who read it as text: it becomes a byte that is refused. */
static size_t unescape(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    for (char *nul = strstr(text, "%00"); nul != NULL; nul = strstr(nul, "%00")) {
        memcpy(nul + 1, "FF", 2);
    }
    return MHD_http_unescape(text);
}

static void refuse(const struct http *http, const struct exchange *x, struct answer *a)
{
    switch (x->refused) {
    case MHD_HTTP_TOO_MANY_REQUESTS:
        answer_problem(a, x->refused, "more than %d requests a second from this address",
                       (int)http->settings.rate_per_second);
        answer_headerf(a, "Retry-After", "%d", (int)x->wait_s);
        break;
    case MHD_HTTP_CONTENT_TOO_LARGE:
        answer_problem(a, x->refused, "the body is longer than %d bytes", (int)x->body_bytes_max);
        break;
    default:
        answer_problem(a, x->refused,
                       "the address or the headers are not UTF-8, hold a NUL, or are more than %d",
                       REQUEST_PAIRS_MAX);
    }
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **state)
{
    struct http *http = context;
    struct exchange *x = *state;
    struct answer a = {0};

    (void)version;
    if (x == NULL) {
        *state = x = exchange_begin(http, connection, url, method);
        /* An answer before the body closes the connection: only where the body may be huge. */
        if (x->refused != MHD_HTTP_CONTENT_TOO_LARGE) {
            return MHD_YES;
        }
    } else if (*upload_len > 0) {
        exchange_add(x, upload, *upload_len);
        *upload_len = 0;
        return MHD_YES;
    }
    if (x->refused != 0) {
        refuse(http, x, &a);
    } else {
        x->request.body = x->body == NULL ? "" : x->body;
        x->request.body_len = x->len;
        http->handle(http->context, &x->request, &a);
    }
    return finish(http, connection, x, &a);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    struct exchange *x = *state;

    (void)context;
    (void)connection;
    (void)code;
    if (x != NULL) {
        free(x->body);
        free(x);
        *state = NULL;
    }
}

/* --- The server --- */

static void make_metrics(struct http *http, struct metrics *metrics)
{
    static const char *const classes[STATUS_CLASSES] = {
        "class=\"0xx\"", "class=\"1xx\"", "class=\"2xx\"",
        "class=\"3xx\"", "class=\"4xx\"", "class=\"5xx\"",
    };

    for (size_t i = 2; i < STATUS_CLASSES; i++) {
        http->requests[i] = metrics_counter(metrics, "sitewatch_api_requests",
                                            "Requests answered, by class of status", classes[i]);
    }
    http->seconds = metrics_histogram(metrics, "sitewatch_api_request_seconds",
                                      "From the headers of a request to its answer", NULL,
                                      metrics_seconds_bounds, metrics_seconds_bounds_count);
}

struct http *http_new(const struct http_settings *settings, struct metrics *metrics,
                      http_handle *handle, void *context, struct err *err)
{
    struct http *http = mem_alloc(1, sizeof(*http));
    const struct http_settings *s = settings;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)s->cert_pem},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)s->key_pem},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
                     (s->cert_pem != NULL ? MHD_USE_TLS : 0);

    *http = (struct http){.settings = *s, .handle = handle, .context = context};
    make_metrics(http, metrics);
    if (s->rate_per_second > 0) {
        http->limiter = limiter_new(s->rate_per_second, s->rate_per_second * RATE_BURST_SECONDS);
    }
    http->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, http, MHD_OPTION_LISTEN_SOCKET, s->listen_fd,
        MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        NULL, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)s->threads, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)s->connections_max, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned)s->connections_per_address_max, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)s->timeout_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
        MHD_OPTION_ARRAY, s->cert_pem == NULL ? none : tls, MHD_OPTION_END);
    if (http->daemon == NULL) {
        err_set(err, ERR_FATAL, "the HTTP server does not start%s",
                s->cert_pem == NULL ? "" : "; do the certificate and its key fit?");
        close(s->listen_fd);
        limiter_free(http->limiter);
        free(http);
        return NULL;
    }
    return http;
}

void http_free(struct http *http)
{
    if (http == NULL) {
        return;
    }
    MHD_stop_daemon(http->daemon); /* closes the socket */
    limiter_free(http->limiter);
    free(http);
}
