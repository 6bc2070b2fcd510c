#include "producer/siteset.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/ident.h"

/* An expression or a path, compiled once for all sites of a part that have it. */
struct shared {
    char *text;
    struct pattern *pattern; /* one of the two */
    struct jsonpath *json;
    uint32_t uses;
    UT_hash_handle hh; /* by text */
};

struct pool {
    struct shared *patterns, *paths;
};

struct siteset {
    struct member *by_name;
    size_t part_count;
    struct pool *pools; /* a part's */
    _Atomic(struct member *) given_back;
};

/* --- What sites share --- */

static struct shared *share(struct shared **all, const char *text)
{
    struct shared *shared;

    HASH_FIND_STR(*all, text, shared);
    if (shared == NULL) {
        shared = mem_alloc(1, sizeof(*shared));
        shared->text = mem_copy_string(text);
        HASH_ADD_KEYPTR(hh, *all, shared->text, strlen(shared->text), shared);
    }
    shared->uses++;
    return shared;
}

static void unshare(struct shared **all, const char *text)
{
    struct shared *shared;

    if (text == NULL) {
        return;
    }
    HASH_FIND_STR(*all, text, shared);
    assert(shared != NULL && shared->uses > 0);
    if (--shared->uses > 0) {
        return;
    }
    HASH_DELETE(hh, *all, shared);
    pattern_free(shared->pattern);
    if (shared->json != NULL) {
        jsonpath_free(shared->json);
        free(shared->json);
    }
    free(shared->text);
    free(shared);
}

static struct pattern *share_pattern(struct pool *pool, const char *text)
{
    struct err err;

    if (text == NULL) {
        return NULL;
    }
    struct shared *shared = share(&pool->patterns, text);

    if (shared->pattern == NULL) {
        shared->pattern = pattern_new(text, &err);
    }
    assert(shared->pattern != NULL); /* site_set compiled it before */
    return shared->pattern;
}

static struct jsonpath *share_path(struct pool *pool, const char *text)
{
    struct err err;

    if (text == NULL) {
        return NULL;
    }
    struct shared *shared = share(&pool->paths, text);

    if (shared->json == NULL) {
        shared->json = mem_alloc(1, sizeof(*shared->json));
        int rc = jsonpath_parse(text, shared->json, &err);

        assert(rc == 0); /* site_set parsed it before */
        (void)rc;
    }
    return shared->json;
}

/* --- Members --- */

static size_t part_of(const struct siteset *s, const struct member *m)
{
    return m->hh.hashv % s->part_count;
}

/* Takes the site's contents over; the name must not be in the set. */
static struct member *member_new(struct siteset *s, struct site *site)
{
    struct member *m = mem_alloc(1, sizeof(*m));

    m->site = *site;
    *site = (struct site){0};
    m->set = s;
    m->phase_ms = (uint32_t)ident_phase_ms(m->site.name, m->site.seconds * MS_PER_SEC);
    HASH_ADD_KEYPTR(hh, s->by_name, m->site.name, strlen(m->site.name), m);
    struct pool *pool = &s->pools[part_of(s, m)];

    m->patterns.present = share_pattern(pool, m->site.pattern);
    m->patterns.absent = share_pattern(pool, m->site.pattern_absent);
    m->patterns.header = share_pattern(pool, m->site.header_pattern);
    m->patterns.json = share_path(pool, m->site.json_path);
    return m;
}

static void member_free(struct siteset *s, struct member *m)
{
    struct pool *pool = &s->pools[part_of(s, m)];

    unshare(&pool->patterns, m->site.pattern);
    unshare(&pool->patterns, m->site.pattern_absent);
    unshare(&pool->patterns, m->site.header_pattern);
    unshare(&pool->paths, m->site.json_path);
    site_free(&m->site);
    free(m);
}

/* Any thread may; the set's alone takes, and takes all: no member can come back in between. */
static void give_back(struct member *m)
{
    m->next_given_back = atomic_load_explicit(&m->set->given_back, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&m->set->given_back, &m->next_given_back, m,
                                                  memory_order_release, memory_order_relaxed)) {
    }
}

void siteset_bury(struct siteset *s)
{
    struct member *m = atomic_exchange_explicit(&s->given_back, NULL, memory_order_acquire);

    while (m != NULL) {
        struct member *next = m->next_given_back;

        member_free(s, m);
        m = next;
    }
}

void member_leave(struct member *member)
{
    member->gone = true;
    if (member->in_flight == 0) {
        give_back(member);
    }
}

void member_begin_check(struct member *member)
{
    member->in_flight++;
}

void member_end_check(struct member *member)
{
    assert(member->in_flight > 0);
    member->in_flight--;
    if (member->gone && member->in_flight == 0) {
        give_back(member);
    }
}

/* --- The set --- */

struct siteset *siteset_new(size_t parts)
{
    struct siteset *s = mem_alloc(1, sizeof(*s));

    s->part_count = parts;
    s->pools = mem_alloc(parts, sizeof(s->pools[0]));
    return s;
}

void siteset_free(struct siteset *s)
{
    struct member *m;
    struct member *next;

    if (s == NULL) {
        return;
    }
    siteset_bury(s);
    HASH_ITER (hh, s->by_name, m, next) {
        HASH_DELETE(hh, s->by_name, m);
        member_free(s, m);
    }
    free(s->pools);
    free(s);
}

size_t siteset_count(const struct siteset *s)
{
    return HASH_COUNT(s->by_name);
}

static void add_step(struct siteset *s, struct site_change *change, struct member *leaves,
                     struct member *enters)
{
    struct site_steps *part = &change->parts[part_of(s, enters == NULL ? leaves : enters)];

    if (part->count == part->room) {
        part->room = part->room == 0 ? 16 : 2 * part->room;
        part->steps = mem_resize(part->steps, part->room, sizeof(part->steps[0]));
    }
    part->steps[part->count++] = (struct site_step){.leaves = leaves, .enters = enters};
}

static void take_over_one(struct siteset *s, struct site *site, struct site_change *change)
{
    struct member *known;

    HASH_FIND_STR(s->by_name, site->name, known);
    if (known != NULL && site_equal(&known->site, site)) {
        known->seen = true;
        change->unchanged++;
        return;
    }
    if (known != NULL) {
        HASH_DELETE(hh, s->by_name, known);
        change->changed++;
    } else {
        change->added++;
    }
    struct member *m = member_new(s, site);

    m->seen = true;
    add_step(s, change, known, m);
}

static void remove_unseen(struct siteset *s, struct site_change *change)
{
    struct member *m;
    struct member *next;

    HASH_ITER (hh, s->by_name, m, next) {
        if (m->seen) {
            m->seen = false;
        } else {
            HASH_DELETE(hh, s->by_name, m);
            change->removed++;
            add_step(s, change, m, NULL);
        }
    }
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char **list_ca_files(const struct siteset *s)
{
    size_t count = 0, room = 0, kept = 0;
    const char *last = NULL;
    char **list = NULL;

    for (const struct member *m = s->by_name; m != NULL; m = m->hh.next) {
        const char *file = m->site.ca_file;

        if (file == NULL || (last != NULL && strcmp(file, last) == 0)) {
            continue;
        }
        if (count == room) {
            room = room == 0 ? 16 : 2 * room;
            list = mem_resize(list, room, sizeof(list[0]));
        }
        last = file;
        list[count++] = m->site.ca_file;
    }
    if (count > 0) {
        qsort(list, count, sizeof(list[0]), compare_texts);
    }
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || strcmp(list[i], list[kept - 1]) != 0) {
            list[kept++] = mem_copy_string(list[i]);
        }
    }
    list = mem_resize(list, kept + 1, sizeof(list[0]));
    list[kept] = NULL;
    return list;
}

struct site_change *siteset_take_over(struct siteset *s, struct targets *targets)
{
    struct site_change *change = mem_alloc(1, sizeof(*change));

    change->part_count = s->part_count;
    change->parts = mem_alloc(s->part_count, sizeof(change->parts[0]));
    for (size_t i = 0; i < targets->count; i++) {
        if (targets->sites[i].enabled) {
            take_over_one(s, &targets->sites[i], change);
        }
    }
    targets_free(targets);
    remove_unseen(s, change);
    change->ca_files = list_ca_files(s);
    return change;
}

void site_change_free(struct site_change *change)
{
    if (change == NULL) {
        return;
    }
    for (size_t i = 0; change->ca_files[i] != NULL; i++) {
        free(change->ca_files[i]);
    }
    free(change->ca_files);
    for (size_t i = 0; i < change->part_count; i++) {
        struct site_steps *part = &change->parts[i];

        for (; part->made < part->count; part->made++) {
            if (part->steps[part->made].leaves != NULL) {
                member_leave(part->steps[part->made].leaves);
            }
        }
        free(part->steps);
    }
    free(change->parts);
    free(change);
}
