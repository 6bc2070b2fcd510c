#include "producer/resolver_cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "producer/resolver_names.h"

struct answer {
    struct name_node node; /* first, so that a node is an answer */
    int64_t ends_ns;
    size_t place; /* in the heap */
    const char *reason;
    size_t count;
    struct resolver_address addresses[];
};

struct resolver_cache {
    size_t names_max;
    struct name_table names;
    size_t room;
    struct answer **heap; /* as many as names has; heap[0] ends soonest */
};

struct resolver_cache *resolver_cache_new(size_t names_max)
{
    struct resolver_cache *cache = mem_alloc(1, sizeof(*cache));

    assert(names_max > 0);
    cache->names_max = names_max;
    return cache;
}

static void answer_free(struct answer *answer)
{
    free(answer->node.name);
    free(answer);
}

void resolver_cache_free(struct resolver_cache *cache)
{
    struct name_node *node;

    if (cache == NULL) {
        return;
    }
    while ((node = name_table_drain(&cache->names)) != NULL) {
        answer_free((struct answer *)node);
    }
    free(cache->heap);
    free(cache);
}

/* --- The heap --- */

static void heap_put(struct resolver_cache *cache, size_t place, struct answer *answer)
{
    cache->heap[place] = answer;
    answer->place = place;
}

static void sift_up(struct resolver_cache *cache, size_t place)
{
    struct answer *answer = cache->heap[place];

    while (place > 0 && cache->heap[(place - 1) / 2]->ends_ns > answer->ends_ns) {
        heap_put(cache, place, cache->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    heap_put(cache, place, answer);
}

static void sift_down(struct resolver_cache *cache, size_t place)
{
    struct answer *answer = cache->heap[place];
    size_t count = cache->names.count;

    for (size_t child = 2 * place + 1; child < count; child = 2 * place + 1) {
        if (child + 1 < count && cache->heap[child + 1]->ends_ns < cache->heap[child]->ends_ns) {
            child++;
        }
        if (cache->heap[child]->ends_ns >= answer->ends_ns) {
            break;
        }
        heap_put(cache, place, cache->heap[child]);
        place = child;
    }
    heap_put(cache, place, answer);
}

static void drop(struct resolver_cache *cache, struct answer *answer)
{
    size_t place = answer->place;
    struct answer *last = cache->heap[cache->names.count - 1];

    name_table_remove(&cache->names, &answer->node);
    answer_free(answer);
    if (last != answer) {
        heap_put(cache, place, last);
        sift_up(cache, place);
        sift_down(cache, last->place);
    }
}

/* --- What the header promises --- */

void resolver_cache_put(struct resolver_cache *cache, const char *name, enum resolver_family family,
                        const struct resolver_addresses *addresses, const char *reason,
                        int64_t ends_ns)
{
    size_t bytes = addresses->count * sizeof(addresses->list[0]);
    struct answer *answer = (struct answer *)name_table_find(&cache->names, name, family);

    if (answer != NULL) {
        drop(cache, answer);
    } else if (cache->names.count == cache->names_max) {
        drop(cache, cache->heap[0]);
    }
    answer = mem_alloc(1, sizeof(*answer) + bytes);
    answer->node.name = mem_copy_string(name);
    answer->node.family = family;
    answer->ends_ns = ends_ns;
    answer->reason = reason;
    answer->count = addresses->count;
    memcpy(answer->addresses, addresses->list, bytes);
    if (cache->names.count == cache->room) {
        cache->room = cache->room == 0 ? 64 : cache->room * 2;
        cache->heap = mem_resize(cache->heap, cache->room, sizeof(cache->heap[0]));
    }
    cache->heap[cache->names.count] = answer;
    sift_up(cache, cache->names.count);
    name_table_add(&cache->names, &answer->node);
}

const char *resolver_cache_get(struct resolver_cache *cache, const char *name,
                               enum resolver_family family, int64_t now_ns,
                               struct resolver_addresses *addresses)
{
    struct answer *answer = (struct answer *)name_table_find(&cache->names, name, family);

    if (answer == NULL) {
        return NULL;
    }
    if (answer->ends_ns <= now_ns) {
        drop(cache, answer);
        return NULL;
    }
    addresses->count = answer->count;
    memcpy(addresses->list, answer->addresses, answer->count * sizeof(answer->addresses[0]));
    return answer->count > 0 ? "" : answer->reason;
}

size_t resolver_cache_count(const struct resolver_cache *cache)
{
    return cache->names.count;
}
