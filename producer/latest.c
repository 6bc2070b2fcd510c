#include "producer/latest.h"

#include <assert.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/utf8.h"

#define BLOCK 512 /* places that are made at a time */
#define BLOCKS_MAX ((LATEST_SITES_MAX + BLOCK - 1) / BLOCK)
#define WORD sizeof(uint64_t)
#define RESULT_WORDS (sizeof(struct latest_result) / WORD)
#define MESSAGE_WORDS (LATEST_MESSAGE_BYTES / WORD)
#define HISTORY_BITS 2

static_assert(sizeof(struct latest_result) % WORD == 0, "read and written word by word");
static_assert(LATEST_MESSAGE_BYTES % WORD == 0, "read and written word by word");
static_assert(CHECK_UNKNOWN < 1 << HISTORY_BITS, "a status fits");

/* Does not change while it is to be seen. */
struct name {
    uint64_t generation; /* of the place: readings that began before do not see it */
    struct name *next_retired;
    size_t len;
    char text[];
};

struct block {
    _Atomic(struct name *) names[BLOCK]; /* NULL: the place is free */
    _Atomic uint32_t turns[BLOCK];
    _Atomic uint64_t words[]; /* settings.words of each place */
};

struct part {
    _Atomic(struct block *) blocks[BLOCKS_MAX];
    atomic_size_t made; /* places in blocks */
    /* The loop's. */
    uint32_t *free; /* places that were given back */
    size_t free_count, free_room;
    struct name *retired; /* names that a reader may still see */
};

struct latest {
    struct latest_settings settings;
    size_t words; /* of a place */
    struct metric *not_shown;
    atomic_size_t count;
    atomic_size_t readers; /* at work */
    _Atomic uint64_t generation;
    struct part parts[];
};

struct latest *latest_new(const struct latest_settings *settings, struct metrics *m)
{
    assert(settings->sites_max <= LATEST_SITES_MAX);

    struct latest *l = mem_alloc(1, sizeof(*l) + settings->parts * sizeof(l->parts[0]));

    l->settings = *settings;
    l->words = RESULT_WORDS + (settings->messages ? MESSAGE_WORDS : 0);
    l->not_shown = metrics_counter(m, "sitewatch_results_not_shown",
                                   "Results of sites that have no series of their own", NULL);
    return l;
}

static void free_names(struct name *name)
{
    while (name != NULL) {
        struct name *next = name->next_retired;

        free(name);
        name = next;
    }
}

void latest_free(struct latest *l)
{
    if (l == NULL) {
        return;
    }
    for (size_t i = 0; i < l->settings.parts; i++) {
        struct part *p = &l->parts[i];

        for (size_t b = 0; b * BLOCK < p->made; b++) {
            for (size_t at = 0; at < BLOCK; at++) {
                free(p->blocks[b]->names[at]);
            }
            free(p->blocks[b]);
        }
        free_names(p->retired);
        free(p->free);
    }
    free(l);
}

/* --- The loop's side --- */

/* Who begins to read after this found no reader does not find what was retired before. */
static void bury(struct latest *l, struct part *p)
{
    if (p->retired != NULL && atomic_load(&l->readers) == 0) {
        free_names(p->retired);
        p->retired = NULL;
    }
}

/* False: all places of all parts are taken. */
static bool count_one(struct latest *l)
{
    size_t count = atomic_load_explicit(&l->count, memory_order_relaxed);

    do {
        if (count >= l->settings.sites_max) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&l->count, &count, count + 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

static size_t take_place(struct latest *l, struct part *p)
{
    if (p->free_count > 0) {
        return p->free[--p->free_count];
    }
    size_t at = atomic_load_explicit(&p->made, memory_order_relaxed);

    if (at % BLOCK == 0) {
        struct block *block =
            mem_alloc(1, sizeof(*block) + BLOCK * l->words * sizeof(block->words[0]));

        atomic_store_explicit(&p->blocks[at / BLOCK], block, memory_order_relaxed);
    }
    return at;
}

static struct name *name_new(struct latest *l, const struct event *event)
{
    size_t len = strlen(event->site_name);
    struct name *name = mem_alloc(1, sizeof(*name) + len);

    name->generation = atomic_load(&l->generation);
    name->len = len;
    memcpy(name->text, event->site_name, len);
    return name;
}

static uint32_t time_of(int64_t us)
{
    if (us == EVENT_ABSENT) {
        return LATEST_ABSENT;
    }
    return us < LATEST_ABSENT ? (uint32_t)us : LATEST_ABSENT - 1;
}

static void fill(const struct event *event, const struct latest_result *before,
                 struct latest_result *result)
{
    *result = (struct latest_result){
        .time_us = event->time_us,
        .cert_not_after_s = event->cert_not_after_s,
        .history = before->history << HISTORY_BITS | (uint64_t)event->status,
        .dns_us = time_of(event->timing.dns_us),
        .connect_us = time_of(event->timing.connect_us),
        .tls_us = time_of(event->timing.tls_us),
        .wait_us = time_of(event->timing.wait_us),
        .transfer_us = time_of(event->timing.transfer_us),
        .total_us = time_of(event->timing.total_us),
        .lag_us = time_of(event->lag_us),
        .http_status = (uint32_t)event->http_status,
        .checks = (uint8_t)(before->checks < LATEST_HISTORY ? before->checks + 1 : LATEST_HISTORY),
        .status = (uint8_t)event->status,
        .error = (uint8_t)event->error,
        .error_phase = (uint8_t)event->error_phase,
    };
}

/* A word that is seen makes the odd turn before it seen too; and the even one is seen after all. */
static void write_words(struct latest *l, struct block *block, size_t at, const uint64_t *from)
{
    _Atomic uint64_t *to = &block->words[at * l->words];
    uint32_t turn = atomic_load_explicit(&block->turns[at], memory_order_relaxed);

    atomic_store_explicit(&block->turns[at], turn + 1, memory_order_relaxed);
    for (size_t i = 0; i < l->words; i++) {
        atomic_store_explicit(&to[i], from[i], memory_order_release);
    }
    atomic_store_explicit(&block->turns[at], turn + 2, memory_order_release);
}

static void write_result(struct latest *l, struct block *block, size_t at,
                         const struct event *event, bool known)
{
    uint64_t words[RESULT_WORDS + MESSAGE_WORDS] = {0};
    struct latest_result before = {0};
    struct latest_result result;

    if (known) {
        for (size_t i = 0; i < RESULT_WORDS; i++) {
            words[i] = atomic_load_explicit(&block->words[at * l->words + i], memory_order_relaxed);
        }
        memcpy(&before, words, sizeof(before));
    }
    fill(event, &before, &result);
    memcpy(words, &result, sizeof(result));
    if (l->settings.messages && event->error_message != NULL) {
        utf8_clean(event->error_message, strlen(event->error_message), (char *)&words[RESULT_WORDS],
                   LATEST_MESSAGE_BYTES, NULL);
    }
    write_words(l, block, at, words);
}

static struct block *block_of(const struct part *p, size_t at)
{
    return atomic_load_explicit(&p->blocks[at / BLOCK], memory_order_relaxed);
}

uint32_t latest_put(struct latest *l, size_t part, uint32_t place, const struct event *event)
{
    struct part *p = &l->parts[part];
    bool known = place != LATEST_NONE;

    bury(l, p);
    if (!known && !count_one(l)) {
        metric_add(l->not_shown, 1);
        return LATEST_NONE;
    }
    size_t at = known ? place - 1 : take_place(l, p);
    struct block *block = block_of(p, at);

    write_result(l, block, at % BLOCK, event, known);
    if (!known) {
        atomic_store_explicit(&block->names[at % BLOCK], name_new(l, event), memory_order_release);
        if (at == atomic_load_explicit(&p->made, memory_order_relaxed)) {
            atomic_store_explicit(&p->made, at + 1, memory_order_release);
        }
    }
    return (uint32_t)at + 1;
}

void latest_remove(struct latest *l, size_t part, uint32_t place)
{
    struct part *p = &l->parts[part];

    if (place == LATEST_NONE) {
        return;
    }
    struct name *name = atomic_exchange(&block_of(p, place - 1)->names[(place - 1) % BLOCK], NULL);

    name->next_retired = p->retired;
    p->retired = name;
    if (p->free_count == p->free_room) {
        p->free_room = p->free_room == 0 ? 16 : 2 * p->free_room;
        p->free = mem_resize(p->free, p->free_room, sizeof(p->free[0]));
    }
    p->free[p->free_count++] = place - 1;
    atomic_fetch_sub_explicit(&l->count, 1, memory_order_relaxed);
    bury(l, p);
}

/* --- Readers --- */

size_t latest_count(const struct latest *l)
{
    return atomic_load_explicit(&l->count, memory_order_relaxed);
}

void latest_begin(struct latest *l, struct latest_cursor *cursor)
{
    *cursor = (struct latest_cursor){.generation = atomic_fetch_add(&l->generation, 1)};
}

void latest_rewind(struct latest_cursor *cursor)
{
    cursor->part = cursor->at = 0;
}

void latest_enter(struct latest *l)
{
    atomic_fetch_add(&l->readers, 1);
}

void latest_leave(struct latest *l)
{
    atomic_fetch_sub(&l->readers, 1);
}

/* Once more while it is being written. A loop that was put off in the middle needs the processor
 * that we may have. */
static void read_words(struct latest *l, struct block *block, size_t at, uint64_t *to)
{
    const _Atomic uint64_t *from = &block->words[at * l->words];
    uint32_t before;
    uint32_t after;

    for (;;) {
        before = atomic_load_explicit(&block->turns[at], memory_order_acquire);
        for (size_t i = 0; i < l->words; i++) {
            to[i] = atomic_load_explicit(&from[i], memory_order_acquire);
        }
        after = atomic_load_explicit(&block->turns[at], memory_order_relaxed);
        if (before == after && before % 2 == 0) {
            return;
        }
        sched_yield();
    }
}

static bool read_place(struct latest *l, struct block *block, size_t at, uint64_t generation,
                       struct latest_site *site)
{
    uint64_t words[RESULT_WORDS + MESSAGE_WORDS] = {0};
    struct name *name = atomic_load(&block->names[at]);

    if (name == NULL || name->generation > generation) {
        return false;
    }
    read_words(l, block, at, words);
    /* Another site's result, if the place was given back and taken again meanwhile. */
    if (atomic_load_explicit(&block->names[at], memory_order_relaxed) != name) {
        return false;
    }
    site->name = name->text;
    site->len = name->len;
    memcpy(&site->result, words, sizeof(site->result));
    memcpy(site->message, &words[RESULT_WORDS], sizeof(site->message));
    return true;
}

bool latest_next(struct latest *l, struct latest_cursor *cursor, struct latest_site *site)
{
    for (; cursor->part < l->settings.parts; cursor->part++, cursor->at = 0) {
        struct part *p = &l->parts[cursor->part];
        size_t made = atomic_load_explicit(&p->made, memory_order_acquire);

        while (cursor->at < made) {
            size_t at = cursor->at++;

            if (read_place(l, block_of(p, at), at % BLOCK, cursor->generation, site)) {
                return true;
            }
        }
    }
    return false;
}
