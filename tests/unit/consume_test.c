/* Membership and messages against librdkafka's own mock cluster: what is paused, stopped and
 * started again gives each message from its start offset on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <string.h>

#include "common/clock.h"
#include "common/consume.h"
#include "tests/unit/mock_broker.h"

#define WAIT_NS (20 * NS_PER_SEC)
#define POLL_MS 20
#define AT_ONCE 8
#define TOPIC "checks"

static struct mock_broker broker;

static int broker_make(void **state)
{
    (void)state;
    if (mock_broker_start(&broker) < 0) {
        return -1;
    }
    return rd_kafka_mock_topic_create(broker.cluster, TOPIC, 1, 1) == RD_KAFKA_RESP_ERR_NO_ERROR
               ? 0
               : -1;
}

static int broker_end(void **state)
{
    (void)state;
    rd_kafka_destroy(broker.host);
    return 0;
}

static void produce(int count)
{
    for (int i = 0; i < count; i++) {
        assert_int_equal(rd_kafka_producev(broker.host, RD_KAFKA_V_TOPIC(TOPIC),
                                           RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_VALUE("x", 1),
                                           RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                           RD_KAFKA_V_END),
                         RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    assert_int_equal(rd_kafka_flush(broker.host, 10000), RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* With a property of the operator's, or NULL. */
static struct consume *join_with(const char *group, const char *name, const char *value)
{
    char *names[] = {(char *)(uintptr_t)name};
    char *values[] = {(char *)(uintptr_t)value};
    struct kafka_settings kafka = {
        .bootstrap_servers = (char *)(uintptr_t)rd_kafka_mock_cluster_bootstraps(broker.cluster),
        .properties = {.names = names, .values = values, .count = name != NULL ? 1 : 0},
    };
    struct consume_settings settings = {.kafka = &kafka,
                                        .client_id = "test",
                                        .group = group,
                                        .topics = {TOPIC, TOPIC "-other"},
                                        .fetch_mb = 1};
    struct err err = {0};
    struct consume *c = consume_new(&settings, &err);

    if (c == NULL) {
        fail_msg("%s", err.message);
    }
    return c;
}

static struct consume *join(const char *group)
{
    return join_with(group, NULL, NULL);
}

/* Poll until the group gives something; messages that come are dropped. */
static void wait_until_given(struct consume *c)
{
    int64_t deadline_ns = clock_mono_ns() + WAIT_NS;
    bool given = false;

    while (!given && clock_mono_ns() < deadline_ns) {
        rd_kafka_message_t *messages[AT_ONCE];
        struct consume_change change;

        for (size_t n = consume_poll(c, messages, AT_ONCE, POLL_MS); n > 0; n--) {
            rd_kafka_message_destroy(messages[n - 1]);
        }
        while (consume_next_change(c, &change)) {
            given = given || (change.kind == CONSUME_GIVEN && change.partitions->cnt > 0);
            rd_kafka_topic_partition_list_destroy(change.partitions);
        }
    }
    assert_true(given);
}

/* `count` messages from `first` on, in order and nothing else. */
static void expect(struct consume *c, int64_t first, int count)
{
    int64_t deadline_ns = clock_mono_ns() + WAIT_NS;
    int64_t next = first;

    while (next < first + count) {
        rd_kafka_message_t *messages[AT_ONCE];

        if (clock_mono_ns() > deadline_ns) {
            fail_msg("the message at %d did not come", (int)next);
        }
        size_t left = (size_t)(first + count - next);
        size_t n = consume_poll(c, messages, left < AT_ONCE ? left : AT_ONCE, POLL_MS);

        for (size_t i = 0; i < n; i++) {
            assert_int_equal(messages[i]->err, RD_KAFKA_RESP_ERR_NO_ERROR);
            assert_int_equal(messages[i]->offset, next);
            next++;
            rd_kafka_message_destroy(messages[i]);
        }
    }
}

static rd_kafka_topic_partition_list_t *partition_at(int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);

    rd_kafka_topic_partition_list_add(list, TOPIC, 0)->offset = offset;
    return list;
}

static void start_at(struct consume *c, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = partition_at(offset);
    struct err err = {0};

    if (consume_start(c, list, &err) < 0) {
        fail_msg("%s", err.message);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void give_up(struct consume *c)
{
    rd_kafka_topic_partition_list_t *list = partition_at(0);

    consume_give_up(c, list);
    rd_kafka_topic_partition_list_destroy(list);
}

static void test_reading_starts_where_storing_ended(void **state)
{
    struct consume *c = join("named");

    (void)state;
    wait_until_given(c);
    start_at(c, 3);
    expect(c, 3, 5);
    assert_true(consume_is_member(c));
    assert_false(consume_is_lost(c));
    consume_free(c);
}

static void test_a_partition_that_runs_is_started_anew(void **state)
{
    struct consume *c = join("anew");

    (void)state;
    wait_until_given(c);
    start_at(c, 0);
    expect(c, 0, 8);
    start_at(c, 2);
    expect(c, 2, 6);
    consume_free(c);
}

static void test_a_partition_given_up_while_paused_is_read_when_it_comes_back(void **state)
{
    struct consume *c = join("paused");

    (void)state;
    wait_until_given(c);
    start_at(c, 0);
    expect(c, 0, 8);
    consume_pause(c);
    give_up(c);
    consume_resume(c); /* the outage ends, and the partition is another's */
    start_at(c, 5);
    expect(c, 5, 3);
    consume_free(c);
}

static void test_pause_and_resume_lose_nothing_and_repeat_nothing(void **state)
{
    struct consume *c = join("resumed");

    (void)state;
    wait_until_given(c);
    start_at(c, 0);
    expect(c, 0, 2);
    consume_pause(c);
    consume_resume(c);
    expect(c, 2, 6);
    consume_free(c);
}

static void test_leaving_before_anything_was_given_ends(void **state)
{
    struct consume *c = join("early");
    int64_t deadline_ns = clock_mono_ns() + WAIT_NS;

    (void)state;
    /* Its assignor is chosen by now, and has no state. */
    while (!consume_is_member(c) && clock_mono_ns() < deadline_ns) {
        rd_kafka_message_t *message;

        /* Some librdkafka say here that a topic is not there; no event can come. */
        if (consume_poll(c, &message, 1, 0) > 0) {
            assert_int_not_equal(message->err, RD_KAFKA_RESP_ERR_NO_ERROR);
            rd_kafka_message_destroy(message);
        }
    }
    consume_free(c);
}

/* Answers are kept small, but none may be smaller than what an operator's messages may be. */
static void test_messages_may_be_larger_than_answers_are_kept(void **state)
{
    static const char *const properties[][2] = {
        {"message.max.bytes", "8000000"},
        {"fetch.max.bytes", "2000000"},
        {"max.partition.fetch.bytes", "1000"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(properties) / sizeof(properties[0]); i++) {
        struct consume *c = join_with("large", properties[i][0], properties[i][1]);

        print_message("  %s\n", properties[i][0]);
        wait_until_given(c);
        start_at(c, 0);
        expect(c, 0, 8);
        consume_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_may_be_larger_than_answers_are_kept),
        cmocka_unit_test(test_reading_starts_where_storing_ended),
        cmocka_unit_test(test_a_partition_that_runs_is_started_anew),
        cmocka_unit_test(test_a_partition_given_up_while_paused_is_read_when_it_comes_back),
        cmocka_unit_test(test_pause_and_resume_lose_nothing_and_repeat_nothing),
        cmocka_unit_test(test_leaving_before_anything_was_given_ends),
    };
    int rc = broker_make(NULL);

    if (rc == 0) {
        produce(8);
        rc = cmocka_run_group_tests(tests, NULL, broker_end);
    }
    return rc;
}
