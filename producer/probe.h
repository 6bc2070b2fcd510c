/*
 * probe - make checks over HTTP with libcurl, many at a time, and say what was measured.
 *
 * It runs in the caller's loop (curl_multi_socket_action), never blocks and starts no thread:
 * names are resolved first, by producer/resolver, and the address is handed to the one transfer
 * that needs it. Redirects are followed here, hop by hop, so that each phase of each hop is
 * counted once, credentials stay with their host, and every hop is judged by the same rules.
 *
 * It measures and does not judge: whether a 500 is "up" is producer/judge's. It knows nothing of
 * schedules or Kafka. With common/url it is the one owner of curl.h.
 */
#ifndef PRODUCER_PROBE_H
#define PRODUCER_PROBE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/event.h"
#include "common/metrics.h"
#include "common/site.h"
#include "producer/loop.h"
#include "producer/resolver.h"
#include "producer/tls.h"

#define PROBE_HEADER_BYTES_MAX (256 * 1024) /* of all response headers of one hop */
#define PROBE_BODY_KEPT_BYTES (64 * 1024)   /* a slot's body buffer is shrunk to this when idle */

/* What came of one check. Pointers live during the callback only. */
struct probe_result {
    enum error_type error; /* ERROR_NONE: a whole response came */
    enum check_phase error_phase;
    const char *error_message; /* NULL when none; never holds a password */
    int32_t http_status;       /* of the last hop; 0: no response */
    const char *http_version;  /* "1.0", "1.1", "2" or NULL */
    int32_t redirects;
    const char *final_url; /* NULL when there was no redirect; without user and password */
    const char *headers;   /* lines of the last hop, each ends with \n; NULL unless the site has a
                            * header_pattern and a response came */
    size_t headers_len;
    const char *body; /* of the last hop; NULL unless the request asked for it */
    size_t body_len;
    int64_t body_bytes;         /* received, after its content encoding was undone */
    struct event_timing timing; /* summed over the hops; a phase never begun is EVENT_ABSENT;
                                 * total is the wall time of the whole check */
    const char *peer;           /* numeric address of the last connection, or NULL */
    const char *tls_version;    /* or NULL */
    int64_t cert_not_after_s;   /* of the last TLS hop, or EVENT_ABSENT */
};

/* May start the next check at once. */
typedef void probe_done_fn(void *context, void *tag, const struct probe_result *result);

struct probe_settings {
    size_t in_flight_max; /* slots, made at the start, an easy handle each */
    const char *user_agent;
};

struct probe;

/* Borrows loop, resolver and tls. NULL and ERR_FATAL on failure. */
struct probe *probe_new(const struct probe_settings *settings, struct loop *loop,
                        struct resolver *resolver, struct tls *tls, struct metrics *m,
                        probe_done_fn *on_done, void *context, struct err *err);
/* Checks in flight end without a call of on_done. */
void probe_free(struct probe *p);

size_t probe_in_flight(const struct probe *p);
bool probe_has_room(const struct probe *p);

/*
 * Start a check of `site`, which must outlive it; there must be room. What goes wrong, now or
 * later, is a result like any other. on_done is called from a later turn, never from in here.
 */
void probe_start(struct probe *p, const struct site *site, bool keep_body, void *tag,
                 int64_t now_ns);

/* When probe_run_due wants to be called (curl's timers, checks past their time), or TIME_NEVER. */
int64_t probe_next_due_ns(const struct probe *p);
/* ERR_FATAL when curl itself fails. */
int probe_run_due(struct probe *p, int64_t now_ns, struct err *err) MUST_CHECK;

#endif
