/*
 * tls_key - keys of producer/tls_memo and producer/tls_sessions, by a number.
 */
#ifndef TESTS_UNIT_TLS_KEY_H
#define TESTS_UNIT_TLS_KEY_H

#include <stdint.h>
#include <string.h>

#include "producer/tls_memo.h"

/* As spread as a hash: two numbers never share their first bytes. Until the next call. */
static inline const unsigned char *key_of(uint32_t number)
{
    static unsigned char key[TLS_MEMO_KEY_BYTES];

    memset(key, 0, sizeof(key));
    memcpy(key, &number, sizeof(number));
    return key;
}

#endif
