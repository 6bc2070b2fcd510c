#include "producer/siteset.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/ident.h"
#include "producer/sitepool.h"

struct siteset {
    struct member *by_name;
    size_t part_count;
    struct sitepool *pool;
    _Atomic(struct member *) given_back;
};

/* --- Members --- */

static size_t part_of(const struct siteset *s, const struct member *m)
{
    return m->hh.hashv % s->part_count;
}

/*
 * The name must not be in the set. All that a list of sites holds was allocated in its order. Its
 * names and urls are copied, and freed with the list: so whole pages become free when the rest is
 * shared, and not the holes between the names. That is why share_all comes after the last of them.
 */
static struct member *member_new(struct siteset *s, struct site *site)
{
    struct member *m = mem_alloc(1, sizeof(*m));

    m->site = *site;
    *site = (struct site){.name = m->site.name, .url = m->site.url};
    m->site.name = mem_copy_string(site->name);
    m->site.url = mem_copy_string(site->url);
    m->set = s;
    m->phase_ms = (uint32_t)ident_phase_ms(m->site.name, m->site.seconds * MS_PER_SEC);
    HASH_ADD_KEYPTR(hh, s->by_name, m->site.name, strlen(m->site.name), m);
    return m;
}

static void share_all(struct siteset *s, const struct site_change *change)
{
    for (size_t part = 0; part < change->part_count; part++) {
        const struct site_steps *steps = &change->parts[part];

        for (size_t i = 0; i < steps->count; i++) {
            struct member *m = steps->steps[i].enters;

            sitepool_share(s->pool, part, &m->site, &m->patterns);
        }
    }
}

static void member_free(struct siteset *s, struct member *m)
{
    sitepool_release(s->pool, part_of(s, m), &m->site);
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
    s->pool = sitepool_new(parts);
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
    sitepool_free(s->pool);
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

/* NULL is before all texts. */
static int compare_texts(const char *a, const char *b)
{
    return a == NULL || b == NULL ? (a != NULL) - (b != NULL) : strcmp(a, b);
}

static int compare_files(const void *a, const void *b)
{
    const struct site_files *x = a, *y = b;
    int order = compare_texts(x->ca_file, y->ca_file);

    order = order != 0 ? order : compare_texts(x->cert_file, y->cert_file);
    return order != 0 ? order : compare_texts(x->key_file, y->key_file);
}

static void list_files(const struct siteset *s, struct site_change *change)
{
    const struct site_files none = {0};
    struct site_files last = none; /* most sites have none, or those of the site before */
    struct site_files *list = NULL;
    size_t count = 0, room = 0, kept = 0;

    for (const struct member *m = s->by_name; m != NULL; m = m->hh.next) {
        struct site_files files = {m->site.ca_file, m->site.cert_file, m->site.key_file};

        if (compare_files(&files, &last) == 0 || compare_files(&files, &none) == 0) {
            continue;
        }
        if (count == room) {
            room = room == 0 ? 16 : 2 * room;
            list = mem_resize(list, room, sizeof(list[0]));
        }
        last = files;
        list[count++] = files;
    }
    if (count > 0) {
        qsort(list, count, sizeof(list[0]), compare_files);
    }
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || compare_files(&list[i], &list[kept - 1]) != 0) {
            list[kept++] = (struct site_files){mem_copy_string(list[i].ca_file),
                                               mem_copy_string(list[i].cert_file),
                                               mem_copy_string(list[i].key_file)};
        }
    }
    change->files = list;
    change->file_count = kept;
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
    share_all(s, change); /* so far all steps are of sites that enter */
    targets_free(targets);
    remove_unseen(s, change);
    list_files(s, change);
    return change;
}

void site_change_free(struct site_change *change)
{
    if (change == NULL) {
        return;
    }
    for (size_t i = 0; i < change->file_count; i++) {
        free(change->files[i].ca_file);
        free(change->files[i].cert_file);
        free(change->files[i].key_file);
    }
    free(change->files);
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
