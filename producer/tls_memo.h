/*
 * tls_memo - which certificate chains were verified for which name, so that the same bytes need
 * not be verified again.
 *
 * A chain is known by the SHA-256 of all that its verification looks at but the clock: the
 * certificates as the server sent them, byte by byte, the name or address that was asked for, and
 * which trust store. The clock is looked at each time. That the server holds the key of the
 * certificate is no part of it: the handshake proves that anew each time.
 *
 * A table of fixed size; of those that share a place the one not used for longest goes.
 */
#ifndef PRODUCER_TLS_MEMO_H
#define PRODUCER_TLS_MEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_MEMO_CHAINS_MAX 16384
#define TLS_MEMO_KEY_BYTES 32

/* When all certificates of a chain are valid: from the first second until before the second. */
struct tls_times {
    int64_t begins_s, ends_s;
};

static inline bool tls_times_hold(const struct tls_times *times, int64_t now_s)
{
    return now_s >= times->begins_s && now_s < times->ends_s;
}

struct tls_memo;

struct tls_memo *tls_memo_new(void);
void tls_memo_free(struct tls_memo *memo);

/* Whether the chain was found good, and all its certificates are valid at now_s. */
bool tls_memo_knows(struct tls_memo *memo, const unsigned char key[TLS_MEMO_KEY_BYTES],
                    int64_t now_s, struct tls_times *times);
/* It was found good. */
void tls_memo_add(struct tls_memo *memo, const unsigned char key[TLS_MEMO_KEY_BYTES],
                  const struct tls_times *times);

#endif
