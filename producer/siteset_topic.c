/* The sites of the topic: by shard and id, kept until the shard's end was reached. */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "producer/siteset_internal.h"

static struct shard *shard_of(struct siteset *s, int32_t number)
{
    struct shard *shard;

    HASH_FIND(hh, s->shards, &number, sizeof(number), shard);
    if (shard == NULL) {
        shard = mem_alloc(1, sizeof(*shard));
        shard->number = number;
        HASH_ADD(hh, s->shards, number, sizeof(shard->number), shard);
    }
    return shard;
}

static struct placed *find_site(struct shard *shard, int64_t id)
{
    struct placed *placed;

    HASH_FIND(hh, shard->sites, &id, sizeof(id), placed);
    return placed;
}

static void remove_site(struct siteset *s, struct site_change *change, struct shard *shard,
                        struct placed *placed)
{
    siteset_put_away(s, change, placed->member);
    HASH_DELETE(hh, shard->sites, placed);
    free(placed);
    s->placed_count--;
}

/* The member that the topic has in the place of `old`, NULL for none. */
static void settle(struct siteset *s, struct site_change *change, const struct shard *shard,
                   struct member *old, struct member *m)
{
    bool goes_on = old != NULL && old->where == MEMBER_ACTIVE && m->site.enabled &&
                   strcmp(old->site.name, m->site.name) == 0;

    if (goes_on) {
        siteset_replace(s, change, old, m);
        return;
    }
    if (old != NULL) {
        siteset_put_away(s, change, old);
    }
    if (shard->read && m->site.enabled) {
        siteset_enter(s, change, m, true);
    }
}

static void put(struct siteset *s, struct site_change *change, struct news *news)
{
    struct shard *shard = shard_of(s, news->shard);
    struct placed *placed = find_site(shard, news->id);

    if (placed != NULL && news->version < placed->version) {
        change->older++;
        return;
    }
    if (placed == NULL && s->placed_count == SITESET_TOPIC_SITES_MAX) {
        change->over_limit++;
        return;
    }
    if (placed != NULL && site_equal(&placed->member->site, &news->site)) {
        placed->version = news->version;
        change->unchanged++;
        return;
    }
    if (placed == NULL) {
        placed = mem_alloc(1, sizeof(*placed));
        placed->id = news->id;
        HASH_ADD(hh, shard->sites, id, sizeof(placed->id), placed);
        s->placed_count++;
    }
    struct member *old = placed->member;

    placed->version = news->version;
    placed->member = siteset_member_new(s, &news->site, placed);
    news->site = (struct site){0};
    siteset_member_share(s, placed->member);
    settle(s, change, shard, old, placed->member);
}

static void drop(struct siteset *s, struct site_change *change, const struct news *news)
{
    struct shard *shard = shard_of(s, news->shard);
    struct placed *placed = find_site(shard, news->id);

    if (placed != NULL) {
        remove_site(s, change, shard, placed);
    }
}

static void begin(struct siteset *s, struct site_change *change, int32_t number)
{
    struct shard *shard = shard_of(s, number);

    if (shard->read) {
        return;
    }
    shard->read = true;
    for (struct placed *p = shard->sites; p != NULL; p = p->hh.next) {
        if (p->member->site.enabled) {
            siteset_enter(s, change, p->member, false);
        }
    }
}

static void forget(struct siteset *s, struct site_change *change, int32_t number)
{
    struct shard *shard = shard_of(s, number);
    struct placed *placed;
    struct placed *next;

    HASH_ITER (hh, shard->sites, placed, next) {
        remove_site(s, change, shard, placed);
    }
    HASH_DELETE(hh, s->shards, shard);
    free(shard);
}

struct site_change *siteset_hear(struct siteset *s, struct news_list *list)
{
    struct site_change *change = site_change_new(s->part_count);

    for (size_t i = 0; i < list->count; i++) {
        struct news *news = &list->news[i];

        switch (news->kind) {
        case NEWS_PUT:
            put(s, change, news);
            break;
        case NEWS_DROP:
            drop(s, change, news);
            break;
        case NEWS_READ:
            begin(s, change, news->shard);
            break;
        case NEWS_FORGET:
            forget(s, change, news->shard);
            break;
        }
    }
    news_clear(list);
    change->started_with = s->placed_count;
    for (size_t part = 0; part < change->part_count; part++) {
        const struct site_steps *steps = &change->parts[part];

        for (size_t i = 0; i < steps->count; i++) {
            if (steps->steps[i].enters != NULL) {
                site_change_add_files(change, &steps->steps[i].enters->site);
            }
        }
    }
    site_change_end(change);
    return change;
}

/* Members that are checked are freed with the others of the set. */
void siteset_topic_free(struct siteset *s)
{
    struct shard *shard;
    struct shard *next_shard;
    struct placed *placed;
    struct placed *next;

    HASH_CLEAR(hh, s->waiting);
    HASH_ITER (hh, s->shards, shard, next_shard) {
        HASH_ITER (hh, shard->sites, placed, next) {
            if (placed->member->where != MEMBER_ACTIVE) {
                siteset_member_free(s, placed->member);
            }
            HASH_DELETE(hh, shard->sites, placed);
            free(placed);
        }
        HASH_DELETE(hh, s->shards, shard);
        free(shard);
    }
}
