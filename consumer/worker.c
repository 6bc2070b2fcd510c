#include "consumer/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "consumer/intake.h"
#include "consumer/worker_internal.h"

#define MESSAGES_PER_POLL 2048
#define POLL_MS_MAX 50
/* What a transaction costs beside its rows is little when these are so many. */
#define WORTH_ROWS 10000
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 10000
#define MEMBER_INTERVAL_NS (1 * NS_PER_SEC)
#define REPEAT_INTERVAL_NS (10 * NS_PER_SEC)

/* --- Messages --- */

static void note_trouble(struct worker *w, const rd_kafka_message_t *message)
{
    const char *topic = message->rkt != NULL ? rd_kafka_topic_name(message->rkt) : "";
    uint64_t held_back = 0;

    switch (message->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        return;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
        worker_reclaim(w, topic, message->partition); /* the claim finds out where the log is */
        return;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART: /* once, by librdkafka itself */
        log_write(LOG_ERROR, "Kafka has no such topic; " KAFKA_TOPIC_FIX, LOG_S("topic", topic),
                  LOG_I("worker", w->number));
        return;
    default:
        break;
    }
    if (log_limit_allows(&w->errors_limit, clock_mono_ns(), &held_back)) {
        log_write(LOG_ERROR, "Kafka does not give messages", LOG_S("topic", topic),
                  LOG_S("reason", rd_kafka_message_errstr(message)),
                  LOG_I("not_logged_before", held_back), LOG_I("worker", w->number));
    }
}

static void take_message(struct worker *w, const rd_kafka_message_t *message, int64_t now_ns,
                         int64_t real_now_ms)
{
    const char *topic = rd_kafka_topic_name(message->rkt);
    struct held *held = NULL;

    if (!holding_take(&w->holding, topic, message->partition, message->offset, &held)) {
        return; /* of an assignment that is over: it is read again by whoever has it now */
    }
    struct batch *b = w->filling;

    if (batch_is_empty(b)) {
        b->opened_ns = now_ns;
    }
    uint32_t partition = batch_partition(b, topic, message->partition, held->epoch, held->next);
    struct intake_message in = {
        .offset = message->offset,
        .key = message->key,
        .key_len = message->key_len,
        .payload = message->payload,
        .payload_len = message->len,
        .timestamp_ms = rd_kafka_message_timestamp(message, NULL),
    };

    intake_message(b, partition, &in, real_now_ms, w->settings.store.retention_days);
    held->next = message->offset + 1;
}

static bool filling_is_due(const struct worker *w, int64_t now_ns)
{
    const struct batch *b = w->filling;

    return !batch_is_empty(b) &&
           (batch_is_full(b) || now_ns - b->opened_ns >= w->settings.batch_ms * NS_PER_MS);
}

/* Postgres should not wait for a batch to grow old while there is much to store, as in a catch-up:
 * what it may hold at the most is for what comes while the batch before it is being written. */
static bool filling_is_worth_it(const struct worker *w)
{
    return w->filling->rows_count >= WORTH_ROWS;
}

/* How long to wait for messages: not at all when there is a batch to be stored. */
static int poll_ms(const struct worker *w, int64_t now_ns)
{
    if (batch_is_empty(w->filling) || w->away) {
        return POLL_MS_MAX;
    }
    if (filling_is_due(w, now_ns)) {
        return 0;
    }
    int64_t due_ns = w->filling->opened_ns + w->settings.batch_ms * NS_PER_MS;
    int64_t ms = (due_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;

    return ms > POLL_MS_MAX ? POLL_MS_MAX : (int)ms;
}

static void take_messages(struct worker *w)
{
    rd_kafka_message_t *messages[MESSAGES_PER_POLL];
    size_t held = w->filling->rows_count + w->filling->letters_count;
    size_t rows_max = (size_t)w->settings.batch_rows;
    size_t room = held < rows_max ? rows_max - held : 1; /* 1: polling keeps our membership */
    int64_t now_ns = clock_mono_ns();
    size_t count =
        consume_poll(w->consume, messages, room < MESSAGES_PER_POLL ? room : MESSAGES_PER_POLL,
                     poll_ms(w, now_ns));
    int64_t real_now_ms = clock_real_ns() / NS_PER_MS;

    now_ns = clock_mono_ns();
    w->nothing_came = count == 0;
    for (size_t i = 0; i < count; i++) {
        if (messages[i]->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            note_trouble(w, messages[i]);
        } else {
            take_message(w, messages[i], now_ns, real_now_ms);
        }
        rd_kafka_message_destroy(messages[i]);
    }
}

static void look_at_lag(struct worker *w)
{
    const struct held *longest = NULL;
    int64_t most = 0;
    int64_t sum = 0;

    for (size_t i = 0; i < w->holding.count; i++) {
        const struct held *held = &w->holding.held[i];
        int64_t end =
            held->claimed ? consume_known_end(w->consume, held->topic, held->partition) : -1;
        int64_t lag = end > held->next ? end - held->next : 0;

        sum += lag;
        if (lag > most) {
            most = lag;
            longest = held;
        }
    }
    metric_set(w->metrics.lag, sum);
    if (longest != NULL) {
        consume_wake(w->consume, longest->topic, longest->partition, sum);
    }
}

static void look_at_group(struct worker *w, int64_t now_ns)
{
    if (now_ns >= w->member_ns) {
        w->member_ns = now_ns + MEMBER_INTERVAL_NS;
        w->member = consume_is_member(w->consume);
    }
    if (!w->away) {
        look_at_lag(w);
    }
}

/* What an outage, or the group's gift of partitions, has left to do. Nothing is being written. */
static int catch_up(struct worker *w, struct err *err)
{
    uint64_t failures = w->failures;

    if (!batch_is_empty(w->storing)) {
        worker_store_start(w);
        return 0;
    }
    if ((w->away || holding_unclaimed(&w->holding) > 0) && worker_claim_held(w, err) < 0) {
        return -1;
    }
    if (w->away && w->failures == failures) {
        worker_end_outage(w);
    }
    return 0;
}

int worker_turn(struct worker *w, struct err *err)
{
    int64_t now_ns = clock_mono_ns();
    /* A batch that is due waits for the one before it. There is nothing else to wait for when it
     * is full, or takes in all there is. */
    bool waits = batch_is_full(w->filling) || (w->nothing_came && filling_is_due(w, now_ns));
    int64_t wait_until_ns = waits ? now_ns + POLL_MS_MAX * NS_PER_MS : now_ns;

    if (worker_store_look(w, wait_until_ns, err) < 0) {
        return -1;
    }
    now_ns = clock_mono_ns();
    if (!w->write.running && (!w->away || now_ns >= w->retry_ns) && catch_up(w, err) < 0) {
        return -1;
    }
    if (!w->write.running && !w->away && (filling_is_due(w, now_ns) || filling_is_worth_it(w))) {
        worker_store_start(w);
    }
    take_messages(w);
    if (worker_follow_group(w, err) < 0) {
        return -1;
    }
    look_at_group(w, clock_mono_ns());
    return 0;
}

int worker_drain(struct worker *w, int64_t deadline_ns, struct err *err)
{
    w->end_ns = deadline_ns;
    if (w->write.cut_ns > deadline_ns) {
        w->write.cut_ns = deadline_ns;
    }
    for (;;) {
        if (worker_store_all(w, err) < 0) {
            return -1;
        }
        if (batch_is_empty(w->storing) && batch_is_empty(w->filling)) {
            return 0;
        }
        if (w->retry_ns >= deadline_ns) {
            return err_set(err, ERR_RETRY, "%zu messages are not stored; they will be read again",
                           w->storing->rows_count + w->storing->letters_count +
                               w->filling->rows_count + w->filling->letters_count);
        }
        while (clock_mono_ns() < w->retry_ns) { /* keep our membership while we wait */
            take_messages(w);
            if (worker_follow_group(w, err) < 0) {
                return -1;
            }
        }
    }
}

bool worker_is_ready(const struct worker *w)
{
    return !w->away && w->member && holding_unclaimed(&w->holding) == 0;
}

/* --- Life and death --- */

static void register_metrics(struct worker *w, struct metrics *m)
{
    char labels[64];

    snprintf(labels, sizeof(labels), "worker=\"%d\"", w->number);
    w->metrics.lag = metrics_gauge(m, "sitewatch_consumer_lag",
                                   "Messages in our partitions that were not read yet", labels);
    w->metrics.held = metrics_gauge(m, "sitewatch_consumer_partitions",
                                    "Partitions that the group gave this worker", labels);
    w->metrics.offsets_skipped =
        metrics_counter(m, "sitewatch_offsets_skipped",
                        "Offsets that were deleted from the log before they were read", NULL);
    w->metrics.fences_lost = metrics_counter(
        m, "sitewatch_fences_lost", "Partitions whose claim another consumer had taken over", NULL);
    w->metrics.outages = metrics_counter(
        m, "sitewatch_outages", "Times that storing stopped because a server was away", NULL);
    worker_store_register(w, m);
}

struct worker *worker_new(const struct worker_settings *settings, int number, struct metrics *m,
                          struct err *err)
{
    struct worker *w = mem_alloc(1, sizeof(*w));

    w->settings = *settings;
    w->number = number;
    w->end_ns = TIME_NEVER;
    w->letters_limit.interval_ns = NS_PER_SEC;
    w->errors_limit.interval_ns = REPEAT_INTERVAL_NS;
    holding_init(&w->holding);
    backoff_init(&w->backoff, BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
    register_metrics(w, m);
    w->filling = batch_new((size_t)settings->batch_rows, (size_t)settings->batch_bytes);
    w->storing = batch_new((size_t)settings->batch_rows, (size_t)settings->batch_bytes);
    w->store = store_new(&settings->store, m);
    w->deadletter = deadletter_new(settings->consume.kafka, settings->topic_dead_letter, m, err);
    if (w->deadletter == NULL) {
        goto fail;
    }
    w->errand = errand_new(err);
    if (w->errand == NULL) {
        goto fail;
    }
    w->consume = consume_new(&settings->consume, err);
    if (w->consume == NULL) {
        goto fail;
    }
    return w;

fail:
    worker_free(w);
    return NULL;
}

void worker_free(struct worker *w)
{
    if (w == NULL) {
        return;
    }
    consume_free(w->consume);
    errand_free(w->errand);
    deadletter_free(w->deadletter);
    store_free(w->store);
    batch_free(w->filling);
    batch_free(w->storing);
    holding_free(&w->holding);
    free(w->metrics.letters);
    free(w);
}
