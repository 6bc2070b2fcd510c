#include "consumer/intake.h"

#include <stdio.h>

#include "common/clock.h"
#include "common/event.h"

#define MS_PER_DAY (INT64_C(86400) * MS_PER_SEC)

/* NULL when the event's times are ones that we store. */
static const char *judge_times(const struct event *event, int64_t real_now_ms,
                               int64_t retention_days, char *detail, size_t detail_size)
{
    int64_t latest_us = (real_now_ms + INTAKE_AHEAD_MS_MAX) * US_PER_MS;
    int64_t earliest_us = (real_now_ms - retention_days * MS_PER_DAY) * US_PER_MS;

    if (event->slot_us > latest_us || event->time_us > latest_us) {
        snprintf(detail, detail_size, "%s is more than 5 min ahead of the consumer's clock",
                 event->slot_us > latest_us ? "slot" : "time");
        return "slot_future";
    }
    if (event->slot_us < earliest_us) {
        snprintf(detail, detail_size, "slot is older than the %lld days that are kept",
                 (long long)retention_days);
        return "slot_expired";
    }
    return NULL;
}

const char *intake_message(struct batch *b, uint32_t partition, const struct intake_message *m,
                           int64_t real_now_ms, int64_t retention_days)
{
    struct event event;
    enum event_fault fault = EVENT_FAULT_JSON;
    struct err err;
    char detail[256];
    const char *reason;
    struct event_doc *doc =
        event_decode(m->payload == NULL ? "" : m->payload, m->payload_len, &event, &fault, &err);

    if (doc == NULL) {
        reason = event_fault_name(fault);
        snprintf(detail, sizeof(detail), "%.*s", (int)sizeof(detail) - 1, err.message);
    } else {
        reason = judge_times(&event, real_now_ms, retention_days, detail, sizeof(detail));
    }
    if (reason == NULL) {
        batch_add_row(b, partition, m->offset, &event);
    } else {
        batch_add_letter(b, partition, m->offset, reason, detail, m->key, m->key_len, m->payload,
                         m->payload_len, m->timestamp_ms);
    }
    event_doc_free(doc);
    return reason;
}
