#include "producer/sitereader.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/site_json.h"

#define LINES_MAX 20 /* in LINES_NS */
#define LINES_NS (10 * NS_PER_SEC)
#define ID_DIGITS_MAX 18

static void refuse(struct sitereader *r, const rd_kafka_message_t *message, const char *reason)
{
    int64_t now_ns = clock_mono_ns();

    metric_add(r->bad, 1);
    if (now_ns >= r->lines_until_ns) {
        r->lines_until_ns = now_ns + LINES_NS;
        r->lines = 0;
    }
    if (r->lines++ < LINES_MAX) {
        log_write(LOG_WARN, "a site of the topic is refused",
                  LOG_I("partition", message->partition), LOG_I("offset", message->offset),
                  LOG_S("reason", reason));
    }
}

/* The id that a message is of; 0: its key is none. */
static int64_t id_of(const rd_kafka_message_t *message)
{
    const char *key = message->key;
    int64_t id = 0;

    if (message->key_len == 0 || message->key_len > ID_DIGITS_MAX || key[0] == '0') {
        return 0;
    }
    for (size_t i = 0; i < message->key_len; i++) {
        if (key[i] < '0' || key[i] > '9') {
            return 0;
        }
        id = id * 10 + (key[i] - '0');
    }
    return id;
}

void sitereader_init(struct sitereader *r, const struct seal *seal, struct metrics *m)
{
    *r = (struct sitereader){
        .seal = seal,
        .bad = metrics_counter(m, "sitewatch_site_messages", "Messages of the topic of the sites",
                               "result=\"bad\""),
    };
}

void sitereader_take(struct sitereader *r, const rd_kafka_message_t *message,
                     struct news_list *list)
{
    struct site site;
    struct err err;
    int64_t version;
    int64_t id = id_of(message);

    if (id == 0) {
        refuse(r, message, "key: want the id of a site");
        return;
    }
    if (message->payload == NULL) {
        news_add(list, NEWS_DROP, message->partition)->id = id;
        return;
    }
    if (site_json_read(message->payload, message->len, r->seal, &site, &version, &err) < 0) {
        refuse(r, message, err.message);
        return;
    }
    if (site.id != id) {
        refuse(r, message, "id: is another than the key's");
        site_free(&site);
        return;
    }
    struct news *news = news_add(list, NEWS_PUT, message->partition);

    news->id = id;
    news->version = version;
    news->offset = message->offset;
    news->site = site;
}
