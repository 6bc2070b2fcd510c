#include "api/limiter.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

#define uthash_malloc(size) mem_alloc(1, (size))
#include <uthash.h>

/* A host has a /64 of IPv6 at the least, so that is what counts as one address. */
#define KEY_BYTES 8

struct bucket {
    unsigned char key[KEY_BYTES];
    int64_t full_ns; /* when it has its whole burst again */
    UT_hash_handle hh;
};

struct limiter {
    int64_t cost_ns;  /* of one request */
    int64_t burst_ns; /* what a burst costs */
    pthread_mutex_t lock;
    struct bucket *buckets; /* oldest use first */
};

struct limiter *limiter_new(int64_t per_second, int64_t burst)
{
    struct limiter *l = mem_alloc(1, sizeof(*l));

    l->cost_ns = NS_PER_SEC / per_second;
    l->burst_ns = l->cost_ns * burst;
    pthread_mutex_init(&l->lock, NULL);
    return l;
}

void limiter_free(struct limiter *l)
{
    struct bucket *bucket, *next;

    if (l == NULL) {
        return;
    }
    HASH_ITER (hh, l->buckets, bucket, next) {
        HASH_DEL(l->buckets, bucket);
        free(bucket);
    }
    pthread_mutex_destroy(&l->lock);
    free(l);
}

/* IPv4 as its IPv4-mapped form would begin after the prefix: no /64 in use is all zero. */
static void key_of(const struct sockaddr *address, unsigned char key[KEY_BYTES])
{
    memset(key, 0, KEY_BYTES);
    if (address->sa_family == AF_INET) {
        memcpy(key + KEY_BYTES - 4, &((const struct sockaddr_in *)address)->sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)address)->sin6_addr;

        if (IN6_IS_ADDR_V4MAPPED(six)) {
            memcpy(key + KEY_BYTES - 4, six->s6_addr + 12, 4);
        } else {
            memcpy(key, six->s6_addr, KEY_BYTES);
        }
    }
}

/* The address' bucket, put last in the order of use. */
static struct bucket *bucket_of(struct limiter *l, const unsigned char key[KEY_BYTES],
                                int64_t now_ns)
{
    struct bucket *bucket;

    HASH_FIND(hh, l->buckets, key, KEY_BYTES, bucket);
    if (bucket != NULL) {
        HASH_DEL(l->buckets, bucket);
    } else if (HASH_COUNT(l->buckets) >= LIMITER_ADDRESSES_MAX) {
        bucket = l->buckets;
        HASH_DEL(l->buckets, bucket);
        bucket->full_ns = now_ns;
    } else {
        bucket = mem_alloc(1, sizeof(*bucket));
        bucket->full_ns = now_ns;
    }
    memcpy(bucket->key, key, KEY_BYTES);
    HASH_ADD(hh, l->buckets, key, KEY_BYTES, bucket);
    return bucket;
}

bool limiter_take(struct limiter *l, const struct sockaddr *address, int64_t now_ns,
                  int64_t *wait_s)
{
    unsigned char key[KEY_BYTES];
    bool allowed;

    key_of(address, key);
    pthread_mutex_lock(&l->lock);
    struct bucket *bucket = bucket_of(l, key, now_ns);

    if (bucket->full_ns < now_ns) {
        bucket->full_ns = now_ns;
    }
    int64_t over_ns = bucket->full_ns + l->cost_ns - now_ns - l->burst_ns;

    allowed = over_ns <= 0;
    if (allowed) {
        bucket->full_ns += l->cost_ns;
    } else {
        *wait_s = (over_ns + NS_PER_SEC - 1) / NS_PER_SEC;
    }
    pthread_mutex_unlock(&l->lock);
    return allowed;
}
