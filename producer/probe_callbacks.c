/* What libcurl tells of a transfer. The callbacks note it down, and end what must not go on. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "producer/guard.h"
#include "producer/probe_internal.h"
#include "producer/resolver_host.h"

static bool guard_refuses(struct slot *slot, const struct sockaddr *address)
{
    slot->hop.blocked = slot->site->allow_private ? NULL : guard_reason(address);
    return slot->hop.blocked != NULL;
}

/* A connection that is used again may have been made for a site that allows more. */
static bool guard_refuses_reused(struct slot *slot, const char *address)
{
    struct resolver_address peer;
    struct sockaddr_storage to;

    resolver_address_read(address, &peer);
    resolver_address_to(&peer, 0, &to);
    return guard_refuses(slot, (const struct sockaddr *)&to);
}

static curl_socket_t on_open_socket(void *arg, curlsocktype unused, struct curl_sockaddr *address)
{
    struct slot *slot = arg;

    (void)unused;
    if (guard_refuses(slot, &address->addr)) {
        return CURL_SOCKET_BAD;
    }
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                    address->protocol);

    if (fd < 0) {
        slot->hop.open_errno = errno; /* libcurl does not tell */
        return CURL_SOCKET_BAD;
    }
    /* libcurl (7.88) closes a socket that it gives up while connecting without a call of
     * on_close_socket: what is known of this number may be that one's. */
    loop_forget(slot->probe->loop, fd);
    slot->hop.socket_ns = clock_mono_ns();
    return fd;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the type is libcurl's */
static int on_ready(void *arg, char *address, char *unused_too, int unused_port,
                    int unused_port_too)
{
    struct slot *slot = arg;

    (void)unused_too;
    (void)unused_port;
    (void)unused_port_too;
    if (slot->hop.socket_ns == 0 && guard_refuses_reused(slot, address)) {
        return CURL_PREREQFUNC_ABORT;
    }
    slot->hop.ready_ns = clock_mono_ns();
    return CURL_PREREQFUNC_OK;
}

static CURLcode on_ssl_ctx(CURL *unused, void *ssl_ctx, void *arg)
{
    struct slot *slot = arg;
    struct err err;

    (void)unused;
    struct tls_check *check = &slot->tls;

    /* TCP is connected: a handshake begins, and of two the first is the proxy's. */
    if (slot->proxy.host != NULL && slot->proxy.kind == PROXY_HTTPS &&
        slot->hop.proxy_tls_ns == 0) {
        slot->hop.proxy_tls_ns = clock_mono_ns();
        check = &slot->proxy_tls;
    } else {
        slot->hop.tls_ns = clock_mono_ns();
    }
    if (tls_prepare(ssl_ctx, check, &err) < 0) {
        slot->hop.tls_refused = true;
        snprintf(slot->tls.message, sizeof(slot->tls.message), "%.*s",
                 (int)sizeof(slot->tls.message) - 1, err.message);
        return CURLE_ABORTED_BY_CALLBACK;
    }
    return CURLE_OK;
}

/* A connection that is used again had its handshake for another check. */
static void read_reused_tls(struct slot *slot)
{
    struct curl_tlssessioninfo *info = NULL;

    if (slot->target.tls && slot->tls.version == NULL &&
        curl_easy_getinfo(slot->easy, CURLINFO_TLS_SSL_PTR, &info) == CURLE_OK && info != NULL &&
        info->internals != NULL) {
        tls_read(info->internals, &slot->tls);
    }
}

static void note_location(struct hop *hop, const char *value, size_t len)
{
    while (len > 0 && (*value == ' ' || *value == '\t')) {
        value++;
        len--;
    }
    while (len > 0 && strchr("\r\n \t", value[len - 1]) != NULL) {
        len--;
    }
    if (hop->location == NULL) {
        hop->location_over = len > PROBE_URL_BYTES_MAX;
        hop->location = mem_copy(value, hop->location_over ? 0 : len);
    }
}

/* Bounded by what header_bytes may be. */
static void note_line(struct hop *hop, const char *line, size_t len)
{
    while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == '\n')) {
        len--;
    }
    if (hop->lines_len + len + 1 > hop->lines_size) {
        hop->lines_size = 2 * (hop->lines_len + len + 1);
        hop->lines = mem_resize(hop->lines, hop->lines_size, 1);
    }
    memcpy(hop->lines + hop->lines_len, line, len);
    hop->lines[hop->lines_len + len] = '\n';
    hop->lines_len += len + 1;
}

static void note_header(struct slot *slot, const char *line, size_t len)
{
    static const char name[] = "location:";

    if (slot->site->header_pattern != NULL) {
        note_line(&slot->hop, line, len);
    }
    if (len >= sizeof(name) - 1 && strncasecmp(line, name, sizeof(name) - 1) == 0) {
        note_location(&slot->hop, line + sizeof(name) - 1, len - (sizeof(name) - 1));
    }
}

/*
 * libcurl before 8.1.0 keeps, from one transfer of a handle to the next, a pointer to the last
 * header it stored, which it has freed by then, and follows it when the first header of the next
 * is a folded line (mended by its commit cd1c611b24). It stores a line before it calls on_header,
 * but with CURLOPT_HEADER it calls on_body before that: so there on_body looks at each line that
 * comes after a status line, until one was a header. What a proxy answers to CONNECT is not stored,
 * as CURLOPT_SUPPRESS_CONNECT_HEADERS is set.
 */
#define LINGERING_HEADER_FIXED 0x080100

bool callbacks_headers_linger(void)
{
    return curl_version_info(CURLVERSION_NOW)->version_num < LINGERING_HEADER_FIXED;
}

static void look_ahead(struct slot *slot, bool next_line)
{
    slot->hop.looks_ahead = next_line;
    slot->hop.ahead_bytes = 0;
    curl_easy_setopt(slot->easy, CURLOPT_HEADER, next_line ? 1L : 0L);
}

/* A recipient may refuse it (RFC 9112, 2.2). */
static bool refuses_fold(struct hop *hop, const char *line)
{
    hop->folded_first = line[0] == ' ' || line[0] == '\t';
    return hop->folded_first;
}

/* A long line comes in several pieces. */
static size_t on_line_ahead(struct hop *hop, const char *data, size_t len)
{
    bool refused = hop->ahead_bytes == 0 && refuses_fold(hop, data);

    hop->ahead_bytes += len;
    return refused ? 0 : len; /* 0 ends the transfer */
}

/* One line at a time: status line, headers, an empty line; then again after a 100 or 103. */
static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
    struct slot *slot = arg;
    struct hop *hop = &slot->hop;
    size_t len = size * count;
    bool is_status = len >= 5 && strncasecmp(line, "HTTP/", 5) == 0;
    bool is_end = line[0] == '\r' || line[0] == '\n';

    if (hop->first_byte_ns == 0) {
        hop->first_byte_ns = clock_mono_ns();
        read_reused_tls(slot);
    }
    hop->header_bytes += (int64_t)len;
    if (hop->header_bytes > PROBE_HEADER_BYTES_MAX) {
        hop->headers_over = true;
        return 0; /* ends the transfer */
    }
    if (!hop->has_header) {
        if (refuses_fold(hop, line)) {
            return 0;
        }
        hop->has_header = !is_status && !is_end;
        if (slot->probe->headers_linger) {
            look_ahead(slot, is_status);
        }
    }
    if (is_status) {
        free(hop->location);
        hop->location = NULL;
        hop->lines_len = 0;
        hop->headers_ended = false;
    } else if (is_end) {
        hop->headers_ended = true;
    } else if (!hop->headers_ended) {
        note_header(slot, line, len);
    }
    return len;
}

static void body_keep(struct slot *slot, const char *data, size_t len)
{
    size_t have = (size_t)slot->hop.body_bytes;
    size_t most = (size_t)slot->site->max_body_bytes;
    size_t size = slot->body_size == 0 ? PROBE_BODY_FIRST_BYTES : slot->body_size;

    while (size < have + len) {
        size *= 2;
    }
    if (size > most) {
        size = most; /* enough: the caller saw to it */
    }
    if (size > slot->body_size) {
        slot->body = mem_resize(slot->body, size, 1);
        slot->body_size = size;
    }
    memcpy(slot->body + have, data, len);
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct slot *slot = arg;
    struct hop *hop = &slot->hop;
    size_t len = size * count;

    if (hop->looks_ahead) {
        return on_line_ahead(hop, data, len);
    }
    if ((int64_t)len > slot->site->max_body_bytes - hop->body_bytes) {
        hop->body_bytes += (int64_t)len;
        hop->body_over = true;
        return 0; /* ends the transfer */
    }
    if (slot->keep_body && len > 0 && !transfer_is_redirect(slot)) {
        body_keep(slot, data, len);
    }
    hop->body_bytes += (int64_t)len;
    return len;
}

/* Called in the thread of the probe, for any of its connections. */
static int on_close_socket(void *arg, curl_socket_t fd)
{
    struct probe *p = arg;

    loop_forget(p->loop, fd);
    return close(fd);
}

bool callbacks_set(struct slot *slot)
{
    bool ok = true;

    SET(CURLOPT_SSL_CTX_FUNCTION, on_ssl_ctx);
    SET(CURLOPT_SSL_CTX_DATA, slot);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, slot);
    SET(CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    SET(CURLOPT_CLOSESOCKETDATA, slot->probe);
    SET(CURLOPT_PREREQFUNCTION, on_ready);
    SET(CURLOPT_PREREQDATA, slot);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, slot);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, slot);
    return ok;
}
