#include "common/consume.h"

#include <assert.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/consume_conf.h"
#include "common/log.h"
#include "common/mem.h"

#define CHANGES_MAX 16
#define WATERMARK_TIMEOUT_MS 5000
#define WAKE_INTERVAL_NS (50 * NS_PER_MS)
#define WAKE_TIMEOUT_MS 200

struct consume {
    rd_kafka_t *consumer;
    rd_kafka_queue_t *queue;
    bool closing;
    bool was_given;    /* whatever it was, be it nothing */
    bool topic_went;   /* one that was read is gone */
    bool sleeps;       /* this librdkafka does, when its queue is full */
    int64_t wake_ns;   /* when it may be woken next */
    size_t left;       /* messages in the queue after the latest poll */
    bool nothing_came; /* into it since the poll before */
    /* what the rebalance callback noted */
    struct consume_change changes[CHANGES_MAX];
    size_t changes_first, changes_count;
};

/* --- Membership --- */

static void log_failed(const char *msg, rd_kafka_error_t *error)
{
    if (error != NULL) {
        log_write(LOG_ERROR, msg, LOG_S("reason", rd_kafka_error_string(error)));
        rd_kafka_error_destroy(error);
    }
}

/* librdkafka refuses a list in which one partition was never started; give it the others. */
static rd_kafka_topic_partition_list_t *
started_among(struct consume *c, const rd_kafka_topic_partition_list_t *partitions)
{
    rd_kafka_topic_partition_list_t *started = NULL;
    rd_kafka_topic_partition_list_t *among = rd_kafka_topic_partition_list_new(partitions->cnt);

    if (rd_kafka_assignment(c->consumer, &started) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return among;
    }
    for (int i = 0; i < partitions->cnt; i++) {
        const rd_kafka_topic_partition_t *p = &partitions->elems[i];

        if (rd_kafka_topic_partition_list_find(started, p->topic, p->partition) != NULL) {
            rd_kafka_topic_partition_list_add(among, p->topic, p->partition);
        }
    }
    rd_kafka_topic_partition_list_destroy(started);
    return among;
}

/* Also answers the group when nothing in it was started. */
void consume_give_up(struct consume *c, const rd_kafka_topic_partition_list_t *partitions)
{
    rd_kafka_topic_partition_list_t *among = started_among(c, partitions);

    log_failed("partitions could not be given up",
               rd_kafka_incremental_unassign(c->consumer, among));
    rd_kafka_topic_partition_list_destroy(among);
}

/* Accept what the group gives without starting it: what the caller does first may take its time,
 * and the group must not wait for it. */
static void accept_given(struct consume *c)
{
    rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);

    log_failed("partitions could not be accepted", rd_kafka_incremental_assign(c->consumer, none));
    rd_kafka_topic_partition_list_destroy(none);
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                         rd_kafka_topic_partition_list_t *partitions, void *opaque)
{
    struct consume *c = opaque;
    bool given = code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;

    c->was_given = c->was_given || given;
    if (c->closing) { /* nobody reads our notes any more */
        if (given) {
            accept_given(c);
        } else {
            consume_give_up(c, partitions);
        }
        return;
    }
    /* The group waits for our answer to one change before it makes the next. */
    assert(c->changes_count < CHANGES_MAX);

    size_t at = (c->changes_first + c->changes_count++) % CHANGES_MAX;

    c->changes[at] = (struct consume_change){
        .kind = given                          ? CONSUME_GIVEN
                : rd_kafka_assignment_lost(rk) ? CONSUME_LOST
                                               : CONSUME_REVOKED,
        .partitions = rd_kafka_topic_partition_list_copy(partitions),
    };
    rd_kafka_yield(rk); /* let consume_poll return now */
}

bool consume_next_change(struct consume *c, struct consume_change *change)
{
    if (c->changes_count == 0) {
        return false;
    }
    *change = c->changes[c->changes_first];
    c->changes_first = (c->changes_first + 1) % CHANGES_MAX;
    c->changes_count--;
    if (change->kind == CONSUME_GIVEN) {
        accept_given(c);
    }
    return true;
}

/* --- Messages --- */

/*
 * One message a call: rd_kafka_consume_batch_queue before 2.1 loses messages when a rebalance
 * pauses a partition while it fills its array. It drops what it holds of the partition as
 * outdated, and the partition goes on behind it, because each was counted as handed out already.
 */
size_t consume_poll(struct consume *c, rd_kafka_message_t **messages, size_t max, int timeout_ms)
{
    size_t count = 0;

    assert(c->changes_count == 0);
    while (count < max && c->changes_count == 0) {
        rd_kafka_message_t *message = rd_kafka_consume_queue(c->queue, count == 0 ? timeout_ms : 0);

        if (message == NULL) {
            break;
        }
        c->topic_went = c->topic_went || message->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
                        message->err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
        messages[count++] = message;
    }
    if (c->sleeps) {
        size_t left = rd_kafka_queue_length(c->queue);

        c->nothing_came = left + count <= c->left;
        c->left = left;
    }
    return count;
}

void consume_wake(struct consume *c, const char *topic, int32_t partition, int64_t lag)
{
    int64_t now_ns = clock_mono_ns();
    int64_t low;
    int64_t high;

    if (!c->sleeps || !c->nothing_came || lag <= (int64_t)c->left || now_ns < c->wake_ns) {
        return;
    }
    c->wake_ns = now_ns + WAKE_INTERVAL_NS;
    rd_kafka_query_watermark_offsets(c->consumer, topic, partition, &low, &high, WAKE_TIMEOUT_MS);
}

int consume_watermarks(struct consume *c, const char *topic, int32_t partition, int64_t *low,
                       int64_t *high, struct err *err)
{
    rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(c->consumer, topic, partition, low,
                                                                high, WATERMARK_TIMEOUT_MS);

    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return err_set(err, ERR_RETRY, "watermarks of %s [%d]: %s", topic, partition,
                       rd_kafka_err2str(code));
    }
    return 0;
}

bool consume_is_lost(struct consume *c)
{
    return rd_kafka_assignment_lost(c->consumer) != 0;
}

bool consume_is_member(struct consume *c)
{
    char *id = rd_kafka_memberid(c->consumer);
    bool is_member = id != NULL && id[0] != '\0';

    rd_kafka_mem_free(c->consumer, id);
    return is_member;
}

int64_t consume_known_end(struct consume *c, const char *topic, int32_t partition)
{
    int64_t low;
    int64_t high;

    if (rd_kafka_get_watermark_offsets(c->consumer, topic, partition, &low, &high) !=
        RD_KAFKA_RESP_ERR_NO_ERROR) {
        return -1;
    }
    return high < 0 ? -1 : high; /* RD_KAFKA_OFFSET_INVALID before the first fetch */
}

/* Those of the list that run already. */
static void stop(struct consume *c, const rd_kafka_topic_partition_list_t *partitions)
{
    rd_kafka_topic_partition_list_t *among = started_among(c, partitions);

    if (among->cnt > 0) {
        log_failed("partitions could not be stopped",
                   rd_kafka_incremental_unassign(c->consumer, among));
    }
    rd_kafka_topic_partition_list_destroy(among);
}

int consume_start(struct consume *c, rd_kafka_topic_partition_list_t *at, struct err *err)
{
    stop(c, at);

    rd_kafka_error_t *error = rd_kafka_incremental_assign(c->consumer, at);

    if (error != NULL) {
        err_set(err, ERR_FATAL, "start partitions: %s", rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
        return -1;
    }
    /* One that was paused when it was lost is still paused when it comes back. */
    rd_kafka_resume_partitions(c->consumer, at);
    return 0;
}

static rd_kafka_topic_partition_list_t *started(struct consume *c)
{
    rd_kafka_topic_partition_list_t *list = NULL;

    if (rd_kafka_assignment(c->consumer, &list) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return rd_kafka_topic_partition_list_new(0);
    }
    return list;
}

void consume_pause(struct consume *c)
{
    rd_kafka_topic_partition_list_t *list = started(c);

    rd_kafka_pause_partitions(c->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
}

void consume_resume(struct consume *c)
{
    rd_kafka_topic_partition_list_t *list = started(c);

    rd_kafka_resume_partitions(c->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
}

void consume_report_offsets(struct consume *c, const rd_kafka_topic_partition_list_t *offsets)
{
    rd_kafka_commit(c->consumer, offsets, 1);
}

/* --- Life and death --- */

static int subscribe(struct consume *c, const struct consume_settings *s, struct err *err)
{
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(CONSUME_TOPICS_MAX);

    for (size_t i = 0; i < CONSUME_TOPICS_MAX && s->topics[i] != NULL; i++) {
        rd_kafka_topic_partition_list_add(topics, s->topics[i], RD_KAFKA_PARTITION_UA);
    }
    rd_kafka_resp_err_t code = rd_kafka_subscribe(c->consumer, topics);

    rd_kafka_topic_partition_list_destroy(topics);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return err_set(err, ERR_FATAL, "subscribe: %s", rd_kafka_err2str(code));
    }
    return 0;
}

struct consume *consume_new(const struct consume_settings *s, struct err *err)
{
    char reason[256];
    struct consume *c = mem_alloc(1, sizeof(*c));
    rd_kafka_conf_t *conf = consume_conf_new(s, err);

    if (conf == NULL) {
        goto fail;
    }
    c->sleeps = rd_kafka_version() < CONSUME_BACKOFF_VERSION;
    rd_kafka_conf_set_opaque(conf, c);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    c->consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));
    if (c->consumer == NULL) {
        rd_kafka_conf_destroy(conf);
        err_set(err, ERR_INVALID, "Kafka consumer: %s", reason);
        goto fail;
    }
    rd_kafka_poll_set_consumer(c->consumer);
    c->queue = rd_kafka_queue_get_consumer(c->consumer);
    if (subscribe(c, s, err) < 0) {
        goto fail;
    }
    return c;

fail:
    consume_free(c);
    return NULL;
}

/*
 * Whether the client has to be left to the end of the process. librdkafka before 2.3 asserts in
 * rd_kafka_destroy that a member of a group was given something: a client may have joined, which
 * needs a broker that answered, and was given nothing yet. And librdkafka 2.0 never comes back from
 * rd_kafka_destroy when a topic that was read is gone.
 */
static bool must_stay(struct consume *c)
{
    if (c->topic_went) {
        return true;
    }
    if (rd_kafka_version() >= 0x020300ff || c->was_given) {
        return false;
    }
    char *cluster = rd_kafka_clusterid(c->consumer, 0);
    bool answered = cluster != NULL;

    rd_kafka_mem_free(c->consumer, cluster);
    return answered;
}

void consume_free(struct consume *c)
{
    struct consume_change change;

    if (c == NULL) {
        return;
    }
    while (c->consumer != NULL && consume_next_change(c, &change)) {
        if (change.kind != CONSUME_GIVEN) {
            consume_give_up(c, change.partitions);
        }
        rd_kafka_topic_partition_list_destroy(change.partitions);
    }
    c->closing = true;
    if (c->queue != NULL) {
        rd_kafka_queue_destroy(c->queue);
    }
    if (c->consumer != NULL) {
        bool stays = must_stay(c);

        rd_kafka_consumer_close(c->consumer);
        if (!stays) {
            rd_kafka_destroy(c->consumer);
        }
    }
    free(c);
}
