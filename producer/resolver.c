/*
 * A lookup is one question to c-ares: a name and a family, and the requests that wait for it. It
 * goes through WAITING (too many others are with c-ares), ASKED and DONE. c-ares' callback only
 * notes the answer down and makes it DONE; settle() hands it out, when c-ares is not on the stack
 * any more, so that a caller may ask and cancel what it likes from within its call.
 *
 * When a connection by TCP breaks, or is closed, c-ares 1.18 takes all that it is asking of that
 * server, by UDP too, for failed once; for an answer that is cut off it asks by TCP. So one name
 * with a long answer, and a server that does not speak TCP, would make all other names fail. Once
 * TCP was used, what fails so is asked for again by a second asker that uses UDP alone.
 */
#include "producer/resolver.h"

#include <ares.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/time.h>

#include "common/clock.h"
#include "common/mem.h"
#include "producer/resolver_cache.h"
#include "producer/resolver_channel.h"
#include "producer/resolver_host.h"
#include "producer/resolver_hosts.h"
#include "producer/resolver_names.h"
#include "producer/resolver_order.h"

struct resolver_request {
    TAILQ_ENTRY(resolver_request) link;
    struct lookup *lookup;
    resolver_answer_fn *on_answer;
    void *context;
};

enum lookup_state { WAITING, ASKED, DONE };

struct lookup {
    struct name_node node; /* first, so that a node is a lookup */
    struct resolver *resolver;
    TAILQ_ENTRY(lookup) link; /* in the list of its state; ASKED has none */
    TAILQ_HEAD(, resolver_request) requests;
    enum lookup_state state;
    int64_t asked_ns;
    struct asker *asker;   /* who is asked now, or was last */
    int ai_family;         /* what it is asked for */
    uint64_t heard_before; /* the resolver's `heard` when it was asked */
    int status;            /* c-ares' */
    int ttl_s;             /* the smallest of all records */
    struct resolver_addresses found;
};

TAILQ_HEAD(lookup_list, lookup);

/* c-ares, and what it does for us. */
struct asker {
    struct resolver *resolver;
    ares_channel channel;
    size_t asked; /* lookups that are with it */
};

struct resolver {
    struct asker usual, by_udp;
    bool used_tcp; /* the usual one, ever */
    struct loop *loop;
    int64_t ttl_min_s, ttl_max_s, negative_ttl_s;
    struct resolver_hosts *hosts;
    struct resolver_cache *cache;
    struct name_table lookups; /* all of them */
    struct lookup_list waiting, done;
    uint64_t heard; /* how often something came from a server */
    bool refused;   /* the last that came was that a server is not there */
    struct metric *counts[RESOLVER_BAD_NAME + 1]; /* by outcome */
    struct metric *cached;
};

/* --- What c-ares tells us --- */

static void on_ready(void *context, int fd, unsigned ready);

static void on_socket(void *context, ares_socket_t fd, int readable, int writable)
{
    struct asker *asker = context;
    struct resolver *r = asker->resolver;
    unsigned events = (readable ? LOOP_READ : 0u) | (writable ? LOOP_WRITE : 0u);
    struct err err;

    if (writable) { /* with UDP c-ares has nothing to wait for, but for a buffer that is full */
        r->used_tcp = true;
    }
    if (events == 0) {
        loop_unwatch(r->loop, fd);
    } else if (loop_watch(r->loop, fd, events, on_ready, asker, &err) < 0) {
        return; /* nothing will be heard from it, and c-ares goes on after its time-out */
    }
}

static void on_addrinfo(void *context, int status, int timeouts, struct ares_addrinfo *result)
{
    struct lookup *lookup = context;
    struct resolver *r = lookup->resolver;

    (void)timeouts;
    lookup->status = status;
    lookup->found.count = 0;
    if (status == ARES_SUCCESS) {
        lookup->ttl_s = resolver_channel_read(result, &lookup->found);
        resolver_order(&lookup->found);
        ares_freeaddrinfo(result);
    }
    lookup->state = DONE;
    lookup->asker->asked--;
    TAILQ_INSERT_TAIL(&r->done, lookup, link);
}

/* --- Answers --- */

static void answer_at_once(resolver_answer_fn *on_answer, void *context,
                           enum resolver_outcome outcome, const char *reason,
                           const struct resolver_addresses *addresses)
{
    struct resolver_answer answer = {outcome, reason, *addresses};

    on_answer(context, &answer);
}

/*
 * c-ares 1.18 ends with ECONNREFUSED also when every server answered SERVFAIL or REFUSED. Only
 * silence makes it our own network's fault. It ends with a time-out also when one try of several
 * had no answer and the others were refused; and a machine without a name server refuses few of
 * many packets, one a second after the first (icmp_ratelimit).
 */
static int true_status(const struct lookup *lookup)
{
    const struct resolver *r = lookup->resolver;
    bool heard = r->heard != lookup->heard_before;
    bool empty = lookup->status == ARES_ENODATA ||
                 (lookup->status == ARES_SUCCESS && lookup->found.count == 0);

    if (empty) { /* where cut off answers are taken, there may be what it does not have */
        return lookup->asker == &r->by_udp ? ARES_ESERVFAIL : ARES_ENODATA;
    }
    if (lookup->status == ARES_ETIMEOUT && !heard && r->refused) {
        return ARES_ECONNREFUSED;
    }
    return lookup->status == ARES_ECONNREFUSED && heard ? ARES_ESERVFAIL : lookup->status;
}

static int64_t kept_s(const struct resolver *r, const struct lookup *lookup,
                      enum resolver_outcome outcome)
{
    int64_t ttl_s = lookup->ttl_s;

    if (outcome == RESOLVER_NOT_FOUND) {
        return r->negative_ttl_s;
    }
    if (outcome != RESOLVER_FOUND) {
        return 0;
    }
    ttl_s = ttl_s > r->ttl_max_s ? r->ttl_max_s : ttl_s;
    return ttl_s < r->ttl_min_s ? r->ttl_min_s : ttl_s;
}

static void lookup_free(struct lookup *lookup)
{
    struct resolver_request *request = TAILQ_FIRST(&lookup->requests);

    while (request != NULL) {
        struct resolver_request *next = TAILQ_NEXT(request, link);

        free(request);
        request = next;
    }
    free(lookup->node.name);
    free(lookup);
}

/* Hand the answer to all that wait. Any of them may ask, or cancel another, meanwhile. */
static void lookup_deliver(struct lookup *lookup)
{
    struct resolver *r = lookup->resolver;
    int status = true_status(lookup);
    struct resolver_answer answer = {
        .outcome = resolver_channel_outcome(status),
        .reason = status == ARES_SUCCESS ? NULL : ares_strerror(status),
        .addresses = lookup->found,
    };

    if (answer.outcome == RESOLVER_NO_SERVER && !resolver_channel_may_ask(&answer.reason)) {
        answer.outcome = RESOLVER_NO_SOCKET;
    }
    int64_t keep_s = kept_s(r, lookup, answer.outcome);
    struct resolver_request *request;

    metric_add(r->counts[answer.outcome], 1);
    name_table_remove(&r->lookups, &lookup->node);
    if (keep_s > 0) {
        resolver_cache_put(r->cache, lookup->node.name, lookup->node.family, &lookup->found,
                           answer.reason, lookup->asked_ns + keep_s * NS_PER_SEC);
    }
    while ((request = TAILQ_FIRST(&lookup->requests)) != NULL) {
        resolver_answer_fn *on_answer = request->on_answer;
        void *context = request->context;

        TAILQ_REMOVE(&lookup->requests, request, link);
        free(request);
        on_answer(context, &answer);
    }
    lookup_free(lookup);
}

/* --- Asking --- */

static void lookup_ask(struct lookup *lookup, struct asker *asker, int ai_family)
{
    struct resolver *r = lookup->resolver;
    struct ares_addrinfo_hints hints = {
        .ai_family = ai_family,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = ARES_AI_NOSORT, /* resolver_order does it */
    };

    lookup->state = ASKED;
    lookup->asker = asker;
    lookup->ai_family = ai_family;
    lookup->heard_before = r->heard;
    asker->asked++;
    ares_getaddrinfo(asker->channel, lookup->node.name, NULL, &hints, on_addrinfo, lookup);
}

/*
 * Asked for both families, c-ares says "no data" when the answer that came last had none, also
 * when the other one was a failure. Then each family is asked by itself. 0: no need.
 */
static int family_to_confirm(const struct lookup *lookup)
{
    bool any = lookup->node.family == RESOLVER_ANY && true_status(lookup) == ARES_ENODATA;

    if (any && lookup->ai_family == AF_UNSPEC) {
        return AF_INET;
    }
    return any && lookup->ai_family == AF_INET ? AF_INET6 : 0;
}

/* It may have failed because another one's connection did. */
static bool may_be_anothers(const struct lookup *lookup)
{
    const struct resolver *r = lookup->resolver;

    return r->used_tcp && lookup->asker == &r->usual && lookup->status == ARES_ECONNREFUSED;
}

/* Whether a lookup that may be DONE was delivered, and is gone. */
static bool lookup_settle(struct lookup *lookup)
{
    struct resolver *r = lookup->resolver;

    while (lookup->state == DONE) {
        int again = family_to_confirm(lookup);

        TAILQ_REMOVE(&r->done, lookup, link);
        if (may_be_anothers(lookup)) {
            lookup_ask(lookup, &r->by_udp, lookup->ai_family);
        } else if (again != 0) {
            lookup_ask(lookup, &r->usual, again);
        } else {
            lookup_deliver(lookup);
            return true;
        }
    }
    return false;
}

static void ask_waiting(struct resolver *r)
{
    struct lookup *lookup;

    while (r->usual.asked + r->by_udp.asked < RESOLVER_LOOKUPS_MAX &&
           (lookup = TAILQ_FIRST(&r->waiting)) != NULL) {
        static const int ai_families[] = {
            [RESOLVER_ANY] = AF_UNSPEC,
            [RESOLVER_IPV4] = AF_INET,
            [RESOLVER_IPV6] = AF_INET6,
        };

        TAILQ_REMOVE(&r->waiting, lookup, link);
        lookup_ask(lookup, &r->usual, ai_families[lookup->node.family]);
    }
}

static void settle(struct resolver *r)
{
    struct lookup *lookup;

    do {
        while ((lookup = TAILQ_FIRST(&r->done)) != NULL) {
            lookup_settle(lookup);
        }
        ask_waiting(r);
    } while (!TAILQ_EMPTY(&r->done));
}

static void on_ready(void *context, int fd, unsigned ready)
{
    struct asker *asker = context;
    struct resolver *r = asker->resolver;

    if (ready & LOOP_FAIL) {
        r->refused = true;
    } else if (ready & LOOP_READ) {
        r->refused = false;
        r->heard++;
    }
    ares_process_fd(asker->channel, (ready & (LOOP_READ | LOOP_FAIL)) ? fd : ARES_SOCKET_BAD,
                    (ready & (LOOP_WRITE | LOOP_FAIL)) ? fd : ARES_SOCKET_BAD);
    settle(r);
}

static struct lookup *lookup_new(struct resolver *r, const char *name, enum resolver_family family,
                                 int64_t now_ns)
{
    struct lookup *lookup = mem_alloc(1, sizeof(*lookup));

    lookup->resolver = r;
    lookup->node.name = mem_copy_string(name);
    lookup->node.family = family;
    lookup->asked_ns = now_ns;
    lookup->state = WAITING;
    TAILQ_INIT(&lookup->requests);
    name_table_add(&r->lookups, &lookup->node);
    TAILQ_INSERT_TAIL(&r->waiting, lookup, link);
    return lookup;
}

struct resolver_request *resolver_ask(struct resolver *r, const char *host,
                                      enum resolver_family family, int64_t now_ns,
                                      resolver_answer_fn *on_answer, void *context)
{
    struct resolver_addresses addresses;
    char name[HOST_NAME_SIZE];

    switch (resolver_host_read(host, family, name, &addresses)) {
    case HOST_BAD:
        answer_at_once(on_answer, context, RESOLVER_BAD_NAME, "not a host name", &addresses);
        return NULL;
    case HOST_ABSENT:
        answer_at_once(on_answer, context, RESOLVER_NOT_FOUND, ares_strerror(ARES_ENOTFOUND),
                       &addresses);
        return NULL;
    case HOST_KNOWN:
        answer_at_once(on_answer, context, RESOLVER_FOUND, NULL, &addresses);
        return NULL;
    case HOST_NAMED:
        break;
    }
    if (resolver_hosts_find(r->hosts, name, family, now_ns, &addresses)) {
        resolver_order(&addresses);
        metric_add(r->counts[RESOLVER_FOUND], 1);
        answer_at_once(on_answer, context, RESOLVER_FOUND, NULL, &addresses);
        return NULL;
    }
    const char *reason = resolver_cache_get(r->cache, name, family, now_ns, &addresses);

    if (reason != NULL) {
        bool found = addresses.count > 0;

        metric_add(r->cached, 1);
        answer_at_once(on_answer, context, found ? RESOLVER_FOUND : RESOLVER_NOT_FOUND,
                       found ? NULL : reason, &addresses);
        return NULL;
    }
    struct resolver_request *request = mem_alloc(1, sizeof(*request));
    struct lookup *lookup = (struct lookup *)name_table_find(&r->lookups, name, family);
    bool mine = lookup == NULL;

    lookup = mine ? lookup_new(r, name, family, now_ns) : lookup;
    *request = (struct resolver_request){
        .lookup = lookup,
        .on_answer = on_answer,
        .context = context,
    };
    TAILQ_INSERT_TAIL(&lookup->requests, request, link);
    ask_waiting(r);
    /* What c-ares answered at once, as it has no socket, is settled here when it is ours; another
     * caller's is not, as that one does not expect to be called now. */
    return mine && lookup_settle(lookup) ? NULL : request;
}

void resolver_cancel(struct resolver *r, struct resolver_request *request)
{
    struct lookup *lookup = request->lookup;

    TAILQ_REMOVE(&lookup->requests, request, link);
    free(request);
    /* One that is with c-ares goes on: its answer is kept for the next who asks. */
    if (lookup->state == WAITING && TAILQ_EMPTY(&lookup->requests)) {
        TAILQ_REMOVE(&r->waiting, lookup, link);
        name_table_remove(&r->lookups, &lookup->node);
        lookup_free(lookup);
    }
}

/* --- Time --- */

static int64_t asker_next_due_ns(const struct asker *asker)
{
    struct timeval tv;

    if (asker->asked == 0 || ares_timeout(asker->channel, NULL, &tv) == NULL) {
        return TIME_NEVER;
    }
    /* c-ares 1.18 rounds down to a millisecond: without another one we would come too early. */
    return clock_mono_ns() + tv.tv_sec * NS_PER_SEC + tv.tv_usec * NS_PER_US + NS_PER_MS;
}

int64_t resolver_next_due_ns(const struct resolver *r)
{
    if (!TAILQ_EMPTY(&r->done)) {
        return 0;
    }
    int64_t usual_ns = asker_next_due_ns(&r->usual);
    int64_t by_udp_ns = asker_next_due_ns(&r->by_udp);

    return usual_ns < by_udp_ns ? usual_ns : by_udp_ns;
}

static void asker_run_due(const struct asker *asker)
{
    if (asker->asked > 0) {
        ares_process_fd(asker->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    }
}

void resolver_run_due(struct resolver *r, int64_t now_ns)
{
    (void)now_ns; /* c-ares reads the clock itself */
    asker_run_due(&r->usual);
    asker_run_due(&r->by_udp);
    settle(r);
}

/* --- Life and death --- */

static void count_in(struct resolver *r, struct metrics *m)
{
    static const char name[] = "sitewatch_dns_lookups";
    static const char help[] = "Host names looked up, by how that ended.";
    struct metric *failure = metrics_counter(m, name, help, "result=\"failure\"");

    r->cached = metrics_counter(m, name, help, "result=\"cached\"");
    r->counts[RESOLVER_FOUND] = metrics_counter(m, name, help, "result=\"found\"");
    r->counts[RESOLVER_NOT_FOUND] = metrics_counter(m, name, help, "result=\"not_found\"");
    r->counts[RESOLVER_TIMEOUT] = metrics_counter(m, name, help, "result=\"timeout\"");
    r->counts[RESOLVER_FAILURE] = failure;
    r->counts[RESOLVER_NO_SERVER] = failure;
    r->counts[RESOLVER_NO_SOCKET] = failure;
    r->counts[RESOLVER_BAD_NAME] = failure;
}

int resolver_check(const struct resolver_settings *settings, struct err *err)
{
    ares_channel channel;

    if (resolver_channel_open(settings, RESOLVER_UDP_AND_TCP, on_socket, NULL, &channel, err) < 0) {
        return -1;
    }
    ares_destroy(channel);
    return 0;
}

static int askers_open(struct resolver *r, const struct resolver_settings *settings,
                       struct err *err)
{
    r->usual.resolver = r;
    r->by_udp.resolver = r;
    if (resolver_channel_open(settings, RESOLVER_UDP_AND_TCP, on_socket, &r->usual,
                              &r->usual.channel, err) < 0) {
        return -1;
    }
    if (resolver_channel_open(settings, RESOLVER_UDP_ALONE, on_socket, &r->by_udp,
                              &r->by_udp.channel, err) < 0) {
        ares_destroy(r->usual.channel);
        return -1;
    }
    return 0;
}

struct resolver *resolver_new(const struct resolver_settings *settings, struct loop *loop,
                              struct metrics *m, struct err *err)
{
    struct resolver *r = mem_alloc(1, sizeof(*r));

    if (askers_open(r, settings, err) < 0) {
        free(r);
        return NULL;
    }
    r->loop = loop;
    r->ttl_min_s = settings->ttl_min_s;
    r->ttl_max_s = settings->ttl_max_s;
    r->negative_ttl_s = settings->negative_ttl_s;
    r->hosts =
        resolver_hosts_new(settings->hosts_file == NULL ? "/etc/hosts" : settings->hosts_file);
    r->cache = resolver_cache_new(RESOLVER_NAMES_MAX);
    TAILQ_INIT(&r->waiting);
    TAILQ_INIT(&r->done);
    count_in(r, m);
    return r;
}

void resolver_free(struct resolver *r)
{
    struct name_node *node;

    if (r == NULL) {
        return;
    }
    ares_destroy(r->usual.channel); /* ends what it was asked, through on_addrinfo */
    ares_destroy(r->by_udp.channel);
    while ((node = name_table_drain(&r->lookups)) != NULL) {
        lookup_free((struct lookup *)node);
    }
    resolver_hosts_free(r->hosts);
    resolver_cache_free(r->cache);
    free(r);
}
