/* Which partitions we hold, and the claim of each in Postgres (DESIGN: assignment). */
#include <assert.h>

#include "common/clock.h"
#include "consumer/worker_internal.h"

#define RECLAIM_NS (250 * NS_PER_MS)

/* From a batch that is being written nothing can be dropped; then the fence judges it, and a claim
 * is made only after it. */
static void drop(struct worker *w, const char *topic, int32_t partition)
{
    batch_drop_partition(w->filling, topic, partition);
    if (!w->write.running) {
        batch_drop_partition(w->storing, topic, partition);
    }
}

/*
 * Not at once: who took our claim was given the partition by the group, which then has news for
 * us as well. To start it anew before that is heard would take the claim back from its owner, and
 * librdkafka would take the stop for our answer to the news.
 */
void worker_reclaim(struct worker *w, const char *topic, int32_t partition)
{
    struct held *held = holding_find(&w->holding, topic, partition);

    drop(w, topic, partition);
    if (held != NULL) {
        held->claimed = false; /* what still comes is not taken */
        held->claim_ns = clock_mono_ns() + RECLAIM_NS;
    }
}

/* --- What the group gives and takes --- */

static void follow_change(struct worker *w, const struct consume_change *change)
{
    static const char *const said[] = {
        [CONSUME_GIVEN] = "partition given",
        [CONSUME_REVOKED] = "partition revoked",
        [CONSUME_LOST] = "partition lost",
    };

    for (int i = 0; i < change->partitions->cnt; i++) {
        const rd_kafka_topic_partition_t *p = &change->partitions->elems[i];

        log_write(change->kind == CONSUME_LOST ? LOG_WARN : LOG_INFO, said[change->kind],
                  LOG_S("topic", p->topic), LOG_I("partition", p->partition),
                  LOG_I("worker", w->number));
        if (change->kind == CONSUME_GIVEN) {
            holding_add(&w->holding, p->topic, p->partition);
        } else {
            drop(w, p->topic, p->partition);
            holding_remove(&w->holding, p->topic, p->partition);
        }
    }
    if (change->kind != CONSUME_GIVEN) {
        consume_give_up(w->consume, change->partitions);
    }
    metric_set(w->metrics.held, (int64_t)w->holding.count);
}

int worker_follow_group(struct worker *w, struct err *err)
{
    struct consume_change change;
    int rc = 0;

    while (rc == 0 && consume_next_change(w->consume, &change)) {
        /* A clean handover: what is held is stored first, so that nobody reads it again. */
        if (change.kind == CONSUME_REVOKED && !w->away) {
            rc = worker_store_all(w, err);
        } else if (change.kind != CONSUME_GIVEN) {
            rc = worker_store_settle(w, err);
        }
        follow_change(w, &change);
        rd_kafka_topic_partition_list_destroy(change.partitions);
    }
    return rc;
}

/* --- Claims --- */

/* The stored offset is not in the log any more (retention was faster than us, or the topic was
 * made anew): go on where the log begins, and say what was lost. */
static int move_into_log(struct worker *w, struct store_claim *claim, int64_t high, struct err *err)
{
    bool moved = false;

    if (claim->next_offset >= claim->low_watermark && claim->next_offset <= high) {
        return 0;
    }
    if (store_move(w->store, claim->topic, claim->partition, claim->epoch, claim->next_offset,
                   claim->low_watermark, &moved, err) < 0) {
        return -1;
    }
    if (!moved) {
        return err_set(err, ERR_RETRY, "%s [%d] was claimed by another meanwhile", claim->topic,
                       claim->partition);
    }
    int64_t skipped = claim->low_watermark - claim->next_offset;

    log_write(LOG_ERROR, "stored offset is outside the log, reading on from its beginning",
              LOG_S("topic", claim->topic), LOG_I("partition", claim->partition),
              LOG_I("stored", claim->next_offset), LOG_I("low", claim->low_watermark),
              LOG_I("high", high), LOG_I("skipped", skipped > 0 ? skipped : 0));
    if (skipped > 0) {
        metric_add(w->metrics.offsets_skipped, (uint64_t)skipped);
    }
    claim->next_offset = claim->low_watermark;
    return 0;
}

static int claim_one(struct worker *w, struct held *held, struct err *err)
{
    struct store_claim claim = {.topic = held->topic, .partition = held->partition};
    int64_t high = 0;

    if (consume_watermarks(w->consume, held->topic, held->partition, &claim.low_watermark, &high,
                           err) < 0 ||
        store_claim(w->store, &claim, err) < 0 || move_into_log(w, &claim, high, err) < 0) {
        return -1;
    }
    held->claimed = true;
    held->epoch = claim.epoch;
    held->next = claim.next_offset;
    log_write(LOG_INFO, "partition claimed", LOG_S("topic", held->topic),
              LOG_I("partition", held->partition), LOG_I("offset", held->next),
              LOG_I("epoch", held->epoch), LOG_I("worker", w->number));
    return 0;
}

/* What the errand's thread does for worker_claim_held. */
struct claiming {
    struct worker *worker;
    bool is_lost; /* what we hold is another's; the news of it is on its way */
    rd_kafka_topic_partition_list_t *start; /* what was claimed */
    int rc;
    struct err err;
};

static void claim_held(void *context)
{
    struct claiming *c = context;
    struct worker *w = c->worker;
    int64_t now_ns = clock_mono_ns();

    c->rc = store_connect(w->store, &c->err);
    for (size_t i = 0; i < w->holding.count && c->rc == 0; i++) {
        struct held *held = &w->holding.held[i];

        if (held->claimed || c->is_lost || now_ns < held->claim_ns) {
            continue;
        }
        c->rc = claim_one(w, held, &c->err);
        if (c->rc == 0) {
            rd_kafka_topic_partition_list_add(c->start, held->topic, held->partition)->offset =
                held->next;
        }
    }
}

int worker_claim_held(struct worker *w, struct err *err)
{
    struct claiming c = {
        .worker = w,
        .is_lost = consume_is_lost(w->consume),
        .start = rd_kafka_topic_partition_list_new(8),
    };

    worker_store_run(w, claim_held, &c);

    int rc = c.start->cnt > 0 ? consume_start(w->consume, c.start, err) : 0;

    rd_kafka_topic_partition_list_destroy(c.start);
    if (rc == 0 && c.rc < 0) {
        if (c.err.kind == ERR_FATAL) {
            *err = c.err;
            return -1;
        }
        worker_begin_outage(w, &c.err);
    }
    return rc;
}
