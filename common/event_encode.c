/*
 * An event as JSON, written from front to back into one buffer: a tree of it takes an allocation
 * for each member, and 30,000 instructions where this takes 5,100. What is called for each of the
 * thirty members is inline, so that a name is written as the few words that it is: 1,600 more else.
 *
 * Each member is followed by a comma; what closes an object writes over the last one.
 */
#include "common/event.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsonstring.h"
#include "common/mem.h"
#include "common/timestamp.h"
#include "common/utf8.h"

#define USUAL_BYTES 2048 /* most events fit */

/* Begins on the stack: what is kept has the size of the event, which most have under a KiB, where
 * glibc's malloc is at its best. */
struct out {
    char *bytes;
    size_t len, size;
    char *grown; /* bytes, when it is not on the stack any more */
};

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

/* --- JSON --- */

static inline void make_room(struct out *o, size_t len)
{
    if (o->size - o->len < len) {
        o->size = 2 * o->size + len;

        char *grown = mem_resize(o->grown, o->size, 1);

        if (o->grown == NULL) {
            memcpy(grown, o->bytes, o->len);
        }
        o->bytes = o->grown = grown;
    }
}

static inline void put(struct out *o, const char *bytes, size_t len)
{
    make_room(o, len);
    memcpy(o->bytes + o->len, bytes, len);
    o->len += len;
}

/* A literal that needs no escape. */
#define NAME(name) "\"" name "\":", sizeof(name) + 2

static inline void put_string(struct out *o, const char *text, size_t len)
{
    make_room(o, JSONSTRING_BYTES_MAX(len) + 1);
    o->len += jsonstring_put(o->bytes + o->len, text, len);
    o->bytes[o->len++] = ',';
}

static void begin_object(struct out *o, const char *name, size_t name_len)
{
    put(o, name, name_len);
    put(o, "{", 1);
}

static void end_object(struct out *o)
{
    if (o->bytes[o->len - 1] == ',') { /* else it is empty */
        o->len--;
    }
    put(o, "},", 2);
}

static void add_bool(struct out *o, const char *name, size_t name_len, bool value)
{
    put(o, name, name_len);
    put(o, value ? "true," : "false,", value ? 5 : 6);
}

/* Nothing for a negative number, which stands for one that is absent. */
static inline void add_count(struct out *o, const char *name, size_t name_len, int64_t value)
{
    char digits[24];
    char *end = digits + sizeof(digits);
    char *at = end;
    int64_t rest = value > EVENT_INTEGER_MAX ? EVENT_INTEGER_MAX : value;

    if (value < 0) {
        return;
    }
    *--at = ',';
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    put(o, name, name_len);
    put(o, at, (size_t)(end - at));
}

/* A literal, or what was made here: it is not looked at. */
static inline void add_known(struct out *o, const char *name, size_t name_len, const char *text)
{
    put(o, name, name_len);
    put_string(o, text, strlen(text));
}

/* As valid UTF-8 without NUL, cut at bytes_max. Nothing for a text that is absent or empty. */
static void add_text(struct out *o, const char *name, size_t name_len, const char *text,
                     size_t bytes_max)
{
    if (text == NULL || text[0] == '\0') {
        return;
    }

    size_t len = strnlen(text, bytes_max + 1);

    put(o, name, name_len);
    if (len <= bytes_max && utf8_valid_prefix(text, len) == len) {
        put_string(o, text, len);
        return;
    }

    char *clean = mem_alloc(bytes_max + 1, 1);
    size_t clean_len = utf8_clean(text, strlen(text), clean, bytes_max + 1, NULL);

    put_string(o, clean, clean_len);
    free(clean);
}

static void add_time_us(struct out *o, const char *name, size_t name_len, int64_t unix_us)
{
    char text[TIMESTAMP_SIZE];

    timestamp_format_ms(unix_us / 1000, text);
    add_known(o, name, name_len, text);
}

/* --- The event --- */

/* The id is made of the name and the location as they stand in the event, so that a reader can
 * make it too. */
static void add_id(struct out *o, const struct event *event)
{
    char name[EVENT_NAME_BYTES_MAX + 1], location[EVENT_LOCATION_BYTES_MAX + 1];
    char id[IDENT_UUID_SIZE];

    if (event->id[0] != '\0') {
        add_known(o, NAME("id"), event->id);
        return;
    }
    utf8_clean(event->site_name, strlen(event->site_name), name, sizeof(name), NULL);
    utf8_clean(event->location, strlen(event->location), location, sizeof(location), NULL);
    ident_check_id(name, location, event->slot_us / 1000, event->attempt, id);
    add_known(o, NAME("id"), id);
}

static void add_identity(struct out *o, const struct event *event)
{
    add_id(o, event);
    begin_object(o, NAME("site"));
    add_text(o, NAME("name"), event->site_name, EVENT_NAME_BYTES_MAX);
    add_text(o, NAME("url"), event->site_url, EVENT_URL_BYTES_MAX);
    if (event->site_id > 0) {
        add_count(o, NAME("id"), event->site_id);
    }
    end_object(o);
    add_text(o, NAME("location"), event->location, EVENT_LOCATION_BYTES_MAX);
    add_text(o, NAME("observer"), event->observer, EVENT_LOCATION_BYTES_MAX);
}

static void add_schedule(struct out *o, const struct event *event)
{
    add_time_us(o, NAME("slot"), event->slot_us);
    add_time_us(o, NAME("time"), event->time_us);
    add_count(o, NAME("lag_us"), event->lag_us);
    add_count(o, NAME("attempt"), event->attempt);
    add_bool(o, NAME("final"), event->final);
    add_count(o, NAME("interval_s"), event->interval_s);
}

/* A status out of HTTP's range is what a site sent, not a response: it is left out. */
static void add_http(struct out *o, const struct event *event)
{
    if (event->http_status < EVENT_HTTP_STATUS_MIN || event->http_status > EVENT_HTTP_STATUS_MAX) {
        return;
    }

    begin_object(o, NAME("http"));

    add_count(o, NAME("status_code"), event->http_status);
    add_text(o, NAME("version"), event->http_version, EVENT_HTTP_VERSION_BYTES_MAX);
    add_count(o, NAME("redirects"), event->redirects);
    add_count(o, NAME("body_bytes"), event->body_bytes);
    add_text(o, NAME("final_url"), event->final_url, EVENT_URL_BYTES_MAX);
    end_object(o);
}

static void add_timing(struct out *o, const struct event_timing *timing)
{
    if (timing->dns_us < 0 && timing->connect_us < 0 && timing->tls_us < 0 && timing->wait_us < 0 &&
        timing->transfer_us < 0 && timing->total_us < 0) {
        return;
    }

    begin_object(o, NAME("timing_us"));

    add_count(o, NAME("dns"), timing->dns_us);
    add_count(o, NAME("connect"), timing->connect_us);
    add_count(o, NAME("tls"), timing->tls_us);
    add_count(o, NAME("wait"), timing->wait_us);
    add_count(o, NAME("transfer"), timing->transfer_us);
    add_count(o, NAME("total"), timing->total_us);
    end_object(o);
}

/* What is not a numeric address (one with a zone, say) would make the event invalid. */
static void add_peer(struct out *o, const char *peer)
{
    unsigned char address[sizeof(struct in6_addr)];

    if (peer != NULL &&
        (inet_pton(AF_INET, peer, address) == 1 || inet_pton(AF_INET6, peer, address) == 1)) {
        add_known(o, NAME("peer"), peer);
    }
}

static void add_tls(struct out *o, const struct event *event)
{
    char text[TIMESTAMP_SIZE];

    if (event->tls_version == NULL && event->cert_not_after_s < 0) {
        return;
    }

    begin_object(o, NAME("tls"));

    add_text(o, NAME("version"), event->tls_version, EVENT_TLS_VERSION_BYTES_MAX);
    if (event->cert_not_after_s >= 0) {
        timestamp_format_s(event->cert_not_after_s, text);
        add_known(o, NAME("not_after"), text);
    }
    end_object(o);
}

static void add_pattern(struct out *o, const struct event *event, bool with_answers)
{
    if (!event->has_pattern) {
        return;
    }

    begin_object(o, NAME("pattern"));

    add_bool(o, NAME("matched"), event->pattern_matched);
    if (event->answers_json != NULL && with_answers) {
        put(o, NAME("answers"));
        put(o, event->answers_json, event->answers_json_len);
        put(o, ",", 1);
    }
    if (event->answers_cut || (event->answers_json != NULL && !with_answers)) {
        add_bool(o, NAME("answers_cut"), true);
    }
    end_object(o);
}

static void add_error(struct out *o, const struct event *event)
{
    if (event->error == ERROR_NONE) {
        return;
    }

    begin_object(o, NAME("error"));

    add_known(o, NAME("type"), error_type_name(event->error));
    if (event->error_phase != PHASE_NONE) {
        add_known(o, NAME("phase"), check_phase_name(event->error_phase));
    }
    add_text(o, NAME("message"), event->error_message, EVENT_MESSAGE_BYTES_MAX);
    end_object(o);
}

static char *encode(const struct event *event, bool with_answers, size_t *len)
{
    char usual[USUAL_BYTES];
    struct out o = {.bytes = usual, .size = sizeof(usual)};

    put(&o, "{", 1);
    add_count(&o, NAME("schema"), EVENT_SCHEMA);
    add_identity(&o, event);
    add_schedule(&o, event);
    add_known(&o, NAME("status"), check_status_name(event->status));
    add_http(&o, event);
    add_timing(&o, &event->timing);
    add_peer(&o, event->peer);
    add_tls(&o, event);
    add_pattern(&o, event, with_answers);
    add_error(&o, event);
    o.bytes[o.len - 1] = '}';
    *len = o.len;

    char *json = mem_resize(o.grown, o.len + 1, 1);

    if (o.grown == NULL) {
        memcpy(json, usual, o.len);
    }
    json[o.len] = '\0';
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

    char *json = encode(event, true, len);

    if (*len > EVENT_BYTES_MAX) {
        /* Escapes can make six bytes of one; only the answers can be that many. */
        free(json);
        json = encode(event, false, len);
    }
    return json;
}
