#include "producer/spool_writer.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "producer/spool.h"

#define RETRY_NS NS_PER_SEC                /* between two tries at a disk that refuses */
#define ASIDE_NS (60 * NS_PER_SEC)         /* between two files that are set aside */
#define SHRINK_NS (200 * NS_PER_MS)        /* between two portions given back */
#define SHRINK_BYTES (4 * 1024 * 1024)     /* of a portion */
#define FREE_BYTES_KEPT (2 * SHRINK_BYTES) /* in a file that is not empty: for the next events */
#define NAME_SIZE 4200

void spool_ops_free(struct spool_ops *ops)
{
    struct spool_op *op;

    while ((op = STAILQ_FIRST(ops)) != NULL) {
        STAILQ_REMOVE_HEAD(ops, link);
        free(op);
    }
}

/* --- Failures --- */

/* A change of state is said once. */
static void refused(struct spool_writer *w, const struct err *why, int64_t now_ns)
{
    metric_add(w->write_failures, 1);
    w->retry_ns = now_ns + RETRY_NS;
    if (!w->failing) {
        log_write(LOG_ERROR, "spool does not take events, it is tried each second",
                  LOG_S("reason", why->message));
    }
    w->failing = true;
}

static void accepted(struct spool_writer *w)
{
    if (w->failing) {
        log_write(LOG_INFO, "spool takes events again", LOG_S("file", w->path));
    }
    w->failing = false;
}

/* The file is damaged: it is kept under another name. A disk that damages each new file too must
 * not fill up with them. */
static int set_aside(struct spool_writer *w, int64_t now_ns, struct err *err)
{
    const struct err why = *err;
    char name[NAME_SIZE];

    spool_file_close(w->file);
    w->file = NULL;
    metric_add(w->corrupt, 1);
    if (now_ns < w->aside_ns) {
        err->kind = ERR_RETRY;
        return -1;
    }
    w->aside_ns = now_ns + ASIDE_NS;
    if (spool_file_set_aside(w->path, clock_real_ns() / NS_PER_MS, name, sizeof(name), err) < 0) {
        return -1;
    }
    log_write(LOG_ERROR, "spool is damaged, it is kept under another name and a new one begun",
              LOG_S("file", w->path), LOG_S("kept_as", name), LOG_S("reason", why.message));
    return 0;
}

static int open_once(struct spool_writer *w, struct err *err)
{
    w->file = spool_file_open(w->path, err);
    if (w->file == NULL) {
        return -1;
    }
    w->backlog = w->backlog || spool_file_size(w->file).events > 0;
    return 0;
}

static int open_file(struct spool_writer *w, int64_t now_ns, struct err *err)
{
    if (w->file != NULL || open_once(w, err) == 0) {
        return 0;
    }
    if (err->kind != ERR_INVALID || set_aside(w, now_ns, err) < 0) {
        return -1;
    }
    return open_once(w, err);
}

/* --- Writing --- */

static void sizes_show(struct spool_writer *w, int64_t now_ns)
{
    struct spool_size size = spool_file_size(w->file);
    bool roomy = size.events == 0 ? size.free_bytes > 0 : size.free_bytes > FREE_BYTES_KEPT;

    metric_set(w->bytes_gauge, size.bytes);
    metric_set(w->events_gauge, (int64_t)size.events);
    if (!roomy) {
        w->shrink_ns = TIME_NEVER;
    } else if (w->shrink_ns == TIME_NEVER) {
        w->shrink_ns = now_ns + SHRINK_NS;
    }
    /* A file at its ceiling is above and below it with each commit. */
    if (w->full && size.bytes < w->bytes_max / 10 * 9) {
        w->full = false;
        log_write(LOG_INFO, "spool has room again", LOG_S("file", w->path),
                  LOG_I("dropped", w->full_lost));
    }
}

static void trimmed(struct spool_writer *w, uint64_t deleted, uint64_t lost)
{
    metric_add(w->dropped, lost);
    if (deleted > 0 && !w->full) {
        w->full = true;
        w->full_lost = 0;
        log_write(LOG_ERROR, "spool is full, its oldest events are dropped", LOG_S("file", w->path),
                  LOG_I("bytes_max", w->bytes_max));
    }
    w->full_lost += lost;
}

static int apply(struct spool_writer *w, const struct spool_op *op, struct err *err)
{
    if (!op->is_put) {
        return spool_file_delete(w->file, op->seq, err);
    }
    if (op->held && op->seq > w->loaded[op->lane]) {
        w->loaded[op->lane] = op->seq;
    }
    return spool_file_put(w->file, op->seq, op->lane, &op->message, err);
}

static int write_batch(struct spool_writer *w, struct err *err)
{
    uint64_t deleted = 0, lost = 0;
    const struct spool_op *op;

    if (spool_file_begin(w->file, err) < 0) {
        return -1;
    }
    STAILQ_FOREACH(op, &w->batch, link)
    {
        if (apply(w, op, err) < 0) {
            return -1;
        }
    }
    if (spool_file_trim(w->file, w->bytes_max, w->loaded, &deleted, &lost, err) < 0 ||
        spool_file_commit(w->file, err) < 0) {
        return -1;
    }
    trimmed(w, deleted, lost);
    return 0;
}

static int try_once(struct spool_writer *w, int64_t now_ns, struct err *err)
{
    if (open_file(w, now_ns, err) < 0) {
        return -1;
    }
    if (!STAILQ_EMPTY(&w->batch) && write_batch(w, err) < 0) {
        spool_file_rollback(w->file);
        return -1;
    }
    return 0;
}

int spool_writer_commit(struct spool_writer *w, bool at_once, int64_t now_ns, struct err *err)
{
    if (w->failing && !at_once && now_ns < w->retry_ns) {
        return 0;
    }

    int rc = try_once(w, now_ns, err);

    if (rc < 0 && err->kind == ERR_INVALID && set_aside(w, now_ns, err) == 0) {
        rc = try_once(w, now_ns, err);
    }
    if (rc < 0) {
        refused(w, err, now_ns);
        return -1;
    }
    spool_ops_free(&w->batch);
    w->batch_bytes = 0;
    accepted(w);
    w->backlog = w->backlog || w->unread;
    w->unread = false;
    sizes_show(w, now_ns);
    return 0;
}

/* --- Reading --- */

static struct spool_row *row_of(const struct spool_op *op)
{
    struct spool_row *row = mem_alloc(1, sizeof(*row));

    row->seq = op->seq;
    row->message = op->message;
    row->message.key = mem_copy_string(op->message.key);
    row->message.source = mem_copy_string(op->message.source);
    row->message.json = mem_copy(op->message.json, op->message.json_len);
    return row;
}

static uint64_t last_seq(const struct spool_rows *rows, uint64_t fallback)
{
    const struct spool_row *row;
    uint64_t seq = fallback;

    STAILQ_FOREACH(row, rows, link)
    {
        seq = row->seq;
    }
    return seq;
}

/* What the disk did not take yet. */
static void read_batch(const struct spool_writer *w, unsigned lane, uint64_t after,
                       struct spool_rows *rows)
{
    const struct spool_op *op;

    STAILQ_FOREACH(op, &w->batch, link)
    {
        if (op->is_put && !op->held && op->lane == lane && op->seq > after) {
            struct spool_row *row = row_of(op);

            STAILQ_INSERT_TAIL(rows, row, link);
        }
    }
}

void spool_writer_read(struct spool_writer *w, unsigned lane, uint64_t after, int64_t now_ns,
                       struct spool_rows *rows, bool *last)
{
    struct err err;
    bool more = false;

    if (w->file == NULL) {
        w->unread = true;
    } else if (spool_file_read(w->file, lane, after, SPOOL_PORTION_EVENTS, SPOOL_PORTION_BYTES,
                               rows, &more, &err) < 0) {
        /* It is read again from its beginning when it is well; a damaged one by the next commit. */
        w->unread = true;
        refused(w, &err, now_ns);
    }
    if (!more) {
        read_batch(w, lane, last_seq(rows, after), rows);
    }

    uint64_t seq = last_seq(rows, after);

    if (seq > w->loaded[lane]) {
        w->loaded[lane] = seq;
    }
    *last = !more;
}

/* --- In between --- */

void spool_writer_tidy(struct spool_writer *w, int64_t now_ns)
{
    struct err err;

    if (w->file == NULL || w->failing || now_ns < w->shrink_ns) {
        return;
    }

    int64_t free_before = spool_file_size(w->file).free_bytes;

    w->shrink_ns = TIME_NEVER;
    if (spool_file_shrink(w->file, SHRINK_BYTES, &err) < 0) {
        refused(w, &err, now_ns);
    } else if (spool_file_size(w->file).free_bytes < free_before) {
        sizes_show(w, now_ns);
    }
}

int64_t spool_writer_due_ns(const struct spool_writer *w)
{
    return w->failing ? w->retry_ns : w->shrink_ns;
}

void spool_writer_add(struct spool_writer *w, struct spool_ops *ops, size_t bytes)
{
    STAILQ_CONCAT(&w->batch, ops);
    w->batch_bytes += bytes;
}

struct metric *spool_writer_bytes_gauge(struct metrics *m)
{
    return metrics_gauge(m, "sitewatch_spool_bytes",
                         "Bytes in use of the file that keeps events on disk.", NULL);
}

static void metrics_make(struct spool_writer *w, struct metrics *m)
{
    static const char help[] = "Times that the file of the spool did not do its work.";

    w->dropped = metrics_counter(m, "sitewatch_events_dropped", "Events that were given up.",
                                 "reason=\"spool_full\"");
    w->write_failures = metrics_counter(m, "sitewatch_spool_failures", help, "reason=\"refused\"");
    w->corrupt = metrics_counter(m, "sitewatch_spool_failures", help, "reason=\"corrupt\"");
    w->bytes_gauge = spool_writer_bytes_gauge(m);
    w->events_gauge =
        metrics_gauge(m, "sitewatch_spool_events", "Events in the file on disk.", NULL);
    metric_set(metrics_gauge(m, "sitewatch_spool_limit_bytes",
                             "Bytes of that file at which its oldest events are dropped.", NULL),
               w->bytes_max);
}

int spool_writer_init(struct spool_writer *w, const char *path, int64_t bytes_max,
                      struct metrics *m, int64_t now_ns, struct err *err)
{
    *w = (struct spool_writer){
        .path = mem_copy_string(path), .bytes_max = bytes_max, .shrink_ns = TIME_NEVER};
    STAILQ_INIT(&w->batch);
    metrics_make(w, m);
    if (open_file(w, now_ns, err) == 0) {
        sizes_show(w, now_ns);
        return 0;
    }
    if (err->kind == ERR_FATAL) {
        return -1;
    }
    refused(w, err, now_ns);
    return 0;
}

void spool_writer_clear(struct spool_writer *w)
{
    spool_file_close(w->file);
    spool_ops_free(&w->batch);
    free(w->path);
}
