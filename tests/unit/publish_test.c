/*
 * Events reach Kafka whatever happens on the way, each once and in the order of its site. The
 * broker is librdkafka's own mock cluster, in this process and on loopback. Every wait is for a
 * condition, with a deadline.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/ident.h"
#include "common/log.h"
#include "common/mem.h"
#include "producer/publish.h"
#include "tests/unit/series.h"

#define DEADLINE_NS (8 * NS_PER_SEC)
#define PARTITIONS 4 /* of a topic that the mock cluster makes when it is asked for */
#define SITES 4
#define PAIRS_MAX 6
#define READ_MAX 4096
#define API_PRODUCE 0
#define API_INIT_PRODUCER_ID 22

/* One mock cluster serves all tests: it takes a second to end. Each test has topics of its own. */
static struct {
    rd_kafka_t *host;
    rd_kafka_mock_cluster_t *cluster;
    rd_kafka_t *reader;
    int tests;
} broker;

struct world {
    rd_kafka_mock_cluster_t *cluster;
    char good[32], bad[32]; /* topics */
    struct metrics *metrics;
    struct publish *publish;
    const char *spool_file; /* NULL: none */
    int log_file, stderr_saved;
    atomic_int rooms;     /* calls of on_room */
    atomic_int handed_in; /* by threads */
};

/* --- The broker, the publisher and its log --- */

static void on_room(void *context)
{
    struct world *w = context;

    atomic_fetch_add(&w->rooms, 1);
}

static struct publish *publish_make(struct world *w, const char *servers,
                                    const char *const pairs[PAIRS_MAX], struct err *err)
{
    char text[PAIRS_MAX + 2][64];
    char *names[PAIRS_MAX + 2], *values[PAIRS_MAX + 2];
    char brokers[128];
    const char *const fast[] = {"reconnect.backoff.ms=20", "reconnect.backoff.max.ms=50"};
    struct publish_settings settings = {.topic_success = w->good,
                                        .topic_failure = w->bad,
                                        .spool_file = w->spool_file,
                                        .spool_bytes_max = 64 * 1024 * 1024,
                                        .on_room = on_room,
                                        .context = w};
    size_t count = 0;

    for (size_t i = 0; i < PAIRS_MAX + 2; i++) {
        const char *pair = i < 2 ? fast[i] : pairs[i - 2];

        if (pair == NULL) {
            break;
        }
        snprintf(text[i], sizeof(text[i]), "%s", pair);
        names[i] = text[i];
        values[i] = strchr(text[i], '=') + 1;
        values[i][-1] = '\0';
        count++;
    }
    snprintf(brokers, sizeof(brokers), "%s", servers);
    settings.kafka.bootstrap_servers = brokers;
    settings.kafka.properties = (struct setting_pairs){count, names, values};

    struct publish *p = publish_new(&settings, w->metrics, err);

    /* It keeps nothing of its settings. */
    memset(text, 'x', sizeof(text));
    memset(brokers, 'x', sizeof(brokers));
    return p;
}

static int broker_make(void **state)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char reason[200];

    (void)state;
    rd_kafka_conf_set(conf, "log_level", "3", NULL, 0); /* it has no brokers, and warns of it */
    broker.host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    if (broker.host == NULL) {
        return -1;
    }
    broker.cluster = rd_kafka_mock_cluster_new(broker.host, 1);
    if (broker.cluster == NULL) {
        return -1;
    }
    conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(broker.cluster),
                      NULL, 0);
    rd_kafka_conf_set(conf, "log_level", "2", NULL, 0); /* of a broker that is down by intent */
    rd_kafka_conf_set(conf, "group.id", "test", NULL, 0);
    rd_kafka_conf_set(conf, "enable.auto.commit", "false", NULL, 0);
    rd_kafka_conf_set(conf, "enable.partition.eof", "true", NULL, 0);
    rd_kafka_conf_set(conf, "reconnect.backoff.max.ms", "100", NULL, 0);
    rd_kafka_conf_set(conf, "fetch.wait.max.ms", "10", NULL, 0);
    rd_kafka_conf_set(conf, "fetch.error.backoff.ms", "10", NULL, 0);
    broker.reader = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));
    if (broker.reader == NULL) {
        return -1;
    }
    return rd_kafka_poll_set_consumer(broker.reader) == 0 ? 0 : -1;
}

static int broker_end(void **state)
{
    (void)state;
    rd_kafka_destroy(broker.reader);
    rd_kafka_mock_cluster_destroy(broker.cluster);
    rd_kafka_destroy(broker.host);
    return 0;
}

/* Of a test that is under way: what it logs is shown when it fails. */
static int world_open_file = -1, world_open_stderr = -1;

static void world_begin(struct world *w)
{
    *w = (struct world){.cluster = broker.cluster, .metrics = metrics_new()};
    broker.tests++;
    snprintf(w->good, sizeof(w->good), "success-%d", broker.tests);
    snprintf(w->bad, sizeof(w->bad), "failure-%d", broker.tests);
    rd_kafka_mock_clear_request_errors(w->cluster, API_PRODUCE); /* what a test before left */
    rd_kafka_mock_clear_request_errors(w->cluster, API_INIT_PRODUCER_ID);
    w->log_file = memfd_create("log", MFD_CLOEXEC);
    fcntl(w->log_file, F_SETFL, O_APPEND); /* threads write to it: none over another's line */
    w->stderr_saved = dup(STDERR_FILENO);
    assert_true(w->log_file >= 0 && w->stderr_saved >= 0);
    fflush(stderr);
    dup2(w->log_file, STDERR_FILENO);
    world_open_file = w->log_file;
    world_open_stderr = w->stderr_saved;
}

static void world_make(struct world *w, const char *const pairs[PAIRS_MAX])
{
    struct err err;

    world_begin(w);
    w->publish = publish_make(w, rd_kafka_mock_cluster_bootstraps(w->cluster), pairs, &err);
    if (w->publish == NULL) {
        fail_msg("%s", err.message);
    }
}

static void world_free(struct world *w)
{
    publish_free(w->publish);
    metrics_free(w->metrics);
    dup2(w->stderr_saved, STDERR_FILENO);
    close(w->stderr_saved);
    close(w->log_file);
    world_open_file = -1;
}

/* A test that failed did not come to world_free; its world is on the stack that it left. */
static int log_show(void **state)
{
    static char text[65536];

    (void)state;
    if (world_open_file >= 0) {
        ssize_t len = pread(world_open_file, text, sizeof(text), 0);

        dup2(world_open_stderr, STDERR_FILENO);
        fwrite(text, 1, len < 0 ? 0 : (size_t)len, stderr);
        world_open_file = -1;
    }
    return 0;
}

/* How many lines of the log have all of `part`. */
static size_t log_count(const struct world *w, const char *part)
{
    static char text[65536];
    ssize_t len = pread(w->log_file, text, sizeof(text) - 1, 0);
    size_t count = 0;

    assert_true(len >= 0);
    text[len] = '\0';
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
        count++;
    }
    return count;
}

static void log_expect(const struct world *w, const char *part, size_t count)
{
    size_t found = log_count(w, part);

    if (found != count) {
        fail_msg("%zu of \"%s\" in the log", found, part);
    }
}

static uint64_t counted_events(const struct world *w, const char *topic, const char *result)
{
    char labels[128];

    snprintf(labels, sizeof(labels), "topic=\"%s\",result=\"%s\"", topic, result);
    return metric_value(metrics_counter(w->metrics, "sitewatch_events", "", labels));
}

static uint64_t counted(const struct world *w, const char *name, const char *labels)
{
    return metric_value(metrics_counter(w->metrics, name, "", labels));
}

/* --- Events --- */

/* The n-th event of a test: of site n mod SITES, its number in the body. */
static void event_publish(struct world *w, int n, enum check_status status, const char *message)
{
    char site[16];
    struct event event;

    snprintf(site, sizeof(site), "site-%d", n % SITES);
    event_init(&event);
    event.site_name = site;
    event.site_url = "http://localhost/";
    event.location = "a place";
    event.observer = "host-1";
    event.slot_us = 1763712005000000 + n * INT64_C(1000000);
    event.time_us = 1763712005001000;
    event.attempt = 1;
    event.lag_us = n;
    event.interval_s = 5;
    event.final = true;
    event.status = status;
    if (status == CHECK_DOWN || status == CHECK_UNKNOWN) {
        event.error = status == CHECK_DOWN ? ERROR_TIMEOUT : ERROR_INTERNAL;
        event.error_phase = PHASE_CONNECT;
        event.error_message = message;
    }
    publish_event(w->publish, &event);
}

static void events_publish(struct world *w, int count)
{
    for (int i = 0; i < count; i++) {
        event_publish(w, i, CHECK_UP, NULL);
    }
}

typedef bool condition_fn(struct world *w);

static bool all_delivered(struct world *w)
{
    return publish_pending(w->publish) == 0;
}

/* Turns as the producer's loop does, until the condition holds. Counts the turns, so that a test
 * sees a loop that is busy. */
static size_t drive(struct world *w, condition_fn *holds)
{
    int64_t until_ns = clock_mono_ns() + DEADLINE_NS;
    size_t turns = 0;

    while (!holds(w)) {
        int64_t now_ns = clock_mono_ns();
        int64_t due_ns = publish_next_due_ns(w->publish);
        struct pollfd ready = {.fd = publish_fd(w->publish), .events = POLLIN};

        if (now_ns >= until_ns) {
            fail_msg("the deadline passed, %zu pending", publish_pending(w->publish));
        }
        /* Not longer than the time in which a mock cluster's state may change unseen. */
        due_ns = due_ns < now_ns + 50 * NS_PER_MS ? due_ns : now_ns + 50 * NS_PER_MS;
        poll(&ready, 1, due_ns > now_ns ? (int)((due_ns - now_ns) / NS_PER_MS) + 1 : 0);
        if ((ready.revents & POLLIN) != 0 || publish_next_due_ns(w->publish) <= clock_mono_ns()) {
            publish_poll(w->publish);
            turns++;
        }
    }
    return turns;
}

/* --- What arrived --- */

struct got {
    int32_t partition;
    char key[64], id[64], type[64], source[128], time[64], spec[16], content[64];
    int number; /* of the event */
};

static void header_copy(const rd_kafka_message_t *message, const char *name, char *out, size_t size)
{
    rd_kafka_headers_t *headers;
    const void *value;
    size_t len;

    assert_int_equal(rd_kafka_message_headers(message, &headers), 0);
    if (rd_kafka_header_get(headers, 0, name, &value, &len) != 0) {
        fail_msg("no header %s", name);
    }
    snprintf(out, size, "%.*s", (int)len, (const char *)value);
}

static void got_fill(struct got *got, const rd_kafka_message_t *message)
{
    struct event event;
    struct err err;
    enum event_fault fault;
    struct event_doc *doc = event_decode(message->payload, message->len, &event, &fault, &err);

    assert_non_null(doc);
    got->partition = message->partition;
    got->number = (int)event.lag_us;
    snprintf(got->key, sizeof(got->key), "%.*s", (int)message->key_len, (const char *)message->key);
    assert_string_equal(got->key, event.site_name);
    header_copy(message, "ce_id", got->id, sizeof(got->id));
    assert_string_equal(got->id, event.id);
    header_copy(message, "ce_type", got->type, sizeof(got->type));
    header_copy(message, "ce_source", got->source, sizeof(got->source));
    header_copy(message, "ce_time", got->time, sizeof(got->time));
    header_copy(message, "ce_specversion", got->spec, sizeof(got->spec));
    header_copy(message, "content-type", got->content, sizeof(got->content));
    event_doc_free(doc);
}

/* All that is in a topic, up to the ends of its partitions. */
static size_t topic_read(const char *topic, struct got got[READ_MAX])
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
    int64_t until_ns = clock_mono_ns() + DEADLINE_NS;
    size_t count = 0, ends = 0;

    /* The leaders are known then: looking for them later takes half a second. */
    rd_kafka_topic_t *handle = rd_kafka_topic_new(broker.reader, topic, NULL);
    const struct rd_kafka_metadata *metadata;

    assert_int_equal(rd_kafka_metadata(broker.reader, 0, handle, &metadata, 5000), 0);
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    for (int32_t i = 0; i < PARTITIONS; i++) {
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    }
    assert_int_equal(rd_kafka_assign(broker.reader, list), 0);
    rd_kafka_topic_partition_list_destroy(list);
    while (ends < PARTITIONS) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(broker.reader, 50);

        assert_true(clock_mono_ns() < until_ns);
        if (message == NULL) {
            continue;
        }
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            ends++;
        } else if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            assert_true(count < READ_MAX);
            got_fill(&got[count++], message);
        }
        rd_kafka_message_destroy(message);
    }
    return count;
}

/* Events 0..count-1 are in the topic, those of a site in order, and none twice; or, after a
 * failure in which nobody knows what arrived, some twice, with the same id. */
static void expect_arrived(const char *topic, int count, bool repeats)
{
    static struct got got[READ_MAX];
    int last[SITES], arrived = 0;
    size_t found = topic_read(topic, got);

    for (int i = 0; i < SITES; i++) {
        last[i] = i - SITES;
    }
    for (size_t i = 0; i < found; i++) {
        int site = got[i].number % SITES;

        if (got[i].number == last[site] + SITES) {
            last[site] = got[i].number;
            arrived++;
        } else if (!repeats || got[i].number > last[site]) {
            fail_msg("event %d after %d in %s", got[i].number, last[site], topic);
        }
    }
    if (arrived != count) {
        fail_msg("%d events in %s, not %d", arrived, topic, count);
    }
}

static const char *const no_pairs[PAIRS_MAX] = {NULL};

/* --- Tests --- */

static void settings_that_cannot_work_are_refused(void **state)
{
    static const struct {
        const char *name;
        const char *pairs[PAIRS_MAX];
        const char *says;
    } rows[] = {
        {"no idempotence", {"enable.idempotence=false"}, "enable.idempotence=false is not allowed"},
        {"fewer acknowledgements", {"acks=1"}, "acks=1 is not allowed, it must be all"},
        {"an unknown property", {"no.such=1"}, "no property \"no.such\""},
        {"what only the producer refuses",
         {"max.in.flight.requests.per.connection=10"},
         "Kafka producer: "},
        {"a default of ours with a wrong value", {"linger.ms=-5"}, "linger.ms"},
    };
    struct world w = {.metrics = metrics_new(), .good = "good", .bad = "bad"};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct err err = {0};

        w.publish = publish_make(&w, "localhost:1", rows[i].pairs, &err);
        if (w.publish != NULL || err.kind != ERR_INVALID ||
            strstr(err.message, rows[i].says) == NULL) {
            fail_msg("%s: %s", rows[i].name, err.message);
        }
    }
    metrics_free(w.metrics);
    publish_free(NULL);
}

static void settings_are_checked_without_a_broker(void **state)
{
    char *names[] = {"max.in.flight"}, *values[] = {"10"};
    struct publish_settings settings = {
        .kafka = {.bootstrap_servers = "localhost:1", .properties = {1, names, values}},
        .topic_success = "a",
        .topic_failure = "b"};
    struct err err;

    (void)state;
    assert_int_equal(publish_check(&settings, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    values[0] = "5";
    assert_int_equal(publish_check(&settings, &err), 0);
    names[0] = "acks";
    values[0] = "0";
    assert_int_equal(publish_check(&settings, &err), -1);
    assert_non_null(strstr(err.message, "acks=0 is not allowed"));
    settings.topic_failure = "b c";
    assert_int_equal(publish_check(&settings, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_non_null(strstr(err.message, "KAFKA_TOPIC_FAILURE"));
}

static void topics_without_a_legal_name_are_refused(void **state)
{
    struct metrics *m = metrics_new();
    struct publish_settings settings = {.topic_success = "a", .topic_failure = "a b"};
    struct err err;

    (void)state;
    assert_null(publish_new(&settings, m, &err));
    assert_int_equal(err.kind, ERR_INVALID);
    assert_non_null(strstr(err.message, "KAFKA_TOPIC_FAILURE: \"a b\""));
    metrics_free(m);
}

static void a_process_out_of_descriptors_says_so(void **state)
{
    struct world w = {.metrics = metrics_new(), .good = "good", .bad = "bad"};
    int lowest_free = dup(STDERR_FILENO);
    struct rlimit before, now;
    struct err err;

    (void)state;
    close(lowest_free);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    now = (struct rlimit){(rlim_t)lowest_free, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    w.publish = publish_make(&w, "localhost:1", no_pairs, &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_null(w.publish);
    assert_int_equal(err.kind, ERR_FATAL);
    assert_string_equal(err.message, "eventfd: Too many open files");
    metrics_free(w.metrics);
}

/* Java's murmur2 of "site-N", made positive, modulo 4: what any other client would choose. */
static const int32_t java_partitions[SITES] = {0, 2, 3, 3};

static void an_event_arrives_with_key_headers_and_partition(void **state)
{
    static struct got good[READ_MAX], bad[READ_MAX];
    struct world w;

    (void)state;
    world_make(&w, no_pairs);
    event_publish(&w, 0, CHECK_UP, NULL);
    event_publish(&w, 1, CHECK_DEGRADED, NULL);
    event_publish(&w, 2, CHECK_DOWN, "timed out");
    event_publish(&w, 3, CHECK_UNKNOWN, "out of descriptors");
    assert_true(publish_has_room(w.publish));
    assert_int_equal(publish_next_due_ns(w.publish), TIME_NEVER);
    drive(&w, all_delivered);

    assert_int_equal(topic_read(w.good, good), 2);
    assert_int_equal(topic_read(w.bad, bad), 2);
    for (size_t i = 0; i < 4; i++) {
        const struct got *got = i < 2 ? &good[i] : &bad[i - 2];

        assert_string_equal(got->spec, "1.0");
        assert_string_equal(got->type, "sitewatch.check.v1");
        assert_string_equal(got->source, "/sitewatch/a%20place/host-1");
        assert_string_equal(got->time, "2025-11-21T08:00:05.001Z");
        assert_string_equal(got->content, "application/json");
        assert_int_equal(got->number < 2, i < 2);
        assert_int_equal(got->partition, java_partitions[got->number]);
    }
    assert_int_equal(counted_events(&w, w.good, "delivered"), 2);
    assert_int_equal(counted_events(&w, w.bad, "delivered"), 2);
    world_free(&w);
}

static void a_full_queue_holds_events_back_and_loses_none(void **state)
{
    static const char *const pairs[PAIRS_MAX] = {"queue.buffering.max.messages=2"};
    struct world w;
    struct err err;

    (void)state;
    world_begin(&w);
    rd_kafka_mock_broker_set_down(w.cluster, 1);
    w.publish = publish_make(&w, rd_kafka_mock_cluster_bootstraps(w.cluster), pairs, &err);
    assert_non_null(w.publish);
    events_publish(&w, 40);
    assert_false(publish_has_room(w.publish));
    assert_int_equal(publish_pending(w.publish), 40);
    assert_int_equal(counted(&w, "sitewatch_queue_full", NULL), 38);
    assert_true(publish_next_due_ns(w.publish) < TIME_NEVER);

    assert_int_equal(publish_flush(w.publish, 300, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    assert_string_equal(err.message, "40 events are not delivered after 300 ms");
    log_expect(&w, "no Kafka broker is reached", 1);
    log_expect(&w, "Kafka takes events again", 0);

    rd_kafka_mock_broker_set_up(w.cluster, 1);
    assert_int_equal(w.rooms, 0);
    assert_true(drive(&w, all_delivered) < 400); /* a few for each report */
    assert_true(publish_has_room(w.publish));
    assert_int_equal(w.rooms, 1);
    log_expect(&w, "Kafka queue is full, checks wait", 1);
    log_expect(&w, "Kafka takes events again", 1);
    log_expect(&w, "no Kafka broker is reached", 1);
    log_expect(&w, "Kafka brokers are reached again", 1);
    expect_arrived(w.good, 40, false);
    world_free(&w);
}

#define PER_SITE 400

struct site_events {
    struct world *w;
    int site;
};

static void *site_publish(void *context)
{
    const struct site_events *events = context;

    for (int i = 0; i < PER_SITE; i++) {
        event_publish(events->w, i * SITES + events->site, CHECK_UP, NULL);
    }
    atomic_fetch_add(&events->w->handed_in, PER_SITE);
    return NULL;
}

static bool all_of_threads_delivered(struct world *w)
{
    return atomic_load(&w->handed_in) == SITES * PER_SITE && all_delivered(w);
}

static void events_of_several_threads_arrive_each_site_in_order(void **state)
{
    static const char *const pairs[PAIRS_MAX] = {"queue.buffering.max.messages=50", "linger.ms=1"};
    struct site_events events[SITES];
    pthread_t threads[SITES];
    struct world w;

    (void)state;
    world_make(&w, pairs);
    for (int i = 0; i < SITES; i++) {
        events[i] = (struct site_events){&w, i};
        assert_int_equal(pthread_create(&threads[i], NULL, site_publish, &events[i]), 0);
    }
    drive(&w, all_of_threads_delivered);
    for (int i = 0; i < SITES; i++) {
        pthread_join(threads[i], NULL);
    }
    expect_arrived(w.good, SITES * PER_SITE, false);
    assert_int_equal(counted_events(&w, w.good, "delivered"), SITES * PER_SITE);
    assert_true(counted(&w, "sitewatch_queue_full", NULL) > 0);
    world_free(&w);
}

static void errors_that_pass_are_not_seen(void **state)
{
    struct world w;
    struct err err;

    (void)state;
    world_make(&w, no_pairs);
    rd_kafka_mock_push_request_errors(
        w.cluster, API_PRODUCE, 4, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RD_KAFKA_RESP_ERR__TRANSPORT);
    events_publish(&w, 20);
    assert_int_equal(publish_flush(w.publish, 8000, &err), 0);
    assert_int_equal(counted(&w, "sitewatch_producer_restarts", NULL), 0);
    expect_arrived(w.good, 20, true); /* the mock broker does not know a request that comes again */
    world_free(&w);
}

static bool any_retried(struct world *w)
{
    return counted_events(w, w->good, "retried") > 0;
}

static void a_failed_delivery_waits_and_is_repeated(void **state)
{
    struct world w;

    (void)state;
    world_make(&w, no_pairs);
    rd_kafka_mock_push_request_errors(w.cluster, API_PRODUCE, 3, RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
                                      RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
                                      RD_KAFKA_RESP_ERR_POLICY_VIOLATION);

    int64_t start_ns = clock_mono_ns();

    events_publish(&w, 12);
    drive(&w, any_retried);
    assert_false(publish_has_room(w.publish));
    assert_true(publish_next_due_ns(w.publish) >= start_ns + NS_PER_SEC);
    assert_true(publish_next_due_ns(w.publish) <= clock_mono_ns() + NS_PER_SEC);
    assert_true(drive(&w, all_delivered) < 100); /* it waited without turning */
    log_expect(&w, "delivery failed, the events wait and are sent again", 1);
    expect_arrived(w.good, 12, false);
    world_free(&w);
}

static void a_producer_that_failed_for_good_is_made_anew(void **state)
{
    static const struct {
        const char *name;
        int16_t api;
        rd_kafka_resp_err_t code;
    } rows[] = {
        {"not allowed to be idempotent", API_INIT_PRODUCER_ID,
         RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED},
        {"out of step with the broker", API_PRODUCE,
         RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world w;
        struct err err;

        world_begin(&w);
        rd_kafka_mock_push_request_errors(w.cluster, rows[i].api, 1, rows[i].code);
        w.publish = publish_make(&w, rd_kafka_mock_cluster_bootstraps(w.cluster), no_pairs, &err);
        assert_non_null(w.publish);

        int fd = publish_fd(w.publish);

        events_publish(&w, 20);
        drive(&w, all_delivered);
        if (counted(&w, "sitewatch_producer_restarts", NULL) != 1) {
            fail_msg("%s: no restart", rows[i].name);
        }
        assert_int_equal(publish_fd(w.publish), fd);
        log_expect(&w, "Kafka producer failed for good, it is made anew", 1);
        expect_arrived(w.good, 20, true);
        world_free(&w);
    }
}

static void a_renewed_producer_sends_what_was_not_acknowledged(void **state)
{
    struct world w;

    (void)state;
    world_make(&w, no_pairs);

    int fd = publish_fd(w.publish);

    events_publish(&w, 20);
    publish_renew(w.publish);
    events_publish(&w, 20);
    drive(&w, all_delivered);
    publish_renew(w.publish); /* nothing is on its way */
    assert_int_equal(publish_fd(w.publish), fd);
    assert_int_equal(counted(&w, "sitewatch_producer_restarts", NULL), 0);
    expect_arrived(w.good, 20, true);
    world_free(&w);
}

static bool over_two_restarts(struct world *w)
{
    return counted(w, "sitewatch_producer_restarts", NULL) >= 2;
}

static void a_producer_that_keeps_failing_is_made_once_a_second(void **state)
{
    struct world w;
    struct err err;

    (void)state;
    world_begin(&w);
    rd_kafka_mock_push_request_errors(w.cluster, API_INIT_PRODUCER_ID, 2,
                                      RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
                                      RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED);

    int64_t start_ns = clock_mono_ns();

    w.publish = publish_make(&w, rd_kafka_mock_cluster_bootstraps(w.cluster), no_pairs, &err);
    assert_non_null(w.publish);
    events_publish(&w, 4);
    drive(&w, over_two_restarts);
    assert_true(clock_mono_ns() - start_ns >= NS_PER_SEC);
    events_publish(&w, 4); /* between two producers: it takes them all the same */
    assert_int_equal(publish_pending(w.publish), 8);
    drive(&w, all_delivered);
    log_expect(&w, "made anew", 1);
    world_free(&w);
}

/* The failure is found when an event is handed in, before the loop turns. */
static void events_handed_to_a_failed_producer_wait_for_the_next(void **state)
{
    int64_t until_ns = clock_mono_ns() + DEADLINE_NS;
    struct world w;
    struct err err;
    int count = 0;

    (void)state;
    world_begin(&w);
    rd_kafka_mock_push_request_errors(w.cluster, API_INIT_PRODUCER_ID, 1,
                                      RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED);
    w.publish = publish_make(&w, rd_kafka_mock_cluster_bootstraps(w.cluster), no_pairs, &err);
    assert_non_null(w.publish);
    while (publish_has_room(w.publish)) {
        assert_true(clock_mono_ns() < until_ns);
        event_publish(&w, count++, CHECK_UP, NULL);
        poll(NULL, 0, 1);
    }
    assert_true(publish_next_due_ns(w.publish) <= clock_mono_ns());
    drive(&w, all_delivered);
    expect_arrived(w.good, count, false);
    world_free(&w);
}

static void an_event_too_large_for_us_is_dropped_alone(void **state)
{
    static const char *const pairs[PAIRS_MAX] = {"message.max.bytes=1500"};
    char message[1025];
    struct world w;

    (void)state;
    memset(message, 'm', sizeof(message));
    message[sizeof(message) - 1] = '\0';
    world_make(&w, pairs);
    event_publish(&w, 0, CHECK_DOWN, "small");
    event_publish(&w, 4, CHECK_DOWN, message);
    event_publish(&w, 8, CHECK_DOWN, message);
    event_publish(&w, 1, CHECK_DOWN, "small");
    assert_true(publish_has_room(w.publish));
    drive(&w, all_delivered);
    assert_int_equal(counted(&w, "sitewatch_events_dropped", "reason=\"too_large\""), 2);
    log_expect(&w, "event dropped, it is too large for Kafka", 1); /* and the second held back */
    log_expect(&w, "site=site-0", 1);
    expect_arrived(w.bad, 2, false);
    world_free(&w);
}

/* A broker refuses a request of many events for its size: of them only the one that it refuses
 * alone is too large. */
static void a_request_too_large_for_the_broker_is_sent_again_one_by_one(void **state)
{
    static struct got got[READ_MAX];
    struct world w;
    struct err err;

    (void)state;
    world_begin(&w);
    rd_kafka_mock_broker_set_down(w.cluster, 1); /* so that all are in one request */
    w.publish = publish_make(&w, rd_kafka_mock_cluster_bootstraps(w.cluster), no_pairs, &err);
    assert_non_null(w.publish);
    rd_kafka_mock_push_request_errors(
        w.cluster, API_PRODUCE, 3, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_NO_ERROR,
        RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    for (int i = 0; i < 5; i++) {
        event_publish(&w, i * SITES, CHECK_UP, NULL); /* of one site: one partition */
    }
    rd_kafka_mock_broker_set_up(w.cluster, 1);
    drive(&w, all_delivered);
    log_expect(&w, "a request is refused for its size, its events go one by one", 1);
    log_expect(&w, "event dropped, it is too large for Kafka", 1);
    assert_int_equal(counted(&w, "sitewatch_events_dropped", "reason=\"too_large\""), 1);
    assert_int_equal(topic_read(w.good, got), 4);
    assert_int_equal(got[0].number, 0);
    assert_int_equal(got[1].number, 2 * SITES); /* the second was refused alone */
    assert_int_equal(got[3].number, 4 * SITES);
    world_free(&w);
}

static bool no_topic_said(struct world *w)
{
    return log_count(w, "Kafka has no such topic") > 0 &&
           counted_events(w, w->bad, "delivered") == 4;
}

/* The next one is due later than that in which the events came back. */
static bool second_try_made(struct world *w)
{
    static int64_t first_ns;

    first_ns = first_ns == 0 ? publish_next_due_ns(w->publish) : first_ns;
    return publish_next_due_ns(w->publish) > first_ns;
}

static void a_missing_topic_is_named_and_its_events_wait(void **state)
{
    static const char *const pairs[PAIRS_MAX] = {"topic.metadata.propagation.max.ms=0",
                                                 "topic.metadata.refresh.fast.interval.ms=50"};
    struct world w;
    struct err err;

    (void)state;
    world_begin(&w);
    rd_kafka_mock_topic_set_error(w.cluster, w.good, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    w.publish = publish_make(&w, rd_kafka_mock_cluster_bootstraps(w.cluster), pairs, &err);
    assert_non_null(w.publish);
    events_publish(&w, 8);
    for (int i = 0; i < 4; i++) {
        event_publish(&w, i, CHECK_DOWN, "down"); /* the other topic's are not held up */
    }
    assert_true(drive(&w, no_topic_said) < 100);
    log_expect(&w, "setting=KAFKA_TOPIC_SUCCESS", 1);
    assert_false(publish_has_room(w.publish));
    assert_int_equal(publish_pending(w.publish), 8);

    int64_t due_ns = publish_next_due_ns(w.publish);

    drive(&w, second_try_made); /* refused at once now, and not said again */
    assert_true(publish_next_due_ns(w.publish) > due_ns);
    event_publish(&w, 8, CHECK_UP, NULL);
    assert_int_equal(publish_flush(w.publish, 20, &err), -1);
    assert_string_equal(err.message, "9 events are not delivered after 20 ms");
    rd_kafka_mock_topic_set_error(w.cluster, w.good, RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_true(drive(&w, all_delivered) < 200);
    log_expect(&w, "Kafka has no such topic", 1);
    expect_arrived(w.good, 9, false);
    expect_arrived(w.bad, 4, false);
    world_free(&w);
}

static void what_is_pending_at_the_end_is_freed(void **state)
{
    struct world w;
    struct err err;

    (void)state;
    world_begin(&w);
    rd_kafka_mock_broker_set_down(w.cluster, 1);
    w.publish =
        publish_make(&w, rd_kafka_mock_cluster_bootstraps(w.cluster),
                     (const char *const[PAIRS_MAX]){"queue.buffering.max.messages=3"}, &err);
    assert_non_null(w.publish);
    events_publish(&w, 5);
    assert_int_equal(publish_flush(w.publish, 0, &err), -1);
    assert_string_equal(err.message, "5 events are not delivered after 0 ms");
    rd_kafka_mock_broker_set_up(w.cluster, 1);
    world_free(&w);
}

/* --- With a spool --- */

#define SPOOLED_MAX 3000

static bool spool_is_empty(struct world *w)
{
    return publish_pending(w->publish) == 0 &&
           series_value(w->metrics, "\nsitewatch_spool_events ") == 0;
}

static bool all_is_in_the_spool(struct world *w)
{
    return series_value(w->metrics, "\nsitewatch_spool_events ") == SPOOLED_MAX;
}

static void spool_path(char path[64])
{
    snprintf(path, 64, "/tmp/publish-test-XXXXXX");
    close(mkstemp(path)); /* SQLite takes an empty file for a new one */
}

static void spool_remove(const char *path)
{
    char log[80];

    snprintf(log, sizeof(log), "%s-wal", path);
    unlink(path);
    unlink(log);
}

static const char *const small_queue[PAIRS_MAX] = {"queue.buffering.max.messages=100"};

static void world_make_away(struct world *w, const char *spool_file)
{
    struct err err;

    world_begin(w);
    w->spool_file = spool_file;
    rd_kafka_mock_broker_set_down(w->cluster, 1);
    w->publish = publish_make(w, rd_kafka_mock_cluster_bootstraps(w->cluster), small_queue, &err);
    if (w->publish == NULL) {
        fail_msg("%s", err.message);
    }
}

/* Who polls sleeps until the time that it was told. */
static void an_event_that_must_be_saved_soon_wakes_who_polls(void **state)
{
    struct pollfd ready;
    char path[64];
    struct world w;

    (void)state;
    spool_path(path);
    world_make_away(&w, path);
    ready = (struct pollfd){.fd = publish_fd(w.publish), .events = POLLIN};
    do {
        publish_poll(w.publish); /* what came of the start */
    } while (poll(&ready, 1, 300) > 0);
    assert_true(publish_next_due_ns(w.publish) == TIME_NEVER);
    event_publish(&w, 0, CHECK_UP, NULL);
    assert_int_equal(poll(&ready, 1, 0), 1);
    publish_poll(w.publish);
    assert_true(publish_next_due_ns(w.publish) < clock_mono_ns() + NS_PER_SEC);
    rd_kafka_mock_broker_set_up(w.cluster, 1);
    world_free(&w);
    spool_remove(path);
}

static void with_a_spool_events_wait_on_disk_and_checks_go_on(void **state)
{
    char path[64];
    struct world w;

    (void)state;
    spool_path(path);
    world_make_away(&w, path);
    for (int i = 0; i < SPOOLED_MAX; i++) {
        event_publish(&w, i, CHECK_UP, NULL);
        assert_true(publish_has_room(w.publish));
    }
    assert_true(publish_pending(w.publish) < 1300); /* the others are on disk alone */
    assert_true(publish_next_due_ns(w.publish) <= clock_mono_ns() + 500 * NS_PER_MS);
    drive(&w, all_is_in_the_spool);
    rd_kafka_mock_broker_set_up(w.cluster, 1);
    drive(&w, spool_is_empty);
    log_expect(&w, "Kafka queue is full, events wait in the spool", 1);
    log_expect(&w, "Kafka takes events again", 1);
    expect_arrived(w.good, SPOOLED_MAX, false);
    assert_int_equal(counted(&w, "sitewatch_events_dropped", "reason=\"spool_full\""), 0);
    world_free(&w);
    spool_remove(path);
}

static void what_an_earlier_run_left_goes_first_and_in_order(void **state)
{
    char path[64];
    struct world w;
    struct err err;

    (void)state;
    spool_path(path);
    world_make_away(&w, path);
    for (int i = 0; i < SPOOLED_MAX - 8; i++) {
        event_publish(&w, i, CHECK_UP, NULL);
    }
    assert_int_equal(publish_flush(w.publish, 0, &err), 0);
    log_expect(&w, "events are kept in the spool", 1);
    publish_free(w.publish);

    w.publish = publish_make(&w, rd_kafka_mock_cluster_bootstraps(w.cluster), small_queue, &err);
    assert_non_null(w.publish);
    publish_poll(w.publish);
    for (int i = SPOOLED_MAX - 8; i < SPOOLED_MAX; i++) {
        event_publish(&w, i, CHECK_UP, NULL);
    }
    assert_true(publish_has_room(w.publish));
    rd_kafka_mock_broker_set_up(w.cluster, 1);
    drive(&w, all_delivered);
    drive(&w, spool_is_empty);
    expect_arrived(w.good, SPOOLED_MAX, false);
    world_free(&w);
    spool_remove(path);
}

static bool first_is_saved(struct world *w)
{
    return series_value(w->metrics, "\nsitewatch_spool_events ") == 2;
}

static void an_event_that_is_not_acknowledged_in_time_is_saved(void **state)
{
    char path[64];
    struct world w;
    int64_t start_ns;

    (void)state;
    spool_path(path);
    world_make_away(&w, path);
    start_ns = clock_mono_ns();
    event_publish(&w, 0, CHECK_UP, NULL);
    event_publish(&w, 1, CHECK_DOWN, "down");
    assert_in_range(publish_next_due_ns(w.publish), start_ns + 500 * NS_PER_MS,
                    clock_mono_ns() + 500 * NS_PER_MS);
    drive(&w, first_is_saved);
    assert_true(clock_mono_ns() - start_ns >= 500 * NS_PER_MS);
    assert_int_equal(publish_next_due_ns(w.publish), TIME_NEVER);
    assert_int_equal(publish_pending(w.publish), 2);
    rd_kafka_mock_broker_set_up(w.cluster, 1);
    drive(&w, spool_is_empty);
    expect_arrived(w.good, 1, false);
    world_free(&w);
    spool_remove(path);
}

static void a_failed_delivery_is_saved_at_once(void **state)
{
    char path[64];
    struct world w;
    struct err err;

    (void)state;
    spool_path(path);
    world_begin(&w);
    w.spool_file = path;
    rd_kafka_mock_push_request_errors(w.cluster, API_PRODUCE, 1,
                                      RD_KAFKA_RESP_ERR_POLICY_VIOLATION);
    w.publish = publish_make(&w, rd_kafka_mock_cluster_bootstraps(w.cluster), no_pairs, &err);
    assert_non_null(w.publish);
    event_publish(&w, 0, CHECK_UP, NULL);
    drive(&w, any_retried);
    publish_poll(w.publish);
    assert_true(publish_has_room(w.publish)); /* though it waits */
    drive(&w, spool_is_empty);
    expect_arrived(w.good, 1, false);
    world_free(&w);
    spool_remove(path);
}

static void a_spool_that_cannot_be_written_leaves_back_pressure(void **state)
{
    struct world w;
    struct err err;

    (void)state;
    world_make_away(&w, "/dev/null/none/spool.sqlite");
    log_expect(&w, "spool does not take events", 1);
    assert_true(publish_has_room(w.publish));
    events_publish(&w, 200);
    assert_false(publish_has_room(w.publish));
    assert_int_equal(publish_pending(w.publish), 200);
    assert_int_equal(publish_flush(w.publish, 0, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    assert_non_null(strstr(err.message, "200 events are not delivered: spool /dev/null/none"));
    rd_kafka_mock_broker_set_up(w.cluster, 1);
    drive(&w, all_delivered);
    assert_true(publish_has_room(w.publish));
    expect_arrived(w.good, 200, false);
    world_free(&w);
}

static void a_spool_of_another_producer_is_refused(void **state)
{
    char path[64];
    struct world w;
    struct err err;

    (void)state;
    spool_path(path);
    world_begin(&w);
    w.spool_file = path;
    w.publish = publish_make(&w, "localhost:1", no_pairs, &err);
    assert_non_null(w.publish);
    assert_null(publish_make(&w, "localhost:1", no_pairs, &err));
    assert_int_equal(err.kind, ERR_FATAL);
    assert_non_null(strstr(err.message, "is in use by another process"));
    world_free(&w);
    spool_remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(settings_that_cannot_work_are_refused, log_show),
        cmocka_unit_test_teardown(settings_are_checked_without_a_broker, log_show),
        cmocka_unit_test_teardown(topics_without_a_legal_name_are_refused, log_show),
        cmocka_unit_test_teardown(a_process_out_of_descriptors_says_so, log_show),
        cmocka_unit_test_teardown(an_event_arrives_with_key_headers_and_partition, log_show),
        cmocka_unit_test_teardown(a_full_queue_holds_events_back_and_loses_none, log_show),
        cmocka_unit_test_teardown(events_of_several_threads_arrive_each_site_in_order, log_show),
        cmocka_unit_test_teardown(an_event_that_must_be_saved_soon_wakes_who_polls, log_show),
        cmocka_unit_test_teardown(errors_that_pass_are_not_seen, log_show),
        cmocka_unit_test_teardown(a_failed_delivery_waits_and_is_repeated, log_show),
        cmocka_unit_test_teardown(a_producer_that_failed_for_good_is_made_anew, log_show),
        cmocka_unit_test_teardown(a_renewed_producer_sends_what_was_not_acknowledged, log_show),
        cmocka_unit_test_teardown(a_producer_that_keeps_failing_is_made_once_a_second, log_show),
        cmocka_unit_test_teardown(events_handed_to_a_failed_producer_wait_for_the_next, log_show),
        cmocka_unit_test_teardown(an_event_too_large_for_us_is_dropped_alone, log_show),
        cmocka_unit_test_teardown(a_request_too_large_for_the_broker_is_sent_again_one_by_one,
                                  log_show),
        cmocka_unit_test_teardown(a_missing_topic_is_named_and_its_events_wait, log_show),
        cmocka_unit_test_teardown(what_is_pending_at_the_end_is_freed, log_show),
        cmocka_unit_test_teardown(with_a_spool_events_wait_on_disk_and_checks_go_on, log_show),
        cmocka_unit_test_teardown(what_an_earlier_run_left_goes_first_and_in_order, log_show),
        cmocka_unit_test_teardown(an_event_that_is_not_acknowledged_in_time_is_saved, log_show),
        cmocka_unit_test_teardown(a_failed_delivery_is_saved_at_once, log_show),
        cmocka_unit_test_teardown(a_spool_that_cannot_be_written_leaves_back_pressure, log_show),
        cmocka_unit_test_teardown(a_spool_of_another_producer_is_refused, log_show),
    };

    return cmocka_run_group_tests(tests, broker_make, broker_end);
}
