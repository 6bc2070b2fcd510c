/*
 * resolver_hosts - the names of a hosts file (hosts(5)), kept in memory and read again when the
 * file has changed.
 *
 * c-ares could do it, but 1.18 opens the file for each family of each lookup. A line that begins
 * with no address, and a name that resolver_host.h would not ask a server for, are passed over.
 */
#ifndef PRODUCER_RESOLVER_HOSTS_H
#define PRODUCER_RESOLVER_HOSTS_H

#include <stdbool.h>
#include <stdint.h>

#include "producer/resolver.h"
#include "producer/resolver_host.h"

#define RESOLVER_HOSTS_BYTES_MAX (16 * 1024 * 1024) /* of the file; what follows is left out */

struct resolver_hosts;

/* A file that is not there has no names, until it is. */
struct resolver_hosts *resolver_hosts_new(const char *path);
void resolver_hosts_free(struct resolver_hosts *h);

/* `name` as resolver_host_read leaves it. False: the file has no address of the family for it.
 * Looks at most once a second whether the file has changed. */
bool resolver_hosts_find(struct resolver_hosts *h, const char *name, enum resolver_family family,
                         int64_t now_ns, struct resolver_addresses *found);

#endif
