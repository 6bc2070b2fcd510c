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
    uint64_t random; /* state of the generator; any seed but 0 */
};

void backoff_init(struct backoff *b, int64_t first_ms, int64_t max_ms, uint64_t seed);
void backoff_reset(struct backoff *b);

/* Between a half and the whole of the doubling step. */
int64_t backoff_next_ms(struct backoff *b);

#endif
