/*
 * spool_file - the file of the spool: events on disk, in the order of their numbers.
 *
 * The one owner of sqlite3.h. It knows no threads, no time and no Kafka: what may block, blocks.
 * Part of producer/spool.
 *
 * One table `events(seq PRIMARY KEY, lane, id, time, key, source, json)`, PRAGMA user_version 1,
 * application_id "swsp". WAL with synchronous=FULL: a commit is on the disk when it returns, so
 * that neither kill -9 nor a power cut takes it away. The file is locked as long as it is open.
 */
#ifndef PRODUCER_SPOOL_FILE_H
#define PRODUCER_SPOOL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/err.h"
#include "producer/message.h"

#define SPOOL_LANES 2

/* An event that was read back. */
struct spool_row {
    STAILQ_ENTRY(spool_row) link;
    uint64_t seq;
    struct message message; /* to be cleared */
};

STAILQ_HEAD(spool_rows, spool_row);

void spool_rows_free(struct spool_rows *rows);

struct spool_file;

/*
 * Makes the file when there is none. NULL: ERR_INVALID when it is damaged (spool_file_set_aside
 * then makes way for a new one), ERR_FATAL when it is no spool, of a later version, or in use by
 * another process; ERR_RETRY for anything else that the disk may say.
 *
 * The functions below fail with ERR_INVALID when the file turns out to be damaged, and with
 * ERR_RETRY otherwise.
 */
struct spool_file *spool_file_open(const char *path, struct err *err);
/* NULL does nothing. */
void spool_file_close(struct spool_file *f);

/* Renames the file and its log to PATH.corrupt-YYYYMMDDThhmmss.mmmZ; `name` gets the new name. */
int spool_file_set_aside(const char *path, int64_t now_ms, char *name, size_t size,
                         struct err *err) MUST_CHECK;

/* Changes are made between begin and commit. After a failure: rollback, which undoes them. */
int spool_file_begin(struct spool_file *f, struct err *err) MUST_CHECK;
int spool_file_commit(struct spool_file *f, struct err *err) MUST_CHECK;
void spool_file_rollback(struct spool_file *f);

/* A number that is there already stays as it is. */
int spool_file_put(struct spool_file *f, uint64_t seq, unsigned lane, const struct message *message,
                   struct err *err) MUST_CHECK;
int spool_file_delete(struct spool_file *f, uint64_t seq, struct err *err) MUST_CHECK;

/*
 * Deletes the oldest until at most bytes_max are in use. *deleted: how many; *lost: how many of
 * them have a number above loaded[lane], of which nobody else knows.
 */
int spool_file_trim(struct spool_file *f, int64_t bytes_max, const uint64_t loaded[SPOOL_LANES],
                    uint64_t *deleted, uint64_t *lost, struct err *err) MUST_CHECK;

/* Appends events of a lane to rows, in order: those with numbers above `after`, until there are
 * count_max or bytes_max of them. *more: that many there were. On failure rows has some too. */
int spool_file_read(struct spool_file *f, unsigned lane, uint64_t after, size_t count_max,
                    size_t bytes_max, struct spool_rows *rows, bool *more,
                    struct err *err) MUST_CHECK;

/* Gives at most this many bytes of free pages back to the disk. Outside of a transaction. */
int spool_file_shrink(struct spool_file *f, int64_t bytes_max, struct err *err) MUST_CHECK;

/* Kept up to date by the functions above. */
struct spool_size {
    int64_t bytes;      /* of the pages in use */
    int64_t free_bytes; /* of those that are free, in the file */
    uint64_t events;
    uint64_t seq_last; /* the highest number when the file was opened */
};

struct spool_size spool_file_size(const struct spool_file *f);

#endif
