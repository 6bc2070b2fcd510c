/* Whatever a site and a configuration put into its strings and numbers: the event encodes, to
 * JSON that decodes, with the numbers as they were and each text that was text. */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/event.h"
#include "common/utf8.h"

#define TEXTS_MAX 9

/* The input, as long as there is some. */
struct source {
    const uint8_t *at;
    size_t left;
};

static uint64_t take_bits(struct source *s, size_t bytes)
{
    uint64_t value = 0;

    for (size_t i = 0; i < bytes && s->left > 0; i++) {
        value = value << 8 | *s->at++;
        s->left--;
    }
    return value;
}

/* The caller frees. Never empty; `fill` stands in for nothing. */
static char *take_text(struct source *s, const char *fill)
{
    size_t wanted = take_bits(s, 1) << (take_bits(s, 1) % 8);
    size_t len = wanted < s->left ? wanted : s->left;
    char *text = malloc(len + 2);

    assert(text != NULL);
    memcpy(text, s->at, len);
    text[len] = '\0';
    s->at += len;
    s->left -= len;
    if (text[0] == '\0') {
        memcpy(text, fill, 2);
    }
    return text;
}

static int64_t take_count(struct source *s)
{
    int64_t count = (int64_t)take_bits(s, 7) - 1;

    return count > EVENT_INTEGER_MAX ? EVENT_INTEGER_MAX : count;
}

static void take_texts(struct source *s, struct event *event, char *texts[TEXTS_MAX])
{
    for (size_t i = 0; i < TEXTS_MAX; i++) {
        texts[i] = take_text(s, "x");
    }
    event->site_name = texts[0];
    event->site_url = texts[1];
    event->location = texts[2];
    event->observer = texts[3];
    event->http_version = texts[4];
    event->final_url = texts[5];
    event->peer = texts[6];
    event->tls_version = texts[7];
    event->error_message = texts[8];
}

static void take_numbers(struct source *s, struct event *event)
{
    event->site_id = take_count(s) + 1;
    event->slot_us = take_count(s);
    event->time_us = take_count(s);
    event->lag_us = (int64_t)take_bits(s, 6);
    event->attempt = 1 + (int32_t)(take_bits(s, 2) % EVENT_ATTEMPT_MAX);
    event->final = take_bits(s, 1) % 2 != 0;
    event->interval_s = 1 + (int32_t)(take_bits(s, 3) % EVENT_INTERVAL_S_MAX);
    event->error = (enum error_type)(take_bits(s, 1) % ERROR_TYPES_END);
    event->status = error_type_status(event->error);
    event->error_phase = (enum check_phase)(take_bits(s, 1) % (PHASE_CHECK + 1));
    event->http_status = (int32_t)take_bits(s, 2);
    event->redirects = (int32_t)(take_bits(s, 2) % (EVENT_REDIRECTS_MAX + 1));
    event->body_bytes = take_count(s);
    event->timing.dns_us = take_count(s);
    event->timing.total_us = take_count(s);
    event->cert_not_after_s = take_count(s);
    event->has_pattern = take_bits(s, 1) % 2 != 0;
    event->pattern_matched = take_bits(s, 1) % 2 != 0;
}

static void assert_numbers(const struct event *a, const struct event *b)
{
    const int64_t last_us = INT64_C(253402300799999999); /* the year 9999 ends */
    int64_t slot_us = a->slot_us < 0 ? 0 : a->slot_us;
    bool has_http =
        a->http_status >= EVENT_HTTP_STATUS_MIN && a->http_status <= EVENT_HTTP_STATUS_MAX;

    assert(a->site_id == b->site_id || a->site_id > EVENT_INTEGER_MAX);
    assert(slot_us > last_us || slot_us / 1000 == b->slot_us / 1000);
    assert(a->lag_us == b->lag_us && a->attempt == b->attempt && a->final == b->final);
    assert(a->interval_s == b->interval_s && a->status == b->status && a->error == b->error);
    assert(a->error == ERROR_NONE || a->error_phase == b->error_phase);
    assert(b->http_status == (has_http ? a->http_status : 0));
    assert(!has_http || (a->redirects == b->redirects && a->body_bytes == b->body_bytes));
    assert(memcmp(&a->timing, &b->timing, sizeof(a->timing)) == 0);
    assert(a->has_pattern == b->has_pattern);
    assert(!a->has_pattern || a->pattern_matched == b->pattern_matched);
}

static void assert_text(const char *was, const char *is, size_t bytes_max)
{
    size_t len = strlen(was);

    if (len <= bytes_max && utf8_valid_prefix(was, len) == len) {
        assert(strcmp(was, is) == 0);
    } else {
        assert(is[0] != '\0' && strlen(is) <= bytes_max);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct source source = {input, size};
    char *texts[TEXTS_MAX];
    struct event event;
    struct event back;
    enum event_fault fault;
    struct err err;
    size_t len;

    event_init(&event);
    take_numbers(&source, &event);
    take_texts(&source, &event, texts);

    char *json = event_encode(&event, &len);
    struct event_doc *doc = event_decode(json, len, &back, &fault, &err);

    assert(doc != NULL);
    assert_numbers(&event, &back);
    assert_text(event.site_name, back.site_name, EVENT_NAME_BYTES_MAX);
    assert_text(event.site_url, back.site_url, EVENT_URL_BYTES_MAX);
    assert_text(event.location, back.location, EVENT_LOCATION_BYTES_MAX);
    if (event.error != ERROR_NONE) {
        assert_text(event.error_message, back.error_message, EVENT_MESSAGE_BYTES_MAX);
    }

    event_doc_free(doc);
    free(json);
    for (size_t i = 0; i < TEXTS_MAX; i++) {
        free(texts[i]);
    }
    return 0;
}
