/*
 * siteset - the sites being checked, by name, and what a list of sites changes about them.
 *
 * The set belongs to the thread that loads sites. A loop gets its part of a change as a list of
 * steps, members that enter and members that leave, and never sees the set itself. A member's site
 * and patterns do not change while it lives; the fields that say so are the loop's alone. A member
 * that left is given back when its last check has ended, and is freed by the thread of the set.
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

struct retry; /* producer/retry's */
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
    bool seen; /* in the list that is being taken over */
    struct siteset *set;
    struct member *next_given_back;
    UT_hash_handle hh; /* by site.name */
};

/* Both: a site that was changed. */
struct site_step {
    struct member *leaves, *enters; /* NULL: none */
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
    struct site_files *files; /* of all sites, the same ones once */
    size_t file_count;
    size_t part_count;
    struct site_steps *parts;
};

/* parts: how many loops share the sites. */
struct siteset *siteset_new(size_t parts);
/* Every member that left was given back. */
void siteset_free(struct siteset *s);

size_t siteset_count(const struct siteset *s);

/*
 * The sites from now on; takes them out of *targets, which is empty afterwards. Sites equal to
 * ones it has are left alone, those with enabled = false are left out. Patterns compile and paths
 * parse (common/site has seen to that). The caller frees the change with site_change_free, and the
 * loops take each step of it before the next list is taken over.
 */
struct site_change *siteset_take_over(struct siteset *s, struct targets *targets);
/* Steps that were not made, as the loops have ended, are seen to. */
void site_change_free(struct site_change *change);

/* Free the members that were given back. */
void siteset_bury(struct siteset *s);

/* For the loop that has the member. One that left must not be touched after the call. */
void member_leave(struct member *member);
void member_begin_check(struct member *member);
void member_end_check(struct member *member);

#endif
