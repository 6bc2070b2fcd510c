/*
 * resolver_names - a hash table whose key is a host name and a family.
 *
 * The table owns its buckets only; what is in it begins with a struct name_node and belongs to
 * the user. It has no ceiling of its own: the users' ceilings are in resolver.h.
 */
#ifndef PRODUCER_RESOLVER_NAMES_H
#define PRODUCER_RESOLVER_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "producer/resolver.h"

struct name_node {
    struct name_node *next; /* in its bucket */
    uint64_t hash;
    enum resolver_family family;
    char *name; /* lower case; owned by the node's owner */
};

struct name_table {
    size_t count;
    size_t buckets_count; /* a power of two, or 0 */
    struct name_node **buckets;
};

/* NULL when it is not there. */
struct name_node *name_table_find(const struct name_table *t, const char *name,
                                  enum resolver_family family);

/* node->name and node->family are set, and not in the table. */
void name_table_add(struct name_table *t, struct name_node *node);

/* node is in the table. */
void name_table_remove(struct name_table *t, struct name_node *node);

/* Take out any node; NULL when the table is empty, which then holds no memory. */
struct name_node *name_table_drain(struct name_table *t);

#endif
