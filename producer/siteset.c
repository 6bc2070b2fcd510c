#include "producer/siteset.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/ident.h"
#include "producer/sitepool.h"
#include "producer/siteset_internal.h"

/* --- Members --- */

size_t siteset_part_of(const struct siteset *s, const struct member *m)
{
    return m->hh.hashv % s->part_count;
}

struct member *siteset_member_new(struct siteset *s, const struct site *site, struct placed *placed)
{
    struct member *m = mem_alloc(1, sizeof(*m));

    m->site = *site;
    m->set = s;
    m->placed = placed;
    m->phase_ms = (uint32_t)ident_phase_ms(m->site.name, m->site.seconds * MS_PER_SEC);
    HASH_VALUE(m->site.name, strlen(m->site.name), m->hh.hashv);
    return m;
}

void siteset_member_share(struct siteset *s, struct member *m)
{
    sitepool_share(s->pool, siteset_part_of(s, m), &m->site, &m->patterns);
}

void siteset_member_free(struct siteset *s, struct member *m)
{
    sitepool_release(s->pool, siteset_part_of(s, m), &m->site);
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

        siteset_member_free(s, m);
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

/* --- Who has a name --- */

static void add_by_name(struct siteset *s, struct member *m)
{
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, s->by_name, m->site.name, strlen(m->site.name), m->hh.hashv, m);
    m->where = MEMBER_ACTIVE;
    s->topic_active += m->placed != NULL;
}

static void remove_by_name(struct siteset *s, struct member *m)
{
    HASH_DELETE(hh, s->by_name, m);
    m->where = MEMBER_LEAVING;
    s->topic_active -= m->placed != NULL;
}

static void wait_for_name(struct siteset *s, struct site_change *change, struct member *m)
{
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, s->waiting, m->site.name, strlen(m->site.name), m->hh.hashv, m);
    m->where = MEMBER_WAITING;
    change->taken = &m->site;
    change->taken_count++;
}

static void stop_waiting(struct siteset *s, struct site_change *change, struct member *m)
{
    HASH_DELETE(hh, s->waiting, m);
    m->where = MEMBER_KEPT;
    change->taken = change->taken == &m->site ? NULL : change->taken;
}

static void begin_checking(struct siteset *s, struct site_change *change, struct member *leaves,
                           struct member *m, bool at_once)
{
    add_by_name(s, m);
    site_change_add(change, siteset_part_of(s, m),
                    (struct site_step){.leaves = leaves, .enters = m, .at_once = at_once});
}

void siteset_enter(struct siteset *s, struct site_change *change, struct member *m, bool at_once)
{
    struct member *other;

    HASH_FIND_BYHASHVALUE(hh, s->by_name, m->site.name, strlen(m->site.name), m->hh.hashv, other);
    if (other != NULL) {
        wait_for_name(s, change, m);
        return;
    }
    begin_checking(s, change, NULL, m, at_once);
    change->added++;
}

void siteset_replace(struct siteset *s, struct site_change *change, struct member *old,
                     struct member *m)
{
    remove_by_name(s, old);
    begin_checking(s, change, old, m, true);
    change->changed++;
}

/* Who was first among those that wait is not told apart. */
static void give_name(struct siteset *s, struct site_change *change, const struct member *from)
{
    struct member *next;

    HASH_FIND_BYHASHVALUE(hh, s->waiting, from->site.name, strlen(from->site.name), from->hh.hashv,
                          next);
    if (next != NULL) {
        stop_waiting(s, change, next);
        begin_checking(s, change, NULL, next, true);
        change->added++;
    }
}

void siteset_put_away(struct siteset *s, struct site_change *change, struct member *m)
{
    if (m->where == MEMBER_WAITING) {
        stop_waiting(s, change, m);
    }
    if (m->where != MEMBER_ACTIVE) {
        siteset_member_free(s, m);
        return;
    }
    remove_by_name(s, m);
    site_change_add(change, siteset_part_of(s, m), (struct site_step){.leaves = m});
    change->removed++;
    give_name(s, change, m);
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
    siteset_topic_free(s);
    HASH_ITER (hh, s->by_name, m, next) {
        HASH_DELETE(hh, s->by_name, m);
        siteset_member_free(s, m);
    }
    sitepool_free(s->pool);
    free(s);
}

size_t siteset_count(const struct siteset *s)
{
    return HASH_COUNT(s->by_name);
}

size_t siteset_topic_count(const struct siteset *s)
{
    return s->topic_active;
}

size_t siteset_waiting_count(const struct siteset *s)
{
    return HASH_COUNT(s->waiting);
}

/* --- A list --- */

/*
 * All that a list of sites holds was allocated in its order. Its names and urls are copied, and
 * freed with the list: so whole pages become free when the rest is shared, and not the holes
 * between the names. That is why share_all comes after the last of them.
 */
static struct member *take_out(struct siteset *s, struct site *site)
{
    struct site taken = *site;

    *site = (struct site){.name = taken.name, .url = taken.url};
    taken.name = mem_copy_string(site->name);
    taken.url = mem_copy_string(site->url);
    return siteset_member_new(s, &taken, NULL);
}

static void share_all(struct siteset *s, const struct site_change *change)
{
    for (size_t part = 0; part < change->part_count; part++) {
        const struct site_steps *steps = &change->parts[part];

        for (size_t i = 0; i < steps->count; i++) {
            siteset_member_share(s, steps->steps[i].enters);
        }
    }
}

/* The topic's site has to leave its name to the list's. The loop lets go of the member, so that
 * another one waits in its place. */
static void displace(struct siteset *s, struct site_change *change, struct member *m)
{
    struct site copy;

    site_copy(&copy, &m->site);

    struct member *waits = siteset_member_new(s, &copy, m->placed);

    siteset_member_share(s, waits);
    m->placed->member = waits;
    wait_for_name(s, change, waits);
}

static void take_over_one(struct siteset *s, struct site *site, struct site_change *change)
{
    struct member *known;

    HASH_FIND_STR(s->by_name, site->name, known);
    if (known != NULL && known->placed == NULL && site_equal(&known->site, site)) {
        known->seen = true;
        change->unchanged++;
        return;
    }
    struct member *m = take_out(s, site);

    m->seen = true;
    if (known == NULL) {
        begin_checking(s, change, NULL, m, s->has_list);
        change->added++;
        return;
    }
    if (known->placed != NULL) {
        displace(s, change, known);
    }
    siteset_replace(s, change, known, m);
}

static void remove_unseen(struct siteset *s, struct site_change *change)
{
    struct member *m;
    struct member *next;

    HASH_ITER (hh, s->by_name, m, next) {
        bool goes = m->placed == NULL && !m->seen;

        m->seen = false;
        if (goes) {
            siteset_put_away(s, change, m);
        }
    }
}

struct site_change *siteset_take_over(struct siteset *s, struct targets *targets)
{
    struct site_change *change = site_change_new(s->part_count);

    for (size_t i = 0; i < targets->count; i++) {
        if (targets->sites[i].enabled) {
            take_over_one(s, &targets->sites[i], change);
        }
    }
    share_all(s, change); /* so far all steps are of sites that enter */
    targets_free(targets);
    remove_unseen(s, change);
    change->started_with = change->added;
    for (const struct member *m = s->by_name; m != NULL; m = m->hh.next) {
        site_change_add_files(change, &m->site);
    }
    site_change_end(change);
    s->has_list = true;
    return change;
}
