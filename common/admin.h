/*
 * admin - /metrics, /healthz and /readyz of a program, over HTTP (libmicrohttpd).
 *
 * It runs in a thread of its own, so that a stuck program still answers, with 503. It serves GET
 * and HEAD, has no state, and knows nothing of sites or Kafka.
 */
#ifndef COMMON_ADMIN_H
#define COMMON_ADMIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/metrics.h"

#define ADMIN_CONNECTIONS_MAX 32
#define ADMIN_TIMEOUT_S 10
#define ADMIN_STALL_NS (INT64_C(15) * 1000000000) /* no heartbeat for so long: not healthy */

/* What the program's threads tell the endpoint. Zeroed at the start. */
struct admin_health {
    _Atomic int64_t beat_ns; /* CLOCK_MONOTONIC of the last turn of the main loop */
    _Atomic bool ready;      /* doing its job now: /readyz is 200 */
};

struct admin;

/*
 * listen: "127.0.0.1:9101", "[::1]:9101", ":9101" (all addresses); port 0 takes a free one.
 * Returns NULL, and ERR_INVALID for text that is no address or ERR_FATAL when it cannot bind.
 */
struct admin *admin_new(const char *listen, const struct metrics *metrics,
                        struct admin_health *health, struct err *err);
void admin_free(struct admin *admin);

/* The port in use. */
uint16_t admin_port(const struct admin *admin);

#endif
