/*
 * consume_conf - how librdkafka's consumer is set up; for common/consume alone.
 */
#ifndef COMMON_CONSUME_CONF_H
#define COMMON_CONSUME_CONF_H

#include <librdkafka/rdkafka.h>

#include "common/consume.h"

/* The first librdkafka that can be told how long to wait when its queue is full. */
#define CONSUME_BACKOFF_VERSION 0x020200ff

/* NULL, ERR_INVALID for a property. */
rd_kafka_conf_t *consume_conf_new(const struct consume_settings *s, struct err *err);

#endif
