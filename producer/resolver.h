/*
 * resolver - names to addresses with c-ares, in the loop, without a thread and without blocking.
 *
 * Answers are kept for their TTL, within ttl_min_s..ttl_max_s; a name that does not exist is kept
 * for negative_ttl_s; failures and time-outs are not kept. Requests for a name that is already
 * being looked up wait for that answer. /etc/hosts comes first, and what it says is not kept. A
 * host is taken as a whole name: search domains are not put behind it. "localhost" and
 * "*.localhost" are loopback and "*.invalid" does not exist, without a query (RFC 6761, 6.3
 * and 6.4). A numeric address is its own answer.
 *
 * It knows nothing of HTTP; it is the one owner of ares.h.
 */
#ifndef PRODUCER_RESOLVER_H
#define PRODUCER_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/metrics.h"
#include "producer/loop.h"

#define RESOLVER_ADDRESSES_MAX 16 /* of one name and family; more are left out */
#define RESOLVER_NAMES_MAX 262144 /* kept; the one that ends soonest goes first */
#define RESOLVER_LOOKUPS_MAX 8192 /* asked of servers at a time; further ones wait their turn */

enum resolver_family { RESOLVER_ANY, RESOLVER_IPV4, RESOLVER_IPV6 };

enum resolver_outcome {
    RESOLVER_FOUND,
    RESOLVER_NOT_FOUND, /* NXDOMAIN, or no address of the family */
    RESOLVER_TIMEOUT,   /* no server answered in time */
    RESOLVER_FAILURE,   /* SERVFAIL, REFUSED, malformed */
    RESOLVER_NO_SERVER, /* no name server could be reached: our own network */
    RESOLVER_NO_SOCKET, /* none could be had to ask one: our own resources */
    RESOLVER_BAD_NAME,  /* not a host name: empty label, label over 63, name over 253, a byte that
                           is not a letter, digit, '-' or '_' */
};

struct resolver_address {
    bool ipv6;
    uint8_t bytes[16]; /* of an IPv4 address the first 4 */
};

struct resolver_addresses {
    size_t count;
    struct resolver_address list[RESOLVER_ADDRESSES_MAX];
};

struct resolver_answer {
    enum resolver_outcome outcome;
    const char *reason;                  /* c-ares' words when it is not FOUND */
    struct resolver_addresses addresses; /* in the order of resolver_order.h */
};

struct resolver_settings {
    const char *servers;    /* "127.0.0.1:5353,[::1]:53"; NULL: those of /etc/resolv.conf */
    const char *hosts_file; /* NULL: /etc/hosts */
    int64_t timeout_ms;     /* of the first try at one server, doubled each round; default 2000 */
    int64_t tries;          /* rounds through all servers; default 2 */
    int64_t ttl_min_s, ttl_max_s, negative_ttl_s;
};

struct resolver;
struct resolver_request; /* one waiting caller */

/* The answer belongs to the resolver and lives during the call. It may be called from within
 * resolver_ask (cached, numeric, from the hosts file) or from a later turn of the loop. It may ask
 * and cancel, but not free the resolver. */
typedef void resolver_answer_fn(void *context, const struct resolver_answer *answer);

/* Whether resolver_new would take the settings; nobody is asked. As resolver_new. */
int resolver_check(const struct resolver_settings *settings, struct err *err) MUST_CHECK;

/* NULL and ERR_INVALID for servers that are no addresses, ERR_FATAL otherwise. Counts lookups
 * sitewatch_dns_lookups_total{result="cached|found|not_found|timeout|failure"} in m. */
struct resolver *resolver_new(const struct resolver_settings *settings, struct loop *loop,
                              struct metrics *m, struct err *err);
/* Waiting callers are dropped without a call. Before loop_free. */
void resolver_free(struct resolver *r);

/* Returns the waiting request, which resolver_cancel takes, or NULL when on_answer was called
 * already. The request dies when on_answer is called. */
struct resolver_request *resolver_ask(struct resolver *r, const char *host,
                                      enum resolver_family family, int64_t now_ns,
                                      resolver_answer_fn *on_answer, void *context);
/* on_answer will not be called. */
void resolver_cancel(struct resolver *r, struct resolver_request *request);

/* When resolver_run_due wants to be called, or TIME_NEVER. */
int64_t resolver_next_due_ns(const struct resolver *r);
void resolver_run_due(struct resolver *r, int64_t now_ns);

#endif
