/*
 * siteset - the sites being checked, by name, and what a list of sites, or news of the topic,
 * changes about them.
 *
 * The set belongs to the thread that loads sites. A loop gets its part of a change as a list of
 * steps, members that enter and members that leave, and never sees the set itself. A member's site
 * and patterns do not change while it lives; the fields that say so are the loop's alone. A member
 * that left is given back when its last check has ended, and is freed by the thread of the set.
 *
 * Sites of the list (a targets file, --url) are known by their names, those of the topic by shard
 * and id. A shard's sites are kept until its end was reached, and are checked from then on. A name
 * is one site's, as the events' ids come from it: a site of the list has it before one of the
 * topic, and among those the one that came first; another waits, kept, until the name is free.
 *
 * What sites have in common is kept once (producer/sitepool).
 */
#ifndef PRODUCER_SITESET_H
#define PRODUCER_SITESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define uthash_malloc(size) mem_alloc(1, (size))
#include <uthash.h>

#include "common/mem.h"
#include "common/site.h"
#include "common/targets.h"
#include "producer/judge.h"
#include "producer/news.h"

#define SITESET_TOPIC_SITES_MAX 1000000

struct retry;  /* producer/retry's */
struct placed; /* producer/siteset's own */
struct siteset;

struct member {
    struct site site;
    struct judge_patterns patterns;
    uint32_t phase_ms; /* of its slots, common/ident */
    /* The loop's. */
    uint32_t entry;      /* of the schedule */
    uint32_t in_flight;  /* checks and retries that still point here */
    uint32_t latest;     /* its place in producer/latest */
    bool gone;           /* not to be checked any more */
    struct retry *retry; /* the failed attempts of it that wait */
    /* The set's. */
    bool seen;             /* in the list that is being taken over */
    uint8_t where;         /* of enum member_where */
    struct placed *placed; /* where the topic has it; NULL: it is of the list */
    struct siteset *set;
    struct member *next_given_back;
    UT_hash_handle hh; /* by site.name */
};

/* Both: a site that was changed. */
struct site_step {
    struct member *leaves, *enters; /* NULL: none */
    bool at_once;                   /* enters as new or changed, not as a start finds it */
};

struct site_steps {
    struct site_step *steps;
    size_t count, room;
    size_t made; /* the loop counts here */
};

/* What its handshakes need; NULL for what it does without. */
struct site_files {
    char *ca_file, *cert_file, *key_file;
};

struct site_change {
    size_t added, changed, removed, unchanged;
    size_t older;             /* news that were known already */
    size_t over_limit;        /* sites of the topic that there was no room for */
    const struct site *taken; /* one whose name is another's, of `taken_count`; NULL: none */
    size_t taken_count;
    size_t steps_count;       /* of all parts */
    size_t at_once;           /* sites that enter so, over which those are spread */
    size_t started_with;      /* sites over which the others are spread */
    struct site_files *files; /* of its sites, or of all when it is a list; the same ones once */
    size_t file_count;
    size_t part_count;
    struct site_steps *parts;
};

/* parts: how many loops share the sites. */
struct siteset *siteset_new(size_t parts);
/* Every member that left was given back. */
void siteset_free(struct siteset *s);

size_t siteset_count(const struct siteset *s);         /* being checked */
size_t siteset_topic_count(const struct siteset *s);   /* of those, the topic's */
size_t siteset_waiting_count(const struct siteset *s); /* whose name is another's */

/*
 * The sites of the list from now on; takes them out of *targets, which is empty afterwards. Sites
 * equal to ones it has are left alone, those with enabled = false are left out. Patterns compile
 * and paths parse (common/site has seen to that). The caller frees the change with
 * site_change_free, and the loops take each step of it before the next one is made.
 */
struct site_change *siteset_take_over(struct siteset *s, struct targets *targets);

/* The same for news of the topic, in their order; it takes the sites out of the list, which is
 * empty afterwards. It takes no longer for a large set than for a small one. */
struct site_change *siteset_hear(struct siteset *s, struct news_list *list);

/* Steps that were not made, as the loops have ended, are seen to. */
void site_change_free(struct site_change *change);

/* Free the members that were given back. */
void siteset_bury(struct siteset *s);

/* For the loop that has the member. One that left must not be touched after the call. */
void member_leave(struct member *member);
void member_begin_check(struct member *member);
void member_end_check(struct member *member);

#endif
