/*
 * An event as JSON. cJSON keeps the tree and escapes the strings; numbers are written here,
 * because cJSON prints them as doubles, 10^15 as "1e+15".
 */
#include "common/event.h"

#include <arpa/inet.h>
#include <assert.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/timestamp.h"
#include "common/utf8.h"

#define USUAL_BYTES 2048 /* most events fit, so that printing does not have to grow its buffer */

void event_init(struct event *event)
{
    *event = (struct event){
        .status = CHECK_UP,
        .body_bytes = EVENT_ABSENT,
        .timing = {EVENT_ABSENT, EVENT_ABSENT, EVENT_ABSENT, EVENT_ABSENT, EVENT_ABSENT,
                   EVENT_ABSENT},
        .cert_not_after_s = EVENT_ABSENT,
    };
}

/* cJSON fails for want of memory alone, and then nothing helps (common/mem.h). */
static void or_stop(bool done)
{
    if (!done) {
        fputs("error out of memory while encoding an event\n", stderr);
        abort();
    }
}

/* `name` is not copied: all are literals. */
static void add(cJSON *object, const char *name, cJSON *item)
{
    or_stop(item != NULL && cJSON_AddItemToObjectCS(object, name, item));
}

/* An object that is put into its parent at once; it may turn out empty. */
static cJSON *add_object(cJSON *parent, const char *name)
{
    cJSON *object = cJSON_CreateObject();

    add(parent, name, object);
    return object;
}

static void add_bool(cJSON *object, const char *name, bool value)
{
    add(object, name, cJSON_CreateBool(value));
}

/* Nothing for a negative number, which stands for one that is absent. */
static void add_count(cJSON *object, const char *name, int64_t value)
{
    char digits[24];
    char *at = digits + sizeof(digits);
    int64_t rest = value > EVENT_INTEGER_MAX ? EVENT_INTEGER_MAX : value;

    if (value < 0) {
        return;
    }
    *--at = '\0';
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    add(object, name, cJSON_CreateRaw(at));
}

/* As valid UTF-8 without NUL, cut at bytes_max. What is that already is not copied. */
static cJSON *text_item(const char *text, size_t bytes_max)
{
    size_t len = strnlen(text, bytes_max + 1);

    if (len <= bytes_max && utf8_valid_prefix(text, len) == len) {
        return cJSON_CreateStringReference(text);
    }

    char *clean = mem_alloc(bytes_max + 1, 1);
    cJSON *item;

    utf8_clean(text, strlen(text), clean, bytes_max + 1, NULL);
    item = cJSON_CreateString(clean);
    free(clean);
    return item;
}

/* Nothing for a text that is absent or empty. */
static void add_text(cJSON *object, const char *name, const char *text, size_t bytes_max)
{
    if (text != NULL && text[0] != '\0') {
        add(object, name, text_item(text, bytes_max));
    }
}

static void add_time_us(cJSON *object, const char *name, int64_t unix_us)
{
    char text[TIMESTAMP_SIZE];

    timestamp_format_ms(unix_us / 1000, text);
    add(object, name, cJSON_CreateString(text));
}

/* The id is made of the name and the location as they stand in the event, so that a reader can
 * make it too. */
static void add_identity(cJSON *root, const struct event *event)
{
    cJSON *name = text_item(event->site_name, EVENT_NAME_BYTES_MAX);
    cJSON *location = text_item(event->location, EVENT_LOCATION_BYTES_MAX);
    char id[IDENT_UUID_SIZE];

    or_stop(name != NULL && location != NULL);
    if (event->id[0] == '\0') {
        ident_check_id(name->valuestring, location->valuestring, event->slot_us / 1000,
                       event->attempt, id);
    } else {
        memcpy(id, event->id, sizeof(id));
    }
    add(root, "id", cJSON_CreateString(id));

    cJSON *site = add_object(root, "site");

    add(site, "name", name);
    add_text(site, "url", event->site_url, EVENT_URL_BYTES_MAX);
    if (event->site_id > 0) {
        add_count(site, "id", event->site_id);
    }
    add(root, "location", location);
    add_text(root, "observer", event->observer, EVENT_LOCATION_BYTES_MAX);
}

static void add_schedule(cJSON *root, const struct event *event)
{
    add_time_us(root, "slot", event->slot_us);
    add_time_us(root, "time", event->time_us);
    add_count(root, "lag_us", event->lag_us);
    add_count(root, "attempt", event->attempt);
    add_bool(root, "final", event->final);
    add_count(root, "interval_s", event->interval_s);
}

/* A status out of HTTP's range is what a site sent, not a response: it is left out. */
static void add_http(cJSON *root, const struct event *event)
{
    if (event->http_status < EVENT_HTTP_STATUS_MIN || event->http_status > EVENT_HTTP_STATUS_MAX) {
        return;
    }

    cJSON *http = add_object(root, "http");

    add_count(http, "status_code", event->http_status);
    add_text(http, "version", event->http_version, EVENT_HTTP_VERSION_BYTES_MAX);
    add_count(http, "redirects", event->redirects);
    add_count(http, "body_bytes", event->body_bytes);
    add_text(http, "final_url", event->final_url, EVENT_URL_BYTES_MAX);
}

static void add_timing(cJSON *root, const struct event_timing *timing)
{
    if (timing->dns_us < 0 && timing->connect_us < 0 && timing->tls_us < 0 && timing->wait_us < 0 &&
        timing->transfer_us < 0 && timing->total_us < 0) {
        return;
    }

    cJSON *object = add_object(root, "timing_us");

    add_count(object, "dns", timing->dns_us);
    add_count(object, "connect", timing->connect_us);
    add_count(object, "tls", timing->tls_us);
    add_count(object, "wait", timing->wait_us);
    add_count(object, "transfer", timing->transfer_us);
    add_count(object, "total", timing->total_us);
}

/* What is not a numeric address (one with a zone, say) would make the event invalid. */
static void add_peer(cJSON *root, const char *peer)
{
    unsigned char address[sizeof(struct in6_addr)];

    if (peer != NULL &&
        (inet_pton(AF_INET, peer, address) == 1 || inet_pton(AF_INET6, peer, address) == 1)) {
        add(root, "peer", cJSON_CreateStringReference(peer));
    }
}

static void add_tls(cJSON *root, const struct event *event)
{
    char text[TIMESTAMP_SIZE];

    if (event->tls_version == NULL && event->cert_not_after_s < 0) {
        return;
    }

    cJSON *tls = add_object(root, "tls");

    add_text(tls, "version", event->tls_version, EVENT_TLS_VERSION_BYTES_MAX);
    if (event->cert_not_after_s >= 0) {
        timestamp_format_s(event->cert_not_after_s, text);
        add(tls, "not_after", cJSON_CreateString(text));
    }
}

static void add_pattern(cJSON *root, const struct event *event, bool with_answers)
{
    if (!event->has_pattern) {
        return;
    }

    cJSON *pattern = add_object(root, "pattern");

    add_bool(pattern, "matched", event->pattern_matched);
    if (event->answers_json != NULL && with_answers) {
        add(pattern, "answers", cJSON_CreateRaw(event->answers_json));
    }
    if (event->answers_cut || (event->answers_json != NULL && !with_answers)) {
        add_bool(pattern, "answers_cut", true);
    }
}

static void add_error(cJSON *root, const struct event *event)
{
    if (event->error == ERROR_NONE) {
        return;
    }

    cJSON *error = add_object(root, "error");

    add(error, "type", cJSON_CreateStringReference(error_type_name(event->error)));
    if (event->error_phase != PHASE_NONE) {
        add(error, "phase", cJSON_CreateStringReference(check_phase_name(event->error_phase)));
    }
    add_text(error, "message", event->error_message, EVENT_MESSAGE_BYTES_MAX);
}

static char *encode(const struct event *event, bool with_answers)
{
    cJSON *root = cJSON_CreateObject();
    char *json;

    or_stop(root != NULL);
    add_count(root, "schema", EVENT_SCHEMA);
    add_identity(root, event);
    add_schedule(root, event);
    add(root, "status", cJSON_CreateStringReference(check_status_name(event->status)));
    add_http(root, event);
    add_timing(root, &event->timing);
    add_peer(root, event->peer);
    add_tls(root, event);
    add_pattern(root, event, with_answers);
    add_error(root, event);

    json = cJSON_PrintBuffered(root, USUAL_BYTES, false);
    or_stop(json != NULL);
    cJSON_Delete(root);
    return json;
}

static bool is_filled(const char *text)
{
    return text != NULL && text[0] != '\0';
}

char *event_encode(const struct event *event, size_t *len)
{
    assert(is_filled(event->site_name) && is_filled(event->site_url));
    assert(is_filled(event->location) && is_filled(event->observer));
    assert(event->lag_us >= 0);
    assert(event->attempt >= 1 && event->attempt <= EVENT_ATTEMPT_MAX);
    assert(event->interval_s >= 1 && event->interval_s <= EVENT_INTERVAL_S_MAX);
    assert(event->redirects >= 0 && event->redirects <= EVENT_REDIRECTS_MAX);
    assert(event->status <= CHECK_UNKNOWN && event->error < ERROR_TYPES_END);

    char *json = encode(event, true);

    *len = strlen(json);
    if (*len > EVENT_BYTES_MAX) {
        /* Escapes can make six bytes of one; only the answers can be that many. */
        free(json);
        json = encode(event, false);
        *len = strlen(json);
    }
    return json;
}
