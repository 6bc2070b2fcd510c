/*
 * limiter - how often an address may ask: a token bucket each (the "leaky bucket as a meter" of
 * ITU-T I.371), in a table of fixed size. When it is full, the address that asked longest ago
 * makes room; it has most likely its whole burst again anyway. One lock, held for a lookup.
 */
#ifndef API_LIMITER_H
#define API_LIMITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define LIMITER_ADDRESSES_MAX 4096

struct limiter;

/* `burst` requests at once, then `per_second`. */
struct limiter *limiter_new(int64_t per_second, int64_t burst);
void limiter_free(struct limiter *l);

/* True: go on. False: *wait_s is in how many seconds, rounded up, the address may ask again. */
bool limiter_take(struct limiter *l, const struct sockaddr *address, int64_t now_ns,
                  int64_t *wait_s);

#endif
