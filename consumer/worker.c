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
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 10000
#define LAG_INTERVAL_NS (1 * NS_PER_SEC)
#define REPEAT_INTERVAL_NS (10 * NS_PER_SEC)

/* Every reason a dead letter can have. "refused" stands for all of "sqlstate_...". */
static const char *const letter_reasons[] = {
    "too_large",   "text",         "json",         "schema",           "field",
    "slot_future", "slot_expired", "unknown_site", "unknown_location", "refused",
};
#define LETTER_REASONS (sizeof(letter_reasons) / sizeof(letter_reasons[0]))

/* --- Outages --- */

void worker_begin_outage(struct worker *w, const struct err *why)
{
    int64_t now_ns = clock_mono_ns();
    int64_t wait_ms = backoff_next_ms(&w->backoff);
    uint64_t held_back = 0;

    w->retry_ns = now_ns + wait_ms * NS_PER_MS;
    w->failures++;
    consume_pause(w->consume); /* also what was started since the last pause */
    if (!w->away) {
        w->away = true;
        w->away_ns = now_ns;
        metric_add(w->metrics.outages, 1);
        log_write(LOG_ERROR, "cannot store, partitions are paused", LOG_S("reason", why->message),
                  LOG_I("retry_ms", wait_ms), LOG_I("worker", w->number));
        w->errors_limit.next_ns = now_ns + w->errors_limit.interval_ns;
    } else if (log_limit_allows(&w->errors_limit, now_ns, &held_back)) {
        log_write(LOG_ERROR, "still cannot store", LOG_S("reason", why->message),
                  LOG_I("seconds", (now_ns - w->away_ns) / NS_PER_SEC), LOG_I("retry_ms", wait_ms),
                  LOG_I("worker", w->number));
    }
}

static void end_outage(struct worker *w)
{
    w->away = false;
    w->retry_ns = 0;
    backoff_reset(&w->backoff);
    consume_resume(w->consume);
    log_write(LOG_INFO, "storing again, partitions go on",
              LOG_I("after_ms", (clock_mono_ns() - w->away_ns) / NS_PER_MS),
              LOG_I("worker", w->number));
}

/* --- Storing --- */

static int deliver_letters(void *context, struct batch *batch, struct err *err)
{
    struct worker *w = context;

    return deadletter_send(w->deadletter, batch, err);
}

/* Our claim of these partitions is not the latest any more: their part of the batch is for the
 * one who has it. Those the group still counts as ours are claimed and read anew. */
static void drop_fenced(struct worker *w, const uint32_t *lost, size_t lost_count)
{
    for (size_t i = 0; i < lost_count; i++) {
        struct batch_partition p = w->storing->partitions[lost[i]];

        log_write(LOG_WARN, "claim lost, reading the partition anew", LOG_S("topic", p.topic),
                  LOG_I("partition", p.partition), LOG_I("epoch", p.epoch),
                  LOG_I("stored", p.stored), LOG_I("worker", w->number));
        metric_add(w->metrics.fences_lost, 1);
        worker_reclaim(w, p.topic, p.partition);
    }
}

static void count_letter(struct worker *w, const struct batch_letter *letter)
{
    const struct batch_partition *p = &w->storing->partitions[letter->partition];
    size_t reason = 0;
    uint64_t held_back = 0;

    while (reason < LETTER_REASONS - 1 && strcmp(letter_reasons[reason], letter->reason) != 0) {
        reason++;
    }
    metric_add(w->metrics.letters[reason], 1);
    if (log_limit_allows(&w->letters_limit, clock_mono_ns(), &held_back)) {
        log_write(LOG_WARN, "dead letter", LOG_S("reason", letter->reason),
                  LOG_S("topic", p->topic), LOG_I("partition", p->partition),
                  LOG_I("offset", letter->offset), LOG_S("detail", letter->detail),
                  LOG_I("not_logged_before", held_back));
    }
}

static void after_commit(struct worker *w)
{
    struct batch *b = w->storing;
    rd_kafka_topic_partition_list_t *offsets =
        rd_kafka_topic_partition_list_new((int)b->partitions_count);

    for (size_t i = 0; i < b->partitions_count; i++) {
        const struct batch_partition *p = &b->partitions[i];

        if (!p->dropped) {
            rd_kafka_topic_partition_list_add(offsets, p->topic, p->partition)->offset = p->next;
        }
    }
    if (offsets->cnt > 0) {
        consume_report_offsets(w->consume, offsets);
    }
    rd_kafka_topic_partition_list_destroy(offsets);
    for (size_t i = 0; i < b->letters_count; i++) {
        if (!b->partitions[b->letters[i].partition].dropped) {
            count_letter(w, &b->letters[i]);
        }
    }
    batch_clear(b);
}

/* Store the batch that waits. 0 also when it still waits because of an outage. */
static int store_waiting(struct worker *w, struct err *err)
{
    struct err why;

    while (!batch_is_empty(w->storing)) {
        enum store_outcome outcome = STORE_DONE;
        size_t lost_count = 0;
        uint32_t *lost = mem_alloc(w->storing->partitions_count, sizeof(lost[0]));
        int rc = store_connect(w->store, &why);

        if (rc == 0) {
            rc = store_write(w->store, w->storing, deliver_letters, w, &outcome, lost, &lost_count,
                             &why);
        }
        if (rc == 0 && outcome == STORE_FENCED) {
            drop_fenced(w, lost, lost_count);
        }
        free(lost);
        if (rc < 0 && why.kind == ERR_FATAL) {
            *err = why;
            return -1;
        }
        if (rc < 0) {
            worker_begin_outage(w, &why);
            return 0;
        }
        if (outcome == STORE_DONE) {
            after_commit(w);
        }
    }
    return 0;
}

/* The filled batch waits its turn; the other one, empty now, is filled next. */
static void hand_over(struct worker *w)
{
    struct batch *filled = w->filling;

    w->filling = w->storing;
    w->storing = filled;
}

int worker_store_all(struct worker *w, struct err *err)
{
    if (store_waiting(w, err) < 0) {
        return -1;
    }
    if (batch_is_empty(w->storing) && !batch_is_empty(w->filling)) {
        hand_over(w);
        return store_waiting(w, err);
    }
    return 0;
}

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

static int poll_ms(const struct worker *w, int64_t now_ns)
{
    if (batch_is_empty(w->filling)) {
        return POLL_MS_MAX;
    }
    int64_t due_ns = w->filling->opened_ns + w->settings.batch_ms * NS_PER_MS;
    int64_t ms = (due_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;

    return ms < 0 ? 0 : ms > POLL_MS_MAX ? POLL_MS_MAX : (int)ms;
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
    for (size_t i = 0; i < count; i++) {
        if (messages[i]->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            note_trouble(w, messages[i]);
        } else {
            take_message(w, messages[i], now_ns, real_now_ms);
        }
        rd_kafka_message_destroy(messages[i]);
    }
}

static bool filling_is_due(const struct worker *w, int64_t now_ns)
{
    const struct batch *b = w->filling;

    return !batch_is_empty(b) &&
           (batch_is_full(b) || now_ns - b->opened_ns >= w->settings.batch_ms * NS_PER_MS);
}

static void look_at_group(struct worker *w, int64_t now_ns)
{
    int64_t lag = 0;

    if (now_ns < w->lag_ns) {
        return;
    }
    w->lag_ns = now_ns + LAG_INTERVAL_NS;
    w->member = consume_is_member(w->consume);
    for (size_t i = 0; i < w->holding.count; i++) {
        const struct held *held = &w->holding.held[i];
        int64_t end =
            held->claimed ? consume_known_end(w->consume, held->topic, held->partition) : -1;

        lag += end > held->next ? end - held->next : 0;
    }
    metric_set(w->metrics.lag, lag);
}

/* What an outage, or the group's gift of partitions, has left to do. */
static int catch_up(struct worker *w, struct err *err)
{
    uint64_t failures = w->failures;

    if (store_waiting(w, err) < 0) {
        return -1;
    }
    if (w->failures == failures && (w->away || holding_unclaimed(&w->holding) > 0) &&
        worker_claim_held(w, err) < 0) {
        return -1;
    }
    if (w->away && w->failures == failures) {
        end_outage(w);
    }
    return 0;
}

int worker_turn(struct worker *w, struct err *err)
{
    int64_t now_ns = clock_mono_ns();

    if ((!w->away || now_ns >= w->retry_ns) && catch_up(w, err) < 0) {
        return -1;
    }
    take_messages(w);
    if (worker_follow_group(w, err) < 0) {
        return -1;
    }
    now_ns = clock_mono_ns();
    if (!w->away && filling_is_due(w, now_ns) && worker_store_all(w, err) < 0) {
        return -1;
    }
    look_at_group(w, now_ns);
    return 0;
}

int worker_drain(struct worker *w, int64_t deadline_ns, struct err *err)
{
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
    w->metrics.letters = mem_alloc(LETTER_REASONS, sizeof(w->metrics.letters[0]));
    for (size_t i = 0; i < LETTER_REASONS; i++) {
        snprintf(labels, sizeof(labels), "reason=\"%s\"", letter_reasons[i]);
        w->metrics.letters[i] = metrics_counter(m, "sitewatch_dead_letters",
                                                "Messages that are not valid events", labels);
    }
}

struct worker *worker_new(const struct worker_settings *settings, int number, struct metrics *m,
                          struct err *err)
{
    struct worker *w = mem_alloc(1, sizeof(*w));

    w->settings = *settings;
    w->number = number;
    w->letters_limit.interval_ns = NS_PER_SEC;
    w->errors_limit.interval_ns = REPEAT_INTERVAL_NS;
    holding_init(&w->holding);
    backoff_init(&w->backoff, BACKOFF_FIRST_MS, BACKOFF_MAX_MS,
                 (uint64_t)clock_mono_ns() + (uint64_t)number);
    register_metrics(w, m);
    w->filling = batch_new((size_t)settings->batch_rows, (size_t)settings->batch_bytes);
    w->storing = batch_new((size_t)settings->batch_rows, (size_t)settings->batch_bytes);
    w->store = store_new(&settings->store, m);
    w->deadletter = deadletter_new(settings->consume.kafka, settings->topic_dead_letter, m, err);
    if (w->deadletter == NULL) {
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
    deadletter_free(w->deadletter);
    store_free(w->store);
    batch_free(w->filling);
    batch_free(w->storing);
    holding_free(&w->holding);
    free(w->metrics.letters);
    free(w);
}
