/*
 * letterscan - find dead letters in the dead-letter topic by where their message came from (the
 * headers dlq.topic, dlq.partition, dlq.offset), for those of which the table has the first
 * 64 KiB only.
 *
 * It reads the topic from the time of the oldest of them to its end, and commits nothing.
 */
#ifndef CONSUMER_LETTERSCAN_H
#define CONSUMER_LETTERSCAN_H

#include <stddef.h>

#include "common/err.h"
#include "common/kafka.h"
#include "consumer/letters.h"

/* A letter that was found, with the bytes that have its length and SHA-256. An error ends the scan
 * and is returned. */
typedef int letterscan_found_fn(void *context, const struct letter *letter,
                                const rd_kafka_message_t *message, struct err *err);

/* Look for letters[0..count), each of which is found at most once. ERR_RETRY when the broker does
 * not answer, ERR_FATAL when it refuses, or on_found's. */
int letterscan_run(const struct kafka_settings *kafka, const char *topic,
                   const struct letter *const *letters, size_t count, letterscan_found_fn *on_found,
                   void *context, struct err *err) MUST_CHECK;

#endif
