#include "producer/tls_memo.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define WAYS 4 /* chains that share a place */

struct chain {
    unsigned char key[TLS_MEMO_KEY_BYTES];
    struct tls_times times;
    uint64_t used; /* the memo's clock then; 0: free */
};

struct tls_memo {
    uint64_t clock; /* counts uses */
    struct chain chains[TLS_MEMO_CHAINS_MAX];
};

/* Its pages take memory only when they are used. */
struct tls_memo *tls_memo_new(void)
{
    return mem_alloc(1, sizeof(struct tls_memo));
}

void tls_memo_free(struct tls_memo *memo)
{
    free(memo);
}

/* The first of the WAYS that may hold it. The key is a hash: any bits of it will do. */
static struct chain *place_of(struct tls_memo *memo, const unsigned char *key)
{
    uint32_t bits;

    memcpy(&bits, key, sizeof(bits));
    return &memo->chains[bits % (TLS_MEMO_CHAINS_MAX / WAYS) * WAYS];
}

bool tls_memo_knows(struct tls_memo *memo, const unsigned char key[TLS_MEMO_KEY_BYTES],
                    int64_t now_s, struct tls_times *times)
{
    struct chain *place = place_of(memo, key);

    for (size_t i = 0; i < WAYS; i++) {
        struct chain *chain = &place[i];

        if (chain->used != 0 && memcmp(chain->key, key, sizeof(chain->key)) == 0) {
            chain->used = ++memo->clock;
            *times = chain->times;
            return tls_times_hold(times, now_s);
        }
    }
    return false;
}

void tls_memo_add(struct tls_memo *memo, const unsigned char key[TLS_MEMO_KEY_BYTES],
                  const struct tls_times *times)
{
    struct chain *place = place_of(memo, key);
    struct chain *oldest = &place[0];

    for (size_t i = 0; i < WAYS; i++) {
        if (place[i].used != 0 && memcmp(place[i].key, key, sizeof(place[i].key)) == 0) {
            oldest = &place[i];
            break;
        }
        if (place[i].used < oldest->used) {
            oldest = &place[i];
        }
    }
    *oldest = (struct chain){.times = *times, .used = ++memo->clock};
    memcpy(oldest->key, key, sizeof(oldest->key));
}
