#include "common/admin.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/gzip.h"
#include "common/listen.h"
#include "common/mem.h"

/* Of a request's line and headers, of its answer's, and of the text on its way to the client: half
 * of it is what one call of ours writes, and one of send. */
#define CONNECTION_BYTES_MAX 65536
#define TEXT_PLAIN "text/plain; charset=utf-8"

struct admin {
    const struct metrics *metrics;
    struct admin_health *health;
    int64_t started_ns;
    uint16_t port;
    struct MHD_Daemon *daemon;
};

struct answer {
    unsigned status;
    const char *type;
    char *body; /* owned; given to libmicrohttpd, which frees it */
    size_t len;
};

static struct answer answer_text(unsigned status, const char *text)
{
    return (struct answer){status, TEXT_PLAIN, mem_copy_string(text), strlen(text)};
}

static struct answer answer_healthz(const struct admin *admin)
{
    int64_t beat_ns = atomic_load_explicit(&admin->health->beat_ns, memory_order_relaxed);
    /* Before the first beat the program is starting, which may take as long as a stall. */
    int64_t since_ns = beat_ns == 0 ? admin->started_ns : beat_ns;
    int64_t age_ns = clock_mono_ns() - since_ns;
    char text[100];

    if (age_ns <= ADMIN_STALL_NS) {
        return answer_text(MHD_HTTP_OK, "ok\n");
    }
    snprintf(text, sizeof(text), "the main loop has not turned for %" PRId64 " s\n",
             age_ns / NS_PER_SEC);
    return answer_text(MHD_HTTP_SERVICE_UNAVAILABLE, text);
}

static struct answer answer_readyz(const struct admin *admin)
{
    if (atomic_load_explicit(&admin->health->ready, memory_order_relaxed)) {
        return answer_text(MHD_HTTP_OK, "ready\n");
    }
    return answer_text(MHD_HTTP_SERVICE_UNAVAILABLE, "not ready\n");
}

static struct answer answer_index(const struct admin *admin)
{
    (void)admin;
    return answer_text(MHD_HTTP_OK, "/metrics\n/healthz\n/readyz\n");
}

static struct answer answer_url(const struct admin *admin, const char *url)
{
    static const struct {
        const char *url;
        struct answer (*answer)(const struct admin *admin);
    } pages[] = {
        {"/", answer_index},
        {"/healthz", answer_healthz},
        {"/readyz", answer_readyz},
    };

    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        if (strcmp(url, pages[i].url) == 0) {
            return pages[i].answer(admin);
        }
    }
    return answer_text(MHD_HTTP_NOT_FOUND, "not found\n");
}

static enum MHD_Result send_response(struct MHD_Connection *connection, unsigned status,
                                     const char *type, struct MHD_Response *response)
{
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    }

    enum MHD_Result result = MHD_queue_response(connection, status, response);

    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result send_answer(struct MHD_Connection *connection, struct answer answer)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(answer.len, answer.body, MHD_RESPMEM_MUST_FREE);

    if (response == NULL) {
        free(answer.body);
        return MHD_NO;
    }
    return send_response(connection, answer.status, answer.type, response);
}

/* --- Metrics: as much text at a time as the connection takes --- */

struct exposition {
    struct metrics_reading *reading;
    struct gzip *gzip; /* of it; NULL: as it is */
};

static size_t read_plain(void *context, char *out, size_t size)
{
    return metrics_read(context, out, size);
}

static ssize_t on_read_metrics(void *context, uint64_t at, char *out, size_t size)
{
    struct exposition *e = context;
    size_t len =
        e->gzip == NULL ? metrics_read(e->reading, out, size) : gzip_read(e->gzip, out, size);

    (void)at;
    return len == 0 ? MHD_CONTENT_READER_END_OF_STREAM : (ssize_t)len;
}

static void on_metrics_end(void *context)
{
    struct exposition *e = context;

    gzip_free(e->gzip);
    metrics_read_end(e->reading);
    free(e);
}

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static enum MHD_Result send_metrics(const struct admin *admin, struct MHD_Connection *connection)
{
    enum metrics_format format = metrics_format_of(header(connection, MHD_HTTP_HEADER_ACCEPT));
    struct exposition *e = mem_alloc(1, sizeof(*e));

    e->reading = metrics_read_begin(admin->metrics, format);
    if (gzip_is_accepted(header(connection, MHD_HTTP_HEADER_ACCEPT_ENCODING))) {
        e->gzip = gzip_new(read_plain, e->reading);
    }
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, CONNECTION_BYTES_MAX, on_read_metrics, e, on_metrics_end);

    if (response == NULL) {
        on_metrics_end(e);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, "Accept, Accept-Encoding");
    if (e->gzip != NULL) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
    }
    return send_response(connection, MHD_HTTP_OK, metrics_content_type(format), response);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **request)
{
    const struct admin *admin = context;

    (void)version;
    (void)upload;
    /* Answered before its body was read, and the connection closed after it: we take no bodies. */
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        return send_answer(connection,
                           answer_text(MHD_HTTP_METHOD_NOT_ALLOWED, "use GET or HEAD\n"));
    }
    /* An answer to the first call, made when the headers are in, would close the connection. */
    if (*request == NULL) {
        *request = context;
        return MHD_YES;
    }
    if (*upload_len > 0) { /* the body of a GET: passed over */
        *upload_len = 0;
        return MHD_YES;
    }
    if (strcmp(url, "/metrics") == 0) {
        return send_metrics(admin, connection);
    }
    return send_answer(connection, answer_url(admin, url));
}

struct admin *admin_new(const char *listen, const struct metrics *metrics,
                        struct admin_health *health, struct err *err)
{
    int fd = listen_open(listen, ADMIN_CONNECTIONS_MAX, err);

    if (fd < 0) {
        return NULL;
    }

    struct admin *admin = mem_alloc(1, sizeof(*admin));

    *admin = (struct admin){.metrics = metrics,
                            .health = health,
                            .started_ns = clock_mono_ns(),
                            .port = listen_port(fd)};
    admin->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD, admin->port, NULL, NULL, on_request, admin,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)ADMIN_CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)ADMIN_TIMEOUT_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES_MAX, MHD_OPTION_END);
    if (admin->daemon == NULL) {
        close(fd);
        free(admin);
        err_set(err, ERR_FATAL, "\"%s\": the HTTP server does not start", listen);
        return NULL;
    }
    return admin;
}

void admin_free(struct admin *admin)
{
    if (admin == NULL) {
        return;
    }
    MHD_stop_daemon(admin->daemon); /* closes the socket */
    free(admin);
}

uint16_t admin_port(const struct admin *admin)
{
    return admin->port;
}
