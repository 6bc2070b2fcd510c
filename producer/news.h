/*
 * news - what the topic of the sites tells: plain data, from who reads it to who has the sites.
 *
 * A shard is a partition of the topic. The news of a shard are in order: sites put and dropped,
 * that its end was reached, sites put and dropped from then on, that it is another's.
 */
#ifndef PRODUCER_NEWS_H
#define PRODUCER_NEWS_H

#include <stddef.h>
#include <stdint.h>

#include "common/site.h"

enum news_kind {
    NEWS_PUT,    /* a site, new or changed */
    NEWS_DROP,   /* one that is deleted */
    NEWS_READ,   /* the shard's end was reached: its sites are all known */
    NEWS_FORGET, /* the shard is not ours any more, or is told anew */
};

struct news {
    enum news_kind kind;
    int32_t shard;
    int64_t id;       /* PUT, DROP */
    int64_t version;  /* PUT */
    int64_t offset;   /* PUT: of the message, for people */
    struct site site; /* PUT: owned */
};

struct news_list {
    struct news *news;
    size_t count, room;
};

/* The next element, zeroed. */
struct news *news_add(struct news_list *list, enum news_kind kind, int32_t shard);
/* Frees what is in the list; it is empty afterwards. */
void news_clear(struct news_list *list);

#endif
