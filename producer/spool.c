#include "producer/spool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/cond.h"
#include "common/mem.h"
#include "common/thread.h"
#include "common/wakeup.h"
#include "producer/spool_writer.h"

struct answer {
    bool ready, last;
    struct spool_rows rows;
};

struct request {
    bool wanted;
    uint64_t after;
};

struct spool {
    int wake_fd;
    uint64_t number; /* the last one given */
    pthread_t thread;

    /* The queue between the two threads. */
    pthread_mutex_t mutex;
    pthread_cond_t asked, answered;
    struct spool_ops queue;
    int64_t queue_ns; /* when its first came */
    struct request requests[SPOOL_LANES];
    struct answer answers[SPOOL_LANES];
    bool ending, sync_wanted;
    int sync_rc;
    struct err sync_err;
    atomic_size_t queue_bytes, batch_bytes;
    atomic_bool failing, backlog;

    struct spool_writer writer; /* the thread's own */
};

/* --- The thread --- */

static bool any_asked(const struct spool *s)
{
    return s->ending || s->sync_wanted || s->requests[0].wanted || s->requests[1].wanted;
}

static int64_t due_ns(const struct spool *s)
{
    int64_t due = spool_writer_due_ns(&s->writer);

    if (!s->writer.failing && !STAILQ_EMPTY(&s->queue) && s->queue_ns + SPOOL_COMMIT_NS < due) {
        due = s->queue_ns + SPOOL_COMMIT_NS;
    }
    return due;
}

/* With the mutex. Returns when there is something to do. */
static void wait_for_work(struct spool *s)
{
    int64_t due;

    while (!any_asked(s) && (due = due_ns(s)) > clock_mono_ns()) {
        cond_wait_until(&s->asked, &s->mutex, due);
    }
}

/* With the mutex: what was put is the writer's now. */
static void queue_hand_over(struct spool *s)
{
    size_t bytes = atomic_load(&s->queue_bytes);

    spool_writer_add(&s->writer, &s->queue, bytes);
    atomic_store(&s->batch_bytes, s->writer.batch_bytes);
    atomic_store(&s->queue_bytes, 0);
}

/* Without the mutex. */
static int work(struct spool *s, const struct request ask[SPOOL_LANES], bool at_once,
                struct answer answers[SPOOL_LANES], struct err *err)
{
    struct spool_writer *w = &s->writer;
    int rc = spool_writer_commit(w, at_once, clock_mono_ns(), err);

    for (unsigned lane = 0; lane < SPOOL_LANES; lane++) {
        if (ask[lane].wanted) {
            STAILQ_INIT(&answers[lane].rows);
            spool_writer_read(w, lane, ask[lane].after, clock_mono_ns(), &answers[lane].rows,
                              &answers[lane].last);
            answers[lane].ready = true;
        }
    }
    spool_writer_tidy(w, clock_mono_ns());
    return rc;
}

/* What the caller sees of the writer. */
static void state_show(struct spool *s)
{
    struct spool_writer *w = &s->writer;
    bool failed_before = atomic_exchange(&s->failing, w->failing);

    atomic_store(&s->batch_bytes, w->batch_bytes);
    if (w->backlog) {
        w->backlog = false;
        atomic_store(&s->backlog, true);
        wakeup_ring(s->wake_fd);
    } else if (failed_before != w->failing) {
        wakeup_ring(s->wake_fd);
    }
}

/* With the mutex. */
static void answers_give(struct spool *s, struct answer answers[SPOOL_LANES])
{
    for (unsigned lane = 0; lane < SPOOL_LANES; lane++) {
        struct answer *to = &s->answers[lane];

        if (answers[lane].ready) {
            s->requests[lane].wanted = false;
            STAILQ_INIT(&to->rows);
            STAILQ_CONCAT(&to->rows, &answers[lane].rows);
            to->last = answers[lane].last;
            to->ready = true;
            wakeup_ring(s->wake_fd);
        }
    }
}

static void *serve(void *context)
{
    struct spool *s = context;
    bool ending = false;

    pthread_mutex_lock(&s->mutex);
    while (!ending) {
        struct answer answers[SPOOL_LANES] = {0};
        struct request ask[SPOOL_LANES];
        struct err err = {0};

        wait_for_work(s);
        queue_hand_over(s);
        memcpy(ask, s->requests, sizeof(ask));
        ending = s->ending;

        bool sync = s->sync_wanted;

        pthread_mutex_unlock(&s->mutex);

        int rc = work(s, ask, sync || ending, answers, &err);

        state_show(s);
        pthread_mutex_lock(&s->mutex);
        answers_give(s, answers);
        if (sync) {
            s->sync_wanted = false;
            s->sync_rc = rc;
            s->sync_err = err;
            pthread_cond_signal(&s->answered);
        }
    }
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

/* --- Beginning and end --- */

/* Numbers go on from those in the file, and from the time, for a file that cannot be read yet. */
static uint64_t number_start(const struct spool *s)
{
    const struct spool_file *file = s->writer.file;
    uint64_t now_us = (uint64_t)(clock_real_ns() / NS_PER_US);
    uint64_t last = file == NULL ? 0 : spool_file_size(file).seq_last;

    return now_us > last ? now_us : last;
}

static void queue_init(struct spool *s)
{
    cond_init(&s->asked);
    cond_init(&s->answered);
    pthread_mutex_init(&s->mutex, NULL);
    STAILQ_INIT(&s->queue);
}

static void spool_destroy(struct spool *s)
{
    spool_writer_clear(&s->writer);
    for (unsigned lane = 0; lane < SPOOL_LANES; lane++) {
        if (s->answers[lane].ready) {
            spool_rows_free(&s->answers[lane].rows);
        }
    }
    pthread_cond_destroy(&s->asked);
    pthread_cond_destroy(&s->answered);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

void spool_show_none(struct metrics *m)
{
    metric_set(spool_writer_bytes_gauge(m), 0);
}

struct spool *spool_new(const char *path, int64_t bytes_max, int wake_fd, struct metrics *m,
                        struct err *err)
{
    struct spool *s = mem_alloc(1, sizeof(*s));

    s->wake_fd = wake_fd;
    queue_init(s);
    if (spool_writer_init(&s->writer, path, bytes_max, m, clock_mono_ns(), err) < 0) {
        spool_destroy(s);
        return NULL;
    }
    s->number = number_start(s);
    state_show(s);
    if (thread_start(&s->thread, "spool", serve, s, err) < 0) {
        spool_destroy(s);
        return NULL;
    }
    return s;
}

void spool_free(struct spool *s)
{
    if (s == NULL) {
        return;
    }
    pthread_mutex_lock(&s->mutex);
    s->ending = true;
    pthread_cond_signal(&s->asked);
    pthread_mutex_unlock(&s->mutex);
    pthread_join(s->thread, NULL);
    spool_destroy(s);
}

/* --- Calls --- */

uint64_t spool_number(struct spool *s)
{
    return ++s->number;
}

static void enqueue(struct spool *s, struct spool_op *op)
{
    pthread_mutex_lock(&s->mutex);

    bool first = STAILQ_EMPTY(&s->queue);

    if (first) {
        s->queue_ns = clock_mono_ns();
    }
    STAILQ_INSERT_TAIL(&s->queue, op, link);
    atomic_fetch_add(&s->queue_bytes, op->bytes);
    pthread_mutex_unlock(&s->mutex);
    if (first) {
        pthread_cond_signal(&s->asked);
    }
}

static char *data_put(char **at, const char *bytes, size_t len)
{
    char *start = *at;

    memcpy(start, bytes, len);
    start[len] = '\0';
    *at += len + 1;
    return start;
}

void spool_put(struct spool *s, uint64_t seq, unsigned lane, const struct message *message,
               bool held)
{
    size_t key_len = strlen(message->key), source_len = strlen(message->source);
    size_t bytes = sizeof(struct spool_op) + key_len + source_len + message->json_len + 3;
    struct spool_op *op = mem_alloc(1, bytes);
    char *at = op->data;

    op->is_put = true;
    op->held = held;
    op->lane = lane;
    op->seq = seq;
    op->bytes = bytes;
    op->message = *message;
    op->message.key = data_put(&at, message->key, key_len);
    op->message.source = data_put(&at, message->source, source_len);
    op->message.json = data_put(&at, message->json, message->json_len);
    enqueue(s, op);
}

void spool_delete(struct spool *s, uint64_t seq)
{
    struct spool_op *op = mem_alloc(1, sizeof(*op));

    op->seq = seq;
    op->bytes = sizeof(*op);
    enqueue(s, op);
}

bool spool_has_room(const struct spool *s)
{
    return !atomic_load(&s->failing) &&
           atomic_load(&s->queue_bytes) + atomic_load(&s->batch_bytes) < SPOOL_QUEUE_BYTES_MAX;
}

bool spool_take_backlog(struct spool *s)
{
    return atomic_exchange(&s->backlog, false);
}

void spool_read(struct spool *s, unsigned lane, uint64_t after)
{
    pthread_mutex_lock(&s->mutex);
    s->requests[lane] = (struct request){.wanted = true, .after = after};
    pthread_cond_signal(&s->asked);
    pthread_mutex_unlock(&s->mutex);
}

bool spool_take(struct spool *s, unsigned lane, struct spool_rows *rows, bool *last)
{
    struct answer *from = &s->answers[lane];

    pthread_mutex_lock(&s->mutex);

    bool ready = from->ready;

    if (ready) {
        STAILQ_INIT(rows);
        STAILQ_CONCAT(rows, &from->rows);
        *last = from->last;
        from->ready = false;
    }
    pthread_mutex_unlock(&s->mutex);
    return ready;
}

int spool_sync(struct spool *s, struct err *err)
{
    pthread_mutex_lock(&s->mutex);
    s->sync_wanted = true;
    pthread_cond_signal(&s->asked);
    while (s->sync_wanted) {
        pthread_cond_wait(&s->answered, &s->mutex);
    }

    int rc = s->sync_rc;

    if (rc < 0) {
        *err = s->sync_err;
        err->kind = ERR_RETRY;
    }
    pthread_mutex_unlock(&s->mutex);
    return rc;
}
