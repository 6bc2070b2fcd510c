/*
 * health - ask a program of ours, over HTTP, whether it is well: what --health does, for a health
 * check in an image that has no shell and no other program.
 */
#ifndef COMMON_HEALTH_H
#define COMMON_HEALTH_H

#include <stdbool.h>

#include "common/err.h"

/*
 * GET /healthz of the program that listens on `listen`, as --listen has it; where that is all
 * addresses, over loopback. With TLS the certificate is not verified: it is our own, and of another
 * name. 0 when the answer is 200. ERR_INVALID: nothing can be asked there; ERR_FATAL: no answer in
 * 5 s, or another one.
 */
int health_ask(const char *listen, bool tls, struct err *err) MUST_CHECK;

#endif
