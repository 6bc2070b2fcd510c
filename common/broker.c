#include "common/broker.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

#define MARGIN_MS 5000 /* for an answer beyond the time that the request has */
#define AWAIT_MS 200   /* between two looks at stop_fd */
#define CLEANUP "cleanup.policy"

struct broker {
    rd_kafka_t *client;
    rd_kafka_queue_t *queue; /* where answers come */
    int timeout_ms;
};

struct broker *broker_new(const struct kafka_settings *kafka, const char *client_id, int timeout_ms,
                          struct err *err)
{
    char reason[256];
    rd_kafka_conf_t *conf = kafka_conf_new(kafka, client_id, err);

    if (conf == NULL) {
        return NULL;
    }
    /* A producer that asks for a topic would have the broker make it. */
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));

    if (client == NULL) {
        rd_kafka_conf_destroy(conf);
        err_set(err, ERR_INVALID, "Kafka client: %s", reason);
        return NULL;
    }
    struct broker *b = mem_alloc(1, sizeof(*b));

    b->client = client;
    b->queue = rd_kafka_queue_new(client);
    b->timeout_ms = timeout_ms;
    return b;
}

void broker_free(struct broker *b)
{
    if (b == NULL) {
        return;
    }
    rd_kafka_queue_destroy(b->queue);
    rd_kafka_destroy(b->client);
    free(b);
}

/* No answer is an outage, an answer that says no is not. */
static int fail(struct err *err, const char *what, rd_kafka_resp_err_t code, const char *text)
{
    bool is_outage = code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR__TRANSPORT ||
                     code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
                     code == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE ||
                     code == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS;

    return err_set(err, is_outage ? ERR_RETRY : ERR_FATAL, "%s: %s", what,
                   text == NULL ? rd_kafka_err2str(code) : text);
}

/* --- Topics --- */

int broker_partitions(struct broker *b, const char *topic, int32_t *count, struct err *err)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(b->client, topic, NULL);

    if (handle == NULL) {
        return err_set(err, ERR_INVALID, "topic %s: %s", topic,
                       rd_kafka_err2str(rd_kafka_last_error()));
    }
    rd_kafka_resp_err_t code = rd_kafka_metadata(b->client, 0, handle, &metadata, b->timeout_ms);

    rd_kafka_topic_destroy(handle);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return fail(err, topic, code, NULL);
    }
    int32_t found = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;

    code = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_metadata_destroy(metadata);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
        return fail(err, topic, code, NULL);
    }
    *count = code == RD_KAFKA_RESP_ERR_NO_ERROR ? found : 0;
    return 0;
}

/* The answer to what was asked; the caller destroys it. NULL and *err when it is a failure. */
static rd_kafka_event_t *take_answer(struct broker *b, const char *what, struct err *err)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(b->queue, b->timeout_ms + MARGIN_MS);

    if (event == NULL) {
        (void)fail(err, what, RD_KAFKA_RESP_ERR__TIMED_OUT, NULL);
    } else if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        (void)fail(err, what, rd_kafka_event_error(event), rd_kafka_event_error_string(event));
        rd_kafka_event_destroy(event);
        event = NULL;
    }
    return event;
}

/* What every question carries: no longer than timeout_ms. */
static rd_kafka_AdminOptions_t *options_new(struct broker *b, rd_kafka_admin_op_t op)
{
    char ignored[64];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(b->client, op);

    rd_kafka_AdminOptions_set_request_timeout(options, b->timeout_ms, ignored, sizeof(ignored));
    return options;
}

static rd_kafka_NewTopic_t *new_topic(const struct broker_topic *topic, struct err *err)
{
    char reason[256];
    rd_kafka_NewTopic_t *made =
        rd_kafka_NewTopic_new(topic->name, topic->partitions,
                              topic->replicas == 0 ? -1 : topic->replicas, reason, sizeof(reason));

    if (made == NULL) {
        err_set(err, ERR_INVALID, "%s: %s", topic->name, reason);
    } else if (topic->compacted) {
        rd_kafka_NewTopic_set_config(made, CLEANUP, "compact");
    }
    return made;
}

static int judge_made(rd_kafka_event_t *event, const char *name, bool *made, struct err *err)
{
    size_t count;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    rd_kafka_resp_err_t code =
        count == 1 ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR__BAD_MSG;

    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
        return fail(err, name, code,
                    count == 1 ? rd_kafka_topic_result_error_string(results[0]) : NULL);
    }
    *made = code == RD_KAFKA_RESP_ERR_NO_ERROR;
    return 0;
}

int broker_make_topic(struct broker *b, const struct broker_topic *topic, bool *made,
                      struct err *err)
{
    rd_kafka_NewTopic_t *wanted = new_topic(topic, err);
    int rc = -1;

    if (wanted == NULL) {
        return -1;
    }
    rd_kafka_AdminOptions_t *options = options_new(b, RD_KAFKA_ADMIN_OP_CREATETOPICS);

    rd_kafka_CreateTopics(b->client, &wanted, 1, options, b->queue);

    rd_kafka_event_t *event = take_answer(b, topic->name, err);

    if (event != NULL) {
        rc = judge_made(event, topic->name, made, err);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_NewTopic_destroy(wanted);
    return rc;
}

static int judge_policy(rd_kafka_event_t *event, const char *name, bool *compacted, struct err *err)
{
    size_t count;
    const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event), &count);
    rd_kafka_resp_err_t code =
        count == 1 ? rd_kafka_ConfigResource_error(resources[0]) : RD_KAFKA_RESP_ERR__BAD_MSG;

    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return fail(err, name, code,
                    count == 1 ? rd_kafka_ConfigResource_error_string(resources[0]) : NULL);
    }
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resources[0], &count);

    for (size_t i = 0; i < count; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);

        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), CLEANUP) == 0 && value != NULL) {
            *compacted = strstr(value, "compact") != NULL;
            return 0;
        }
    }
    return err_set(err, ERR_FATAL, "%s: the broker does not tell " CLEANUP, name);
}

int broker_is_compacted(struct broker *b, const char *topic, bool *compacted, struct err *err)
{
    rd_kafka_ConfigResource_t *asked = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_AdminOptions_t *options = options_new(b, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    int rc = -1;

    rd_kafka_DescribeConfigs(b->client, &asked, 1, options, b->queue);

    rd_kafka_event_t *event = take_answer(b, topic, err);

    if (event != NULL) {
        rc = judge_policy(event, topic, compacted, err);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ConfigResource_destroy(asked);
    return rc;
}

static bool is_connected(struct broker *b, int wait_ms)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(b->client, 0, NULL, &metadata, wait_ms);

    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_metadata_destroy(metadata);
    }
    return code != RD_KAFKA_RESP_ERR__TRANSPORT; /* a broker that is slow to answer is there */
}

/* In portions: librdkafka's own wait cannot be ended, and a broker that is away is no reason for a
 * program to end late. */
static int await_broker(struct broker *b, int stop_fd, struct err *err)
{
    struct pollfd stop = {.fd = stop_fd, .events = POLLIN};
    int64_t deadline_ns = clock_mono_ns() + b->timeout_ms * NS_PER_MS;

    while (!is_connected(b, AWAIT_MS)) {
        if (poll(&stop, 1, 0) != 0 || clock_mono_ns() >= deadline_ns) {
            return err_set(err, ERR_RETRY, "no broker answers");
        }
    }
    return 0;
}

static int judge_compacted(struct broker *b, const char *topic, struct err *err)
{
    bool compacted = false;
    int32_t partitions = 0;

    if (broker_partitions(b, topic, &partitions, err) < 0) {
        return -1;
    }
    if (partitions == 0) {
        return err_set(err, ERR_FATAL, "there is no topic %s; " KAFKA_TOPIC_FIX, topic);
    }
    if (broker_is_compacted(b, topic, &compacted, err) < 0) {
        return -1;
    }
    if (!compacted) {
        return err_set(err, ERR_FATAL,
                       "topic %s is not compacted (cleanup.policy), and would forget sites with "
                       "time",
                       topic);
    }
    return 0;
}

int broker_require_compacted(const struct kafka_settings *kafka, const char *client_id,
                             int timeout_ms, const char *topic, int stop_fd, struct err *err)
{
    struct broker *broker = broker_new(kafka, client_id, timeout_ms, err);
    int rc = -1;

    if (broker != NULL && await_broker(broker, stop_fd, err) == 0) {
        rc = judge_compacted(broker, topic, err);
    }
    broker_free(broker);
    return rc;
}

int broker_watermarks(struct broker *b, const char *topic, int32_t partition, int64_t *low,
                      int64_t *high, struct err *err)
{
    rd_kafka_resp_err_t code =
        rd_kafka_query_watermark_offsets(b->client, topic, partition, low, high, b->timeout_ms);

    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : fail(err, topic, code, NULL);
}

/* --- Groups --- */

static void note_member(const rd_kafka_MemberDescription_t *member, const char *topic,
                        char **holders, size_t count)
{
    const rd_kafka_topic_partition_list_t *partitions =
        rd_kafka_MemberAssignment_partitions(rd_kafka_MemberDescription_assignment(member));

    for (int i = 0; partitions != NULL && i < partitions->cnt; i++) {
        const rd_kafka_topic_partition_t *p = &partitions->elems[i];

        if (strcmp(p->topic, topic) == 0 && p->partition >= 0 && (size_t)p->partition < count &&
            holders[p->partition] == NULL) {
            holders[p->partition] = mem_copy_string(rd_kafka_MemberDescription_host(member));
        }
    }
}

static int note_members(rd_kafka_event_t *event, const char *topic, char **holders, size_t count,
                        struct err *err)
{
    size_t groups_count;
    const rd_kafka_ConsumerGroupDescription_t **groups =
        rd_kafka_DescribeConsumerGroups_result_groups(
            rd_kafka_event_DescribeConsumerGroups_result(event), &groups_count);

    for (size_t i = 0; i < groups_count; i++) {
        const rd_kafka_error_t *error = rd_kafka_ConsumerGroupDescription_error(groups[i]);
        size_t members = rd_kafka_ConsumerGroupDescription_member_count(groups[i]);

        /* Brokers from 4.0 on say so of a group that nobody was ever in. */
        if (error != NULL && rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND) {
            continue;
        }
        if (error != NULL) {
            return fail(err, rd_kafka_ConsumerGroupDescription_group_id(groups[i]),
                        rd_kafka_error_code(error), rd_kafka_error_string(error));
        }
        for (size_t m = 0; m < members; m++) {
            note_member(rd_kafka_ConsumerGroupDescription_member(groups[i], m), topic, holders,
                        count);
        }
    }
    return 0;
}

int broker_holders(struct broker *b, const char *group, const char *topic, char **holders,
                   size_t count, struct err *err)
{
    rd_kafka_AdminOptions_t *options = options_new(b, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    int rc = -1;

    memset(holders, 0, count * sizeof(*holders));
    rd_kafka_DescribeConsumerGroups(b->client, &group, 1, options, b->queue);

    rd_kafka_event_t *event = take_answer(b, group, err);

    if (event != NULL) {
        rc = note_members(event, topic, holders, count, err);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_AdminOptions_destroy(options);
    return rc;
}
