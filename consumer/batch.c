/*
 * Strings live in an arena: a list of blocks that are filled one after the other. When the batch is
 * cleared they are kept for the next one, and those that it has no use for are freed when it is
 * cleared in turn: memory given back and taken again costs a fault a page. Names of topics are
 * owned one by one, because an entry outlives the rows of a dropped partition.
 */
#include "consumer/batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/utf8.h"

#define ARENA_BLOCK_BYTES ((size_t)256 * 1024)

struct arena_block {
    struct arena_block *next; /* the one filled before */
    size_t used, size;
    char bytes[];
};

struct batch_arena {
    struct arena_block *top;
    struct arena_block *spare;                       /* empty, of ARENA_BLOCK_BYTES */
    size_t partitions_size, rows_size, letters_size; /* room in the arrays */
    uint32_t last_partition;                         /* where batch_partition looks first */
};

static struct arena_block *block_new(size_t size, struct arena_block *next)
{
    struct arena_block *block = mem_resize(NULL, sizeof(*block) + size, 1);

    *block = (struct arena_block){.next = next, .size = size};
    return block;
}

/* An empty block on top, for `len` bytes or more. */
static struct arena_block *arena_grow(struct batch_arena *arena, size_t len)
{
    struct arena_block *block = arena->spare;

    if (len > ARENA_BLOCK_BYTES || block == NULL) {
        block = block_new(len > ARENA_BLOCK_BYTES ? len : ARENA_BLOCK_BYTES, arena->top);
    } else {
        arena->spare = block->next;
        block->next = arena->top;
    }
    arena->top = block;
    return block;
}

static char *arena_take(struct batch *b, size_t len)
{
    struct arena_block *top = b->arena->top;

    if (len > top->size - top->used) {
        top = arena_grow(b->arena, len);
    }
    char *place = top->bytes + top->used;

    top->used += len;
    b->bytes += len;
    return place;
}

static const char *arena_copy(struct batch *b, const void *bytes, size_t len)
{
    char *copy = arena_take(b, len + 1);

    if (len > 0) {
        memcpy(copy, bytes, len);
    }
    copy[len] = '\0';
    return copy;
}

/* A copy of text; of text that equals the row's before, no copy: most rows share their location,
 * observer and versions. */
static const char *arena_share(struct batch *b, const char *text, const char *before)
{
    if (text == NULL) {
        return NULL;
    }
    if (before != NULL && strcmp(text, before) == 0) {
        return before;
    }
    return arena_copy(b, text, strlen(text));
}

static void free_blocks(struct arena_block *block)
{
    while (block != NULL) {
        struct arena_block *next = block->next;

        free(block);
        block = next;
    }
}

/* The first block stays on top, the others become spare, in place of those that were. */
static void arena_reset(struct batch_arena *arena)
{
    free_blocks(arena->spare);
    arena->spare = NULL;
    while (arena->top->next != NULL) {
        struct arena_block *block = arena->top;

        arena->top = block->next;
        if (block->size > ARENA_BLOCK_BYTES) {
            free(block);
            continue;
        }
        block->used = 0;
        block->next = arena->spare;
        arena->spare = block;
    }
    arena->top->used = 0;
}

struct batch *batch_new(size_t rows_max, size_t bytes_max)
{
    struct batch *b = mem_alloc(1, sizeof(*b));

    assert(rows_max > 0 && bytes_max > 0);
    b->rows_max = rows_max;
    b->bytes_max = bytes_max;
    b->arena = mem_alloc(1, sizeof(*b->arena));
    b->arena->top = block_new(ARENA_BLOCK_BYTES, NULL);
    return b;
}

void batch_free(struct batch *b)
{
    if (b == NULL) {
        return;
    }
    batch_clear(b);
    free_blocks(b->arena->top);
    free_blocks(b->arena->spare);
    free(b->arena);
    free(b->partitions);
    free(b->rows);
    free(b->letters);
    free(b);
}

void batch_clear(struct batch *b)
{
    for (size_t i = 0; i < b->partitions_count; i++) {
        free((char *)(uintptr_t)b->partitions[i].topic);
    }
    b->partitions_count = 0;
    b->rows_count = 0;
    b->letters_count = 0;
    b->bytes = 0;
    b->arena->last_partition = 0;
    arena_reset(b->arena);
}

bool batch_is_empty(const struct batch *b)
{
    for (size_t i = 0; i < b->partitions_count; i++) {
        const struct batch_partition *p = &b->partitions[i];

        if (!p->dropped && p->next != p->stored) {
            return false;
        }
    }
    return true;
}

bool batch_is_full(const struct batch *b)
{
    return b->rows_count + b->letters_count >= b->rows_max || b->bytes >= b->bytes_max ||
           b->partitions_count >= BATCH_PARTITIONS_MAX;
}

/* Room for one more in an array that doubles. */
static void *grow(void *array, size_t count, size_t *size, size_t first, size_t item)
{
    if (count < *size) {
        return array;
    }
    *size = *size == 0 ? first : *size * 2;
    return mem_resize(array, *size, item);
}

static bool is_partition(const struct batch_partition *p, const char *topic, int32_t partition)
{
    return !p->dropped && p->partition == partition && strcmp(p->topic, topic) == 0;
}

/* partitions_count when it is not there. */
static size_t find_partition(const struct batch *b, const char *topic, int32_t partition)
{
    size_t last = b->arena->last_partition;

    if (last < b->partitions_count && is_partition(&b->partitions[last], topic, partition)) {
        return last; /* messages come in runs of one partition */
    }
    for (size_t i = 0; i < b->partitions_count; i++) {
        if (is_partition(&b->partitions[i], topic, partition)) {
            return i;
        }
    }
    return b->partitions_count;
}

static bool has_live_partition(const struct batch *b)
{
    for (size_t i = 0; i < b->partitions_count; i++) {
        if (!b->partitions[i].dropped) {
            return true;
        }
    }
    return false;
}

static uint32_t add_partition(struct batch *b, const struct batch_partition *partition)
{
    if (!has_live_partition(b)) {
        batch_clear(b); /* entries of dropped partitions must not pile up in a batch never stored */
    }
    size_t i = b->partitions_count;

    assert(i < BATCH_PARTITIONS_MAX);
    b->partitions = grow(b->partitions, i, &b->arena->partitions_size, 16, sizeof(*partition));
    b->partitions[i] = *partition;
    b->partitions_count++;
    return (uint32_t)i;
}

uint32_t batch_partition(struct batch *b, const char *topic, int32_t partition, int64_t epoch,
                         int64_t stored)
{
    size_t found = find_partition(b, topic, partition);
    uint32_t i = (uint32_t)found;

    if (found == b->partitions_count) {
        const struct batch_partition added = {
            .topic = mem_copy_string(topic),
            .partition = partition,
            .epoch = epoch,
            .stored = stored,
            .next = stored,
        };

        i = add_partition(b, &added);
    }
    assert(b->partitions[i].epoch == epoch);
    b->arena->last_partition = i;
    return i;
}

static void move_partition(struct batch *b, uint32_t partition, int64_t offset)
{
    struct batch_partition *p = &b->partitions[partition];

    assert(partition < b->partitions_count && !p->dropped && offset >= p->next);
    p->next = offset + 1;
}

void batch_add_row(struct batch *b, uint32_t partition, int64_t offset, const struct event *event)
{
    static const struct event none;

    move_partition(b, partition, offset);
    b->rows = grow(b->rows, b->rows_count, &b->arena->rows_size, 256, sizeof(*b->rows));

    const struct event *before = b->rows_count == 0 ? &none : &b->rows[b->rows_count - 1].event;
    struct batch_row *row = &b->rows[b->rows_count++];
    struct event *copy = &row->event;

    row->partition = partition;
    row->offset = offset;
    row->website_id = 0;
    row->location_id = 0;
    *copy = *event;
    copy->site_name = arena_share(b, event->site_name, before->site_name);
    copy->site_url = arena_share(b, event->site_url, before->site_url);
    copy->location = arena_share(b, event->location, before->location);
    copy->observer = arena_share(b, event->observer, before->observer);
    copy->http_version = arena_share(b, event->http_version, before->http_version);
    copy->final_url = arena_share(b, event->final_url, before->final_url);
    copy->peer = arena_share(b, event->peer, before->peer);
    copy->tls_version = arena_share(b, event->tls_version, before->tls_version);
    copy->error_message = arena_share(b, event->error_message, before->error_message);
    if (event->answers_json != NULL) {
        copy->answers_json = arena_copy(b, event->answers_json, event->answers_json_len);
    }
    b->bytes += sizeof(*b->rows);
}

static void append_letter(struct batch *b, const struct batch_letter *letter, const char *reason,
                          const char *detail)
{
    b->letters =
        grow(b->letters, b->letters_count, &b->arena->letters_size, 16, sizeof(*b->letters));

    struct batch_letter *place = &b->letters[b->letters_count++];

    *place = *letter;
    utf8_clean(reason, strlen(reason), place->reason, sizeof(place->reason), NULL);
    utf8_clean(detail, strlen(detail), place->detail, sizeof(place->detail), NULL);
    b->bytes += sizeof(*place);
}

void batch_add_letter(struct batch *b, uint32_t partition, int64_t offset, const char *reason,
                      const char *detail, const void *key, size_t key_len, const void *payload,
                      size_t payload_len, int64_t message_ms)
{
    move_partition(b, partition, offset);

    struct batch_letter letter = {
        .partition = partition,
        .offset = offset,
        .key = key == NULL ? NULL : arena_copy(b, key, key_len),
        .key_len = key == NULL ? 0 : key_len,
        .payload = payload == NULL ? NULL : arena_copy(b, payload, payload_len),
        .payload_len = payload == NULL ? 0 : payload_len,
        .message_ms = message_ms,
    };

    append_letter(b, &letter, reason, detail);
}

/* The row's message is gone; the event says all of it that we understood. */
static void letter_from_row(struct batch *b, const struct batch_row *row,
                            const struct batch_refusal *refusal)
{
    size_t len;
    char *json = event_encode(&row->event, &len);
    struct batch_letter letter = {
        .partition = row->partition,
        .offset = row->offset,
        .key = row->event.site_name,
        .key_len = strlen(row->event.site_name),
        .payload = arena_copy(b, json, len),
        .payload_len = len,
        .message_ms = -1,
    };

    free(json);
    append_letter(b, &letter, refusal->reason, refusal->detail);
}

void batch_reject_rows(struct batch *b, const struct batch_refusal *refusals, size_t count)
{
    size_t kept = count == 0 ? b->rows_count : refusals[0].row;
    size_t next = 0;

    for (size_t i = kept; i < b->rows_count; i++) {
        if (next < count && refusals[next].row == i) {
            letter_from_row(b, &b->rows[i], &refusals[next++]);
        } else {
            b->rows[kept++] = b->rows[i];
        }
    }
    assert(next == count);
    b->rows_count = kept;
}

static void remove_dropped(struct batch *b)
{
    size_t rows = 0;
    size_t letters = 0;

    for (size_t i = 0; i < b->rows_count; i++) {
        if (!b->partitions[b->rows[i].partition].dropped) {
            b->rows[rows++] = b->rows[i];
        }
    }
    for (size_t i = 0; i < b->letters_count; i++) {
        if (!b->partitions[b->letters[i].partition].dropped) {
            b->letters[letters++] = b->letters[i];
        }
    }
    b->rows_count = rows;
    b->letters_count = letters;
    if (rows == 0 && letters == 0) {
        arena_reset(b->arena); /* nothing points into it any more */
        b->bytes = 0;
    }
}

void batch_drop_partition(struct batch *b, const char *topic, int32_t partition)
{
    size_t i = find_partition(b, topic, partition);

    if (i < b->partitions_count) {
        b->partitions[i].dropped = true;
        remove_dropped(b);
    }
}
