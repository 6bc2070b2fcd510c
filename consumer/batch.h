/*
 * batch - what goes into one transaction: decoded checks, dead letters, and how far each
 * partition was read.
 *
 * Pure: no Kafka, no Postgres. It copies what it keeps, so that messages can be given back at
 * once. Its rows, bytes and age have ceilings; the caller asks batch_is_full.
 */
#ifndef CONSUMER_BATCH_H
#define CONSUMER_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/event.h"

#define BATCH_PARTITIONS_MAX 4096
#define DEAD_LETTER_PAYLOAD_BYTES_MAX (64 * 1024) /* kept in the table */

/* One partition's part of the batch. first read .. next is what the transaction moves over. */
struct batch_partition {
    const char *topic; /* owned by the batch */
    int32_t partition;
    int64_t epoch;  /* of our claim */
    int64_t stored; /* next_offset as we last stored or claimed it: the fence */
    int64_t next;   /* last read + 1 */
    bool dropped;   /* revoked, or lost to another: its rows and letters are left out */
};

struct batch_row {
    uint32_t partition; /* index in partitions */
    int64_t offset;
    struct event event; /* strings live in the batch */
    int64_t website_id; /* 0 until resolved */
    int32_t location_id;
};

struct batch_letter {
    uint32_t partition;
    int64_t offset;
    char
        reason[64]; /* "json", "schema", "field", "slot_future", "unknown_site", "sqlstate_22P05" */
    char detail[256]; /* valid UTF-8, cut */
    const char *key;  /* may be NULL */
    size_t key_len;
    const char *payload; /* whole; NULL: a tombstone */
    size_t payload_len;
    int64_t message_ms; /* Kafka's timestamp, -1 unknown */
    bool in_topic;      /* the dead-letter topic has acknowledged it */
    bool refused;       /* the dead-letter topic would not have it (too large) */
};

struct batch {
    struct batch_partition *partitions;
    size_t partitions_count;
    struct batch_row *rows;
    size_t rows_count;
    struct batch_letter *letters;
    size_t letters_count;
    size_t bytes;      /* held */
    int64_t opened_ns; /* when its first message came (the caller's note); meaningless when empty */
    size_t rows_max, bytes_max;
    struct batch_arena *arena;
};

struct batch *batch_new(size_t rows_max, size_t bytes_max);
void batch_free(struct batch *b);
void batch_clear(struct batch *b);

bool batch_is_empty(const struct batch *b); /* nothing read: no partition left in it has moved */

/* At a ceiling of rows (letters count too), bytes or partitions. The caller stops adding; what
 * comes nevertheless is kept. */
bool batch_is_full(const struct batch *b);

/* The index of a partition in the batch. It is added when new, with the claim it is read under and
 * where that begins in this batch; `stored` of a later call does not matter. After
 * batch_drop_partition a partition that was claimed anew has a new index; when all were dropped,
 * the batch begins anew. */
uint32_t batch_partition(struct batch *b, const char *topic, int32_t partition, int64_t epoch,
                         int64_t stored);

/* Copies the event's strings. Offsets of a partition only rise. */
void batch_add_row(struct batch *b, uint32_t partition, int64_t offset, const struct event *event);
void batch_add_letter(struct batch *b, uint32_t partition, int64_t offset, const char *reason,
                      const char *detail, const void *key, size_t key_len, const void *payload,
                      size_t payload_len, int64_t message_ms);

struct batch_refusal {
    size_t row;
    char reason[64];
    char detail[256];
};

/* Turn rows that Postgres or the name limit refused into letters: the payload is the event encoded
 * again, the key the site's name. They leave the batch, the others keep their order. `row` rises
 * from each refusal to the next. */
void batch_reject_rows(struct batch *b, const struct batch_refusal *refusals, size_t count);

/* Forget what was read of a partition: its rows and letters leave the batch, its entry stays,
 * marked dropped. What is left of the batch can still be stored. */
void batch_drop_partition(struct batch *b, const char *topic, int32_t partition);

#endif
