#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "producer/probe_internal.h"

void fault_set(struct fault *fault, enum error_type type, enum check_phase phase, const char *fmt,
               ...)
{
    va_list args;

    fault->type = type;
    fault->phase = phase;
    va_start(args, fmt);
    vsnprintf(fault->message, sizeof(fault->message), fmt, args);
    va_end(args);
}

/* --- Names --- */

static enum error_type resolver_type(enum resolver_outcome outcome)
{
    switch (outcome) {
    case RESOLVER_NOT_FOUND:
    case RESOLVER_BAD_NAME:
        return ERROR_DNS_NOT_FOUND;
    case RESOLVER_TIMEOUT:
        return ERROR_DNS_TIMEOUT;
    case RESOLVER_NO_SERVER:
        return ERROR_LOCAL_NETWORK;
    case RESOLVER_NO_SOCKET:
        return ERROR_LOCAL_RESOURCES;
    default:
        return ERROR_DNS_FAILURE;
    }
}

void fault_from_resolver(const char *host, const struct resolver_answer *answer,
                         struct fault *fault)
{
    fault_set(fault, resolver_type(answer->outcome), PHASE_DNS, "%s: %s", host,
              answer->reason == NULL ? "no address" : answer->reason);
}

/* "socks5h proxy 192.0.2.1 port 1080: words" */
static void PRINTF_LIKE(4, 5) proxy_fault(const struct proxy *proxy, enum check_phase phase,
                                          struct fault *fault, const char *fmt, ...)
{
    char words[400];
    va_list args;

    va_start(args, fmt);
    vsnprintf(words, sizeof(words), fmt, args);
    va_end(args);
    fault_set(fault, ERROR_PROXY, phase, "%s proxy %s port %u: %s", proxy_scheme(proxy->kind),
              proxy->host, (unsigned)proxy->port, words);
}

/* Our own name servers' trouble stays what it is. */
void fault_from_proxy_resolver(const struct proxy *proxy, const struct resolver_answer *answer,
                               struct fault *fault)
{
    fault_from_resolver(proxy->host, answer, fault);
    if (error_type_status(fault->type) == CHECK_DOWN) {
        proxy_fault(proxy, PHASE_DNS, fault, "%s",
                    answer->reason == NULL ? "no address" : answer->reason);
    }
}

/* --- Connections --- */

static enum error_type connect_type(const struct fault_facts *facts)
{
    switch (facts->os_errno) {
    case ECONNREFUSED:
        return ERROR_CONNECT_REFUSED;
    case ETIMEDOUT:
        return ERROR_CONNECT_TIMEOUT;
    case ENETUNREACH:
    case ENETDOWN:
    case EAFNOSUPPORT: /* a machine without IPv6 */
        return ERROR_LOCAL_NETWORK;
    case EINVAL: /* a link-local address of an interface that is not there */
        return strncasecmp(facts->address, "fe80:", strlen("fe80:")) == 0 ? ERROR_LOCAL_NETWORK
                                                                          : ERROR_CONNECT_FAILURE;
    case EADDRNOTAVAIL: /* no address of ours for IPv6 where that is switched off, or no port left
                         */
        return strchr(facts->address, ':') != NULL ? ERROR_LOCAL_NETWORK : ERROR_LOCAL_RESOURCES;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return ERROR_LOCAL_RESOURCES;
    default:
        return ERROR_CONNECT_FAILURE; /* EHOSTUNREACH, a reset, a filter's EACCES, ... */
    }
}

static void connect_fault(const struct fault_facts *facts, struct fault *fault)
{
    const char *words = facts->os_errno != 0 ? strerror(facts->os_errno) : facts->curl_text;

    fault_set(fault, connect_type(facts), PHASE_CONNECT, "%s port %u: %s", facts->address,
              (unsigned)facts->port, words);
}

static void timeout_fault(const struct fault_facts *facts, struct fault *fault)
{
    int ms = (int)facts->timeout_ms;

    switch (facts->phase) {
    case PHASE_CONNECT:
        fault_set(fault, ERROR_CONNECT_TIMEOUT, PHASE_CONNECT,
                  "%s port %u: no connection, the check's %d ms are over", facts->address,
                  (unsigned)facts->port, ms);
        return;
    case PHASE_TLS:
        fault_set(fault, ERROR_TIMEOUT, PHASE_TLS,
                  "TLS handshake not ended, the check's %d ms are over", ms);
        return;
    case PHASE_WAIT:
        fault_set(fault, ERROR_TIMEOUT, PHASE_WAIT, "no response, the check's %d ms are over", ms);
        return;
    default:
        fault_set(fault, ERROR_TIMEOUT, facts->phase,
                  "response not ended, the check's %d ms are over", ms);
    }
}

/* The tunnel through the proxy was not made. */
static void tunnel_fault(const struct fault_facts *facts, struct fault *fault)
{
    const struct tls_check *tls = facts->proxy_tls;
    const char *words =
        facts->curl_text[0] != '\0' ? facts->curl_text : curl_easy_strerror(facts->code);

    if (facts->code == CURLE_COULDNT_CONNECT && facts->os_errno != 0) {
        connect_fault(facts, fault);
        if (error_type_status(fault->type) == CHECK_UNKNOWN) {
            return; /* our own network or descriptors */
        }
        words = strerror(facts->os_errno);
    } else if (facts->code == CURLE_OPERATION_TIMEDOUT) {
        proxy_fault(facts->proxy, PHASE_CONNECT, fault,
                    "no connection through it, the check's %d ms are over", (int)facts->timeout_ms);
        return;
    } else if (tls->error != ERROR_NONE) {
        words = tls->message;
    }
    proxy_fault(facts->proxy, PHASE_CONNECT, fault, "%s", words);
}

/* --- All else --- */

/* In TLS 1.3 a client has done its part before the server has looked at its certificate: what it
 * says of that comes in place of a response. */
static bool is_late_alert(const struct fault_facts *facts)
{
    return facts->code == CURLE_RECV_ERROR && facts->phase == PHASE_WAIT &&
           strstr(facts->curl_text, "SSL routines:") != NULL &&
           strstr(facts->curl_text, " alert ") != NULL;
}

/* libcurl 7.88 has one code for a broken connection and for broken chunks, and only its words
 * tell them apart. */
static enum error_type receive_type(const struct fault_facts *facts)
{
    if (is_late_alert(facts)) {
        return ERROR_TLS_FAILURE;
    }
    return strstr(facts->curl_text, "chunk") != NULL ? ERROR_PROTOCOL : ERROR_READ_FAILURE;
}

/* libcurl says it too when a 100 or 103 came, and then nothing. */
static enum error_type nothing_type(const struct fault_facts *facts)
{
    return facts->phase == PHASE_TRANSFER ? ERROR_READ_FAILURE : ERROR_EMPTY_REPLY;
}

/* Before there was a response, memory that ran out is our trouble. After, it is libcurl 7.88's
 * word for a header line over its own ceiling; later ones say TOO_LARGE. */
static enum error_type memory_type(const struct fault_facts *facts)
{
    return facts->phase == PHASE_WAIT || facts->phase == PHASE_TRANSFER ? ERROR_PROTOCOL
                                                                        : ERROR_INTERNAL;
}

/* What libcurl says of an odd response may be about anything: of a header line without a name it
 * says BAD_FUNCTION_ARGUMENT. Before the first byte of one, what we asked of it was wrong. */
static enum error_type unforeseen_type(const struct fault_facts *facts)
{
    return facts->phase == PHASE_TRANSFER ? ERROR_PROTOCOL : ERROR_INTERNAL;
}

static enum error_type tls_type(const struct fault_facts *facts)
{
    return facts->tls->error != ERROR_NONE ? facts->tls->error : ERROR_TLS_FAILURE;
}

static enum error_type other_type(const struct fault_facts *facts)
{
    switch (facts->code) {
    case CURLE_GOT_NOTHING:
        return nothing_type(facts);
    case CURLE_RECV_ERROR:
        return receive_type(facts);
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2_STREAM:
    case CURLE_SSL_SHUTDOWN_FAILED:
        return ERROR_READ_FAILURE;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: /* the URL's was checked: this is the response's */
    case CURLE_HTTP2:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_WRITE_ERROR: /* not ours, see above: a decoder's that knows no better */
#if LIBCURL_VERSION_NUM >= 0x080600
    case CURLE_TOO_LARGE: /* headers, over libcurl's own ceiling */
#endif
        return ERROR_PROTOCOL;
    case CURLE_OUT_OF_MEMORY:
        return memory_type(facts);
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CLIENTCERT:
    case CURLE_SSL_CIPHER:
        return tls_type(facts);
    case CURLE_URL_MALFORMAT:
        return ERROR_URL;
    case CURLE_FILESIZE_EXCEEDED:
        return ERROR_BODY_TOO_LARGE;
    case CURLE_NO_CONNECTION_AVAILABLE:
        return ERROR_LOCAL_RESOURCES;
    default:
        return unforeseen_type(facts);
    }
}

/* NULL: libcurl's own will do. */
static const char *better_words(const struct fault_facts *facts, enum error_type type)
{
    if (type == facts->tls->error && facts->tls->message[0] != '\0') {
        return facts->tls->message;
    }
    if (facts->code == CURLE_OUT_OF_MEMORY && type == ERROR_PROTOCOL) {
        return "a line of the response's headers is too long";
    }
    if (strncmp(facts->curl_text, "getpeername()", strlen("getpeername()")) == 0) {
        return curl_easy_strerror(facts->code); /* its first words are kept, not those of the end */
    }
    if (facts->code == CURLE_WRITE_ERROR) { /* "to disk/application" */
        return "the body is not in its content encoding, or goes on after its end";
    }
    if (facts->code == CURLE_GOT_NOTHING && type == ERROR_READ_FAILURE) {
        return "the connection was closed after an interim response";
    }
    return NULL;
}

static void other_fault(const struct fault_facts *facts, struct fault *fault)
{
    enum error_type type = other_type(facts);
    const char *words = better_words(facts, type);

    if (words == NULL) {
        words = facts->curl_text[0] != '\0' ? facts->curl_text : curl_easy_strerror(facts->code);
    }
    fault_set(fault, type, is_late_alert(facts) ? PHASE_TLS : facts->phase, "%s", words);
}

void fault_from_curl(const struct fault_facts *facts, struct fault *fault)
{
    assert(facts->code != CURLE_OK);
    if (facts->blocked != NULL) {
        fault_set(fault, ERROR_BLOCKED_ADDRESS, PHASE_CONNECT,
                  "%s port %u is %s, and allow_private is false", facts->address,
                  (unsigned)facts->port, facts->blocked);
    } else if (facts->body_over) {
        fault_set(fault, ERROR_BODY_TOO_LARGE, PHASE_TRANSFER, "the body is longer than %lld bytes",
                  (long long)facts->body_bytes_max);
    } else if (facts->headers_over) {
        fault_set(fault, ERROR_PROTOCOL, PHASE_TRANSFER,
                  "the response headers are longer than %d bytes", PROBE_HEADER_BYTES_MAX);
    } else if (facts->folded_first) {
        fault_set(fault, ERROR_PROTOCOL, PHASE_TRANSFER,
                  "the first response header is a folded line");
    } else if (facts->tls_refused) {
        fault_set(fault, ERROR_INTERNAL, PHASE_TLS, "%s", facts->tls->message);
    } else if (facts->proxy != NULL &&
               (facts->phase == PHASE_CONNECT || facts->code == CURLE_PROXY)) {
        tunnel_fault(facts, fault);
    } else if (facts->code == CURLE_COULDNT_CONNECT) {
        connect_fault(facts, fault);
    } else if (facts->code == CURLE_OPERATION_TIMEDOUT) {
        timeout_fault(facts, fault);
    } else {
        other_fault(facts, fault);
    }
}
