/*
 * event - one check, as the JSON message that goes through Kafka (docs/events.md), and back.
 *
 * Encoding takes whatever a site sent and always makes valid JSON that Postgres can store.
 * Decoding is strict: types, ranges, lengths, UTF-8, no NUL, no member twice, schema 1. Members
 * it does not know are ignored, so that a newer producer may add some.
 */
#ifndef COMMON_EVENT_H
#define COMMON_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/ident.h"

#define EVENT_SCHEMA 1
#define EVENT_TYPE "sitewatch.check.v1"
#define EVENT_BYTES_MAX (256 * 1024) /* of JSON; a longer message is not an event */
#define EVENT_NAME_BYTES_MAX 2048    /* site name */
#define EVENT_URL_BYTES_MAX 8192     /* url, final_url: percent-encoding may grow one */
#define EVENT_LOCATION_BYTES_MAX 255 /* location, observer */
#define EVENT_MESSAGE_BYTES_MAX 1024 /* error.message; a longer one is cut when encoded */
#define EVENT_HTTP_VERSION_BYTES_MAX 8
#define EVENT_TLS_VERSION_BYTES_MAX 16
#define EVENT_HTTP_STATUS_MIN 100
#define EVENT_HTTP_STATUS_MAX 999
#define EVENT_REDIRECTS_MAX 1000
#define EVENT_ATTEMPT_MAX 1000
#define EVENT_INTERVAL_S_MAX 86400
#define EVENT_INTEGER_MAX ((INT64_C(1) << 53) - 1) /* exact in any JSON reader (RFC 8259, 6) */
#define EVENT_ABSENT INT64_C(-1) /* of an integer that was not measured; never in the JSON */

enum check_status { CHECK_UP, CHECK_DEGRADED, CHECK_DOWN, CHECK_UNKNOWN };

/* Every outcome of a check that is not up, with the status it brings. One list: the names, the
 * enum and the documentation come from it. */
#define ERROR_TYPES(X)                                                                             \
    X(URL, "url", CHECK_DOWN)                                                                      \
    X(DNS_NOT_FOUND, "dns_not_found", CHECK_DOWN)                                                  \
    X(DNS_TIMEOUT, "dns_timeout", CHECK_DOWN)                                                      \
    X(DNS_FAILURE, "dns_failure", CHECK_DOWN)                                                      \
    X(CONNECT_REFUSED, "connect_refused", CHECK_DOWN)                                              \
    X(CONNECT_TIMEOUT, "connect_timeout", CHECK_DOWN)                                              \
    X(CONNECT_FAILURE, "connect_failure", CHECK_DOWN)                                              \
    X(TLS_EXPIRED, "tls_expired", CHECK_DOWN)                                                      \
    X(TLS_HOSTNAME, "tls_hostname", CHECK_DOWN)                                                    \
    X(TLS_UNTRUSTED, "tls_untrusted", CHECK_DOWN)                                                  \
    X(TLS_FAILURE, "tls_failure", CHECK_DOWN)                                                      \
    X(TIMEOUT, "timeout", CHECK_DOWN)                                                              \
    X(EMPTY_REPLY, "empty_reply", CHECK_DOWN)                                                      \
    X(PROTOCOL, "protocol", CHECK_DOWN)                                                            \
    X(READ_FAILURE, "read_failure", CHECK_DOWN)                                                    \
    X(BODY_TOO_LARGE, "body_too_large", CHECK_DOWN)                                                \
    X(REDIRECT, "redirect", CHECK_DOWN)                                                            \
    X(STATUS, "status", CHECK_DOWN)                                                                \
    X(PATTERN, "pattern", CHECK_DOWN)                                                              \
    X(PATTERN_LIMIT, "pattern_limit", CHECK_DOWN)                                                  \
    X(HEADER, "header", CHECK_DOWN)                                                                \
    X(JSON, "json", CHECK_DOWN)                                                                    \
    X(BLOCKED_ADDRESS, "blocked_address", CHECK_DOWN)                                              \
    X(PROXY, "proxy", CHECK_DOWN)                                                                  \
    X(LOCAL_NETWORK, "local_network", CHECK_UNKNOWN)                                               \
    X(LOCAL_RESOURCES, "local_resources", CHECK_UNKNOWN)                                           \
    X(SLOT_MISSED, "slot_missed", CHECK_UNKNOWN)                                                   \
    X(INTERNAL, "internal", CHECK_UNKNOWN)

enum error_type {
    ERROR_NONE,
#define X(id, name, status) ERROR_##id,
    ERROR_TYPES(X)
#undef X
        ERROR_TYPES_END
};

/* What was going on when it failed: error.phase. PHASE_CHECK: judging what came. */
enum check_phase {
    PHASE_NONE,
    PHASE_DNS,
    PHASE_CONNECT,
    PHASE_TLS,
    PHASE_WAIT,
    PHASE_TRANSFER,
    PHASE_CHECK,
};

const char *check_status_name(enum check_status status);
const char *error_type_name(enum error_type type); /* "" for ERROR_NONE */
enum check_status error_type_status(enum error_type type);
const char *check_phase_name(enum check_phase phase); /* "" for PHASE_NONE */

/* The other way round. False, and the outcome untouched, for a name that is not one of the list. */
bool check_status_find(const char *name, enum check_status *status);
bool error_type_find(const char *name, enum error_type *type);
bool check_phase_find(const char *name, enum check_phase *phase);

struct event_timing {
    int64_t dns_us, connect_us, tls_us, wait_us, transfer_us, total_us; /* or EVENT_ABSENT */
};

/*
 * Strings are not owned. When encoding they may hold any bytes up to their NUL: what is not valid
 * UTF-8 is replaced, and each is cut at its ceiling. When decoded they belong to the event_doc.
 * NULL means absent, and an empty one is left out like it.
 */
struct event {
    char id[IDENT_UUID_SIZE];
    const char *site_name; /* required, not empty */
    const char *site_url;  /* required, not empty */
    int64_t site_id;       /* 0: absent */
    const char *location;  /* required, not empty */
    const char *observer;  /* required, not empty */
    int64_t slot_us;       /* since the epoch; whole ms when encoded */
    int64_t time_us;       /* when the check began */
    int64_t lag_us;        /* time after slot at which it began; >= 0 */
    int32_t attempt;       /* 1.. */
    bool final;
    int32_t interval_s;
    enum check_status status;

    int32_t http_status;      /* 0: there was no response, and no "http" member */
    const char *http_version; /* "1.0", "1.1", "2" */
    int32_t redirects;
    int64_t body_bytes;    /* or EVENT_ABSENT */
    const char *final_url; /* NULL when it is the site's url */

    struct event_timing timing; /* "timing_us" is left out when nothing was measured */
    const char *peer;           /* numeric address */
    const char *tls_version;
    int64_t cert_not_after_s; /* EVENT_ABSENT: not known */

    bool has_pattern;
    bool pattern_matched;
    const char *answers_json; /* [["v12","12"],...], as common/pattern makes it; NULL: none.
                               * Terminated, and trusted when encoding. */
    size_t answers_json_len;
    bool answers_cut;

    enum error_type error; /* ERROR_NONE: no "error" member */
    enum check_phase error_phase;
    const char *error_message; /* NULL: absent */
};

/* Every member absent, numbers 0 or EVENT_ABSENT as fits. */
void event_init(struct event *event);

/*
 * The JSON, terminated, *len without the terminator. The caller frees. Never NULL: whatever the
 * strings hold and a site sent, the outcome is a valid event of at most EVENT_BYTES_MAX. It asserts
 * on what is ours: required strings, attempt, interval and redirects. Answers that would make it
 * too long are left out, with "answers_cut".
 *
 * An empty event->id is made by ident_check_id from the name, location, slot and attempt.
 */
char *event_encode(const struct event *event, size_t *len);

/* What a decoded event's strings live in. */
struct event_doc;

/* Why a message is not an event. */
enum event_fault {
    EVENT_FAULT_TOO_LARGE, /* more than EVENT_BYTES_MAX */
    EVENT_FAULT_TEXT,      /* not UTF-8, or a NUL in it, as a byte or as an escape */
    EVENT_FAULT_JSON,      /* not one JSON object */
    EVENT_FAULT_SCHEMA,    /* of another schema, or of none */
    EVENT_FAULT_FIELD,     /* a member is missing, there twice, or not what it must be */
};

/* "too_large", "text", "json", "schema", "field". */
const char *event_fault_name(enum event_fault fault);

/*
 * json[0..len) need not be terminated. Returns NULL, *fault and ERR_INVALID with one line on
 * failure: "timing_us.dns: -5 is not in 0..9007199254740991", "not JSON at offset 12",
 * "schema: 2 is not supported, this reads 1". *event is set only on success.
 * event->answers_json is compact JSON again. A slot's part of a millisecond is dropped.
 */
struct event_doc *event_decode(const char *json, size_t len, struct event *event,
                               enum event_fault *fault, struct err *err);
void event_doc_free(struct event_doc *doc); /* NULL is fine */

#endif
