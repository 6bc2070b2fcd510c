/*
 * ident - what a site's name decides: when its slots are, and the id of each check.
 *
 * Both are pure functions of the name, so that two producers that overlap for a moment, and a
 * producer before and after a restart, agree without talking to each other.
 */
#ifndef COMMON_IDENT_H
#define COMMON_IDENT_H

#include <stddef.h>
#include <stdint.h>

#define IDENT_UUID_SIZE 37 /* with the terminator */

/* The first 8 bytes of SHA-1(name), big-endian, modulo the interval. interval_ms > 0. */
int64_t ident_phase_ms(const char *name, int64_t interval_ms);

/* The id of one attempt at one slot: UUIDv5 (RFC 9562, 5.5) of "name|location|slot_ms|attempt" in
 * the URL namespace, in lower case. */
void ident_check_id(const char *name, const char *location, int64_t slot_ms, int attempt,
                    char out[IDENT_UUID_SIZE]);

#endif
