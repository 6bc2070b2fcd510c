#include "producer/trouble.h"

#include "common/clock.h"
#include "common/kafka.h"

void trouble_init(struct trouble *t)
{
    *t = (struct trouble){.full_limit = {.interval_ns = TROUBLE_LOG_NS},
                          .restart_limit = {.interval_ns = TROUBLE_LOG_NS}};
}

void trouble_topic_init(struct trouble_topic *t, const char *topic, const char *setting)
{
    *t = (struct trouble_topic){.topic = topic,
                                .setting = setting,
                                .failed_limit = {.interval_ns = TROUBLE_LOG_NS},
                                .dropped_limit = {.interval_ns = TROUBLE_LOG_NS}};
}

void trouble_full(struct trouble *t, const struct trouble_facts *facts, int64_t now_ns)
{
    uint64_t held_back = 0;

    if (t->full) {
        return;
    }
    t->full = true;
    t->full_since_ns = now_ns;
    t->full_events = 0;
    /* At the edge of its size a queue is full and not full many times a second. */
    t->full_logged = log_limit_allows(&t->full_limit, now_ns, &held_back);
    if (t->full_logged) {
        log_write(LOG_WARN,
                  facts->spooling ? "Kafka queue is full, events wait in the spool"
                                  : "Kafka queue is full, checks wait",
                  LOG_I("queued", facts->pending - facts->waiting),
                  LOG_I("waiting", facts->waiting), LOG_I("held_back", held_back));
    }
}

void trouble_settle(struct trouble *t, const struct trouble_facts *facts, int64_t now_ns)
{
    bool over_ceiling = facts->waiting_bytes > facts->waiting_bytes_max;

    if (facts->delivered && t->down) {
        t->down = false;
        log_write(LOG_INFO, "Kafka brokers are reached again", LOG_I("pending", facts->pending));
    } else if (facts->brokers_down && !facts->delivered && !t->down) {
        t->down = true;
        log_write(LOG_WARN, "no Kafka broker is reached, events wait",
                  LOG_I("pending", facts->pending));
    }
    if (t->full && facts->waiting == 0 && !facts->behind) {
        t->full = false;
        if (t->full_logged) {
            log_write(LOG_INFO, "Kafka takes events again", LOG_I("waited", t->full_events),
                      LOG_F("seconds", (double)(now_ns - t->full_since_ns) / (double)NS_PER_SEC));
        }
    }
    if (over_ceiling && !t->over_ceiling) {
        log_write(LOG_ERROR, "events that wait for Kafka take more memory than they should",
                  LOG_I("bytes", facts->waiting_bytes),
                  LOG_I("bytes_max", facts->waiting_bytes_max));
    }
    t->over_ceiling = over_ceiling;
}

void trouble_restart(struct trouble *t, bool made_anew, const char *reason, size_t waiting,
                     int64_t now_ns)
{
    uint64_t held_back = 0;

    if (log_limit_allows(&t->restart_limit, now_ns, &held_back)) {
        log_write(LOG_ERROR,
                  made_anew ? "Kafka producer failed for good, it is made anew"
                            : "Kafka producer does not start, it is tried again",
                  LOG_S("reason", reason), LOG_I("waiting", waiting),
                  LOG_I("held_back", held_back));
    }
}

void trouble_failed(struct trouble_topic *t, enum trouble_kind kind, const char *reason,
                    size_t waiting, int64_t now_ns)
{
    static const char *const messages[] = {
        [TROUBLE_DELIVERY] = "delivery failed, the events wait and are sent again",
        [TROUBLE_NO_TOPIC] = ("Kafka has no such topic, its events wait; " KAFKA_TOPIC_FIX),
        [TROUBLE_REQUEST_SIZE] = "a request is refused for its size, its events go one by one",
    };
    uint64_t held_back = 0;

    if (log_limit_allows(&t->failed_limit, now_ns, &held_back)) {
        log_write(LOG_ERROR, messages[kind], LOG_S("topic", t->topic), LOG_S("setting", t->setting),
                  LOG_S("reason", reason), LOG_I("waiting", waiting),
                  LOG_I("held_back", held_back));
    }
}

void trouble_dropped(struct trouble_topic *t, const struct message *message, int64_t now_ns)
{
    uint64_t held_back = 0;

    if (log_limit_allows(&t->dropped_limit, now_ns, &held_back)) {
        log_write(LOG_ERROR, "event dropped, it is too large for Kafka", LOG_S("topic", t->topic),
                  LOG_S("site", message->key), LOG_S("id", message->id),
                  LOG_I("bytes", message->json_len), LOG_I("held_back", held_back));
    }
}
