/*
 * loop - one thread's epoll: descriptors, and what to call when one is ready.
 *
 * It knows no time, no sites and no curl; modules that wait for time say when they are next due,
 * and who turns the loop takes the earliest. epoll carries descriptor numbers, not pointers: a
 * descriptor that was closed, or reused within one turn, finds the handler of its number or none.
 */
#ifndef PRODUCER_LOOP_H
#define PRODUCER_LOOP_H

#include <stdint.h>

#include "common/err.h"

#define LOOP_READ 1u
#define LOOP_WRITE 2u
#define LOOP_FAIL 4u /* error or hang-up; always watched for */

struct loop;

typedef void loop_ready_fn(void *context, int fd, unsigned ready);

/* NULL and ERR_FATAL when the kernel refuses. */
struct loop *loop_new(struct err *err);
void loop_free(struct loop *l);

/* Watch fd, or change what it is watched for. The loop does not own fd. ERR_FATAL. */
int loop_watch(struct loop *l, int fd, unsigned events, loop_ready_fn *on_ready, void *context,
               struct err *err) MUST_CHECK;

/* Harmless when fd is not watched, or closed already. Call it before fd is closed. */
void loop_unwatch(struct loop *l, int fd);

/*
 * Nothing is called for fd until it is watched again. Cheaper than loop_unwatch for one that soon
 * will be, or that is closed next; loop_forget must be called before it is closed.
 */
void loop_rest(struct loop *l, int fd);
/* fd is closed next, or was just opened. Harmless when it is not known. */
void loop_forget(struct loop *l, int fd);

/* Wait until a descriptor is ready or CLOCK_MONOTONIC reaches until_ns (TIME_NEVER: no limit;
 * rounded up to a millisecond), then call the handlers. It may return earlier, with nothing
 * called: after a signal, and after a minute. ERR_FATAL. */
int loop_turn(struct loop *l, int64_t until_ns, struct err *err) MUST_CHECK;

#endif
