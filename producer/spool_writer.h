/*
 * spool_writer - what the spool's thread does with the file: batches, failures, the ceiling.
 *
 * It knows no threads and no queue; each call may block for as long as the disk does. A change
 * that the disk did not take stays in the batch. Part of producer/spool.
 */
#ifndef PRODUCER_SPOOL_WRITER_H
#define PRODUCER_SPOOL_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/err.h"
#include "common/metrics.h"
#include "producer/spool_file.h"

/* One change, to be made on disk. */
struct spool_op {
    STAILQ_ENTRY(spool_op) link;
    bool is_put; /* else a deletion */
    bool held;   /* the event is in the caller's memory too */
    unsigned lane;
    uint64_t seq;
    size_t bytes;
    struct message message; /* of a put; its texts are in data */
    char data[];
};

STAILQ_HEAD(spool_ops, spool_op);

void spool_ops_free(struct spool_ops *ops);

struct spool_writer {
    char *path;
    int64_t bytes_max;
    struct spool_file *file; /* NULL while it cannot be opened */
    struct spool_ops batch;
    size_t batch_bytes;
    bool failing;      /* the disk refuses */
    bool backlog;      /* a file with events of an earlier run was opened, or read again */
    int64_t retry_ns;  /* while it refuses */
    int64_t aside_ns;  /* no file is set aside before */
    int64_t shrink_ns; /* TIME_NEVER: nothing to give back */
    uint64_t loaded[SPOOL_LANES]; /* highest numbers that are in the caller's memory */
    bool unread;                  /* the file could not be read: its events wait in it */
    bool full;
    uint64_t full_lost;
    struct metric *dropped, *write_failures, *corrupt, *bytes_gauge, *events_gauge;
};

/* sitewatch_spool_bytes. */
struct metric *spool_writer_bytes_gauge(struct metrics *m);

/* ERR_FATAL when the file is another's; a disk that refuses is tried again. spool_writer_clear is
 * to be called in any case. */
int spool_writer_init(struct spool_writer *w, const char *path, int64_t bytes_max,
                      struct metrics *m, int64_t now_ns, struct err *err) MUST_CHECK;
void spool_writer_clear(struct spool_writer *w);

/* Takes the changes; they are written with the next commit. */
void spool_writer_add(struct spool_writer *w, struct spool_ops *ops, size_t bytes);

/* Writes the batch in one transaction. While the disk refuses it is tried when retry_ns has come,
 * or `at_once`. -1 when something is left to be written after a try. */
int spool_writer_commit(struct spool_writer *w, bool at_once, int64_t now_ns,
                        struct err *err) MUST_CHECK;

/* Appends a portion of a lane's events after that number; what the disk did not take comes from
 * memory. *last: there are no more. */
void spool_writer_read(struct spool_writer *w, unsigned lane, uint64_t after, int64_t now_ns,
                       struct spool_rows *rows, bool *last);

/* Gives free pages back, when it is time. */
void spool_writer_tidy(struct spool_writer *w, int64_t now_ns);

/* When it wants commit and tidy to be called though no change came. */
int64_t spool_writer_due_ns(const struct spool_writer *w);

#endif
