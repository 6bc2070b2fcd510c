/*
 * Storing, while messages are read: the errand's thread writes one batch, the worker's fills the
 * other. Only one of the two has the store, the dead-letter topic and the batch that is written.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "consumer/worker_internal.h"

#define SLOW_NS (5 * NS_PER_SEC) /* what takes so long is told of */

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

void worker_end_outage(struct worker *w)
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

/* In the errand's thread. */
static void write_storing(void *context)
{
    struct worker *w = context;
    struct worker_write *write = &w->write;

    write->rc = store_connect(w->store, &write->err);
    if (write->rc == 0) {
        write->rc = store_write(w->store, w->storing, deliver_letters, w, &write->outcome,
                                write->lost, &write->lost_count, &write->err);
    }
}

static int64_t cut_ns(const struct worker *w, int64_t begun_ns)
{
    int64_t at_ns = begun_ns + w->settings.answer_ms * NS_PER_MS;

    return at_ns < w->end_ns ? at_ns : w->end_ns;
}

bool worker_store_start(struct worker *w)
{
    int64_t now_ns = clock_mono_ns();

    assert(!w->write.running);
    if (batch_is_empty(w->storing)) { /* what was filled waits its turn, the empty one is filled */
        struct batch *filled = w->filling;

        w->filling = w->storing;
        w->storing = filled;
    }
    if (batch_is_empty(w->storing)) {
        return false;
    }
    w->write = (struct worker_write){
        .running = true,
        .begun_ns = now_ns,
        .cut_ns = cut_ns(w, now_ns),
        .rows = w->storing->rows_count,
        .lost = mem_alloc(w->storing->partitions_count, sizeof(*w->write.lost)),
    };
    errand_begin(w->errand, write_storing, w);
    return true;
}

/* What came of a write that is over. */
static int finish_write(struct worker *w, struct err *err)
{
    struct worker_write write = w->write;

    w->write = (struct worker_write){0};
    if (write.slow) {
        log_write(LOG_WARN, "Postgres has answered at last",
                  LOG_I("after_ms", (clock_mono_ns() - write.begun_ns) / NS_PER_MS),
                  LOG_I("worker", w->number));
    }
    if (write.rc == 0 && write.outcome == STORE_FENCED) {
        drop_fenced(w, write.lost, write.lost_count);
    } else if (write.rc == 0) {
        after_commit(w);
    }
    free(write.lost);
    if (write.rc < 0 && write.err.kind == ERR_FATAL) {
        *err = write.err;
        return -1;
    }
    if (write.rc < 0) {
        worker_begin_outage(w, &write.err);
    }
    return 0;
}

/* Nothing is wrong that we know of, but rows come late: what an operator sees of a lock or of a
 * disk that holds Postgres up. */
static void say_slow(struct worker *w)
{
    int64_t took_ns = clock_mono_ns() - w->write.begun_ns;

    if (took_ns >= SLOW_NS && !w->write.slow) {
        w->write.slow = true;
        log_write(LOG_WARN, "Postgres takes long to store a batch", LOG_I("rows", w->write.rows),
                  LOG_I("seconds", took_ns / NS_PER_SEC), LOG_I("worker", w->number));
    }
}

/* A server that does not answer: its connection is given up, and what waits for it fails. Until
 * it has, once a second, should it have been made anew meanwhile. */
static void cut_stalled(struct worker *w, struct worker_write *write)
{
    int64_t now_ns = clock_mono_ns();

    if (now_ns < write->cut_ns) {
        return;
    }
    if (!write->given_up) {
        write->given_up = true;
        log_write(LOG_ERROR, "Postgres does not answer, its connection is given up",
                  LOG_I("seconds", (now_ns - write->begun_ns) / NS_PER_SEC),
                  LOG_I("worker", w->number));
    }
    store_cut(w->store);
    write->cut_ns = now_ns + NS_PER_SEC;
}

static void wait_for_errand(struct worker *w, struct worker_write *write)
{
    while (!errand_wait(w->errand, write->cut_ns)) {
        cut_stalled(w, write);
    }
}

int worker_store_look(struct worker *w, int64_t wait_until_ns, struct err *err)
{
    if (!w->write.running) {
        return 0;
    }
    if (errand_wait(w->errand, wait_until_ns)) {
        return finish_write(w, err);
    }
    say_slow(w);
    cut_stalled(w, &w->write);
    return 0;
}

int worker_store_settle(struct worker *w, struct err *err)
{
    if (!w->write.running) {
        return 0;
    }
    wait_for_errand(w, &w->write);
    return finish_write(w, err);
}

int worker_store_all(struct worker *w, struct err *err)
{
    uint64_t failures = w->failures;

    if (worker_store_settle(w, err) < 0) {
        return -1;
    }
    while (w->failures == failures && worker_store_start(w)) {
        if (worker_store_settle(w, err) < 0) {
            return -1;
        }
    }
    return 0;
}

void worker_store_run(struct worker *w, errand_fn *run, void *context)
{
    int64_t now_ns = clock_mono_ns();
    struct worker_write waited = {.begun_ns = now_ns, .cut_ns = cut_ns(w, now_ns)};

    assert(!w->write.running);
    errand_begin(w->errand, run, context);
    wait_for_errand(w, &waited);
}

/* --- Life and death --- */

void worker_store_register(struct worker *w, struct metrics *m)
{
    char labels[64];

    w->metrics.letters = mem_alloc(LETTER_REASONS, sizeof(w->metrics.letters[0]));
    for (size_t i = 0; i < LETTER_REASONS; i++) {
        snprintf(labels, sizeof(labels), "reason=\"%s\"", letter_reasons[i]);
        w->metrics.letters[i] = metrics_counter(m, "sitewatch_dead_letters",
                                                "Messages that are not valid events", labels);
    }
}
