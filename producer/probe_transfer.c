#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
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

/* --- What libcurl tells us. These callbacks note it down and change nothing. --- */

static bool guard_refuses(struct slot *slot, const struct sockaddr *address)
{
    slot->hop.blocked = slot->site->allow_private ? NULL : guard_reason(address);
    return slot->hop.blocked != NULL;
}

/* A connection that is used again may have been made for a site that allows more. */
static bool guard_refuses_reused(struct slot *slot, const char *address)
{
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, address, &four.sin_addr) == 1) {
        return guard_refuses(slot, (const struct sockaddr *)&four);
    }
    inet_pton(AF_INET6, address, &six.sin6_addr);
    return guard_refuses(slot, (const struct sockaddr *)&six);
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

/* One line at a time: status line, headers, an empty line; then again after a 100 or 103. */
static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
    struct slot *slot = arg;
    struct hop *hop = &slot->hop;
    size_t len = size * count;

    slot->has_header = true;
    if (hop->first_byte_ns == 0) {
        hop->first_byte_ns = clock_mono_ns();
        read_reused_tls(slot);
    }
    hop->header_bytes += (int64_t)len;
    if (hop->header_bytes > PROBE_HEADER_BYTES_MAX) {
        hop->headers_over = true;
        return 0; /* ends the transfer */
    }
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        free(hop->location);
        hop->location = NULL;
        hop->lines_len = 0;
        hop->headers_ended = false;
    } else if (line[0] == '\r' || line[0] == '\n') {
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

/* --- What we tell libcurl --- */

#define CURL_CONNECT_MS_DEFAULT 300000

/* Within a function that has `slot` and `ok`. */
#define SET(option, value) (ok = curl_easy_setopt(slot->easy, (option), (value)) == CURLE_OK && ok)

static bool append(struct curl_slist **list, const char *text)
{
    struct curl_slist *longer = curl_slist_append(*list, text);

    if (longer == NULL) {
        return false;
    }
    *list = longer;
    return true;
}

/* The word before the colon is `name`. */
static bool header_is(const char *header, const char *name)
{
    size_t len = strlen(name);

    return strncasecmp(header, name, len) == 0 && header[len] == ':';
}

/* Of the same name as `line`, or as good as gone: what the site says holds for it. */
static bool site_has_header_of(const struct site *site, const char *line)
{
    size_t len = strcspn(line, ":") + 1;

    for (char **header = site->headers; header != NULL && *header != NULL; header++) {
        if (strncasecmp(*header, line, len) == 0) {
            return true;
        }
    }
    return false;
}

/* Its name speaks of a secret, or it is only meant for the site's own host. */
static bool header_is_private(const char *header)
{
    static const char *const words[] = {
        "auth", "cookie", "token", "secret", "key", "password", "session", "credential",
    };
    size_t name_len = strcspn(header, ":");

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t len = strlen(words[i]);

        for (size_t at = 0; at + len <= name_len; at++) {
            if (strncasecmp(header + at, words[i], len) == 0) {
                return true;
            }
        }
    }
    return header_is(header, "Host");
}

/* libcurl takes "Name:" for "leave it out"; "Name;" is its way to send it empty. */
static bool append_site_header(struct curl_slist **list, const char *header)
{
    size_t name_len = strcspn(header, ":");

    if (header[name_len] != ':' || header[name_len + 1 + strspn(header + name_len + 1, " \t")]) {
        return append(list, header);
    }
    char *empty = mem_copy(header, name_len + 1);

    empty[name_len] = ';';

    bool ok = append(list, empty);

    free(empty);
    return ok;
}

static bool append_site_headers(struct slot *slot, bool at_home)
{
    bool ok = true;

    for (char **header = slot->site->headers; header != NULL && *header != NULL; header++) {
        bool of_body = strncasecmp(*header, "Content-", strlen("Content-")) == 0;

        if ((at_home || !header_is_private(*header)) && (slot->send_body || !of_body)) {
            ok = append_site_header(&slot->headers, *header) && ok;
        }
    }
    return ok;
}

static bool append_usual_headers(struct slot *slot, const struct curl_slist *usual)
{
    bool ok = true;

    for (; usual != NULL; usual = usual->next) {
        ok = (site_has_header_of(slot->site, usual->data) || append(&slot->headers, usual->data)) &&
             ok;
    }
    return ok;
}

static bool set_headers(struct slot *slot, bool at_home)
{
    const struct site *site = slot->site;
    struct curl_slist *usual =
        site->reuse_connection ? slot->probe->kept_headers : slot->probe->fresh_headers;
    bool ok = true;

    if (slot->headers == NULL && site->headers == NULL && site->bearer_token == NULL &&
        !slot->send_body) {
        return SET(CURLOPT_HTTPHEADER, usual);
    }
    ok = append_site_headers(slot, at_home) && append_usual_headers(slot, usual);
    if (slot->send_body) {
        ok = append(&slot->headers, "Expect:") && ok; /* no second round trip before a body */
    }
    if (at_home && slot->site->bearer_token != NULL) {
        size_t size = strlen("Authorization: Bearer ") + strlen(slot->site->bearer_token) + 1;
        char *line = mem_alloc(size, 1);

        snprintf(line, size, "Authorization: Bearer %s", slot->site->bearer_token);
        ok = append(&slot->headers, line) && ok;
        free(line);
    }
    return SET(CURLOPT_HTTPHEADER, slot->headers);
}

static bool set_method(struct slot *slot)
{
    const char *body = slot->send_body ? slot->site->body : NULL;
    const char *method = slot->method;
    bool ok = true;

    if (strcmp(method, "HEAD") == 0) {
        return SET(CURLOPT_NOBODY, 1L);
    }
    /* These are expected to say that their body is empty (RFC 9110, 8.6). */
    if (body == NULL && (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
                         strcmp(method, "PATCH") == 0)) {
        body = "";
        ok = append(&slot->headers, "Content-Type:");
    }
    if (body != NULL) {
        SET(CURLOPT_POSTFIELDSIZE, (long)strlen(body));
        SET(CURLOPT_POSTFIELDS, body);
    }
    if (strcmp(method, body == NULL ? "GET" : "POST") != 0) {
        SET(CURLOPT_CUSTOMREQUEST, method);
    }
    return ok;
}

static bool set_request(struct slot *slot)
{
    const struct site *site = slot->site;
    bool at_home = target_same_origin(&slot->home, &slot->target);
    bool ok = set_method(slot);

    ok = set_headers(slot, at_home) && ok;
    SET(CURLOPT_URL, slot->target.url);
    SET(CURLOPT_HTTP_VERSION, site->http_version == SITE_HTTP_1_1 ? (long)CURL_HTTP_VERSION_1_1
                                                                  : (long)CURL_HTTP_VERSION_2TLS);
    if (at_home && site->username != NULL) {
        SET(CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        SET(CURLOPT_USERNAME, site->username);
        SET(CURLOPT_PASSWORD, site->password == NULL ? "" : site->password);
    }
    return ok;
}

/*
 * libcurl verifies nothing and so reads no file: tls_prepare does it. But a connection is only
 * used again by a site that wants it verified alike, and for that libcurl compares, of what we
 * can set, CAINFO: a label here, not a file.
 */
static bool set_tls(struct slot *slot)
{
    const struct site *site = slot->site;
    bool identified = site->cert_file != NULL && target_same_origin(&slot->home, &slot->target);
    char label[2 * PATH_MAX + 64];
    bool ok = true;

    slot->tls = (struct tls_check){
        .tls = slot->probe->tls,
        .host = slot->target.host,
        .ca_file = site->ca_file,
        .cert_file = identified ? site->cert_file : NULL,
        .key_file = identified ? site->key_file : NULL,
        .verify = site->verify_tls,
        .resume = site->tls_resume ? site->name : NULL,
        .address = slot->addresses[slot->address_at],
        .port = slot->target.port,
        .min_tls = site->min_tls,
        .not_after_s = EVENT_ABSENT,
    };
    if (!slot->target.tls && slot->proxy.host == NULL) {
        return true;
    }
    snprintf(label, sizeof(label), "verify=%d min_tls=%d ca_file=%s cert_file=%s", site->verify_tls,
             (int)site->min_tls, site->ca_file == NULL ? "" : site->ca_file,
             identified ? site->cert_file : "");
    SET(CURLOPT_CAINFO, label);
    if (slot->proxy.host != NULL) {
        slot->proxy_tls = slot->tls;
        slot->proxy_tls.host = slot->proxy.host;
        slot->proxy_tls.send_name = true; /* libcurl knows its address alone */
        slot->proxy_tls.cert_file = NULL;
        slot->proxy_tls.resume = NULL;
        SET(CURLOPT_PROXY_SSL_VERIFYPEER, 0L);
        SET(CURLOPT_PROXY_SSL_VERIFYHOST, 0L);
        SET(CURLOPT_PROXY_CAINFO, label);
        SET(CURLOPT_PROXY_CAPATH, NULL);
    }
    return ok;
}

/* The proxy by the address that is tried, so that libcurl resolves nothing. What the environment
 * says of proxies is not for us. */
static bool set_proxy(struct slot *slot)
{
    const char *address = slot->addresses[slot->address_at];
    bool six = strchr(address, ':') != NULL;
    char through[INET6_ADDRSTRLEN + 32];
    bool ok = true;

    snprintf(through, sizeof(through), "%s://%s%s%s:%u", proxy_scheme(slot->proxy.kind),
             six ? "[" : "", address, six ? "]" : "", (unsigned)slot->proxy.port);
    SET(CURLOPT_PROXY, through);
    SET(CURLOPT_NOPROXY, "");
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_USERAGENT, slot->probe->settings.user_agent); /* in what is said to the proxy */
    if (slot->proxy.user != NULL) {
        SET(CURLOPT_PROXYAUTH, CURLAUTH_BASIC);
        SET(CURLOPT_PROXYUSERNAME, slot->proxy.user);
        SET(CURLOPT_PROXYPASSWORD, slot->proxy.password == NULL ? "" : slot->proxy.password);
    }
    return ok;
}

static bool set_connection(struct slot *slot)
{
    bool proxied = slot->proxy.host != NULL;
    const char *address = proxied ? slot->site_address : slot->addresses[slot->address_at];
    bool fresh = !slot->site->reuse_connection;
    int64_t left_ms = (slot->deadline_ns - slot->hop.began_ns + NS_PER_MS - 1) / NS_PER_MS;
    char connect_to[INET6_ADDRSTRLEN + 8];
    bool ok = true;

    /* Any host, any port: it is the one transfer's. Not CURLOPT_RESOLVE, whose answers all
     * transfers share, though two sites may want different addresses of one name. */
    if (address[0] != '\0' && strcmp(address, slot->target.host) != 0) {
        snprintf(connect_to, sizeof(connect_to),
                 strchr(address, ':') ? "::[%s]:" : "::%s:", address);
        ok = append(&slot->connect_to, connect_to);
    }
    SET(CURLOPT_CONNECT_TO, slot->connect_to);
    ok = (!proxied || set_proxy(slot)) && ok;
    SET(CURLOPT_FRESH_CONNECT, fresh ? 1L : 0L);
    SET(CURLOPT_FORBID_REUSE, fresh ? 1L : 0L);
    SET(CURLOPT_TIMEOUT_MS, (long)(left_ms < 1 ? 1 : left_ms));
    /* It is one more timer, and needed only where libcurl's own limit is shorter. */
    SET(CURLOPT_CONNECTTIMEOUT_MS, left_ms > CURL_CONNECT_MS_DEFAULT ? (long)left_ms : 0L);
    return ok;
}

/* What is alike in all transfers. */
static bool set_base(struct slot *slot)
{
    bool ok = true;

    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_ACCEPT_ENCODING, slot->probe->encodings);
    SET(CURLOPT_DNS_CACHE_TIMEOUT, 0L); /* else it is walked through at the end of each check */
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_SSL_VERIFYPEER, 0L);
    SET(CURLOPT_SSL_VERIFYHOST, 0L);
    SET(CURLOPT_SSL_SESSIONID_CACHE, 0L); /* a full handshake each time */
    SET(CURLOPT_CAPATH, NULL);
    SET(CURLOPT_SSL_CTX_FUNCTION, on_ssl_ctx);
    SET(CURLOPT_SSL_CTX_DATA, slot);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, slot);
    SET(CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    SET(CURLOPT_CLOSESOCKETDATA, slot->probe);
    SET(CURLOPT_PRIVATE, slot);
    SET(CURLOPT_ERRORBUFFER, slot->hop.curl_text);
    SET(CURLOPT_PREREQFUNCTION, on_ready);
    SET(CURLOPT_PREREQDATA, slot);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, slot);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, slot);
    return ok;
}

/* Nothing is set for it alone but what every transfer sets. */
static bool is_plain(const struct slot *slot)
{
    return !slot->target.tls && slot->proxy.host == NULL && !slot->send_body &&
           slot->site->username == NULL && slot->site->cert_file == NULL &&
           strcmp(slot->method, "GET") == 0;
}

/*
 * libcurl before 8.1.0 keeps, from one transfer of a handle to the next, a pointer to the last
 * header it stored, which it has freed by then, and follows it when a response begins with a folded
 * line (mended by its commit cd1c611b24). There a handle that has seen a header is not used again.
 */
#define LINGERING_HEADER_FIXED 0x080100

static bool renew_handle(struct slot *slot)
{
    CURL *fresh = curl_easy_init();

    if (fresh == NULL) {
        return false;
    }
    curl_easy_cleanup(slot->easy);
    slot->easy = fresh;
    slot->holds = HANDLE_NOTHING;
    slot->has_header = false;
    return true;
}

/* All that this libcurl can decode, as Accept-Encoding has it. */
static void encodings_put(char *out, size_t size)
{
    static const struct {
        int feature;
        const char *names;
    } rows[] = {
        {CURL_VERSION_LIBZ, "deflate, gzip"},
        {CURL_VERSION_BROTLI, "br"},
        {CURL_VERSION_ZSTD, "zstd"},
    };
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if ((curl_version_info(CURLVERSION_NOW)->features & rows[i].feature) != 0) {
            len +=
                (size_t)snprintf(out + len, size - len, "%s%s", len > 0 ? ", " : "", rows[i].names);
        }
    }
}

static bool append_line(struct curl_slist **list, const char *name, const char *value)
{
    size_t size = strlen(name) + strlen(": ") + strlen(value) + 1;
    char *line = mem_alloc(size, 1);

    snprintf(line, size, "%s: %s", name, value);

    bool ok = append(list, line);

    free(line);
    return ok;
}

/* Written once: from its options for them libcurl makes the two lines anew for each transfer. */
static bool append_always(const struct probe *p, struct curl_slist **list)
{
    return append_line(list, "User-Agent", p->settings.user_agent) &&
           append_line(list, "Accept-Encoding", p->encodings);
}

bool transfer_prepare(struct probe *p)
{
    p->headers_linger = curl_version_info(CURLVERSION_NOW)->version_num < LINGERING_HEADER_FIXED;
    encodings_put(p->encodings, sizeof(p->encodings));
    /* The server closes first then, and no TIME_WAIT stays with us. HTTP/2 has no such header,
     * and libcurl leaves it out there. */
    return append_always(p, &p->kept_headers) && append_always(p, &p->fresh_headers) &&
           append(&p->fresh_headers, "Connection: close");
}

void transfer_unprepare(struct probe *p)
{
    curl_slist_free_all(p->kept_headers);
    curl_slist_free_all(p->fresh_headers);
}

int transfer_start(struct slot *slot, struct err *err)
{
    transfer_clear(slot);
    slot->hop = (struct hop){.began_ns = clock_mono_ns()};

    if (slot->probe->headers_linger && slot->has_header && !renew_handle(slot)) {
        return err_set(err, ERR_FATAL, "curl_easy_init failed");
    }
    bool plain = is_plain(slot);
    bool ok = true;

    /* Nothing of an earlier site or hop, its password least of all, is left in the handle. What
     * set_connection, set_request and set_tls set for a plain one they set each time. */
    if (slot->holds == HANDLE_MORE) {
        curl_easy_reset(slot->easy);
        slot->holds = HANDLE_NOTHING;
    }
    ok = slot->holds == HANDLE_BASE || set_base(slot);
    slot->holds = plain ? HANDLE_BASE : HANDLE_MORE;
    ok = set_connection(slot) && ok;
    ok = set_tls(slot) && ok;
    ok = set_request(slot) && ok;
    if (!ok) {
        return err_set(err, ERR_FATAL, "libcurl refused an option");
    }
    CURLMcode code = curl_multi_add_handle(slot->probe->multi, slot->easy);

    if (code != CURLM_OK) {
        return err_set(err, ERR_FATAL, "curl_multi_add_handle: %s", curl_multi_strerror(code));
    }
    return 0;
}

void transfer_clear(struct slot *slot)
{
    curl_slist_free_all(slot->headers);
    curl_slist_free_all(slot->connect_to);
    free(slot->hop.location);
    free(slot->hop.lines);
    slot->headers = NULL;
    slot->connect_to = NULL;
    slot->hop.location = NULL;
    slot->hop.lines = NULL;
}
