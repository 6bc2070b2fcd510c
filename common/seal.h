/*
 * seal - texts that only who has the key can read (libsodium, XChaCha20-Poly1305).
 *
 *     "1.KEY.TEXT"    the version of this form, which key, nonce and ciphertext in base64
 *
 * A text is sealed for a place, and opens in no other: who can write where it is kept cannot move
 * it. The nonce is a keyed hash of both, so that the same text sealed anew for the same place is
 * the same, and a change can be told from none; it shows nothing else but its length.
 */
#ifndef COMMON_SEAL_H
#define COMMON_SEAL_H

#include <stddef.h>

#include "common/err.h"

#define SEAL_KEYS_MAX 8

struct seal;

/*
 * From keys of 32 bytes in base64, with commas between: the first seals, all open. NULL and
 * ERR_INVALID, which shows none of them; ERR_FATAL when the system gives no random numbers.
 */
struct seal *seal_new(const char *keys, struct err *err);
void seal_free(struct seal *seal);

/* The caller frees. */
char *seal_close(const struct seal *seal, const char *place, const char *text);

/* NULL and ERR_INVALID: it is no sealed text, its key is not there, or it is not of this place. The
 * message goes on after a name: "is sealed with key 1a2b3c4d, which is not set". The caller frees.
 */
char *seal_open(const struct seal *seal, const char *place, const char *sealed, struct err *err);

#endif
