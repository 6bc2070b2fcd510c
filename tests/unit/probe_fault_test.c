#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "producer/probe_internal.h"

static void curl_codes_become_error_types(void **state)
{
    static const struct tls_check expired = {.error = ERROR_TLS_EXPIRED, .message = "it ended"};
    static const struct tls_check refused = {.message = "no store"};
    static const struct tls_check fine = {.error = ERROR_NONE};
    static const struct proxy proxy = {
        .kind = PROXY_SOCKS5, .host = (char *)(uintptr_t) "proxy.test", .port = 1080};
    static const struct {
        const char *name;
        struct fault_facts facts;
        enum error_type type;
        enum check_phase phase;
        const char *message;
    } rows[] = {
        /* Connecting */
        {"refused",
         {.code = CURLE_COULDNT_CONNECT, .os_errno = ECONNREFUSED},
         ERROR_CONNECT_REFUSED,
         PHASE_CONNECT,
         "192.0.2.1 port 443: Connection refused"},
        {"the kernel gave up",
         {.code = CURLE_COULDNT_CONNECT, .os_errno = ETIMEDOUT},
         ERROR_CONNECT_TIMEOUT,
         PHASE_CONNECT,
         "Connection timed out"},
        {"no route to the host",
         {.code = CURLE_COULDNT_CONNECT, .os_errno = EHOSTUNREACH},
         ERROR_CONNECT_FAILURE,
         PHASE_CONNECT,
         "No route to host"},
        {"an errno nobody expects",
         {.code = CURLE_COULDNT_CONNECT, .os_errno = EPERM},
         ERROR_CONNECT_FAILURE,
         PHASE_CONNECT,
         "Operation not permitted"},
        {"no errno at all",
         {.code = CURLE_COULDNT_CONNECT, .curl_text = "curl's words"},
         ERROR_CONNECT_FAILURE,
         PHASE_CONNECT,
         "192.0.2.1 port 443: curl's words"},
        {"our network is unreachable",
         {.code = CURLE_COULDNT_CONNECT, .os_errno = ENETUNREACH},
         ERROR_LOCAL_NETWORK,
         PHASE_CONNECT,
         "unreachable"},
        {"our network is down",
         {.code = CURLE_COULDNT_CONNECT, .os_errno = ENETDOWN},
         ERROR_LOCAL_NETWORK,
         PHASE_CONNECT,
         "down"},
        {"we have no IPv6",
         {.code = CURLE_COULDNT_CONNECT, .os_errno = EAFNOSUPPORT},
         ERROR_LOCAL_NETWORK,
         PHASE_CONNECT,
         "not supported"},
        {"IPv6 is switched off here",
         {.code = CURLE_COULDNT_CONNECT, .os_errno = EADDRNOTAVAIL, .address = "2001:db8::1"},
         ERROR_LOCAL_NETWORK,
         PHASE_CONNECT,
         "assign"},
        {"a link-local address of no interface",
         {.code = CURLE_COULDNT_CONNECT, .os_errno = EINVAL, .address = "fe80::1"},
         ERROR_LOCAL_NETWORK,
         PHASE_CONNECT,
         "Invalid argument"},
        {"no port is left",
         {.code = CURLE_COULDNT_CONNECT, .os_errno = EADDRNOTAVAIL},
         ERROR_LOCAL_RESOURCES,
         PHASE_CONNECT,
         "assign"},
        {"no descriptor is left",
         {.code = CURLE_COULDNT_CONNECT, .os_errno = EMFILE},
         ERROR_LOCAL_RESOURCES,
         PHASE_CONNECT,
         "Too many open files"},
        {"no descriptor is left in the system",
         {.code = CURLE_COULDNT_CONNECT, .os_errno = ENFILE},
         ERROR_LOCAL_RESOURCES,
         PHASE_CONNECT,
         ""},
        {"no buffer is left",
         {.code = CURLE_COULDNT_CONNECT, .os_errno = ENOBUFS},
         ERROR_LOCAL_RESOURCES,
         PHASE_CONNECT,
         ""},
        {"no memory is left",
         {.code = CURLE_COULDNT_CONNECT, .os_errno = ENOMEM},
         ERROR_LOCAL_RESOURCES,
         PHASE_CONNECT,
         ""},
        {"libcurl's pool is full",
         {.code = CURLE_NO_CONNECTION_AVAILABLE, .phase = PHASE_CONNECT},
         ERROR_LOCAL_RESOURCES,
         PHASE_CONNECT,
         ""},
        /* Time */
        {"time is over while connecting",
         {.code = CURLE_OPERATION_TIMEDOUT, .phase = PHASE_CONNECT},
         ERROR_CONNECT_TIMEOUT,
         PHASE_CONNECT,
         "192.0.2.1 port 443: no connection"},
        {"time is over in the handshake",
         {.code = CURLE_OPERATION_TIMEDOUT, .phase = PHASE_TLS},
         ERROR_TIMEOUT,
         PHASE_TLS,
         "2500 ms"},
        {"time is over before a response",
         {.code = CURLE_OPERATION_TIMEDOUT, .phase = PHASE_WAIT},
         ERROR_TIMEOUT,
         PHASE_WAIT,
         "no response"},
        {"time is over within the response",
         {.code = CURLE_OPERATION_TIMEDOUT, .phase = PHASE_TRANSFER},
         ERROR_TIMEOUT,
         PHASE_TRANSFER,
         "response not ended"},
        /* TLS */
        {"our own verdict goes first",
         {.code = CURLE_PEER_FAILED_VERIFICATION,
          .phase = PHASE_TLS,
          .tls = &expired,
          .curl_text = "SSL certificate problem"},
         ERROR_TLS_EXPIRED,
         PHASE_TLS,
         "it ended"},
        {"also with the code for all handshakes",
         {.code = CURLE_SSL_CONNECT_ERROR, .phase = PHASE_TLS, .tls = &expired},
         ERROR_TLS_EXPIRED,
         PHASE_TLS,
         "it ended"},
        {"an alert is a failed handshake",
         {.code = CURLE_SSL_CONNECT_ERROR, .phase = PHASE_TLS, .curl_text = "alert 40"},
         ERROR_TLS_FAILURE,
         PHASE_TLS,
         "alert 40"},
        {"an alert after the handshake of TLS 1.3 as we see it",
         {.code = CURLE_RECV_ERROR,
          .phase = PHASE_WAIT,
          .curl_text = "OpenSSL SSL_read: OpenSSL/3.0.17: error:0A00045C:SSL routines::tlsv13 "
                       "alert certificate required, errno 0"},
         ERROR_TLS_FAILURE,
         PHASE_TLS,
         "certificate required"},
        {"an alert within a response is no handshake's",
         {.code = CURLE_RECV_ERROR,
          .phase = PHASE_TRANSFER,
          .curl_text = "OpenSSL SSL_read: error:0A000438:SSL routines::tlsv1 alert internal error"},
         ERROR_READ_FAILURE,
         PHASE_TRANSFER,
         "internal error"},
        {"a certificate of ours is asked for",
         {.code = CURLE_SSL_CLIENTCERT, .phase = PHASE_TLS},
         ERROR_TLS_FAILURE,
         PHASE_TLS,
         ""},
        {"no cipher in common",
         {.code = CURLE_SSL_CIPHER, .phase = PHASE_TLS},
         ERROR_TLS_FAILURE,
         PHASE_TLS,
         ""},
        {"our own preparation failed",
         {.code = CURLE_ABORTED_BY_CALLBACK,
          .phase = PHASE_TLS,
          .tls = &refused,
          .tls_refused = true},
         ERROR_INTERNAL,
         PHASE_TLS,
         "no store"},
        {"a tunnel that a proxy refuses",
         {.code = CURLE_RECV_ERROR,
          .phase = PHASE_CONNECT,
          .proxy = &proxy,
          .curl_text = "CONNECT tunnel failed, response 502"},
         ERROR_PROXY,
         PHASE_CONNECT,
         "socks5 proxy proxy.test port 1080: CONNECT tunnel failed, response 502"},
        {"no network to a proxy is our own trouble",
         {.code = CURLE_COULDNT_CONNECT,
          .phase = PHASE_CONNECT,
          .proxy = &proxy,
          .os_errno = ENETUNREACH},
         ERROR_LOCAL_NETWORK,
         PHASE_CONNECT,
         "unreachable"},
        {"behind the tunnel it is the site's",
         {.code = CURLE_PARTIAL_FILE, .phase = PHASE_TRANSFER, .proxy = &proxy},
         ERROR_READ_FAILURE,
         PHASE_TRANSFER,
         ""},
        /* The response */
        {"nothing was said",
         {.code = CURLE_GOT_NOTHING, .phase = PHASE_WAIT},
         ERROR_EMPTY_REPLY,
         PHASE_WAIT,
         ""},
        {"a 100 was said, and then nothing",
         {.code = CURLE_GOT_NOTHING,
          .phase = PHASE_TRANSFER,
          .curl_text = "Empty reply from server"},
         ERROR_READ_FAILURE,
         PHASE_TRANSFER,
         "after an interim response"},
        {"a reset",
         {.code = CURLE_RECV_ERROR, .phase = PHASE_WAIT, .curl_text = "Recv failure"},
         ERROR_READ_FAILURE,
         PHASE_WAIT,
         "Recv failure"},
        {"broken chunks, as libcurl 7.88 says it",
         {.code = CURLE_RECV_ERROR,
          .phase = PHASE_TRANSFER,
          .curl_text = "Illegal or missing hexadecimal sequence in chunked-encoding"},
         ERROR_PROTOCOL,
         PHASE_TRANSFER,
         "chunked"},
        {"broken chunks, as libcurl 8 says it",
         {.code = CURLE_RECV_ERROR,
          .phase = PHASE_TRANSFER,
          .curl_text = "chunk hex-length char not a hex digit: 0x7a"},
         ERROR_PROTOCOL,
         PHASE_TRANSFER,
         "hex digit"},
        {"a reset before libcurl asked whose the connection is",
         {.code = CURLE_RECV_ERROR,
          .phase = PHASE_WAIT,
          .curl_text = "getpeername() failed with errno 107: Transport endpoint is not connected"},
         ERROR_READ_FAILURE,
         PHASE_WAIT,
         "receiving data from the peer"},
        {"the request could not be sent",
         {.code = CURLE_SEND_ERROR, .phase = PHASE_WAIT},
         ERROR_READ_FAILURE,
         PHASE_WAIT,
         ""},
        {"an end before the promised length",
         {.code = CURLE_PARTIAL_FILE, .phase = PHASE_TRANSFER},
         ERROR_READ_FAILURE,
         PHASE_TRANSFER,
         ""},
        {"an HTTP/2 stream was reset",
         {.code = CURLE_HTTP2_STREAM, .phase = PHASE_TRANSFER},
         ERROR_READ_FAILURE,
         PHASE_TRANSFER,
         ""},
        {"TLS was not closed well",
         {.code = CURLE_SSL_SHUTDOWN_FAILED, .phase = PHASE_TRANSFER},
         ERROR_READ_FAILURE,
         PHASE_TRANSFER,
         ""},
        {"HTTP/2 frames are broken",
         {.code = CURLE_HTTP2, .phase = PHASE_TRANSFER},
         ERROR_PROTOCOL,
         PHASE_TRANSFER,
         ""},
        {"not HTTP",
         {.code = CURLE_UNSUPPORTED_PROTOCOL, .phase = PHASE_WAIT},
         ERROR_PROTOCOL,
         PHASE_WAIT,
         ""},
        {"an odd reply",
         {.code = CURLE_WEIRD_SERVER_REPLY, .phase = PHASE_TRANSFER},
         ERROR_PROTOCOL,
         PHASE_TRANSFER,
         ""},
        {"an unknown encoding",
         {.code = CURLE_BAD_CONTENT_ENCODING, .phase = PHASE_TRANSFER},
         ERROR_PROTOCOL,
         PHASE_TRANSFER,
         ""},
        {"a compressed body and more behind it",
         {.code = CURLE_WRITE_ERROR,
          .phase = PHASE_TRANSFER,
          .curl_text = "Failed writing received data to disk/application"},
         ERROR_PROTOCOL,
         PHASE_TRANSFER,
         "goes on after its end"},
        {"a header line over libcurl's ceiling",
         {.code = CURLE_OUT_OF_MEMORY, .phase = PHASE_TRANSFER, .curl_text = "Out of memory"},
         ERROR_PROTOCOL,
         PHASE_TRANSFER,
         "too long"},
        {"a status line over libcurl's ceiling",
         {.code = CURLE_OUT_OF_MEMORY, .phase = PHASE_WAIT, .curl_text = "Out of memory"},
         ERROR_PROTOCOL,
         PHASE_WAIT,
         "too long"},
        {"no memory before the request",
         {.code = CURLE_OUT_OF_MEMORY, .phase = PHASE_CONNECT},
         ERROR_INTERNAL,
         PHASE_CONNECT,
         ""},
        {"too many headers, which we count",
         {.code = CURLE_WRITE_ERROR, .phase = PHASE_TRANSFER, .headers_over = true},
         ERROR_PROTOCOL,
         PHASE_TRANSFER,
         "longer than 262144 bytes"},
        {"a folded line first, which we saw",
         {.code = CURLE_WRITE_ERROR, .phase = PHASE_TRANSFER, .folded_first = true},
         ERROR_PROTOCOL,
         PHASE_TRANSFER,
         "folded line"},
        {"too long a body, which we count",
         {.code = CURLE_WRITE_ERROR, .phase = PHASE_TRANSFER, .body_over = true},
         ERROR_BODY_TOO_LARGE,
         PHASE_TRANSFER,
         "longer than 1000 bytes"},
        {"too long a body, by its header",
         {.code = CURLE_FILESIZE_EXCEEDED, .phase = PHASE_TRANSFER},
         ERROR_BODY_TOO_LARGE,
         PHASE_TRANSFER,
         ""},
        {"a header line that libcurl cannot take apart",
         {.code = CURLE_BAD_FUNCTION_ARGUMENT, .phase = PHASE_TRANSFER},
         ERROR_PROTOCOL,
         PHASE_TRANSFER,
         ""},
        /* Ours */
        {"a URL that libcurl refuses", {.code = CURLE_URL_MALFORMAT}, ERROR_URL, PHASE_NONE, ""},
        {"a wrong argument", {.code = CURLE_BAD_FUNCTION_ARGUMENT}, ERROR_INTERNAL, PHASE_NONE, ""},
        {"a code of another protocol",
         {.code = CURLE_FTP_WEIRD_PASS_REPLY},
         ERROR_INTERNAL,
         PHASE_NONE,
         ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fault_facts facts = rows[i].facts;
        struct fault fault;

        print_message("  %s\n", rows[i].name);
        facts.curl_text = facts.curl_text == NULL ? "" : facts.curl_text;
        facts.tls = facts.tls == NULL ? &fine : facts.tls;
        facts.proxy_tls = &fine;
        facts.address = facts.address == NULL ? "192.0.2.1" : facts.address;
        facts.port = 443;
        facts.timeout_ms = 2500;
        facts.body_bytes_max = 1000;
        fault_from_curl(&facts, &fault);
        assert_int_equal(fault.type, rows[i].type);
        assert_int_equal(fault.phase, rows[i].phase);
        assert_non_null(strstr(fault.message, rows[i].message));
        assert_true(fault.message[0] != '\0');
    }
}

static void resolver_outcomes_become_error_types(void **state)
{
    static const struct {
        enum resolver_outcome outcome;
        const char *reason;
        enum error_type type;
        const char *message;
    } rows[] = {
        {RESOLVER_NOT_FOUND, "no such name", ERROR_DNS_NOT_FOUND, "x.test: no such name"},
        {RESOLVER_BAD_NAME, "empty label", ERROR_DNS_NOT_FOUND, "x.test: empty label"},
        {RESOLVER_TIMEOUT, "timeout", ERROR_DNS_TIMEOUT, "x.test: timeout"},
        {RESOLVER_FAILURE, "SERVFAIL", ERROR_DNS_FAILURE, "x.test: SERVFAIL"},
        {RESOLVER_NO_SERVER, "refused", ERROR_LOCAL_NETWORK, "x.test: refused"},
        {RESOLVER_NO_SOCKET, "too many", ERROR_LOCAL_RESOURCES, "x.test: too many"},
        {RESOLVER_FOUND, NULL, ERROR_DNS_FAILURE, "x.test: no address"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct resolver_answer answer = {.outcome = rows[i].outcome, .reason = rows[i].reason};
        struct fault fault;

        fault_from_resolver("x.test", &answer, &fault);
        assert_int_equal(fault.type, rows[i].type);
        assert_int_equal(fault.phase, PHASE_DNS);
        assert_string_equal(fault.message, rows[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(curl_codes_become_error_types),
        cmocka_unit_test(resolver_outcomes_become_error_types),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
