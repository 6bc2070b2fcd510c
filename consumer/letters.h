/*
 * letters - the table dead_letters as an operator reads it: chosen by reason, topic and time, one
 * by its id, and marked when they were put back.
 *
 * Errors are those of pg. It knows nothing of Kafka.
 */
#ifndef CONSUMER_LETTERS_H
#define CONSUMER_LETTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/pg.h"
#include "common/timestamp.h"

#define LETTERS_SHA256_BYTES 32

struct letter {
    int64_t id;
    /* RFC 3339; "": not known, or not replayed */
    char received[TIMESTAMP_SIZE], message_time[TIMESTAMP_SIZE], replayed[TIMESTAMP_SIZE];
    const char *topic; /* this and all below point into the result that it was read from */
    int32_t partition;
    int64_t offset;
    const char *reason, *detail;
    bool in_topic;       /* the dead-letter topic has it too */
    const char *key;     /* NULL: it had none */
    const char *payload; /* what the table has of it; NULL: a tombstone */
    size_t key_len, payload_len;
    int64_t payload_bytes; /* of the whole */
    unsigned char sha256[LETTERS_SHA256_BYTES];
};

/* What is NULL or 0 chooses nothing away. */
struct letters_filter {
    const char *reason, *topic, *since, *until; /* times as RFC 3339 */
};

/* Whether the times are times; ERR_INVALID. Postgres would take "tomorrow" too. */
int letters_filter_check(const struct letters_filter *filter, struct err *err) MUST_CHECK;

/* Letters that were read; letters_free gives back what they point to. */
struct letters {
    struct letter *all;
    size_t count;
    PGresult *result;
};

void letters_free(struct letters *letters);

/* The newest first, at most `limit`, those with an id below `before` (0: from the newest on).
 * Keys and payloads are not read. */
int letters_list(PGconn *conn, const struct letters_filter *filter, int64_t before, int64_t limit,
                 struct letters *letters, struct err *err) MUST_CHECK;

/* One, whole; a count of 0: there is none. */
int letters_get(PGconn *conn, int64_t id, struct letters *letters, struct err *err) MUST_CHECK;

struct letters_choice {
    struct letters_filter filter;
    const int64_t *ids; /* only these; NULL: all that the filter lets through */
    size_t ids_count;
    bool again; /* also those that were replayed before */
};

/* The highest id there is, 0 when the table is empty. */
int letters_last(PGconn *conn, int64_t *id, struct err *err) MUST_CHECK;

/* The next portion of a choice in the order of ids, whole, locked until the transaction ends:
 * above `after`, up to `last`. What another replay does at the same time is left out. */
int letters_portion(PGconn *conn, const struct letters_choice *choice, int64_t after, int64_t last,
                    struct letters *letters, struct err *err) MUST_CHECK;

int letters_mark_replayed(PGconn *conn, const int64_t *ids, size_t count,
                          struct err *err) MUST_CHECK;

#endif
