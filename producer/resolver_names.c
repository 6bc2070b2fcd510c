#include "producer/resolver_names.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define BUCKETS_MIN 64

/* FNV-1a. Who could choose names that collide could as well choose names that time out. */
static uint64_t hash_of(const char *name, enum resolver_family family)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)family;

    for (const char *c = name; *c != '\0'; c++) {
        hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
    }
    return hash ^ hash >> 32; /* the buckets use the low bits */
}

static struct name_node **bucket_of(const struct name_table *t, uint64_t hash)
{
    return &t->buckets[hash & (t->buckets_count - 1)];
}

static void grow(struct name_table *t)
{
    struct name_table grown = {
        .count = t->count,
        .buckets_count = t->buckets_count == 0 ? BUCKETS_MIN : t->buckets_count * 2,
    };

    grown.buckets = mem_alloc(grown.buckets_count, sizeof(grown.buckets[0]));
    for (size_t i = 0; i < t->buckets_count; i++) {
        struct name_node *next;

        for (struct name_node *node = t->buckets[i]; node != NULL; node = next) {
            struct name_node **bucket = bucket_of(&grown, node->hash);

            next = node->next;
            node->next = *bucket;
            *bucket = node;
        }
    }
    free(t->buckets);
    *t = grown;
}

struct name_node *name_table_find(const struct name_table *t, const char *name,
                                  enum resolver_family family)
{
    uint64_t hash = hash_of(name, family);

    if (t->count == 0) {
        return NULL;
    }
    for (struct name_node *node = *bucket_of(t, hash); node != NULL; node = node->next) {
        if (node->hash == hash && node->family == family && strcmp(node->name, name) == 0) {
            return node;
        }
    }
    return NULL;
}

void name_table_add(struct name_table *t, struct name_node *node)
{
    if (t->count == t->buckets_count) {
        grow(t);
    }
    node->hash = hash_of(node->name, node->family);
    struct name_node **bucket = bucket_of(t, node->hash);

    node->next = *bucket;
    *bucket = node;
    t->count++;
}

void name_table_remove(struct name_table *t, struct name_node *node)
{
    struct name_node **at = bucket_of(t, node->hash);

    while (*at != node) {
        assert(*at != NULL);
        at = &(*at)->next;
    }
    *at = node->next;
    t->count--;
}

struct name_node *name_table_drain(struct name_table *t)
{
    for (size_t i = 0; i < t->buckets_count; i++) {
        struct name_node *node = t->buckets[i];

        if (node != NULL) {
            name_table_remove(t, node);
            return node;
        }
    }
    free(t->buckets);
    *t = (struct name_table){0};
    return NULL;
}
