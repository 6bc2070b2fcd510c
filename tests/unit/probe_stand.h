/*
 * probe_stand - a probe in a loop for tests, with a resolver that answers as it is told, and the
 * result of the last check.
 *
 * It defines the functions of producer/resolver and producer/guard, so no test that includes it
 * links the real ones. Time is moved on where it is what a check is to run out of.
 */
#ifndef TESTS_UNIT_PROBE_STAND_H
#define TESTS_UNIT_PROBE_STAND_H

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "producer/guard.h"
#include "producer/probe_internal.h"
#include "producer/resolver_host.h"
#include "tests/unit/moved_clock.h"

#define STAND_SECONDS_MAX 30

/* --- Names --- */

struct stand_name {
    const char *name;
    enum resolver_outcome outcome;
    bool later; /* not from within resolver_ask */
    bool never;
    const char *addresses[8];
};

static const struct stand_name stand_names[] = {
    {"one.test", RESOLVER_FOUND, false, false, {"127.0.0.1"}},
    {"later.test", RESOLVER_FOUND, true, false, {"127.0.0.1"}},
    {"other.test", RESOLVER_FOUND, false, false, {"127.0.0.2"}},
    {"refusing-first.test", RESOLVER_FOUND, false, false, {"127.0.0.9", "127.0.0.1"}},
    {"refusing.test", RESOLVER_FOUND, false, false, {"127.0.0.9", "127.0.0.8"}},
    {"swallowing-first.test", RESOLVER_FOUND, false, false, {"127.0.0.3", "127.0.0.1"}},
    {"swallowing.test", RESOLVER_FOUND, false, false, {"127.0.0.3"}},
    {"swallowing-then-none.test", RESOLVER_FOUND, false, false, {"127.0.0.3", "ff02::1"}},
    {"no-network.test", RESOLVER_FOUND, false, false, {"ff02::1"}},
    {"no-network-first.test", RESOLVER_FOUND, false, false, {"ff02::1", "127.0.0.9"}},
    {"no-network-last.test", RESOLVER_FOUND, false, false, {"127.0.0.9", "ff02::1"}},
    {"many-ipv6.test",
     RESOLVER_FOUND,
     false,
     false,
     {"ff02::1", "ff02::2", "ff02::3", "ff02::4", "ff02::5", "127.0.0.1"}},
    {"many.test",
     RESOLVER_FOUND,
     false,
     false,
     {"127.0.0.9", "127.0.0.8", "127.0.0.7", "127.0.0.6", "127.0.0.1"}},
    {"mixed.test", RESOLVER_FOUND, false, false, {"127.0.0.1", "127.0.0.2"}},
    {"missing.test", RESOLVER_NOT_FOUND, false, false, {NULL}},
    {"missing-later.test", RESOLVER_NOT_FOUND, true, false, {NULL}},
    {"nothing.test", RESOLVER_FOUND, false, false, {NULL}},
    {"silent.test", RESOLVER_TIMEOUT, true, true, {NULL}},
};

struct resolver_request {
    struct resolver_request *next;
    const struct stand_name *name;
    resolver_answer_fn *on_answer;
    void *context;
};

struct resolver {
    struct resolver_request *waiting;
    enum resolver_family family; /* last asked for */
    int asked, cancelled;
};

static inline void stand_answer(const struct stand_name *name, resolver_answer_fn *on_answer,
                                void *context)
{
    struct resolver_answer answer = {.outcome = name->outcome};

    answer.reason = name->outcome == RESOLVER_FOUND ? NULL : "the stand's words";
    for (size_t i = 0; i < 8 && name->addresses[i] != NULL; i++) {
        struct resolver_address address;

        resolver_address_read(name->addresses[i], &address);
        resolver_addresses_add(&answer.addresses, &address, RESOLVER_ANY);
    }
    on_answer(context, &answer);
}

struct resolver_request *resolver_ask(struct resolver *r, const char *host,
                                      enum resolver_family family, int64_t now_ns,
                                      resolver_answer_fn *on_answer, void *context)
{
    struct stand_name numeric = {.name = host, .outcome = RESOLVER_FOUND, .addresses = {host}};
    const struct stand_name *name = NULL;
    struct resolver_address unused;

    (void)now_ns;
    r->asked++;
    r->family = family;
    if (resolver_address_read(host, &unused)) {
        stand_answer(&numeric, on_answer, context);
        return NULL;
    }
    for (size_t i = 0; i < sizeof(stand_names) / sizeof(stand_names[0]); i++) {
        name = strcasecmp(stand_names[i].name, host) == 0 ? &stand_names[i] : name;
    }
    if (name == NULL) {
        fprintf(stderr, "the stand has no name %s\n", host);
        abort();
    }
    if (!name->later) {
        stand_answer(name, on_answer, context);
        return NULL;
    }
    struct resolver_request *request = mem_alloc(1, sizeof(*request));

    *request = (struct resolver_request){r->waiting, name, on_answer, context};
    r->waiting = request;
    return request;
}

void resolver_cancel(struct resolver *r, struct resolver_request *request)
{
    struct resolver_request **link = &r->waiting;

    while (*link != request) {
        link = &(*link)->next;
    }
    *link = request->next;
    free(request);
    r->cancelled++;
}

/* A later turn of the resolver. */
static inline void stand_answer_waiting(struct resolver *r)
{
    struct resolver_request **link = &r->waiting;

    while (*link != NULL) {
        struct resolver_request *request = *link;

        if (request->name->never) {
            link = &request->next;
            continue;
        }
        *link = request->next;
        stand_answer(request->name, request->on_answer, request->context);
        free(request);
    }
}

/* --- Addresses: 127.0.0.2 stands for a public one --- */

const char *guard_reason(const struct sockaddr *address)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)address;

    return address->sa_family == AF_INET && four->sin_addr.s_addr == htonl(0x7f000002)
               ? NULL
               : "loopback in the stand";
}

/* --- The stand --- */

struct stand_seen {
    int count; /* of results */
    void *tag;
    struct probe_result result; /* its strings are copied below */
    char message[512], final_url[9000], peer[64], http_version[8], tls_version[16];
    char *body;
    char *headers;
};

struct stand {
    struct loop *loop;
    struct resolver resolver;
    struct tls *tls;
    struct metrics *metrics;
    struct probe *probe;
    struct stand_seen seen;
    /* Started again from within on_done so many times more. */
    int again;
    const struct site *again_site;
};

static inline const char *stand_copy(char *out, size_t size, const char *text)
{
    if (text == NULL) {
        return NULL;
    }
    snprintf(out, size, "%s", text);
    return out;
}

static inline void stand_on_done(void *context, void *tag, const struct probe_result *result)
{
    struct stand *stand = context;
    struct stand_seen *seen = &stand->seen;
    struct probe_result *copy = &seen->result;

    seen->count++;
    seen->tag = tag;
    *copy = *result;
    copy->error_message = stand_copy(seen->message, sizeof(seen->message), result->error_message);
    copy->final_url = stand_copy(seen->final_url, sizeof(seen->final_url), result->final_url);
    copy->peer = stand_copy(seen->peer, sizeof(seen->peer), result->peer);
    copy->http_version =
        stand_copy(seen->http_version, sizeof(seen->http_version), result->http_version);
    copy->tls_version =
        stand_copy(seen->tls_version, sizeof(seen->tls_version), result->tls_version);
    free(seen->body);
    seen->body = result->body == NULL ? NULL : mem_copy(result->body, result->body_len);
    copy->body = seen->body;
    free(seen->headers);
    seen->headers = result->headers == NULL ? NULL : mem_copy(result->headers, result->headers_len);
    copy->headers = seen->headers;
    if (stand->again > 0) {
        stand->again--;
        probe_start(stand->probe, stand->again_site, true, tag, clock_mono_ns());
    }
}

static inline void stand_open(struct stand *stand, size_t in_flight_max)
{
    struct probe_settings settings = {.in_flight_max = in_flight_max, .user_agent = "stand/1"};
    struct err err;

    *stand = (struct stand){.loop = loop_new(&err), .metrics = metrics_new()};
    stand->tls = tls_new(stand->metrics);
    stand->probe = probe_new(&settings, stand->loop, &stand->resolver, stand->tls, stand->metrics,
                             stand_on_done, stand, &err);
    if (stand->probe == NULL) {
        fprintf(stderr, "%s\n", err.message);
        abort();
    }
}

static inline void stand_close(struct stand *stand)
{
    probe_free(stand->probe);
    loop_free(stand->loop);
    tls_free(stand->tls);
    metrics_free(stand->metrics);
    free(stand->seen.body);
    free(stand->seen.headers);
}

/* One turn, at most 20 ms long. */
static inline void stand_turn(struct stand *stand)
{
    int64_t until_ns = clock_mono_ns() + 20 * NS_PER_MS;
    int64_t due_ns = probe_next_due_ns(stand->probe);
    struct err err;

    if (loop_turn(stand->loop, due_ns < until_ns ? due_ns : until_ns, &err) < 0 ||
        probe_run_due(stand->probe, clock_mono_ns(), &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        abort();
    }
    stand_answer_waiting(&stand->resolver);
}

/* When to give up, by the kernel's clock: ours may be moved. */
static inline int64_t stand_until_ns(void)
{
    return moved_clock_kernel_ns(CLOCK_MONOTONIC) + STAND_SECONDS_MAX * NS_PER_SEC;
}

static inline void stand_turn_before(struct stand *stand, int64_t until_ns)
{
    if (moved_clock_kernel_ns(CLOCK_MONOTONIC) > until_ns) {
        fprintf(stderr, "nothing came of it within %d s\n", STAND_SECONDS_MAX);
        abort();
    }
    stand_turn(stand);
}

/* Turn until `count` results were seen in all. */
static inline void stand_wait(struct stand *stand, int count)
{
    int64_t until_ns = stand_until_ns();

    while (stand->seen.count < count) {
        stand_turn_before(stand, until_ns);
    }
}

/* Where a check is held while its time goes by. */
struct stand_hold {
    enum check_phase phase;
    int redirects;
    int64_t ms; /* that go by there */
};

/* libcurl's own time begins when it does: it has then at least opened a socket. */
static inline bool stand_is_at(const struct stand *stand, const struct stand_hold *hold)
{
    for (size_t i = 0; i < stand->probe->slot_count; i++) {
        const struct slot *slot = &stand->probe->slots[i];

        if ((slot->state == SLOT_RESOLVING && hold->phase == PHASE_DNS) ||
            (slot->state == SLOT_TRANSFER && slot->redirects == hold->redirects &&
             transfer_phase(slot) == hold->phase &&
             (hold->phase != PHASE_CONNECT || slot->hop.socket_ns != 0))) {
            return true;
        }
    }
    return false;
}

/* A check that comes there, however long the machine takes, and finds so much of its time gone. */
static inline const struct probe_result *
stand_check_held(struct stand *stand, const struct site *site, const struct stand_hold *hold)
{
    int64_t until_ns = stand_until_ns();
    int before = stand->seen.count;

    probe_start(stand->probe, site, true, (void *)(uintptr_t)site, clock_mono_ns());
    while (!stand_is_at(stand, hold)) {
        stand_turn_before(stand, until_ns);
    }
    moved_clock_move(hold->ms * NS_PER_MS);
    stand_wait(stand, before + 1);
    return &stand->seen.result;
}

static inline const struct probe_result *stand_check(struct stand *stand, const struct site *site)
{
    int before = stand->seen.count;

    probe_start(stand->probe, site, true, (void *)(uintptr_t)site, clock_mono_ns());
    stand_wait(stand, before + 1);
    return &stand->seen.result;
}

#endif
