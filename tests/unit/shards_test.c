/* The topic of the sites against librdkafka's own mock cluster: what is told, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "producer/shards.h"
#include "tests/unit/mock_broker.h"
#include "tests/unit/series.h"

#define WAIT_NS (30 * NS_PER_SEC)
#define PARTITIONS 4
#define TOLD_SIZE 4096

static struct mock_broker broker;
static struct kafka_settings settings_of_broker;

static int broker_make(void **state)
{
    (void)state;
    if (mock_broker_start(&broker) < 0) {
        return -1;
    }
    settings_of_broker.bootstrap_servers =
        (char *)(uintptr_t)rd_kafka_mock_cluster_bootstraps(broker.cluster);
    return 0;
}

static int broker_end(void **state)
{
    (void)state;
    rd_kafka_destroy(broker.host);
    return 0;
}

/* --- One producer's thread, and what it was told --- */

struct stand {
    char topic[32];
    struct metrics *metrics;
    struct shards *shards;

    pthread_mutex_t lock;
    char told[TOLD_SIZE]; /* " put 1.42", " drop 1.42", " read 1", " forget 1", " settled" */
    int checks;           /* of the topic */
    int refusals;         /* that are left */
};

static void say(struct stand *s, const char *text)
{
    size_t used = strlen(s->told);

    snprintf(s->told + used, sizeof(s->told) - used, "%s", text);
}

static void on_news(void *context, struct news_list *list)
{
    static const char *const words[] = {"put", "drop", "read", "forget"};
    struct stand *s = context;

    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < list->count; i++) {
        const struct news *news = &list->news[i];
        char text[64];

        if (news->kind == NEWS_PUT || news->kind == NEWS_DROP) {
            snprintf(text, sizeof(text), " %s %d.%lld", words[news->kind], news->shard,
                     (long long)news->id);
        } else {
            snprintf(text, sizeof(text), " %s %d", words[news->kind], news->shard);
        }
        say(s, text);
    }
    pthread_mutex_unlock(&s->lock);
    news_clear(list);
}

static void on_settle(void *context)
{
    struct stand *s = context;

    pthread_mutex_lock(&s->lock);
    say(s, " settled");
    pthread_mutex_unlock(&s->lock);
}

static struct stand *checked; /* the check of the topic has no context */

static int check_topic(const struct kafka_settings *kafka, const char *topic, int stop_fd,
                       struct err *err)
{
    (void)kafka;
    (void)stop_fd;
    pthread_mutex_lock(&checked->lock);

    bool refused = checked->checks++ < checked->refusals;

    pthread_mutex_unlock(&checked->lock);
    return refused ? err_set(err, ERR_FATAL, "topic %s is refused", topic) : 0;
}

static struct shards_settings settings_of(struct stand *s)
{
    return (struct shards_settings){
        .kafka = &settings_of_broker,
        .topic = s->topic,
        .location = "here",
        .check_topic = check_topic,
        .tell = on_news,
        .settle = on_settle,
        .context = s,
    };
}

static void begin(struct stand *s, const char *topic, int refusals)
{
    struct err err;

    *s = (struct stand){.refusals = refusals};
    snprintf(s->topic, sizeof(s->topic), "%s", topic);
    pthread_mutex_init(&s->lock, NULL);
    s->metrics = metrics_new();
    checked = s;

    struct shards_settings settings = settings_of(s);

    s->shards = shards_new(&settings, s->metrics, &err);
    assert_non_null(s->shards);
}

static void end(struct stand *s)
{
    shards_free(s->shards);
    metrics_free(s->metrics);
    pthread_mutex_destroy(&s->lock);
}

static void make_topic(const char *topic)
{
    assert_int_equal(rd_kafka_mock_topic_create(broker.cluster, topic, PARTITIONS, 1),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* value NULL: a tombstone */
static void produce(const char *topic, int32_t partition, const char *key, const char *value)
{
    size_t len = value == NULL ? 0 : strlen(value);

    assert_int_equal(rd_kafka_producev(broker.host, RD_KAFKA_V_TOPIC(topic),
                                       RD_KAFKA_V_PARTITION(partition),
                                       RD_KAFKA_V_KEY((void *)(uintptr_t)key, strlen(key)),
                                       RD_KAFKA_V_VALUE((void *)(uintptr_t)value, len),
                                       RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(rd_kafka_flush(broker.host, 10000), RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void put(const char *topic, int32_t partition, int64_t id)
{
    char key[24];
    char value[200];

    snprintf(key, sizeof(key), "%lld", (long long)id);
    snprintf(value, sizeof(value),
             "{\"schema\":1,\"id\":%lld,\"version\":1,\"name\":\"%lld\",\"url\":\"http://a/\"}",
             (long long)id, (long long)id);
    produce(topic, partition, key, value);
}

/* Where it stands in what was told after `from`, once it does; NULL: from the beginning. */
static const char *wait_for_after(struct stand *s, const char *from, const char *text)
{
    int64_t deadline_ns = clock_mono_ns() + WAIT_NS;
    const char *at = NULL;

    while (at == NULL) {
        pthread_mutex_lock(&s->lock);
        at = strstr(from == NULL ? s->told : from, text);
        pthread_mutex_unlock(&s->lock);
        if (clock_mono_ns() > deadline_ns) {
            fail_msg("\"%s\" was not told:%s", text, s->told);
        }
        poll(NULL, 0, at == NULL ? 5 : 0);
    }
    return at;
}

static const char *wait_for(struct stand *s, const char *text)
{
    return wait_for_after(s, NULL, text);
}

static void wait_until_shown(const struct stand *s, const char *series, int64_t value)
{
    int64_t deadline_ns = clock_mono_ns() + WAIT_NS;

    while (series_value(s->metrics, series) != value) {
        if (clock_mono_ns() > deadline_ns) {
            fail_msg("%s is %lld", series, (long long)series_value(s->metrics, series));
        }
        poll(NULL, 0, 5);
    }
}

#define READ_SHARDS "sitewatch_shards{state=\"read\"} "

static void wait_until_read(const struct stand *s, int64_t shards)
{
    int64_t deadline_ns = clock_mono_ns() + WAIT_NS;

    wait_until_shown(s, READ_SHARDS, shards);
    while (!shards_are_read(s->shards)) {
        assert_true(clock_mono_ns() < deadline_ns);
        poll(NULL, 0, 5);
    }
}

/* --- The tests --- */

static void test_a_shards_end_is_told_after_its_sites_and_what_follows_after_that(void **state)
{
    struct stand s;

    (void)state;
    make_topic("ends");
    put("ends", 1, 42);
    put("ends", 1, 43);
    begin(&s, "ends", 0);
    wait_until_read(&s, PARTITIONS);

    const char *read = wait_for(&s, " read 1");

    assert_true(wait_for(&s, " put 1.42") < wait_for(&s, " put 1.43"));
    assert_true(wait_for(&s, " put 1.43") < read);
    wait_for(&s, " read 0");
    put("ends", 1, 44);
    produce("ends", 1, "42", NULL);
    assert_true(wait_for(&s, " put 1.44") > read);
    assert_true(wait_for(&s, " drop 1.42") > wait_for(&s, " put 1.44"));
    put("ends", 3, 45); /* its end, reached again, is told once */
    wait_for(&s, " put 3.45");
    assert_null(strstr(strstr(s.told, " read 1") + 1, " read 1"));
    end(&s);
}

struct bad_row {
    const char *name, *key, *value;
};

static const struct bad_row bad_rows[] = {
    {"no key", "", "{}"},
    {"a key that is no number", "shop", "{}"},
    {"a key with a sign", "-1", "{}"},
    {"a key of 0", "0", "{}"},
    {"a key with zeros before it", "01", NULL},
    {"a key too long", "1234567890123456789", NULL},
    {"no JSON", "1", "nonsense"},
    {"an empty value", "1", ""},
    {"another id than the key's", "1",
     "{\"schema\":1,\"id\":2,\"version\":1,\"url\":\"http://a/\"}"},
    {"an option that is none", "1",
     "{\"schema\":1,\"id\":1,\"version\":1,\"url\":\"http://a/\",\"x\":1}"},
};

static void test_bad_messages_are_counted_and_left_out(void **state)
{
    size_t count = sizeof(bad_rows) / sizeof(bad_rows[0]);
    struct stand s;

    (void)state;
    make_topic("bad");
    for (size_t i = 0; i < count; i++) {
        print_message("  %s\n", bad_rows[i].name);
        produce("bad", 0, bad_rows[i].key, bad_rows[i].value);
    }
    put("bad", 0, 7);
    begin(&s, "bad", 0);
    wait_for(&s, " read 0");
    assert_int_equal(series_value(s.metrics, "sitewatch_site_messages_total{result=\"bad\"} "),
                     (int64_t)count);
    assert_non_null(strstr(s.told, " put 0.7"));
    assert_null(strstr(s.told, " put 0.1"));
    assert_null(strstr(s.told, " drop"));
    end(&s);
}

static void test_a_client_that_is_made_anew_reads_anew(void **state)
{
    struct stand s;

    (void)state;
    make_topic("renewed");
    put("renewed", 0, 1);
    begin(&s, "renewed", 0);
    wait_until_read(&s, PARTITIONS);
    shards_renew(s.shards);

    const char *forgotten = wait_for(&s, " forget 0");

    wait_for_after(&s, forgotten, " settled");
    wait_for_after(&s, wait_for_after(&s, forgotten, " put 0.1"), " read 0");
    wait_until_read(&s, PARTITIONS);
    assert_int_equal(s.checks, 2);
    end(&s);
}

/* The mock keeps 5 MB of a partition. */
static void test_a_log_that_does_not_begin_at_0_is_read_from_where_it_does(void **state)
{
    char *much = mem_alloc(900001, 1);
    struct stand s;

    (void)state;
    memset(much, 'x', 900000);
    make_topic("cut");
    put("cut", 2, 1); /* will be gone */
    for (int i = 0; i < 7; i++) {
        produce("cut", 2, "7", much);
    }
    put("cut", 2, 2);
    begin(&s, "cut", 0);
    wait_for(&s, " read 2");
    assert_non_null(strstr(s.told, " forget 2"));
    assert_non_null(strstr(s.told, " put 2.2"));
    assert_null(strstr(s.told, " put 2.1"));
    end(&s);
    free(much);
}

static void test_a_topic_that_is_refused_is_looked_at_again(void **state)
{
    struct stand s;

    (void)state;
    make_topic("refused");
    put("refused", 0, 1);
    begin(&s, "refused", 2);
    assert_false(shards_are_read(s.shards));
    wait_for(&s, " put 0.1");
    assert_true(s.checks >= 3);
    end(&s);
}

static void test_it_ends_while_the_topic_is_refused(void **state)
{
    struct stand s;

    (void)state;
    begin(&s, "never", 1000000);
    end(&s);
    assert_string_equal(s.told, "");
}

static void test_a_property_that_must_not_be_set_is_refused(void **state)
{
    char *names[] = {(char *)"isolation.level"};
    char *values[] = {(char *)"read_uncommitted"};
    struct stand s = {.topic = "any"};
    struct shards_settings settings = settings_of(&s);
    struct kafka_settings kafka = settings_of_broker;
    struct metrics *m = metrics_new();
    struct err err;

    (void)state;
    kafka.properties = (struct setting_pairs){.count = 1, .names = names, .values = values};
    settings.kafka = &kafka;
    assert_int_equal(shards_check(&settings, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_non_null(strstr(err.message, "it must be read_committed"));
    assert_null(shards_new(&settings, m, &err));
    shards_free(NULL);
    metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_shards_end_is_told_after_its_sites_and_what_follows_after_that),
        cmocka_unit_test(test_bad_messages_are_counted_and_left_out),
        cmocka_unit_test(test_a_client_that_is_made_anew_reads_anew),
        cmocka_unit_test(test_a_log_that_does_not_begin_at_0_is_read_from_where_it_does),
        cmocka_unit_test(test_a_topic_that_is_refused_is_looked_at_again),
        cmocka_unit_test(test_it_ends_while_the_topic_is_refused),
        cmocka_unit_test(test_a_property_that_must_not_be_set_is_refused),
    };

    return broker_make(NULL) == 0 ? cmocka_run_group_tests(tests, NULL, broker_end) : 1;
}
