/*
 * The resolver against a name server in the same loop, on 127.0.0.1: it answers from a zone and
 * counts what it was asked. The time that decides about the cache is passed in; only time-outs
 * take real time.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"
#include "producer/resolver.h"
#include "producer/resolver_host.h"
#include "tests/stand/dnsmsg.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
#define NOW (INT64_C(5000) * NS_PER_SEC)
#define DEADLINE_NS (20 * NS_PER_SEC) /* of a wait that should take milliseconds */
#define LABEL_63 "aaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg"
#define NAME_253                                                                                   \
    LABEL_63 "." LABEL_63 "." LABEL_63 "."                                                         \
             "aaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgg"

struct held {
    struct sockaddr_storage from;
    socklen_t from_len;
    struct dns_message answer;
};

struct stand {
    struct loop *loop;
    struct metrics *metrics;
    struct resolver *resolver;
    struct dns_zone zone;
    int fd;
    char servers[64];
    size_t queries;
    const char *held_name; /* queries for it are answered when they are let go */
    struct held held[8];
    size_t held_count;
};

/* What a caller got. */
struct caller {
    struct stand *stand;
    int calls;
    struct resolver_answer answer;
    char reason[128];
    void (*act)(struct caller *caller);
    struct caller *other;
    struct resolver_request *request;
};

static bool serve_one(struct stand *stand, int fd)
{
    struct sockaddr_storage from;
    socklen_t from_len = sizeof(from);
    uint8_t query[DNS_BYTES_MAX];
    struct dns_question question;
    struct dns_message answer;
    ssize_t len =
        recvfrom(fd, query, sizeof(query), MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);

    if (len <= 0) {
        return false;
    }
    stand->queries++;

    bool any = dns_answer(&stand->zone, query, (size_t)len, &question, &answer);

    if (stand->held_name != NULL && strcmp(question.name, stand->held_name) == 0) {
        assert_true(stand->held_count < ROWS(stand->held));
        stand->held[stand->held_count++] = (struct held){from, from_len, answer};
    } else if (any) {
        sendto(fd, answer.bytes, answer.len, 0, (struct sockaddr *)&from, from_len);
    }
    return true;
}

static void on_query(void *context, int fd, unsigned ready)
{
    assert_int_equal(ready, LOOP_READ);
    while (serve_one(context, fd)) {
    }
}

static void stand_let_go(struct stand *stand)
{
    for (size_t i = 0; i < stand->held_count; i++) {
        const struct held *held = &stand->held[i];

        sendto(stand->fd, held->answer.bytes, held->answer.len, 0,
               (const struct sockaddr *)&held->from, held->from_len);
    }
    stand->held_name = NULL;
}

static int bound_socket(char servers[64])
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    snprintf(servers, 64, "127.0.0.1:%d", ntohs(address.sin_port));
    return fd;
}

/* At the port that it had. */
static int reopen(struct stand *stand)
{
    struct sockaddr_in address = {.sin_family = AF_INET};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)strtoul(strchr(stand->servers, ':') + 1, NULL, 10));
    stand->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return bind(stand->fd, (struct sockaddr *)&address, sizeof(address));
}

static void stand_up(struct stand *stand, const char *zone, int64_t timeout_ms, int64_t tries)
{
    struct resolver_settings settings = {
        .servers = stand->servers,
        .timeout_ms = timeout_ms,
        .tries = tries,
        .ttl_min_s = 5,
        .ttl_max_s = 300,
        .negative_ttl_s = 30,
    };
    struct err err;
    size_t line;

    assert_true(dns_zone_read(&stand->zone, zone, &line));
    stand->queries = 0;
    stand->held_name = NULL;
    stand->held_count = 0;
    stand->fd = bound_socket(stand->servers);
    stand->loop = loop_new(&err);
    assert_non_null(stand->loop);
    assert_int_equal(loop_watch(stand->loop, stand->fd, LOOP_READ, on_query, stand, &err), 0);
    stand->metrics = metrics_new();
    stand->resolver = resolver_new(&settings, stand->loop, stand->metrics, &err);
    assert_non_null(stand->resolver);
}

static void stand_down(struct stand *stand)
{
    resolver_free(stand->resolver);
    loop_free(stand->loop);
    metrics_free(stand->metrics);
    close(stand->fd);
}

static uint64_t counted(struct stand *stand, const char *labels)
{
    return metric_value(metrics_counter(stand->metrics, "sitewatch_dns_lookups", "", labels));
}

static void on_answer(void *context, const struct resolver_answer *answer)
{
    struct caller *caller = context;

    caller->calls++;
    caller->answer = *answer;
    snprintf(caller->reason, sizeof(caller->reason), "%s",
             answer->reason == NULL ? "" : answer->reason);
    assert_int_equal(answer->reason == NULL, answer->outcome == RESOLVER_FOUND);
    assert_int_equal(answer->addresses.count > 0, answer->outcome == RESOLVER_FOUND);
    if (caller->act != NULL) {
        caller->act(caller);
    }
}

static void begin(struct stand *stand, struct caller *caller, const char *host,
                  enum resolver_family family, int64_t now_ns)
{
    caller->stand = stand;
    caller->calls = 0;
    caller->request = resolver_ask(stand->resolver, host, family, now_ns, on_answer, caller);
    assert_int_equal(caller->request == NULL, caller->calls == 1);
}

static void turn(struct stand *stand)
{
    struct err err;

    assert_int_equal(loop_turn(stand->loop, resolver_next_due_ns(stand->resolver), &err), 0);
    resolver_run_due(stand->resolver, clock_mono_ns());
}

static void finish(struct stand *stand, struct caller *caller)
{
    int64_t deadline_ns = clock_mono_ns() + DEADLINE_NS;

    while (caller->calls == 0) {
        assert_true(clock_mono_ns() < deadline_ns);
        turn(stand);
    }
    assert_int_equal(caller->calls, 1);
}

static struct caller ask(struct stand *stand, const char *host, enum resolver_family family,
                         int64_t now_ns)
{
    struct caller caller = {0};

    begin(stand, &caller, host, family, now_ns);
    finish(stand, &caller);
    return caller;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The addresses in order of their texts, whatever order this machine's network prefers. */
static const char *texts(const struct resolver_answer *answer)
{
    static char all[RESOLVER_ADDRESSES_MAX * (INET6_ADDRSTRLEN + 1)];
    char list[RESOLVER_ADDRESSES_MAX][INET6_ADDRSTRLEN];
    size_t count = answer->addresses.count;

    all[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        resolver_address_write(&answer->addresses.list[i], list[i]);
    }
    qsort(list, count, INET6_ADDRSTRLEN, by_text);
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(all);

        snprintf(all + len, sizeof(all) - len, "%s%s", len > 0 ? " " : "", list[i]);
    }
    return all;
}

/* --- Without a server --- */

static const struct {
    const char *name;
    const char *host;
    enum resolver_family family;
    enum resolver_outcome outcome;
    const char *addresses;
} without[] = {
    {"an empty host is no name", "", RESOLVER_ANY, RESOLVER_BAD_NAME, ""},
    {"the root is no host", ".", RESOLVER_ANY, RESOLVER_BAD_NAME, ""},
    {"an empty label in front", ".a.test", RESOLVER_ANY, RESOLVER_BAD_NAME, ""},
    {"an empty label within", "a..test", RESOLVER_ANY, RESOLVER_BAD_NAME, ""},
    {"an empty label at the end", "a.test..", RESOLVER_ANY, RESOLVER_BAD_NAME, ""},
    {"a label of 64", LABEL_63 "x.test", RESOLVER_ANY, RESOLVER_BAD_NAME, ""},
    {"a name of 254", NAME_253 "x", RESOLVER_ANY, RESOLVER_BAD_NAME, ""},
    {"a name of 254 with a last dot", NAME_253 "x.", RESOLVER_ANY, RESOLVER_BAD_NAME, ""},
    {"a name without an end in sight", NAME_253 "." NAME_253, RESOLVER_ANY, RESOLVER_BAD_NAME, ""},
    {"a space", "a b.test", RESOLVER_ANY, RESOLVER_BAD_NAME, ""},
    {"a line feed", "a.test\n", RESOLVER_ANY, RESOLVER_BAD_NAME, ""},
    {"a backslash, which c-ares would take for an escape", "a\\.test", RESOLVER_ANY,
     RESOLVER_BAD_NAME, ""},
    {"a byte that is not ASCII", "\xc3\xa4.test", RESOLVER_ANY, RESOLVER_BAD_NAME, ""},
    {"brackets belong to the URL", "[::1]", RESOLVER_ANY, RESOLVER_BAD_NAME, ""},
    {"a numeric IPv4 address is its own answer", "192.0.2.7", RESOLVER_ANY, RESOLVER_FOUND,
     "192.0.2.7"},
    {"also when IPv4 is asked for", "192.0.2.7", RESOLVER_IPV4, RESOLVER_FOUND, "192.0.2.7"},
    {"but it is no IPv6 address", "192.0.2.7", RESOLVER_IPV6, RESOLVER_NOT_FOUND, ""},
    {"a numeric IPv6 address is its own answer", "2001:DB8::7", RESOLVER_ANY, RESOLVER_FOUND,
     "2001:db8::7"},
    {"but it is no IPv4 address", "2001:db8::7", RESOLVER_IPV4, RESOLVER_NOT_FOUND, ""},
    {"localhost is loopback", "localhost", RESOLVER_ANY, RESOLVER_FOUND, "127.0.0.1 ::1"},
    {"in any case, with a last dot", "LocalHost.", RESOLVER_IPV4, RESOLVER_FOUND, "127.0.0.1"},
    {"and all names below it", "a.b.localhost", RESOLVER_IPV6, RESOLVER_FOUND, "::1"},
    {"nothing is called invalid", "invalid", RESOLVER_ANY, RESOLVER_NOT_FOUND, ""},
    {"nor anything below it", "www.INVALID", RESOLVER_ANY, RESOLVER_NOT_FOUND, ""},
};

static void test_without_a_server(void **state)
{
    struct stand stand;

    (void)state;
    stand_up(&stand, "", 2000, 2);
    for (size_t i = 0; i < ROWS(without); i++) {
        struct caller caller = {0};

        print_message("  %s\n", without[i].name);
        begin(&stand, &caller, without[i].host, without[i].family, NOW);
        assert_null(caller.request);
        assert_int_equal(caller.answer.outcome, without[i].outcome);
        assert_string_equal(texts(&caller.answer), without[i].addresses);
    }
    assert_int_equal(resolver_next_due_ns(stand.resolver), TIME_NEVER);
    assert_int_equal(stand.queries, 0);
    assert_int_equal(counted(&stand, "result=\"cached\""), 0);
    stand_down(&stand);
}

/* --- What a server says --- */

static const struct {
    const char *name;
    const char *zone;
    const char *host;
    enum resolver_family family;
    enum resolver_outcome outcome;
    const char *addresses;
    size_t queries; /* at the least; c-ares' versions differ in how often they try again */
} said[] = {
    {"a name that does not exist", "", "a.test", RESOLVER_IPV4, RESOLVER_NOT_FOUND, "", 1},
    {"a name without an address", "a.test NODATA", "a.test", RESOLVER_IPV4, RESOLVER_NOT_FOUND, "",
     1},
    {"a name with an address of the other family", "a.test A 192.0.2.1", "a.test", RESOLVER_IPV6,
     RESOLVER_NOT_FOUND, "", 1},
    {"no data for both families is confirmed for each", "a.test NODATA", "a.test", RESOLVER_ANY,
     RESOLVER_NOT_FOUND, "", 4},
    {"no data for one family does not hide the other's failure",
     "a.test A:SERVFAIL\na.test AAAA:NODATA", "a.test", RESOLVER_ANY, RESOLVER_FAILURE, "", 3},
    {"nor the other way round", "a.test A:NODATA\na.test AAAA:SERVFAIL", "a.test", RESOLVER_ANY,
     RESOLVER_FAILURE, "", 2},
    {"a server that fails", "a.test SERVFAIL", "a.test", RESOLVER_IPV4, RESOLVER_FAILURE, "", 1},
    {"a server that refuses", "a.test REFUSED", "a.test", RESOLVER_ANY, RESOLVER_FAILURE, "", 2},
    {"a truncated answer without an address, and no server by TCP", "a.test TRUNCATED", "a.test",
     RESOLVER_IPV4, RESOLVER_FAILURE, "", 1},
    {"a chain of aliases without an end", "a.test CNAME b.test\nb.test CNAME a.test", "a.test",
     RESOLVER_IPV4, RESOLVER_NOT_FOUND, "", 1},
    {"one address", "a.test A 192.0.2.1", "a.test", RESOLVER_IPV4, RESOLVER_FOUND, "192.0.2.1", 1},
    {"an address of either family", "a.test A 192.0.2.1\na.test AAAA 2001:db8::1", "a.test",
     RESOLVER_ANY, RESOLVER_FOUND, "192.0.2.1 2001:db8::1", 2},
    {"only the family that is asked for", "a.test A 192.0.2.1\na.test AAAA 2001:db8::1", "a.test",
     RESOLVER_IPV6, RESOLVER_FOUND, "2001:db8::1", 1},
    {"one family is enough", "a.test AAAA 2001:db8::1", "a.test", RESOLVER_ANY, RESOLVER_FOUND,
     "2001:db8::1", 2},
    {"one family is enough when the other fails", "a.test A 192.0.2.1\na.test AAAA:SERVFAIL",
     "a.test", RESOLVER_ANY, RESOLVER_FOUND, "192.0.2.1", 2},
    {"an alias is followed", "a.test CNAME b.test\nb.test A 192.0.2.2", "a.test", RESOLVER_IPV4,
     RESOLVER_FOUND, "192.0.2.2", 1},
    {"capital letters and a last dot are the same name", "a.test A 192.0.2.1", "A.TesT.",
     RESOLVER_IPV4, RESOLVER_FOUND, "192.0.2.1", 1},
    {"a name without a dot is asked for as it is", "single A 192.0.2.1", "single", RESOLVER_IPV4,
     RESOLVER_FOUND, "192.0.2.1", 1},
    {"a search domain is not put behind it", "single.search.test A 192.0.2.1", "single",
     RESOLVER_IPV4, RESOLVER_NOT_FOUND, "", 1},
    {"an underscore is allowed", "_a.test A 192.0.2.1", "_a.test", RESOLVER_IPV4, RESOLVER_FOUND,
     "192.0.2.1", 1},
    {"a name of 253 with labels of 63", NAME_253 " A 192.0.2.1", NAME_253 ".", RESOLVER_IPV4,
     RESOLVER_FOUND, "192.0.2.1", 1},
    {"more addresses than are kept",
     "a.test A 192.0.2.1\na.test A 192.0.2.2\na.test A 192.0.2.3\na.test A 192.0.2.4\n"
     "a.test A 192.0.2.5\na.test A 192.0.2.6\na.test A 192.0.2.7\na.test A 192.0.2.8\n"
     "a.test A 192.0.2.9\na.test A 192.0.2.9\na.test A 192.0.2.9\na.test A 192.0.2.9\n"
     "a.test A 192.0.2.9\na.test A 192.0.2.9\na.test A 192.0.2.9\na.test A 192.0.2.9\n"
     "a.test A 192.0.2.9\na.test A 192.0.2.9\n",
     "a.test", RESOLVER_IPV4, RESOLVER_FOUND,
     "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 192.0.2.6 192.0.2.7 192.0.2.8 192.0.2.9 "
     "192.0.2.9 192.0.2.9 192.0.2.9 192.0.2.9 192.0.2.9 192.0.2.9 192.0.2.9",
     1},
};

static void test_what_a_server_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(said); i++) {
        struct stand stand;

        print_message("  %s\n", said[i].name);
        stand_up(&stand, said[i].zone, 2000, 1);
        struct caller caller = ask(&stand, said[i].host, said[i].family, NOW);

        assert_int_equal(caller.answer.outcome, said[i].outcome);
        assert_string_equal(texts(&caller.answer), said[i].addresses);
        assert_in_range(stand.queries, said[i].queries, said[i].queries + 2);
        assert_int_equal(resolver_next_due_ns(stand.resolver), TIME_NEVER);
        stand_down(&stand);
    }
}

/* --- What is kept, and for how long --- */

static const struct {
    const char *name;
    const char *zone;
    enum resolver_family family;
    int64_t kept_s; /* 0: not at all; below 0: at most so long */
} kept[] = {
    {"a failure is not kept", "a.test SERVFAIL", RESOLVER_IPV4, 0},
    {"a name that does not exist", "", RESOLVER_IPV4, 30},
    {"a name without an address", "a.test NODATA", RESOLVER_ANY, 30},
    {"a TTL of zero is raised to the lower bound", "a.test A 192.0.2.1 0", RESOLVER_IPV4, 5},
    {"a TTL below the lower bound is raised to it", "a.test A 192.0.2.1 4", RESOLVER_IPV4, 5},
    {"a TTL within the bounds", "a.test A 192.0.2.1 60", RESOLVER_IPV4, 60},
    {"a TTL above the upper bound is cut to it", "a.test A 192.0.2.1 301", RESOLVER_IPV4, 300},
    /* None, says RFC 2181, 8, and so does c-ares 1.18; 1.34.9 takes it for a long one. */
    {"a TTL with its first bit set is not above the upper bound", "a.test A 192.0.2.1 4000000000",
     RESOLVER_IPV4, -300},
    {"the smallest TTL of two addresses", "a.test A 192.0.2.1 60\na.test A 192.0.2.2 20",
     RESOLVER_IPV4, 20},
    {"the smallest TTL of two families", "a.test A 192.0.2.1 60\na.test AAAA 2001:db8::1 20",
     RESOLVER_ANY, 20},
    {"the TTL of an alias that ends before its address",
     "a.test CNAME b.test 10\nb.test A 192.0.2.1 60", RESOLVER_IPV4, 10},
    {"the TTL of an address that ends before its alias",
     "a.test CNAME b.test 60\nb.test A 192.0.2.1 10", RESOLVER_IPV4, 10},
};

static void test_what_is_kept(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(kept); i++) {
        int64_t end_ns = NOW + llabs(kept[i].kept_s) * NS_PER_SEC;
        struct stand stand;

        print_message("  %s\n", kept[i].name);
        stand_up(&stand, kept[i].zone, 2000, 1);
        struct caller first = ask(&stand, "a.test", kept[i].family, NOW);
        size_t queries = stand.queries;

        if (kept[i].kept_s > 0) {
            struct caller second = ask(&stand, "A.test.", kept[i].family, end_ns - 1);

            assert_int_equal(stand.queries, queries);
            assert_null(second.request);
            assert_int_equal(second.answer.outcome, first.answer.outcome);
            assert_string_equal(second.reason, first.reason);
            assert_int_equal(second.answer.addresses.count, first.answer.addresses.count);
            assert_memory_equal(second.answer.addresses.list, first.answer.addresses.list,
                                first.answer.addresses.count *
                                    sizeof(first.answer.addresses.list[0]));
        }
        ask(&stand, "a.test", kept[i].family, end_ns);
        assert_int_equal(stand.queries, 2 * queries);
        stand_down(&stand);
    }
}

static void test_counts(void **state)
{
    struct stand stand;

    (void)state;
    stand_up(&stand, "a.test A 192.0.2.1\nf.test SERVFAIL", 2000, 1);
    ask(&stand, "a.test", RESOLVER_IPV4, NOW);
    ask(&stand, "a.test", RESOLVER_IPV4, NOW);
    ask(&stand, "a.test", RESOLVER_IPV6, NOW);
    ask(&stand, "a.test", RESOLVER_IPV6, NOW);
    ask(&stand, "f.test", RESOLVER_IPV4, NOW);
    assert_int_equal(counted(&stand, "result=\"found\""), 1);
    assert_int_equal(counted(&stand, "result=\"not_found\""), 1);
    assert_int_equal(counted(&stand, "result=\"cached\""), 2);
    assert_int_equal(counted(&stand, "result=\"failure\""), 1);
    assert_int_equal(counted(&stand, "result=\"timeout\""), 0);
    stand_down(&stand);
}

/* --- Several callers --- */

static void act_ask_again(struct caller *caller)
{
    begin(caller->stand, caller->other, "a.test", RESOLVER_IPV4, NOW);
}

static void act_ask_another(struct caller *caller)
{
    begin(caller->stand, caller->other, "b.test", RESOLVER_IPV4, NOW);
}

static void act_cancel_other(struct caller *caller)
{
    resolver_cancel(caller->stand->resolver, caller->other->request);
}

static void test_callers(void **state)
{
    struct caller a = {0}, b = {0}, c = {0};
    struct stand stand;

    (void)state;
    print_message("  requests for one name and family share a query and an answer\n");
    stand_up(&stand, "a.test A 192.0.2.1 60\nb.test A 192.0.2.2 60", 2000, 1);
    begin(&stand, &a, "a.test", RESOLVER_IPV4, NOW);
    begin(&stand, &b, "A.test.", RESOLVER_IPV4, NOW);
    begin(&stand, &c, "a.test", RESOLVER_IPV6, NOW);
    finish(&stand, &a);
    finish(&stand, &b);
    finish(&stand, &c);
    assert_int_equal(stand.queries, 2);
    assert_string_equal(texts(&b.answer), "192.0.2.1");
    assert_int_equal(c.answer.outcome, RESOLVER_NOT_FOUND);
    stand_down(&stand);

    print_message("  a call may ask for the same name, which is known by then\n");
    stand_up(&stand, "a.test A 192.0.2.1 60\nb.test A 192.0.2.2 60", 2000, 1);
    a = (struct caller){.act = act_ask_again, .other = &b};
    b = (struct caller){0};
    begin(&stand, &a, "a.test", RESOLVER_IPV4, NOW);
    finish(&stand, &a);
    assert_int_equal(b.calls, 1);
    assert_int_equal(stand.queries, 1);
    stand_down(&stand);

    print_message("  a call may ask for the same name, which failed, and waits again\n");
    stand_up(&stand, "a.test SERVFAIL", 2000, 1);
    a = (struct caller){.act = act_ask_again, .other = &b};
    b = (struct caller){0};
    begin(&stand, &a, "a.test", RESOLVER_IPV4, NOW);
    finish(&stand, &a);
    finish(&stand, &b);
    assert_int_equal(b.answer.outcome, RESOLVER_FAILURE);
    assert_int_equal(stand.queries, 2);
    stand_down(&stand);

    print_message("  a call may ask for another name, and cancel another caller\n");
    stand_up(&stand, "a.test A 192.0.2.1 60\nb.test A 192.0.2.2 60", 2000, 1);
    a = (struct caller){.act = act_ask_another, .other = &c};
    c = (struct caller){0};
    begin(&stand, &a, "a.test", RESOLVER_IPV4, NOW);
    finish(&stand, &a);
    finish(&stand, &c);
    assert_string_equal(texts(&c.answer), "192.0.2.2");
    a = (struct caller){.act = act_cancel_other, .other = &b};
    b = (struct caller){0};
    begin(&stand, &a, "a.test", RESOLVER_IPV6, NOW);
    begin(&stand, &b, "a.test", RESOLVER_IPV6, NOW);
    finish(&stand, &a);
    resolver_run_due(stand.resolver, NOW);
    assert_int_equal(b.calls, 0);
    assert_int_equal(resolver_next_due_ns(stand.resolver), TIME_NEVER);
    stand_down(&stand);
}

static void test_cancel(void **state)
{
    struct caller a = {0}, b = {0};
    struct stand stand;

    (void)state;
    print_message("  who cancelled is not called, who waits for the same is\n");
    stand_up(&stand, "a.test A 192.0.2.1 60", 2000, 1);
    begin(&stand, &a, "a.test", RESOLVER_IPV4, NOW);
    begin(&stand, &b, "a.test", RESOLVER_IPV4, NOW);
    resolver_cancel(stand.resolver, a.request);
    finish(&stand, &b);
    assert_int_equal(a.calls, 0);
    stand_down(&stand);

    print_message("  an answer that nobody waits for any more is kept for the next\n");
    stand_up(&stand, "a.test A 192.0.2.1 60", 2000, 1);
    begin(&stand, &a, "a.test", RESOLVER_IPV4, NOW);
    resolver_cancel(stand.resolver, a.request);
    while (resolver_next_due_ns(stand.resolver) != TIME_NEVER) {
        turn(&stand);
    }
    begin(&stand, &b, "a.test", RESOLVER_IPV4, NOW);
    assert_int_equal(b.calls, 1);
    assert_int_equal(stand.queries, 1);
    assert_int_equal(a.calls, 0);
    stand_down(&stand);

    print_message("  a resolver that ends drops who waits\n");
    stand_up(&stand, "", 2000, 1);
    a = (struct caller){0};
    begin(&stand, &a, "a.test", RESOLVER_ANY, NOW);
    begin(&stand, &b, "a.test", RESOLVER_ANY, NOW);
    stand_down(&stand);
    assert_int_equal(a.calls, 0);
    assert_int_equal(b.calls, 0);
    resolver_free(NULL);
}

static void on_nothing(void *context, const struct resolver_answer *answer)
{
    (void)context;
    assert_int_equal(answer->outcome, RESOLVER_TIMEOUT);
}

static void test_more_lookups_than_at_a_time(void **state)
{
    struct caller last = {0}, cancelled = {0};
    struct stand stand;
    char host[32];

    (void)state;
    print_message("  lookups over the ceiling wait, and are asked when others end\n");
    stand_up(&stand, "*.silent.test SILENT\nlast.test A 192.0.2.1", 100, 1);
    for (int i = 0; i < RESOLVER_LOOKUPS_MAX; i++) {
        snprintf(host, sizeof(host), "n%d.silent.test", i);
        assert_non_null(resolver_ask(stand.resolver, host, RESOLVER_IPV4, NOW, on_nothing, NULL));
    }
    begin(&stand, &cancelled, "last.test", RESOLVER_IPV4, NOW);
    resolver_cancel(stand.resolver, cancelled.request);
    begin(&stand, &last, "last.test", RESOLVER_IPV4, NOW);
    finish(&stand, &last);
    assert_string_equal(texts(&last.answer), "192.0.2.1");
    assert_int_equal(cancelled.calls, 0);
    stand_down(&stand);
}

/* --- A server that does not keep what it has by TCP --- */

static void on_stream(void *context, int fd, unsigned ready)
{
    size_t *streams = context;
    int stream = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    assert_int_equal(ready, LOOP_READ);
    assert_true(stream >= 0);
    close(stream); /* with the question in it, or before it */
    (*streams)++;
}

/* At the port that the stand has by UDP; -1 when somebody has that by TCP. */
static int listening_socket(const struct stand *stand)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)strtoul(strchr(stand->servers, ':') + 1, NULL, 10));
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)), 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        assert_int_equal(errno, EADDRINUSE);
        close(fd);
        return -1;
    }
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static int stand_up_with_listener(struct stand *stand, const char *zone)
{
    for (;;) {
        stand_up(stand, zone, 2000, 2);

        int fd = listening_socket(stand);

        if (fd >= 0) {
            return fd;
        }
        stand_down(stand);
    }
}

static void test_a_server_that_closes_streams(void **state)
{
    static const struct {
        const char *name, *zone;
        enum resolver_outcome outcome; /* of cut.test */
        const char *addresses;
    } rows[] = {
        {"a long answer without an address, which is not to be had",
         "late.test A 192.0.2.2\ncut.test TRUNCATED", RESOLVER_FAILURE, ""},
        {"a long answer of which some addresses are to be had",
         "late.test A 192.0.2.2\ncut.test A 192.0.2.1\ncut.test TRUNCATED", RESOLVER_FOUND,
         "192.0.2.1"},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct caller late = {0};
        struct stand stand;
        struct err err;
        size_t streams = 0;

        print_message("  %s, and a name that has nothing to do with it\n", rows[i].name);

        int fd = stand_up_with_listener(&stand, rows[i].zone);

        stand.held_name = "late.test";
        assert_int_equal(loop_watch(stand.loop, fd, LOOP_READ, on_stream, &streams, &err), 0);
        begin(&stand, &late, "late.test", RESOLVER_IPV4, NOW);
        struct caller cut = ask(&stand, "cut.test", RESOLVER_IPV4, NOW);

        assert_true(streams > 0);
        assert_int_equal(cut.answer.outcome, rows[i].outcome);
        assert_string_equal(texts(&cut.answer), rows[i].addresses);
        stand_let_go(&stand);
        finish(&stand, &late);
        assert_int_equal(late.answer.outcome, RESOLVER_FOUND);
        assert_string_equal(texts(&late.answer), "192.0.2.2");
        stand_down(&stand);
        close(fd);
    }
}

/* --- When nothing comes, or nothing of use --- */

static void test_silence(void **state)
{
    static const struct {
        const char *name, *zone;
        enum resolver_outcome outcome, also; /* c-ares' versions differ over what is unreadable */
    } rows[] = {
        {"no answer is a time-out", "a.test SILENT", RESOLVER_TIMEOUT, RESOLVER_TIMEOUT},
        {"answers to other questions do not count", "a.test A 192.0.2.1\na.test WRONGID",
         RESOLVER_TIMEOUT, RESOLVER_TIMEOUT},
        {"an answer that cannot be read", "a.test GARBAGE", RESOLVER_FAILURE, RESOLVER_TIMEOUT},
        {"silence for one family and no data for the other is a time-out",
         "a.test A:SILENT\na.test AAAA:NODATA", RESOLVER_TIMEOUT, RESOLVER_TIMEOUT},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct stand stand;

        print_message("  %s\n", rows[i].name);
        stand_up(&stand, rows[i].zone, 100, 1);
        struct caller caller = ask(&stand, "a.test", RESOLVER_ANY, NOW);

        if (caller.answer.outcome != rows[i].also) {
            assert_int_equal(caller.answer.outcome, rows[i].outcome);
        }
        ask(&stand, "a.test", RESOLVER_ANY, NOW);
        assert_int_equal(counted(&stand, "result=\"cached\""), 0);
        stand_down(&stand);
    }
}

static struct resolver *resolver_for(struct stand *stand, const char *servers, struct err *err)
{
    struct resolver_settings settings = {.servers = servers, .timeout_ms = 500, .tries = 2};

    return resolver_new(&settings, stand->loop, stand->metrics, err);
}

static void test_servers(void **state)
{
    static const char *const right[] = {"192.0.2.1", "2001:db8::1", "192.0.2.1:5353,[::1]:53"};
    static const char *const wrong[] = {"", "name.test", "127.0.0.1:x:y", "300.1.1.1"};
    char closed[64];
    char both[160];
    struct stand stand;
    struct err err;

    (void)state;
    stand_up(&stand, "a.test A 192.0.2.1 60", 2000, 1);
    close(bound_socket(closed));
    struct resolver *own = stand.resolver;

    print_message("  no server at that port is our own fault, not the name's\n");
    stand.resolver = resolver_for(&stand, closed, &err);
    struct caller caller = ask(&stand, "a.test", RESOLVER_ANY, NOW);

    assert_int_equal(caller.answer.outcome, RESOLVER_NO_SERVER);
    assert_int_equal(counted(&stand, "result=\"failure\""), 1);
    resolver_free(stand.resolver);

    print_message("  the second server is asked when the first is not there; no TTL is kept\n");
    snprintf(both, sizeof(both), "%s,%s", closed, stand.servers);
    stand.resolver = resolver_for(&stand, both, &err);
    caller = ask(&stand, "a.test", RESOLVER_IPV4, NOW);
    assert_string_equal(texts(&caller.answer), "192.0.2.1");
    resolver_free(stand.resolver);

    print_message("  without servers those of the machine are taken\n");
    stand.resolver = resolver_for(&stand, NULL, &err);
    assert_non_null(stand.resolver);
    resolver_free(stand.resolver);
    for (size_t i = 0; i < ROWS(right); i++) {
        print_message("  servers: \"%s\"\n", right[i]);
        stand.resolver = resolver_for(&stand, right[i], &err);
        assert_non_null(stand.resolver);
        resolver_free(stand.resolver);
    }
    for (size_t i = 0; i < ROWS(wrong); i++) {
        print_message("  no server: \"%s\"\n", wrong[i]);
        assert_null(resolver_for(&stand, wrong[i], &err));
        assert_int_equal(err.kind, ERR_INVALID);
        assert_non_null(strstr(err.message, wrong[i]));
    }
    stand.resolver = own;
    stand_down(&stand);
}

static void test_a_server_that_is_gone(void **state)
{
    struct stand stand;
    struct caller first = {0}, second = {0};

    (void)state;
    stand_up(&stand, "a.test A 192.0.2.1 60", 200, 2);
    print_message("  one try is lost, the next refused\n");
    loop_unwatch(stand.loop, stand.fd);
    begin(&stand, &first, "a.test", RESOLVER_IPV4, NOW);
    close(stand.fd); /* with the question in it */
    finish(&stand, &first);
    assert_int_equal(first.answer.outcome, RESOLVER_NO_SERVER);

    print_message("  it was refused, and then nothing is heard\n");
    assert_int_equal(reopen(&stand), 0);
    begin(&stand, &second, "b.test", RESOLVER_IPV4, NOW);
    finish(&stand, &second);
    assert_int_equal(second.answer.outcome, RESOLVER_NO_SERVER);

    print_message("  it is back, and silent about one name alone\n");
    struct err err;

    assert_int_equal(loop_watch(stand.loop, stand.fd, LOOP_READ, on_query, &stand, &err), 0);
    assert_int_equal(ask(&stand, "a.test", RESOLVER_IPV4, NOW).answer.outcome, RESOLVER_FOUND);
    loop_unwatch(stand.loop, stand.fd);
    assert_int_equal(ask(&stand, "c.test", RESOLVER_IPV4, NOW).answer.outcome, RESOLVER_TIMEOUT);
    stand_down(&stand);
}

static void test_no_descriptor_to_ask_with(void **state)
{
    struct stand stand;
    struct rlimit before, none;

    (void)state;
    stand_up(&stand, "a.test A 192.0.2.1 60", 200, 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct caller caller = ask(&stand, "a.test", RESOLVER_IPV4, NOW);

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(caller.answer.outcome, RESOLVER_NO_SOCKET);
    assert_string_equal(caller.reason, "Too many open files");
    stand_down(&stand);
}

/* --- The hosts file --- */

static void test_hosts_file(void **state)
{
    char path[] = "/tmp/sitewatch-hosts-XXXXXX";
    struct resolver_settings settings = {.timeout_ms = 2000, .tries = 1, .hosts_file = path};
    int fd = mkstemp(path);
    struct stand stand;
    struct err err;

    (void)state;
    assert_true(fd >= 0);
    dprintf(fd, "192.0.2.9 a.test localhost\n");
    stand_up(&stand, "a.test A 192.0.2.1 60\nb.test A 192.0.2.2 60", 2000, 1);
    resolver_free(stand.resolver);
    settings.servers = stand.servers;
    stand.resolver = resolver_new(&settings, stand.loop, stand.metrics, &err);
    assert_non_null(stand.resolver);

    static const struct {
        const char *name, *host;
        int64_t now_ns;
        const char *addresses;
        size_t queries;
    } rows[] = {
        {"a name of the file is not asked for", "A.test.", NOW, "192.0.2.9", 0},
        {"its names come after what is settled", "localhost", NOW, "127.0.0.1", 0},
        {"another name is asked for", "b.test", NOW, "192.0.2.2", 1},
        {"what the file said is not kept", "a.test", NOW + 2 * NS_PER_SEC, "192.0.2.1", 2},
    };

    for (size_t i = 0; i < ROWS(rows); i++) {
        print_message("  %s\n", rows[i].name);
        if (i == ROWS(rows) - 1) {
            assert_int_equal(ftruncate(fd, 0), 0);
        }
        struct caller caller = ask(&stand, rows[i].host, RESOLVER_IPV4, rows[i].now_ns);

        assert_int_equal(caller.answer.outcome, RESOLVER_FOUND);
        assert_string_equal(texts(&caller.answer), rows[i].addresses);
        assert_int_equal(stand.queries, rows[i].queries);
    }
    assert_int_equal(counted(&stand, "result=\"found\""), 3);
    stand_down(&stand);
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_server),
        cmocka_unit_test(test_what_a_server_says),
        cmocka_unit_test(test_what_is_kept),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_callers),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_more_lookups_than_at_a_time),
        cmocka_unit_test(test_a_server_that_closes_streams),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_servers),
        cmocka_unit_test(test_a_server_that_is_gone),
        cmocka_unit_test(test_no_descriptor_to_ask_with),
        cmocka_unit_test(test_hosts_file),
    };

    setenv("LOCALDOMAIN", "search.test", 1); /* as "search" in resolv.conf */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
