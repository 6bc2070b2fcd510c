/*
 * siteset - the sites being checked, by name, with their compiled patterns.
 *
 * A site that was replaced or removed while a check of it is in flight stays until that check
 * ends, and is then freed.
 */
#ifndef PRODUCER_SITESET_H
#define PRODUCER_SITESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "common/site.h"
#include "producer/judge.h"

struct retry; /* producer/retry's */

struct member {
    struct site site;
    struct judge_patterns patterns;
    uint32_t entry;      /* of the schedule */
    uint32_t in_flight;  /* checks and retries that still point here */
    struct retry *retry; /* the failed attempts of it that wait */
    bool gone;           /* not in the set any more */
    bool seen;           /* in the list that is being taken over */
    UT_hash_handle hh;   /* by site.name */
};

struct siteset;

struct siteset *siteset_new(void);
/* No check may be in flight. */
void siteset_free(struct siteset *s);

size_t siteset_count(const struct siteset *s);
/* NULL when there is none of this name. */
struct member *siteset_find(const struct siteset *s, const char *name);

/* Takes the site's contents over; its patterns compile (common/site has seen to that). The name
 * must not be in the set. */
struct member *siteset_add(struct siteset *s, struct site *site);

/* Out of the set; freed now or when its last check ends. */
void siteset_remove(struct siteset *s, struct member *member);

void siteset_begin_check(struct member *member);
void siteset_end_check(struct member *member);

/* Every member in turn: start with NULL. */
struct member *siteset_next(const struct siteset *s, const struct member *after);

#endif
