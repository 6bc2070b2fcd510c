/*
 * selfprobe - whether our own network is up, when checks begin to fail: connects to the addresses
 * that the operator names, from a thread of its own.
 *
 * A check that failed without having reached anything asks. Where another one reached a host
 * meanwhile, or shortly before, the answer is there: it is the site. Otherwise one connection to
 * any of the addresses decides, made now: none within PROBE_SELF_MS is our own network's fault,
 * until a check or one of these connections, made again every second, gets through.
 *
 * It knows no sites and no verdicts. All functions but new, attach and free may be called from any
 * thread.
 */
#ifndef PRODUCER_SELFPROBE_H
#define PRODUCER_SELFPROBE_H

#include <stdint.h>

#include "common/err.h"
#include "common/metrics.h"
#include "producer/resolver.h"

#define PROBE_SELF_ADDRESSES_MAX 16
#define PROBE_SELF_MS 2000      /* after that an address counts as not reached */
#define PROBE_SELF_APART_MS 100 /* from the beginning of one time to that of the next */
#define PROBE_SELF_GRACE_MS 100 /* what was reached so shortly before a check counts for it */

enum selfprobe_answer {
    SELFPROBE_UP,    /* our network works, or worked while the check was made */
    SELFPROBE_DOWN,  /* it did not */
    SELFPROBE_ASKED, /* it is being tried; the descriptors will ring, and then it is known */
};

struct selfprobe;

/* addresses: "host:port" or URLs, separated by commas. ERR_INVALID names the wrong one. */
int selfprobe_check(const char *addresses, struct err *err) MUST_CHECK;

/* Starts the thread. NULL and ERR_INVALID as above, or ERR_FATAL. Registers
 * sitewatch_local_network_down and sitewatch_self_probes_total{result}. */
struct selfprobe *selfprobe_new(const char *addresses, const struct resolver_settings *resolver,
                                struct metrics *m, struct err *err);
void selfprobe_free(struct selfprobe *s);

/* Ring this descriptor (common/wakeup) after each time; it is not used any more after detach. */
void selfprobe_attach(struct selfprobe *s, int fd);
void selfprobe_detach(struct selfprobe *s, int fd);

/* A check reached its host just now. */
void selfprobe_reached(struct selfprobe *s, int64_t now_ns);

/* Of a check that began at began_ns (CLOCK_MONOTONIC) and has just failed. */
enum selfprobe_answer selfprobe_ask(struct selfprobe *s, int64_t began_ns);

#endif
