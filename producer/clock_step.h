/*
 * clock_step - tells when the wall clock was stepped.
 *
 * The kernel cancels a timer of that clock then: timerfd_create(2), TFD_TIMER_CANCEL_ON_SET.
 */
#ifndef PRODUCER_CLOCK_STEP_H
#define PRODUCER_CLOCK_STEP_H

#include "common/err.h"
#include "producer/loop.h"

struct clock_step;

/* on_step is called in a turn of the loop, which is borrowed. NULL and ERR_FATAL. */
struct clock_step *clock_step_new(struct loop *loop, void (*on_step)(void *context), void *context,
                                  struct err *err);
/* NULL is fine. Before loop_free. */
void clock_step_free(struct clock_step *c);

#endif
