#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/mem.h"
#include "producer/probe_internal.h"
#include "producer/resolver_host.h"

static void transfer_begin(struct slot *slot);

void check_end(struct slot *slot)
{
    struct probe *p = slot->probe;

    alarm_clear(&p->alarms, &slot->alarm);
    slot->ended_ns = clock_mono_ns();
    slot->state = SLOT_ENDED;
    slot->next = NULL;
    *p->ended_tail = slot;
    p->ended_tail = &slot->next;
}

/* --- Addresses --- */

/* The first one's family and the other in turn (RFC 8305, 4): with only a few tried, a machine
 * without IPv6 must not spend them all on it. */
static void addresses_take(struct slot *slot, const struct resolver_addresses *all)
{
    bool first = all->list[0].ipv6;
    size_t at[2] = {0, 0}; /* of the first family, of the other */

    for (int turn = 0; slot->address_count < PROBE_ADDRESSES_MAX; turn = !turn) {
        while (at[turn] < all->count && (all->list[at[turn]].ipv6 == first) != (turn == 0)) {
            at[turn]++;
        }
        if (at[turn] < all->count) {
            slot->addresses[slot->address_count++] = all->list[at[turn]++];
        } else if (at[!turn] >= all->count) {
            return;
        }
    }
}

static void proxy_ask(struct slot *slot);

static enum resolver_family family_of(enum site_ip_version version)
{
    switch (version) {
    case SITE_IP_4:
        return RESOLVER_IPV4;
    case SITE_IP_6:
        return RESOLVER_IPV6;
    default:
        return RESOLVER_ANY;
    }
}

static void on_answer(void *context, const struct resolver_answer *answer)
{
    struct slot *slot = context;

    slot->request = NULL;
    alarm_clear(&slot->probe->alarms, &slot->alarm);
    int64_t us = (clock_mono_ns() - slot->asked_ns) / NS_PER_US;

    slot->timing.dns_us = (slot->timing.dns_us == EVENT_ABSENT ? 0 : slot->timing.dns_us) + us;
    if (answer->outcome != RESOLVER_FOUND || answer->addresses.count == 0) {
        if (slot->asks_proxy) {
            fault_from_proxy_resolver(&slot->proxy, answer, &slot->fault);
        } else {
            fault_from_resolver(slot->target.host, answer, &slot->fault);
        }
        check_end(slot);
        return;
    }
    addresses_take(slot, &answer->addresses);
    if (slot->proxy.host != NULL && !slot->asks_proxy) {
        /* A socks5 proxy is told the first address; ours to try are its own. */
        resolver_address_write(&slot->addresses[0], slot->site_address);
        slot->address_count = 0;
        proxy_ask(slot);
        return;
    }
    transfer_begin(slot);
}

static void ask(struct slot *slot, const char *host, enum resolver_family family)
{
    slot->asked_ns = clock_mono_ns();

    struct resolver_request *request =
        resolver_ask(slot->probe->resolver, host, family, slot->asked_ns, on_answer, slot);

    if (request != NULL) { /* else the answer came already, and led on from here */
        slot->request = request;
        alarm_set(&slot->probe->alarms, &slot->alarm, slot->deadline_ns);
    }
}

static void proxy_ask(struct slot *slot)
{
    slot->asks_proxy = true;
    ask(slot, slot->proxy.host, family_of(slot->site->ip_version));
}

static void hop_begin(struct slot *slot)
{
    const struct site *site = slot->site;
    bool given = site->resolve_to != NULL && strcasecmp(slot->home.host, slot->target.host) == 0;
    const char *host = given ? site->resolve_to : slot->target.host;

    slot->state = SLOT_RESOLVING;
    slot->http_status = 0;
    slot->http_version = NULL;
    slot->address_count = 0;
    slot->address_at = 0;
    slot->failed_connects_us = 0;
    slot->remote_fault.type = ERROR_NONE;
    slot->site_address[0] = '\0';
    slot->asks_proxy = false;
    if (slot->proxy.host != NULL && slot->proxy.kind != PROXY_SOCKS5) {
        proxy_ask(slot); /* which resolves the site's name itself */
        return;
    }
    ask(slot, host, given ? RESOLVER_ANY : family_of(site->ip_version));
}

/* --- One attempt at one address --- */

static void transfer_begin(struct slot *slot)
{
    size_t more = slot->address_count - slot->address_at - 1;
    struct err err;

    resolver_address_write(&slot->addresses[slot->address_at], slot->address);
    if (transfer_start(slot, &err) < 0) {
        fault_set(&slot->fault, ERROR_INTERNAL, PHASE_CONNECT, "%s", err.message);
        check_end(slot);
        return;
    }
    slot->state = SLOT_TRANSFER;
    if (more > 0) {
        /* One address that swallows packets must leave time for the others. */
        int64_t share_ns = (slot->deadline_ns - slot->hop.began_ns) / (int64_t)(more + 1);

        alarm_set(&slot->probe->alarms, &slot->alarm, slot->hop.began_ns + share_ns);
    }
}

/* slot->fault says why this one could not be connected to. */
static void address_next(struct slot *slot)
{
    if (error_type_status(slot->fault.type) == CHECK_DOWN) {
        slot->remote_fault = slot->fault;
    }
    slot->failed_connects_us += (clock_mono_ns() - slot->hop.began_ns) / NS_PER_US;
    slot->fault.type = ERROR_NONE;
    slot->address_at++;
    transfer_begin(slot);
}

/* A name that also leads where it must not is not looked at further. */
static bool may_try_next(const struct slot *slot)
{
    return slot->fault.phase == PHASE_CONNECT && slot->hop.blocked == NULL &&
           slot->address_at + 1 < slot->address_count && clock_mono_ns() < slot->deadline_ns;
}

static void hop_failed(struct slot *slot, CURLcode code)
{
    long os_errno = 0;

    curl_easy_getinfo(slot->easy, CURLINFO_OS_ERRNO, &os_errno);

    struct fault_facts facts = {
        .code = code,
        .os_errno = slot->hop.open_errno != 0 ? slot->hop.open_errno : (int)os_errno,
        .phase = transfer_phase(slot),
        .curl_text = slot->hop.curl_text,
        .tls = &slot->tls,
        .body_over = slot->hop.body_over,
        .headers_over = slot->hop.headers_over,
        .folded_first = slot->hop.folded_first,
        .tls_refused = slot->hop.tls_refused,
        .proxy = slot->proxy.host == NULL ? NULL : &slot->proxy,
        .proxy_tls = &slot->proxy_tls,
        .blocked = slot->hop.blocked,
        .address = slot->address,
        .port = slot->proxy.host == NULL ? slot->target.port : slot->proxy.port,
        .timeout_ms = slot->site->timeout_ms,
        .body_bytes_max = slot->site->max_body_bytes,
    };

    fault_from_curl(&facts, &slot->fault);
    if (may_try_next(slot) && (slot->proxy.host == NULL || code == CURLE_COULDNT_CONNECT)) {
        address_next(slot);
        return;
    }
    /* A site that refuses over IPv4 is down, though we have no IPv6 to try its other address. */
    if (slot->remote_fault.type != ERROR_NONE &&
        error_type_status(slot->fault.type) == CHECK_UNKNOWN) {
        slot->fault = slot->remote_fault;
    }
    transfer_add_timing(slot, false);
    check_end(slot);
}

/* --- Redirects --- */

/* 303 asks for a GET; after 301 and 302 everybody makes a POST one (RFC 9110, 15.4). */
static void method_change(struct slot *slot)
{
    bool is_post = strcmp(slot->method, "POST") == 0;
    bool is_head = strcmp(slot->method, "HEAD") == 0;

    if ((slot->http_status == 303 && !is_head) ||
        ((slot->http_status == 301 || slot->http_status == 302) && is_post)) {
        slot->method = "GET";
        slot->send_body = false;
    }
}

static void target_leave(struct slot *slot)
{
    if (slot->target.url != slot->home.url) {
        target_free(&slot->target);
    }
    slot->target = slot->home;
}

void check_clear_targets(struct slot *slot)
{
    target_leave(slot);
    target_free(&slot->home);
    slot->target = slot->home;
}

static void redirect_follow(struct slot *slot)
{
    struct target next;
    struct err err;

    if (slot->redirects >= slot->site->max_redirects) {
        fault_set(&slot->fault, ERROR_REDIRECT, PHASE_CHECK, "more than %d redirects",
                  (int)slot->site->max_redirects);
        check_end(slot);
        return;
    }
    if (slot->hop.location_over || slot->hop.location[0] == '\0') {
        fault_set(&slot->fault, ERROR_REDIRECT, PHASE_CHECK, "redirect: Location is %s",
                  slot->hop.location_over ? "too long" : "empty");
        check_end(slot);
        return;
    }
    if (target_parse(slot->target.url, slot->hop.location, &next, &err) < 0) {
        fault_set(&slot->fault, ERROR_REDIRECT, PHASE_CHECK, "redirect: %s", err.message);
        check_end(slot);
        return;
    }
    method_change(slot);
    target_leave(slot);
    slot->target = next;
    slot->redirects++;
    hop_begin(slot);
}

static void hop_succeeded(struct slot *slot)
{
    if (slot->http_status == 0) {
        transfer_add_timing(slot, false);
        fault_set(&slot->fault, ERROR_PROTOCOL, PHASE_WAIT, "the response has no status code");
        check_end(slot);
        return;
    }
    transfer_add_timing(slot, true);
    if (transfer_is_redirect(slot)) {
        redirect_follow(slot);
        return;
    }
    if (slot->site->http_version == SITE_HTTP_2 &&
        (slot->http_version == NULL || strcmp(slot->http_version, "2") != 0)) {
        fault_set(&slot->fault, ERROR_PROTOCOL, PHASE_CHECK, "wanted HTTP/2, got %s",
                  slot->http_version == NULL ? "another" : slot->http_version);
    }
    check_end(slot);
}

/* --- The course of a check --- */

void check_start(struct slot *slot, int64_t now_ns)
{
    const struct site *site = slot->site;
    struct err err;

    slot->started_ns = now_ns;
    slot->deadline_ns = now_ns + site->timeout_ms * NS_PER_MS;
    slot->method = site->method != NULL ? site->method : site->body != NULL ? "POST" : "GET";
    slot->send_body = site->body != NULL;
    slot->redirects = 0;
    slot->fault.type = ERROR_NONE;
    slot->fault.phase = PHASE_NONE;
    slot->timing = (struct event_timing){EVENT_ABSENT, EVENT_ABSENT, EVENT_ABSENT,
                                         EVENT_ABSENT, EVENT_ABSENT, EVENT_ABSENT};
    slot->http_status = 0;
    slot->http_version = NULL;
    slot->peer[0] = '\0';
    slot->tls_version = NULL;
    slot->not_after_s = EVENT_ABSENT;
    slot->hop = (struct hop){0};
    if (target_parse(NULL, site->url, &slot->home, &err) < 0) {
        fault_set(&slot->fault, ERROR_URL, PHASE_NONE, "%s", err.message);
        check_end(slot);
        return;
    }
    slot->target = slot->home;
    if (site->proxy != NULL && proxy_parse(site->proxy, &slot->proxy, &err) < 0) {
        fault_set(&slot->fault, ERROR_INTERNAL, PHASE_NONE, "proxy: %s", err.message);
        check_end(slot);
        return;
    }
    hop_begin(slot);
}

void check_on_transfer_done(struct slot *slot, CURLcode code)
{
    alarm_clear(&slot->probe->alarms, &slot->alarm);
    curl_multi_remove_handle(slot->probe->multi, slot->easy);
    transfer_note(slot);
    /* libcurl takes it for a whole response, which it is not (RFC 9112, 8). */
    if (code == CURLE_OK && !slot->hop.headers_ended) {
        code = CURLE_PARTIAL_FILE;
        snprintf(slot->hop.curl_text, sizeof(slot->hop.curl_text),
                 "the connection was closed within the response headers");
    }
    if (code == CURLE_OK) {
        hop_succeeded(slot);
    } else {
        hop_failed(slot, code);
    }
}

void check_on_alarm(struct slot *slot)
{
    if (slot->state == SLOT_RESOLVING) {
        check_abandon(slot);
        fault_set(&slot->fault, slot->asks_proxy ? ERROR_PROXY : ERROR_DNS_TIMEOUT, PHASE_DNS,
                  "%s: no DNS answer, the check's %d ms are over",
                  slot->asks_proxy ? slot->proxy.host : slot->target.host,
                  (int)slot->site->timeout_ms);
        check_end(slot);
    } else if (!transfer_is_connected(slot)) {
        check_abandon(slot);
        bool proxied = slot->proxy.host != NULL;

        fault_set(&slot->fault, proxied ? ERROR_PROXY : ERROR_CONNECT_TIMEOUT, PHASE_CONNECT,
                  "%s%s port %u: no connection in its share of the check's %d ms",
                  proxied ? "proxy " : "", slot->address,
                  (unsigned)(proxied ? slot->proxy.port : slot->target.port),
                  (int)slot->site->timeout_ms);
        address_next(slot);
    }
}

void check_abandon(struct slot *slot)
{
    if (slot->request != NULL) {
        resolver_cancel(slot->probe->resolver, slot->request);
        slot->request = NULL;
    }
    if (slot->state == SLOT_TRANSFER) {
        curl_multi_remove_handle(slot->probe->multi, slot->easy);
    }
}
