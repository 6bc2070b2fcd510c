/*
 * listen - the socket a program's HTTP server listens on, from the text of a setting.
 */
#ifndef COMMON_LISTEN_H
#define COMMON_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

/*
 * text: "127.0.0.1:9101", "[::1]:9101", ":9101" (all addresses); port 0 takes a free one. Returns
 * a listening, non-blocking descriptor, which the caller closes. -1: ERR_INVALID for text that is
 * no address, ERR_FATAL when it cannot bind; the message begins with the text.
 */
int listen_open(const char *text, int backlog, struct err *err) MUST_CHECK;

/* The text alone; no socket is made. ERR_INVALID as above. */
int listen_check(const char *text, struct err *err) MUST_CHECK;

/* The port in use. */
uint16_t listen_port(int fd);

/* Whether only this machine reaches it: 127.0.0.0/8 or ::1. */
bool listen_is_loopback(int fd);

#endif
