/*
 * sitereader - a message of the topic of the sites to news, or to a line that says what is wrong
 * with it.
 *
 * It knows no consumer group. One thread uses it.
 */
#ifndef PRODUCER_SITEREADER_H
#define PRODUCER_SITEREADER_H

#include <librdkafka/rdkafka.h>
#include <stdint.h>

#include "common/metrics.h"
#include "common/seal.h"
#include "producer/news.h"

struct sitereader {
    const struct seal *seal; /* of the sites' secrets; NULL: none opens */
    struct metric *bad;
    int64_t lines_until_ns; /* of the window in which lines are counted */
    int lines;
};

/* Counts sitewatch_site_messages_total{result="bad"}. */
void sitereader_init(struct sitereader *r, const struct seal *seal, struct metrics *m);

/* Adds what the message tells to the list. One that is no site is counted, said, and adds nothing.
 */
void sitereader_take(struct sitereader *r, const rd_kafka_message_t *message,
                     struct news_list *list);

#endif
