/*
 * siteset_internal - what the files of the siteset module share: siteset.c has the members and the
 * list, siteset_topic.c the sites of the topic, site_change.c what loops are told.
 */
#ifndef PRODUCER_SITESET_INTERNAL_H
#define PRODUCER_SITESET_INTERNAL_H

#include <stdatomic.h>

#include "producer/siteset.h"

enum member_where {
    MEMBER_KEPT,    /* disabled, or its shard's end was not reached */
    MEMBER_WAITING, /* its name is another's */
    MEMBER_ACTIVE,  /* a loop has it, or is told to */
    MEMBER_LEAVING, /* a loop is told to let it go */
};

/* A site of a shard. */
struct placed {
    int64_t id, version;
    struct member *member;
    UT_hash_handle hh; /* by id */
};

struct shard {
    int32_t number;
    bool read; /* its end was reached */
    struct placed *sites;
    UT_hash_handle hh; /* by number */
};

struct siteset {
    struct member *by_name; /* the active ones */
    struct member *waiting; /* by name, of which several may have one */
    struct shard *shards;
    size_t placed_count; /* of all shards */
    size_t topic_active;
    bool has_list; /* one was taken over */
    size_t part_count;
    struct sitepool *pool;
    _Atomic(struct member *) given_back;
};

/* --- siteset.c --- */

/* Takes the site over. It is kept, and shares nothing yet. */
struct member *siteset_member_new(struct siteset *s, const struct site *site,
                                  struct placed *placed);
void siteset_member_share(struct siteset *s, struct member *m);
void siteset_member_free(struct siteset *s, struct member *m);
size_t siteset_part_of(const struct siteset *s, const struct member *m);

/* Check it, unless its name is another's: then it waits. */
void siteset_enter(struct siteset *s, struct site_change *change, struct member *m, bool at_once);
/* Check it in the place of `old`, which has the same name. */
void siteset_replace(struct siteset *s, struct site_change *change, struct member *old,
                     struct member *m);
/* Not any more, wherever it is; frees it, or has it freed when the loop has let it go. Who waits
 * for its name has it. */
void siteset_put_away(struct siteset *s, struct site_change *change, struct member *m);

/* --- siteset_topic.c --- */

void siteset_topic_free(struct siteset *s);

/* --- site_change.c --- */

struct site_change *site_change_new(size_t parts);
void site_change_add(struct site_change *change, size_t part, struct site_step step);
/* Adds to the list of files, which site_change_end sorts. */
void site_change_add_files(struct site_change *change, const struct site *site);
void site_change_end(struct site_change *change);

#endif
