/* Whatever the bytes: no crash. What decodes is JSON to another parser too, and can be encoded, to
 * JSON that decodes to the same. */

#include <assert.h>
#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/event.h"
#include "common/utf8.h"

static bool same_text(const char *a, const char *b)
{
    return a == NULL ? b == NULL : b != NULL && strcmp(a, b) == 0;
}

/* The time of a check is written in whole milliseconds. */
static void assert_same(const struct event *a, const struct event *b)
{
    assert(strcmp(a->id, b->id) == 0);
    assert(same_text(a->site_name, b->site_name) && same_text(a->site_url, b->site_url));
    assert(a->site_id == b->site_id);
    assert(same_text(a->location, b->location) && same_text(a->observer, b->observer));
    assert(a->slot_us == b->slot_us && a->time_us / 1000 == b->time_us / 1000);
    assert(a->lag_us == b->lag_us && a->attempt == b->attempt && a->final == b->final);
    assert(a->interval_s == b->interval_s && a->status == b->status);
    assert(a->http_status == b->http_status && same_text(a->http_version, b->http_version));
    assert(a->redirects == b->redirects && a->body_bytes == b->body_bytes);
    assert(same_text(a->final_url, b->final_url));
    assert(memcmp(&a->timing, &b->timing, sizeof(a->timing)) == 0);
    assert(same_text(a->peer, b->peer) && same_text(a->tls_version, b->tls_version));
    assert(a->cert_not_after_s == b->cert_not_after_s);
    assert(a->has_pattern == b->has_pattern && a->pattern_matched == b->pattern_matched);
    assert(a->answers_cut == b->answers_cut && a->answers_json_len == b->answers_json_len);
    assert(same_text(a->answers_json, b->answers_json));
    assert(a->error == b->error && a->error_phase == b->error_phase);
    assert(same_text(a->error_message, b->error_message));
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct event event;
    struct event back;
    enum event_fault fault;
    struct err err;
    struct event_doc *doc = event_decode((const char *)input, size, &event, &fault, &err);

    if (doc == NULL) {
        assert(err.kind == ERR_INVALID && err.message[0] != '\0');
        assert(utf8_valid_prefix(err.message, strlen(err.message)) == strlen(err.message));
        return 0;
    }

    cJSON *parsed = cJSON_ParseWithLength((const char *)input, size);

    assert(parsed != NULL);
    cJSON_Delete(parsed);

    size_t len;
    char *json = event_encode(&event, &len);

    assert(utf8_valid_prefix(json, len) == len);

    struct event_doc *back_doc = event_decode(json, len, &back, &fault, &err);

    assert(back_doc != NULL);
    assert_same(&event, &back);
    event_doc_free(back_doc);
    event_doc_free(doc);
    free(json);
    return 0;
}
