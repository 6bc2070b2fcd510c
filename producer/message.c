#include "producer/message.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/utf8.h"

#define SOURCE_START "/sitewatch/"

/* Percent-encodes what RFC 3986 does not call unreserved: ce_source is a URI reference, and a
 * location may be called anything. Returns the end. */
static char *put_encoded(char *out, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    static const char unreserved[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (const char *c = text; *c != '\0'; c++) {
        if (strchr(unreserved, *c) != NULL) {
            *out++ = *c;
        } else {
            *out++ = '%';
            *out++ = digits[(unsigned char)*c >> 4];
            *out++ = digits[(unsigned char)*c & 15];
        }
    }
    return out;
}

static char *source_new(const char *location, const char *observer)
{
    size_t start_len = strlen(SOURCE_START);
    char *source = mem_alloc(start_len + 3 * strlen(location) + 1 + 3 * strlen(observer) + 1, 1);
    char *out = source + start_len;

    memcpy(source, SOURCE_START, start_len);
    out = put_encoded(out, location);
    *out++ = '/';
    put_encoded(out, observer);
    return source;
}

/* The id and the key are the ones that stand in the JSON, so they are made of the same text. */
void message_init(struct message *message, const struct event *event)
{
    char key[EVENT_NAME_BYTES_MAX + 1], location[EVENT_LOCATION_BYTES_MAX + 1];
    struct event clean = *event;

    utf8_clean(event->site_name, strlen(event->site_name), key, sizeof(key), NULL);
    utf8_clean(event->location, strlen(event->location), location, sizeof(location), NULL);
    *message = (struct message){.key = mem_copy_string(key),
                                .source = source_new(event->location, event->observer)};
    clean.site_name = key;
    clean.location = location;
    if (clean.id[0] == '\0') {
        ident_check_id(key, location, clean.slot_us / US_PER_MS, clean.attempt, clean.id);
    }
    memcpy(message->id, clean.id, sizeof(message->id));
    timestamp_format_ms(event->time_us / US_PER_MS, message->time);
    message->json = event_encode(&clean, &message->json_len);
}

void message_clear(struct message *message)
{
    free(message->key);
    free(message->source);
    free(message->json);
}

size_t message_bytes(const struct message *message)
{
    return sizeof(*message) + strlen(message->key) + strlen(message->source) + message->json_len;
}

rd_kafka_resp_err_t message_produce(const struct message *message, rd_kafka_t *kafka,
                                    rd_kafka_topic_t *topic, void *opaque)
{
    return rd_kafka_producev(
        kafka, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_KEY(message->key, strlen(message->key)),
        RD_KAFKA_V_VALUE(message->json, message->json_len), RD_KAFKA_V_OPAQUE(opaque),
        RD_KAFKA_V_HEADER("ce_specversion", "1.0", -1), RD_KAFKA_V_HEADER("ce_id", message->id, -1),
        RD_KAFKA_V_HEADER("ce_type", EVENT_TYPE, -1),
        RD_KAFKA_V_HEADER("ce_source", message->source, -1),
        RD_KAFKA_V_HEADER("ce_time", message->time, -1),
        RD_KAFKA_V_HEADER("content-type", "application/json", -1), RD_KAFKA_V_END);
}
