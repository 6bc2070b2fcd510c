/*
 * replay - put dead letters back on the topic they came from: bytes and key unchanged.
 *
 * A portion at a time: its letters are locked, sent, and marked once the broker has acknowledged
 * them. What is killed in between is sent again by the next replay; the id of an event makes the
 * repeat harmless. Letters that come while it runs, its own failures among them, are left for the
 * next.
 */
#ifndef CONSUMER_REPLAY_H
#define CONSUMER_REPLAY_H

#include <stddef.h>
#include <stdio.h>

#include "common/err.h"
#include "common/kafka.h"
#include "consumer/letters.h"

struct replay_settings {
    const char *dsn;
    const struct kafka_settings *kafka;
    const char *topic_dead_letter;
    struct letters_choice choice;
};

struct replay_counts {
    size_t replayed;
    size_t refused; /* could not be put back; each was said */
};

/*
 * Prints a line for each letter that is refused, and why. *counts is right after a failure too:
 * ERR_RETRY when Kafka or Postgres is away, ERR_INVALID for what was asked.
 */
int replay_run(const struct replay_settings *settings, FILE *out, struct replay_counts *counts,
               struct err *err) MUST_CHECK;

#endif
