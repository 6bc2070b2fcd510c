/* One hop: libcurl's options for it, and its handle. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "producer/probe_internal.h"

#define CURL_CONNECT_MS_DEFAULT 300000

/*
 * libcurl verifies nothing and so reads no file: tls_prepare does it. But a connection is only
 * used again by a site that wants it verified alike, and for that libcurl compares, of what we
 * can set, CAINFO: a label here, not a file.
 */
static bool set_tls(struct slot *slot)
{
    const struct site *site = slot->site;
    bool identified = site->cert_file != NULL && target_same_origin(&slot->home, &slot->target);
    char label[2 * PATH_MAX + 64];
    bool ok = true;

    slot->tls = (struct tls_check){
        .tls = slot->probe->tls,
        .host = slot->target.host,
        .ca_file = site->ca_file,
        .cert_file = identified ? site->cert_file : NULL,
        .key_file = identified ? site->key_file : NULL,
        .verify = site->verify_tls,
        .resume = site->tls_resume ? site->name : NULL,
        .address = slot->address,
        .port = slot->target.port,
        .min_tls = site->min_tls,
        .not_after_s = EVENT_ABSENT,
    };
    if (!slot->target.tls && slot->proxy.host == NULL) {
        return true;
    }
    snprintf(label, sizeof(label), "verify=%d min_tls=%d ca_file=%s cert_file=%s", site->verify_tls,
             (int)site->min_tls, site->ca_file == NULL ? "" : site->ca_file,
             identified ? site->cert_file : "");
    SET(CURLOPT_CAINFO, label);
    if (slot->proxy.host != NULL) {
        slot->proxy_tls = slot->tls;
        slot->proxy_tls.host = slot->proxy.host;
        slot->proxy_tls.send_name = true; /* libcurl knows its address alone */
        slot->proxy_tls.cert_file = NULL;
        slot->proxy_tls.resume = NULL;
        SET(CURLOPT_PROXY_SSL_VERIFYPEER, 0L);
        SET(CURLOPT_PROXY_SSL_VERIFYHOST, 0L);
        SET(CURLOPT_PROXY_CAINFO, label);
        SET(CURLOPT_PROXY_CAPATH, NULL);
    }
    return ok;
}

/* The proxy by the address that is tried, so that libcurl resolves nothing. What the environment
 * says of proxies is not for us. */
static bool set_proxy(struct slot *slot)
{
    const char *address = slot->address;
    bool six = strchr(address, ':') != NULL;
    char through[INET6_ADDRSTRLEN + 32];
    bool ok = true;

    snprintf(through, sizeof(through), "%s://%s%s%s:%u", proxy_scheme(slot->proxy.kind),
             six ? "[" : "", address, six ? "]" : "", (unsigned)slot->proxy.port);
    SET(CURLOPT_PROXY, through);
    SET(CURLOPT_NOPROXY, "");
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_USERAGENT, slot->probe->settings.user_agent); /* in what is said to the proxy */
    if (slot->proxy.user != NULL) {
        SET(CURLOPT_PROXYAUTH, CURLAUTH_BASIC);
        SET(CURLOPT_PROXYUSERNAME, slot->proxy.user);
        SET(CURLOPT_PROXYPASSWORD, slot->proxy.password == NULL ? "" : slot->proxy.password);
    }
    return ok;
}

static bool set_connection(struct slot *slot)
{
    bool proxied = slot->proxy.host != NULL;
    const char *address = proxied ? slot->site_address : slot->address;
    bool fresh = !slot->site->reuse_connection;
    int64_t left_ms = (slot->deadline_ns - slot->hop.began_ns + NS_PER_MS - 1) / NS_PER_MS;
    char connect_to[INET6_ADDRSTRLEN + 8];
    bool ok = true;

    /* Any host, any port: it is the one transfer's. Not CURLOPT_RESOLVE, whose answers all
     * transfers share, though two sites may want different addresses of one name. */
    if (address[0] != '\0' && strcmp(address, slot->target.host) != 0) {
        snprintf(connect_to, sizeof(connect_to),
                 strchr(address, ':') ? "::[%s]:" : "::%s:", address);
        ok = slist_append(&slot->connect_to, connect_to);
    }
    SET(CURLOPT_CONNECT_TO, slot->connect_to);
    if (slot->target.scope != 0) { /* libcurl 7.88 drops the zone of a CURLU */
        SET(CURLOPT_ADDRESS_SCOPE, (long)slot->target.scope);
    }
    ok = (!proxied || set_proxy(slot)) && ok;
    SET(CURLOPT_FRESH_CONNECT, fresh ? 1L : 0L);
    SET(CURLOPT_FORBID_REUSE, fresh ? 1L : 0L);
    SET(CURLOPT_TIMEOUT_MS, (long)(left_ms < 1 ? 1 : left_ms));
    /* It is one more timer, and needed only where libcurl's own limit is shorter. */
    SET(CURLOPT_CONNECTTIMEOUT_MS, left_ms > CURL_CONNECT_MS_DEFAULT ? (long)left_ms : 0L);
    return ok;
}

/* What is alike in all transfers. */
static bool set_base(struct slot *slot)
{
    bool ok = true;

    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_ACCEPT_ENCODING, slot->probe->encodings);
    SET(CURLOPT_DNS_CACHE_TIMEOUT, 0L); /* else it is walked through at the end of each check */
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_SSL_VERIFYPEER, 0L);
    SET(CURLOPT_SSL_VERIFYHOST, 0L);
    SET(CURLOPT_SSL_SESSIONID_CACHE, 0L); /* a full handshake each time */
    SET(CURLOPT_CAPATH, NULL);
    SET(CURLOPT_PRIVATE, slot);
    SET(CURLOPT_ERRORBUFFER, slot->hop.curl_text);
    return callbacks_set(slot) && ok;
}

/* Nothing is set for it alone but what every transfer sets. */
static bool is_plain(const struct slot *slot)
{
    return !slot->target.tls && slot->target.scope == 0 && slot->proxy.host == NULL &&
           !slot->send_body && slot->site->username == NULL && slot->site->cert_file == NULL &&
           strcmp(slot->method, "GET") == 0;
}

int transfer_start(struct slot *slot, struct err *err)
{
    transfer_clear(slot);
    slot->hop = (struct hop){.began_ns = clock_mono_ns()};

    bool plain = is_plain(slot);
    bool ok = true;

    /* Nothing of an earlier site or hop, its password least of all, is left in the handle. What
     * set_connection, request_set and set_tls set for a plain one they set each time. */
    if (slot->holds == HANDLE_MORE) {
        curl_easy_reset(slot->easy);
        slot->holds = HANDLE_NOTHING;
    }
    ok = slot->holds == HANDLE_BASE || set_base(slot);
    SET(CURLOPT_HEADER, 0L); /* on_header may have left it on */
    slot->holds = plain ? HANDLE_BASE : HANDLE_MORE;
    ok = set_connection(slot) && ok;
    ok = set_tls(slot) && ok;
    ok = request_set(slot) && ok;
    if (!ok) {
        return err_set(err, ERR_FATAL, "libcurl refused an option");
    }
    CURLMcode code = curl_multi_add_handle(slot->probe->multi, slot->easy);

    if (code != CURLM_OK) {
        return err_set(err, ERR_FATAL, "curl_multi_add_handle: %s", curl_multi_strerror(code));
    }
    return 0;
}

void transfer_clear(struct slot *slot)
{
    curl_slist_free_all(slot->headers);
    curl_slist_free_all(slot->connect_to);
    free(slot->hop.location);
    free(slot->hop.lines);
    slot->headers = NULL;
    slot->connect_to = NULL;
    slot->hop.location = NULL;
    slot->hop.lines = NULL;
}
