#include "common/backoff.h"

void backoff_init(struct backoff *b, int64_t first_ms, int64_t max_ms, uint64_t seed)
{
    *b = (struct backoff){
        .first_ms = first_ms,
        .max_ms = max_ms,
        .next_ms = first_ms,
        .random = seed == 0 ? 1 : seed,
    };
}

void backoff_reset(struct backoff *b)
{
    b->next_ms = b->first_ms;
}

/* xorshift64 (Marsaglia 2003): spread is all that is asked of it. */
static uint64_t draw(struct backoff *b)
{
    b->random ^= b->random << 13;
    b->random ^= b->random >> 7;
    b->random ^= b->random << 17;
    return b->random;
}

int64_t backoff_next_ms(struct backoff *b)
{
    int64_t step = b->next_ms;
    int64_t half = step / 2;

    b->next_ms = step * 2 > b->max_ms ? b->max_ms : step * 2;
    return half + (int64_t)(draw(b) % (uint64_t)(step - half + 1));
}
