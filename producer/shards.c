#include "producer/shards.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/backoff.h"
#include "common/broker.h"
#include "common/clock.h"
#include "common/consume.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/thread.h"
#include "common/wakeup.h"
#include "producer/heap.h"
#include "producer/sitereader.h"

#define CLIENT_ID "sitewatch-producer-sites"
#define CHECK_TIMEOUT_MS 5000
#define MESSAGES_PER_POLL 1000
#define POLL_MS 100
#define FETCH_MB 16
#define BACKOFF_FIRST_MS 500
#define BACKOFF_MAX_MS 10000
#define NICE 10                      /* as the thread that takes the sites */
#define TROUBLE_NS (10 * NS_PER_SEC) /* the same for Kafka's errors */

enum shard_state { NOT_OURS, READING, READ };

struct shards {
    struct shards_settings settings;
    struct consume_settings consume_settings;
    char *group;
    pthread_t thread;
    int leave_fd; /* wakeup: it is to leave */
    atomic_bool leave, renew, are_read;

    /* The thread's. */
    struct consume *consume; /* NULL: the topic is not as it must be */
    bool is_member;          /* the group has told us our share */
    enum shard_state *states;
    size_t partition_count; /* of states */
    size_t counts[READ + 1];
    bool was_read; /* the last one that was being read */
    bool has_many; /* those that are being read may have filled librdkafka's queue */
    bool broken;   /* the topic is not what it was: look at it again; with why */
    struct err why;
    bool waits; /* and that was said, with what */
    struct err said;
    struct backoff backoff;
    struct news_list news;
    struct sitereader reader;
    struct log_limit trouble_limit;
    struct metric *reading, *read, *given, *revoked, *lost;
};

/* --- Which shards we have --- */

static enum shard_state state_of(const struct shards *s, int32_t partition)
{
    return (size_t)partition < s->partition_count ? s->states[partition] : NOT_OURS;
}

static void set_state(struct shards *s, int32_t partition, enum shard_state state)
{
    size_t number = (size_t)partition;

    if (number >= s->partition_count) {
        s->states = mem_resize(s->states, number + 1, sizeof(s->states[0]));
        for (size_t i = s->partition_count; i <= number; i++) {
            s->states[i] = NOT_OURS;
            s->counts[NOT_OURS]++;
        }
        s->partition_count = number + 1;
    }
    s->counts[s->states[number]]--;
    s->counts[state]++;
    s->states[number] = state;
}

static void show(struct shards *s)
{
    metric_set(s->reading, (int64_t)s->counts[READING]);
    metric_set(s->read, (int64_t)s->counts[READ]);
    atomic_store(&s->are_read, s->is_member && s->counts[READING] == 0);
}

static void tell(struct shards *s)
{
    if (s->news.count > 0) {
        s->settings.tell(s->settings.context, &s->news);
        assert(s->news.count == 0);
    }
}

static void forget(struct shards *s, int32_t partition)
{
    if (state_of(s, partition) != NOT_OURS) {
        set_state(s, partition, NOT_OURS);
        news_add(&s->news, NEWS_FORGET, partition);
    }
}

/* No check of them starts after this. */
static void forget_all(struct shards *s)
{
    for (size_t i = 0; i < s->partition_count; i++) {
        forget(s, (int32_t)i);
    }
    tell(s);
    s->settings.settle(s->settings.context);
    s->is_member = false;
    show(s);
}

/* --- Messages --- */

static void take_message(struct shards *s, const rd_kafka_message_t *message)
{
    if (state_of(s, message->partition) != NOT_OURS) {
        sitereader_take(&s->reader, message, &s->news);
    }
}

static void take_end(struct shards *s, int32_t partition)
{
    if (state_of(s, partition) != READING) {
        return; /* that of a message that was followed */
    }
    set_state(s, partition, READ);
    news_add(&s->news, NEWS_READ, partition);
    if (s->counts[READING] == 0) {
        log_write(LOG_INFO, "shards were read", LOG_I("shards", s->counts[READ]));
        s->was_read = true;
    }
}

/* --- Changes of the group --- */

static void broken(struct shards *s, const struct err *why)
{
    s->broken = true;
    s->why = *why;
}

/*
 * Each from its beginning on. A log that is only compacted begins at 0, and librdkafka takes half a
 * second to ask for the beginning of one: it is asked only when there is nothing at 0.
 */
static void read_anew(struct shards *s, rd_kafka_topic_partition_list_t *partitions, int64_t from)
{
    struct err err;

    for (int i = 0; i < partitions->cnt; i++) {
        forget(s, partitions->elems[i].partition);
        set_state(s, partitions->elems[i].partition, READING);
        partitions->elems[i].offset = from;
    }
    if (partitions->cnt > 0 && consume_start(s->consume, partitions, &err) < 0) {
        broken(s, &err);
    }
}

static void give_up(struct shards *s, const rd_kafka_topic_partition_list_t *partitions)
{
    for (int i = 0; i < partitions->cnt; i++) {
        forget(s, partitions->elems[i].partition);
    }
    tell(s);
    s->settings.settle(s->settings.context);
    consume_give_up(s->consume, partitions);
}

static void follow_group(struct shards *s)
{
    static const char *const lines[] = {
        [CONSUME_GIVEN] = "shards are ours",
        [CONSUME_REVOKED] = "shards go to another producer",
        [CONSUME_LOST] = "shards were lost, Kafka has taken us for gone",
    };
    struct metric *const counters[] = {
        [CONSUME_GIVEN] = s->given, [CONSUME_REVOKED] = s->revoked, [CONSUME_LOST] = s->lost};
    struct consume_change change;

    while (consume_next_change(s->consume, &change)) {
        int count = change.partitions->cnt;

        if (change.kind == CONSUME_GIVEN) {
            s->is_member = true;
            read_anew(s, change.partitions, 0);
        } else {
            s->is_member = s->is_member && change.kind != CONSUME_LOST;
            give_up(s, change.partitions);
        }
        rd_kafka_topic_partition_list_destroy(change.partitions);
        metric_add(counters[change.kind], (uint64_t)count);
        if (count == 0) {
            continue; /* the group has changed, and not our share */
        }
        log_write(change.kind == CONSUME_LOST ? LOG_WARN : LOG_INFO, lines[change.kind],
                  LOG_I("shards", count), LOG_I("held", s->counts[READING] + s->counts[READ]));
    }
}

/* --- Kafka's errors --- */

/* Its log is not what it was: what we know of the shard may be wrong. */
static void read_one_anew(struct shards *s, int32_t partition)
{
    rd_kafka_topic_partition_list_t *list;

    if (state_of(s, partition) == NOT_OURS) {
        return;
    }
    log_write(LOG_WARN, "a shard is read anew, its log is not what it was",
              LOG_I("partition", partition));
    list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, s->settings.topic, partition);
    read_anew(s, list, RD_KAFKA_OFFSET_BEGINNING);
    rd_kafka_topic_partition_list_destroy(list);
}

static void note_trouble(struct shards *s, const rd_kafka_message_t *message)
{
    uint64_t held_back = 0;
    struct err err;

    switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        take_end(s, message->partition);
        return;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
        read_one_anew(s, message->partition);
        return;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
        err_fill(&err, ERR_RETRY, "%s", rd_kafka_message_errstr(message));
        broken(s, &err);
        return;
    default:
        break;
    }
    if (log_limit_allows(&s->trouble_limit, clock_mono_ns(), &held_back)) {
        log_write(LOG_WARN, "Kafka does not give sites", LOG_S("topic", s->settings.topic),
                  LOG_S("reason", rd_kafka_message_errstr(message)),
                  LOG_I("not_logged_before", held_back));
    }
}

/* --- The thread --- */

static int open_topic(struct shards *s, struct err *err)
{
    if (s->settings.check_topic(s->settings.kafka, s->settings.topic, s->leave_fd, err) < 0) {
        return -1;
    }
    s->consume = consume_new(&s->consume_settings, err);
    return s->consume == NULL ? -1 : 0;
}

static void close_topic(struct shards *s)
{
    consume_free(s->consume);
    s->consume = NULL;
    s->broken = false;
}

/* librdkafka may sleep although there is more than what it had (common/consume). */
static void wake(struct shards *s)
{
    for (size_t i = 0; s->counts[READING] > 0 && i < s->partition_count; i++) {
        if (s->states[i] == READING) {
            consume_wake(s->consume, s->settings.topic, (int32_t)i, INT64_MAX);
            return;
        }
    }
}

static void turn(struct shards *s)
{
    rd_kafka_message_t *messages[MESSAGES_PER_POLL];
    size_t count = consume_poll(s->consume, messages, MESSAGES_PER_POLL, POLL_MS);

    for (size_t i = 0; i < count; i++) {
        if (messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            take_message(s, messages[i]);
        } else {
            note_trouble(s, messages[i]);
        }
        rd_kafka_message_destroy(messages[i]);
    }
    tell(s);
    if (s->was_read) {
        s->was_read = false;
        s->settings.settle(s->settings.context);
        heap_give_back(); /* many messages took several times what stays of them */
    }
    follow_group(s);
    tell(s);
    s->has_many = s->counts[READING] > 0 && (s->has_many || count == MESSAGES_PER_POLL);
    if (s->has_many && count < MESSAGES_PER_POLL) {
        wake(s); /* which takes as long as the fetch that is under way */
    }
    show(s);
}

/* True: it is to leave. */
static bool wait_ms(const struct shards *s, int64_t ms)
{
    struct pollfd fd = {.fd = s->leave_fd, .events = POLLIN};

    return poll(&fd, 1, (int)ms) > 0;
}

static void wait_for_topic(struct shards *s, const struct err *why)
{
    if (!s->waits || strcmp(s->said.message, why->message) != 0) {
        log_write(LOG_ERROR, "sites of the topic are not checked",
                  LOG_S("topic", s->settings.topic), LOG_S("reason", why->message));
    }
    s->waits = true;
    s->said = *why;
    wait_ms(s, backoff_next_ms(&s->backoff));
}

static void reopen(struct shards *s)
{
    bool wait = s->broken;

    forget_all(s);
    close_topic(s);
    if (wait) {
        wait_for_topic(s, &s->why);
    }
}

static void *shards_main(void *context)
{
    struct shards *s = context;
    struct err why;

    (void)setpriority(PRIO_PROCESS, 0, NICE); /* of this thread alone, on Linux */
    while (!atomic_load(&s->leave)) {
        if (s->consume == NULL && open_topic(s, &why) < 0) {
            wait_for_topic(s, &why);
            continue;
        }
        if (s->waits) {
            log_write(LOG_INFO, "the topic of the sites is read",
                      LOG_S("topic", s->settings.topic));
            s->waits = false;
        }
        turn(s);
        if (s->is_member) {
            backoff_reset(&s->backoff);
        }
        if (s->broken || atomic_exchange(&s->renew, false)) {
            reopen(s);
        }
    }
    close_topic(s); /* others have the shards from here on */
    return NULL;
}

/* --- Life and death --- */

static void fill_consume(struct shards *s)
{
    const struct shards_settings *settings = &s->settings;
    size_t size =
        sizeof(SHARDS_GROUP_FORMAT) + strlen(settings->topic) + strlen(settings->location);

    s->group = mem_alloc(size, 1);
    snprintf(s->group, size, SHARDS_GROUP_FORMAT, settings->topic, settings->location);
    s->consume_settings = (struct consume_settings){
        .kafka = settings->kafka,
        .client_id = CLIENT_ID,
        .group = s->group,
        .topics = {settings->topic},
        .properties =
            {
                {"enable.partition.eof", "true", true},
                {"isolation.level", "read_committed", true},
                {"allow.auto.create.topics", "false", true},
                /* Others learn so soon that shards are free. */
                {"heartbeat.interval.ms", "500", false},
            },
        .fetch_mb = FETCH_MB,
    };
}

static void register_metrics(struct shards *s, struct metrics *m)
{
    static const char shards[] = "sitewatch_shards";
    static const char shards_help[] = "Shards of the topic of the sites that this producer has";
    static const char changes[] = "sitewatch_shard_changes";
    static const char changes_help[] = "Shards that came and went";

    s->reading = metrics_gauge(m, shards, shards_help, "state=\"reading\"");
    s->read = metrics_gauge(m, shards, shards_help, "state=\"read\"");
    s->given = metrics_counter(m, changes, changes_help, "change=\"given\"");
    s->revoked = metrics_counter(m, changes, changes_help, "change=\"revoked\"");
    s->lost = metrics_counter(m, changes, changes_help, "change=\"lost\"");
    sitereader_init(&s->reader, s->settings.seal, m);
}

static void release(struct shards *s)
{
    if (s->leave_fd >= 0) {
        close(s->leave_fd);
    }
    news_clear(&s->news);
    free(s->states);
    free(s->group);
    free(s);
}

static struct shards *make(const struct shards_settings *settings)
{
    struct shards *s = mem_alloc(1, sizeof(*s));

    s->settings = *settings;
    s->leave_fd = -1;
    s->trouble_limit.interval_ns = TROUBLE_NS;
    backoff_init(&s->backoff, BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
    fill_consume(s);
    return s;
}

int shards_check(const struct shards_settings *settings, struct err *err)
{
    struct shards *s = make(settings);
    int rc = consume_check(&s->consume_settings, err);

    release(s);
    return rc;
}

struct shards *shards_new(const struct shards_settings *settings, struct metrics *m,
                          struct err *err)
{
    struct shards *s = make(settings);

    register_metrics(s, m);
    s->leave_fd = wakeup_open(err);
    if (s->leave_fd < 0 || consume_check(&s->consume_settings, err) < 0 ||
        thread_start(&s->thread, "shards", shards_main, s, err) < 0) {
        release(s);
        return NULL;
    }
    return s;
}

void shards_leave(struct shards *s)
{
    atomic_store(&s->leave, true);
    wakeup_ring(s->leave_fd);
}

void shards_renew(struct shards *s)
{
    atomic_store(&s->renew, true);
}

void shards_free(struct shards *s)
{
    if (s == NULL) {
        return;
    }
    shards_leave(s);
    pthread_join(s->thread, NULL);
    release(s);
}

bool shards_are_read(const struct shards *s)
{
    return atomic_load(&s->are_read);
}

int shards_check_topic(const struct kafka_settings *kafka, const char *topic, int stop_fd,
                       struct err *err)
{
    return broker_require_compacted(kafka, CLIENT_ID, CHECK_TIMEOUT_MS, topic, stop_fd, err);
}
