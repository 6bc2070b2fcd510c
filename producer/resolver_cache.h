/*
 * resolver_cache - answers kept until they end.
 *
 * It reads no clock and asks nobody; names are in lower case already.
 */
#ifndef PRODUCER_RESOLVER_CACHE_H
#define PRODUCER_RESOLVER_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "producer/resolver.h"
#include "producer/resolver_host.h"

struct resolver_cache;

/* names_max: kept at most; a further one takes the place of the one that ends soonest. */
struct resolver_cache *resolver_cache_new(size_t names_max);
void resolver_cache_free(struct resolver_cache *cache);

/*
 * Keep an answer until ends_ns, in place of one that is there. No addresses: the name is known
 * not to have any, for `reason` (by pointer; a text that is never freed).
 */
void resolver_cache_put(struct resolver_cache *cache, const char *name, enum resolver_family family,
                        const struct resolver_addresses *addresses, const char *reason,
                        int64_t ends_ns);

/* NULL when there is none that ends after now_ns, else the reason ("" when it has addresses). */
const char *resolver_cache_get(struct resolver_cache *cache, const char *name,
                               enum resolver_family family, int64_t now_ns,
                               struct resolver_addresses *addresses);

size_t resolver_cache_count(const struct resolver_cache *cache);

#endif
