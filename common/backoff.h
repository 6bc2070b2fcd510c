/*
 * backoff - how long to wait before trying again: doubling, with jitter, to a ceiling, so that
 * many clients of one server that was away do not all come back in the same moment.
 */
#ifndef COMMON_BACKOFF_H
#define COMMON_BACKOFF_H

#include <stdint.h>

struct backoff {
    int64_t first_ms, max_ms;
    int64_t next_ms; /* before jitter */
};

/* 1 <= first_ms <= max_ms <= INT32_MAX. */
void backoff_init(struct backoff *b, int64_t first_ms, int64_t max_ms);

/* It went well: the next wait is a first one. */
void backoff_reset(struct backoff *b);

/* How long to wait: between a half and the whole of the doubling step. */
int64_t backoff_next_ms(struct backoff *b);

#endif
