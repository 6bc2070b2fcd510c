/*
 * shards - our share of the topic of the sites, read and followed in a thread of its own.
 *
 * Producers of one location are one consumer group, SHARDS_GROUP_FORMAT, and a partition that the
 * group gives us is a shard. It is read from its beginning; that its end was reached is told, and
 * what comes later is followed. No offset is ever stored. Before the group has a shard back, it is
 * told to forget it, and waited until that is done; a shard that was lost is told to be forgotten
 * as soon as that is known.
 *
 * A topic that is missing or not compacted is refused with a log line, and looked at again until it
 * is as it must be. A message that is no site is counted, said, and left out.
 *
 * It knows neither schedules nor checks: what it reads is given to the functions of the settings.
 * It counts sitewatch_shard_changes_total{change} and sets sitewatch_shards{state}.
 */
#ifndef PRODUCER_SHARDS_H
#define PRODUCER_SHARDS_H

#include <stdbool.h>

#include "common/err.h"
#include "common/kafka.h"
#include "common/metrics.h"
#include "common/seal.h"
#include "producer/news.h"

#define SHARDS_GROUP_FORMAT "sitewatch-%s-%s" /* topic, location */

struct shards_settings {
    const struct kafka_settings *kafka;
    const char *topic, *location;
    const struct seal *seal; /* of the sites' secrets; NULL: none opens */
    /* Whether the topic will do. ERR_INVALID, ERR_RETRY and ERR_FATAL are all tried again. It waits
     * for a broker no longer than until stop_fd is readable. */
    int (*check_topic)(const struct kafka_settings *kafka, const char *topic, int stop_fd,
                       struct err *err);
    /* Takes what is in the list, which is empty afterwards. */
    void (*tell)(void *context, struct news_list *list);
    /* Waits until what was told is done. */
    void (*settle)(void *context);
    void *context;
};

struct shards;

/* Whether shards_new would take the settings; connects nowhere. ERR_INVALID. */
int shards_check(const struct shards_settings *settings, struct err *err) MUST_CHECK;

/* Starts the thread. Borrows the strings. NULL, and ERR_INVALID for a property of Kafka's or
 * ERR_FATAL. */
struct shards *shards_new(const struct shards_settings *settings, struct metrics *m,
                          struct err *err);

/* Begin to leave the group, as no check starts any more: others have the shards soon. Nothing is
 * told from then on. */
void shards_leave(struct shards *s);
/* Leaves, and waits for the thread: after what it tells to will not let it wait. */
void shards_free(struct shards *s);

/* Make Kafka's client anew, with certificates that were renewed. It leaves the group for that, and
 * comes back: no check of our shards starts for a second or two. */
void shards_renew(struct shards *s);

/* Whether we are in the group and have read all our shards. From any thread. */
bool shards_are_read(const struct shards *s);

/* How producers find out: it is there and compacted. */
int shards_check_topic(const struct kafka_settings *kafka, const char *topic, int stop_fd,
                       struct err *err) MUST_CHECK;

#endif
