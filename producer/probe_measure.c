#include <string.h>

#include "common/clock.h"
#include "producer/probe_internal.h"

static long info_long(const struct slot *slot, CURLINFO info)
{
    long value = 0;

    curl_easy_getinfo(slot->easy, info, &value);
    return value;
}

/* For TLS the handshake begins when TCP is connected; without, the request goes out at once. A
 * connection that is used again is there from the start. */
bool transfer_is_connected(const struct slot *slot)
{
    return slot->hop.tls_ns != 0 || slot->hop.ready_ns != 0;
}

enum check_phase transfer_phase(const struct slot *slot)
{
    if (!transfer_is_connected(slot)) {
        return PHASE_CONNECT;
    }
    if (slot->hop.first_byte_ns != 0) {
        return PHASE_TRANSFER;
    }
    return slot->hop.ready_ns == 0 ? PHASE_TLS : PHASE_WAIT;
}

/* Those that lead to another URL by themselves (RFC 9110, 15.4): not 300, 304 and 305. */
bool transfer_is_redirect(const struct slot *slot)
{
    if (!slot->site->follow_redirects || slot->hop.location == NULL) {
        return false;
    }
    switch (info_long(slot, CURLINFO_RESPONSE_CODE)) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        return true;
    default:
        return false;
    }
}

static void add_span(int64_t *sum_us, int64_t from_ns, int64_t to_ns)
{
    int64_t us = (to_ns - from_ns) / NS_PER_US;

    *sum_us = (*sum_us == EVENT_ABSENT ? 0 : *sum_us) + (us < 0 ? 0 : us);
}

/* All from our own stamps of one clock: libcurl's times begin elsewhere and tell of TCP's connect
 * only when TLS has ended well too. */
void transfer_add_timing(struct slot *slot, bool whole)
{
    const struct hop *hop = &slot->hop;

    /* Of an https proxy: its handshake is TLS's, what is before and after it the connection's. */
    int64_t proxy_tls_ns = hop->proxy_tls_ns == 0 ? 0 : slot->proxy_tls.done_ns - hop->proxy_tls_ns;

    if (proxy_tls_ns > 0 && transfer_is_connected(slot)) {
        add_span(&slot->timing.tls_us, 0, proxy_tls_ns);
    }
    if (hop->socket_ns != 0 && transfer_is_connected(slot)) {
        add_span(&slot->timing.connect_us, hop->socket_ns - slot->failed_connects_us * NS_PER_US,
                 (hop->tls_ns != 0 ? hop->tls_ns : hop->ready_ns) -
                     (proxy_tls_ns > 0 ? proxy_tls_ns : 0));
    }
    if (hop->tls_ns != 0 && hop->ready_ns != 0) {
        add_span(&slot->timing.tls_us, hop->tls_ns, hop->ready_ns);
    }
    if (hop->first_byte_ns != 0) {
        add_span(&slot->timing.wait_us, hop->ready_ns, hop->first_byte_ns);
    }
    if (hop->first_byte_ns != 0 && whole) {
        add_span(&slot->timing.transfer_us, hop->first_byte_ns, hop->ended_ns);
    }
}

static const char *version_name(long version)
{
    switch (version) {
    case CURL_HTTP_VERSION_1_0:
        return "1.0";
    case CURL_HTTP_VERSION_1_1:
        return "1.1";
    case CURL_HTTP_VERSION_2_0:
        return "2";
    default:
        return NULL;
    }
}

/* libcurl 7 takes "HTTP/200 OK" for HTTP/2 and its status 0; another line may give it any number.
 */
static int32_t status_code(const struct slot *slot)
{
    long code = info_long(slot, CURLINFO_RESPONSE_CODE);

    return code < EVENT_HTTP_STATUS_MIN || code > EVENT_HTTP_STATUS_MAX ? 0 : (int32_t)code;
}

void transfer_note(struct slot *slot)
{
    slot->hop.ended_ns = clock_mono_ns();
    /* Without a response of the site's it would be a proxy's. */
    slot->http_status = slot->hop.first_byte_ns == 0 ? 0 : status_code(slot);
    slot->http_version =
        slot->http_status == 0 ? NULL : version_name(info_long(slot, CURLINFO_HTTP_VERSION));
    if (transfer_is_connected(slot)) {
        memcpy(slot->peer, slot->address, sizeof(slot->peer));
    }
    if (slot->target.tls) {
        slot->tls_version = slot->tls.version;
        slot->not_after_s = slot->tls.not_after_s;
    }
}
