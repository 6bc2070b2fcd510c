/*
 * probe_internal - what the files of producer/probe share; no other module includes it.
 *
 *   probe.c           slots, what is due, results
 *   probe_check.c     the course of one check: name, addresses, hops, end
 *   probe_transfer.c  one hop: libcurl's options and its handle
 *   probe_request.c   what the request says
 *   probe_callbacks.c what libcurl tells of it
 *   probe_measure.c   what came of it
 *   probe_target.c    URLs and Locations
 *   probe_fault.c     why a hop failed
 *
 * A check is in one state at a time, and only probe_run_due ends one:
 *
 *   IDLE -> RESOLVING -> TRANSFER -> ENDED -> IDLE
 *               ^------------'  (a redirect; another address stays in TRANSFER)
 */
#ifndef PRODUCER_PROBE_INTERNAL_H
#define PRODUCER_PROBE_INTERNAL_H

#include <curl/curl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/event.h"
#include "common/proxy.h"
#include "common/site.h"
#include "producer/alarm.h"
#include "producer/probe.h"
#include "producer/resolver.h"
#include "producer/tls.h"

#define PROBE_ADDRESSES_MAX 4    /* of a name, tried one after the other */
#define PROBE_URL_BYTES_MAX 8192 /* of a Location, and of the URL it leads to */
#define PROBE_BODY_FIRST_BYTES 16384

/* --- probe_target: where a hop goes --- */

struct target {
    char *url;  /* without user, password and fragment */
    char *host; /* without brackets or zone */
    uint16_t port;
    bool tls;
    const char *path; /* all of url behind the port; NULL: libcurl has to tell */
    unsigned scope;   /* the interface that an IPv6 zone names; 0: none */
};

/*
 * Parse a URL, or resolve `location` as it stands in a response from `base` (base NULL: location
 * is absolute). ERR_INVALID; *out is set only on success, and is freed by target_free.
 */
int target_parse(const char *base, const char *location, struct target *out,
                 struct err *err) MUST_CHECK;
void target_free(struct target *target);
/* Make the handle say where the hop goes, whatever another target made it say. Where the path is
 * known it is told the parts: to read the URL takes libcurl more than twice as long. False: no
 * memory, or the URL is refused. */
bool target_tell(const struct target *target, CURLU *handle);
/* The same scheme, host and port (RFC 6454). */
bool target_same_origin(const struct target *a, const struct target *b);

/* --- probe_fault: why a hop failed --- */

struct fault {
    enum error_type type; /* ERROR_NONE: it did not */
    enum check_phase phase;
    char message[512];
};

struct fault_facts {
    CURLcode code;
    int os_errno;           /* of the connection attempt; 0: none */
    enum check_phase phase; /* how far the hop came */
    const char *curl_text;  /* CURLOPT_ERRORBUFFER; may be "" */
    const struct tls_check *tls;
    bool body_over, headers_over, folded_first; /* we ended it for that reason */
    bool tls_refused;          /* its SSL_CTX could not be prepared: tls->message says why */
    const struct proxy *proxy; /* NULL: none */
    const struct tls_check *proxy_tls;
    const char *blocked; /* what the address is that may not be connected to, or NULL */
    const char *address; /* numeric */
    uint16_t port;
    int32_t timeout_ms;
    int64_t body_bytes_max;
};

void fault_set(struct fault *fault, enum error_type type, enum check_phase phase, const char *fmt,
               ...) PRINTF_LIKE(4, 5);
/* code is not CURLE_OK. */
void fault_from_curl(const struct fault_facts *facts, struct fault *fault);
void fault_from_resolver(const char *host, const struct resolver_answer *answer,
                         struct fault *fault);
/* The name is the proxy's. */
void fault_from_proxy_resolver(const struct proxy *proxy, const struct resolver_answer *answer,
                               struct fault *fault);

/* --- One check --- */

enum slot_state { SLOT_IDLE, SLOT_RESOLVING, SLOT_TRANSFER, SLOT_ENDED };

/* What is known of one connection attempt and the response on it. Begins anew with each. */
struct hop {
    int64_t began_ns;      /* handed to libcurl */
    int64_t socket_ns;     /* its socket was opened; 0: a connection was used again */
    int64_t proxy_tls_ns;  /* the TLS handshake with the proxy began; 0: it did not */
    int64_t tls_ns;        /* the TLS handshake began; 0: it did not */
    int64_t ready_ns;      /* connected, TLS too: the request goes out; 0: not so far */
    int64_t first_byte_ns; /* the status line was there; 0: it was not */
    int64_t ended_ns;      /* libcurl said that it is over */
    int open_errno;        /* of socket(2) */
    const char *blocked;   /* why the guard let it not be connected to; NULL: it did */
    int64_t header_bytes;
    int64_t body_bytes;
    char *location; /* of this response; NULL: none */
    char *lines;    /* its headers, when the site has a pattern for them */
    size_t lines_len, lines_size;
    bool location_over;
    bool headers_ended, headers_over, body_over, tls_refused;
    bool has_header;    /* one came, after the status line */
    bool folded_first;  /* we ended it, as the first one was a folded line */
    bool looks_ahead;   /* on_body is called with the next line before on_header is */
    size_t ahead_bytes; /* of it, so far */
    char curl_text[CURL_ERROR_SIZE];
};

/* Options of a handle. */
enum handle_holds {
    HANDLE_NOTHING,
    HANDLE_BASE, /* what every transfer sets, and no more */
    HANDLE_MORE, /* also what is one transfer's alone */
};

struct slot {
    struct probe *probe;
    struct slot *next; /* idle or ended */
    enum slot_state state;
    struct alarm alarm;
    CURL *easy;
    CURLU *url; /* that easy is told */
    enum handle_holds holds;

    const struct site *site;
    void *tag;
    bool keep_body;
    int64_t started_ns, deadline_ns;

    struct target home;   /* the site's own url: credentials are for it alone */
    struct target target; /* of this hop; before a redirect it shares home's strings */
    const char *method;
    bool send_body;
    int32_t redirects;

    struct proxy proxy;                  /* host NULL: none */
    bool asks_proxy;                     /* the name asked for is the proxy's */
    char site_address[INET6_ADDRSTRLEN]; /* that a proxy is asked for by number; "": by name */

    struct resolver_request *request;
    int64_t asked_ns;
    struct resolver_address addresses[PROBE_ADDRESSES_MAX];
    size_t address_count, address_at;
    char address[INET6_ADDRSTRLEN]; /* the one that is tried */
    int64_t failed_connects_us;     /* spent on the addresses before this one */
    struct fault remote_fault; /* of an earlier address, when it says more than our own trouble */

    struct curl_slist *headers, *connect_to;
    struct tls_check tls, proxy_tls;
    struct hop hop;
    char *body;
    size_t body_size;

    struct fault fault;
    struct event_timing timing;
    int32_t http_status;
    const char *http_version;
    char peer[INET6_ADDRSTRLEN]; /* "": none yet */
    int64_t not_after_s;         /* of the last hop with TLS, and so is tls_version */
    const char *tls_version;
    int64_t ended_ns;
};

struct probe {
    struct probe_settings settings;
    struct loop *loop;
    struct resolver *resolver;
    struct tls *tls;
    struct metric *in_flight_gauge;
    probe_done_fn *on_done;
    void *context;
    CURLM *multi;
    struct curl_slist *fresh_headers, *kept_headers; /* of most checks, by their connections */
    char encodings[32];                              /* of bodies that libcurl can decode */
    bool headers_linger;                             /* in this libcurl: callbacks_headers_linger */
    int64_t curl_due_ns;
    bool has_news; /* libcurl may have finished transfers */
    bool broken;
    struct err broken_by;
    struct alarms alarms;
    struct slot *idle;
    struct slot *ended, **ended_tail; /* in order */
    size_t in_flight;
    size_t slot_count;
    struct slot *slots;
};

/* --- probe_check --- */

void check_start(struct slot *slot, int64_t now_ns);
/* What came of the transfer, from curl_multi_info_read. */
void check_on_transfer_done(struct slot *slot, CURLcode code);
/* The slot's alarm is due. */
void check_on_alarm(struct slot *slot);
/* Free where it went. */
void check_clear_targets(struct slot *slot);
/* Put it on the list of ended checks, with slot->fault as it stands. */
void check_end(struct slot *slot);
/* Take it out of the resolver and libcurl, wherever it is. */
void check_abandon(struct slot *slot);

/* --- Options of libcurl: false when one is refused --- */

/* Within a function that has `slot` and `ok`. */
#define SET(option, value) (ok = curl_easy_setopt(slot->easy, (option), (value)) == CURLE_OK && ok)

/* The lines that most requests have. False: no memory. */
bool request_prepare(struct probe *p);
void request_unprepare(struct probe *p);
/* Method, headers and credentials of the slot's hop. */
bool request_set(struct slot *slot);

bool callbacks_set(struct slot *slot);
/* A handle of this libcurl must not see a folded line as the first header of a response. */
bool callbacks_headers_linger(void);

/* False: no memory; the list is as it was. */
bool slist_append(struct curl_slist **list, const char *text);

/* --- probe_transfer --- */

/* Add the slot's hop to libcurl. ERR_FATAL when an option is refused. */
int transfer_start(struct slot *slot, struct err *err) MUST_CHECK;
/* The connection is made (TCP; for TLS the handshake has begun). */
bool transfer_is_connected(const struct slot *slot);
/* The response will be followed to its Location. */
bool transfer_is_redirect(const struct slot *slot);
enum check_phase transfer_phase(const struct slot *slot);
/* Add the phases that were completed to slot->timing; the last one only of a whole response. */
void transfer_add_timing(struct slot *slot, bool whole);
/* Put what is known of the response and the connection into the slot. */
void transfer_note(struct slot *slot);
/* Free what the hop held. */
void transfer_clear(struct slot *slot);

#endif
