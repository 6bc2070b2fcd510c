#include <stdio.h>

#include "common/clock.h"
#include "producer/probe_internal.h"

static int64_t info_us(const struct slot *slot, CURLINFO info)
{
    curl_off_t us = 0;

    curl_easy_getinfo(slot->easy, info, &us);
    return us;
}

static long info_long(const struct slot *slot, CURLINFO info)
{
    long value = 0;

    curl_easy_getinfo(slot->easy, info, &value);
    return value;
}

/* libcurl took a connection that was there, and has sent the request on it. */
static bool is_reused(const struct slot *slot)
{
    return slot->hop.socket_ns == 0 && info_us(slot, CURLINFO_PRETRANSFER_TIME_T) > 0;
}

/* libcurl 7.88 gives the time of TCP's connect only when TLS has ended well too; the handshake's
 * begin says it before. */
bool transfer_is_connected(const struct slot *slot)
{
    return slot->hop.tls_ns != 0 || slot->hop.first_byte_ns != 0 ||
           info_us(slot, CURLINFO_CONNECT_TIME_T) > 0 || is_reused(slot);
}

enum check_phase transfer_phase(const struct slot *slot)
{
    if (!transfer_is_connected(slot)) {
        return PHASE_CONNECT;
    }
    if (slot->hop.first_byte_ns != 0) {
        return PHASE_TRANSFER;
    }
    if (slot->target.tls && slot->tls.version == NULL && !is_reused(slot)) {
        return PHASE_TLS;
    }
    return PHASE_WAIT;
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

static void add_us(int64_t *sum_us, int64_t us)
{
    *sum_us = (*sum_us == EVENT_ABSENT ? 0 : *sum_us) + (us < 0 ? 0 : us);
}

void transfer_add_timing(struct slot *slot, bool whole)
{
    const struct hop *hop = &slot->hop;
    bool reused = hop->socket_ns == 0;
    int64_t origin_ns = reused ? hop->began_ns : hop->socket_ns;
    int64_t ready_us = 0; /* from the origin until the request could be sent */

    if (!reused && transfer_is_connected(slot)) {
        int64_t connect_us = info_us(slot, CURLINFO_CONNECT_TIME_T);
        int64_t tls_us = info_us(slot, CURLINFO_APPCONNECT_TIME_T) - connect_us;

        if (connect_us == 0) {
            connect_us = (hop->tls_ns - hop->socket_ns) / NS_PER_US;
        }
        add_us(&slot->timing.connect_us, connect_us + slot->failed_connects_us);
        ready_us = connect_us;
        if (slot->target.tls && tls_us > 0) {
            add_us(&slot->timing.tls_us, tls_us);
            ready_us += tls_us;
        }
    }
    if (hop->first_byte_ns == 0) {
        return;
    }
    int64_t first_byte_us = (hop->first_byte_ns - origin_ns) / NS_PER_US;

    add_us(&slot->timing.wait_us, first_byte_us - ready_us);
    if (whole) {
        add_us(&slot->timing.transfer_us, info_us(slot, CURLINFO_TOTAL_TIME_T) - first_byte_us);
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

void transfer_note(struct slot *slot)
{
    slot->http_status = (int32_t)info_long(slot, CURLINFO_RESPONSE_CODE);
    slot->http_version =
        slot->http_status == 0 ? NULL : version_name(info_long(slot, CURLINFO_HTTP_VERSION));
    if (transfer_is_connected(slot)) {
        snprintf(slot->peer, sizeof(slot->peer), "%s", slot->addresses[slot->address_at]);
    }
    if (slot->target.tls) {
        slot->tls_version = slot->tls.version;
        slot->not_after_s = slot->tls.not_after_s;
    }
}
