#include "common/backoff.h"

#include <stdlib.h>

void backoff_init(struct backoff *b, int64_t first_ms, int64_t max_ms)
{
    *b = (struct backoff){.first_ms = first_ms, .max_ms = max_ms, .next_ms = first_ms};
}

void backoff_reset(struct backoff *b)
{
    b->next_ms = b->first_ms;
}

int64_t backoff_next_ms(struct backoff *b)
{
    int64_t step = b->next_ms;
    int64_t half = step / 2;

    b->next_ms = step * 2 > b->max_ms ? b->max_ms : step * 2;
    /* The system's numbers: what a process could seed its own with is alike in all containers. */
    return half + arc4random_uniform((uint32_t)(step - half + 1));
}
