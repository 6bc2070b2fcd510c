/*
 * wakeup - a descriptor (eventfd) by which one thread wakes another that waits in poll or epoll.
 *
 * Ringing it makes it readable until it is taken; rung often before that, it wakes once. Any
 * thread may ring, and none is ever held up by that. The owner closes it.
 */
#ifndef COMMON_WAKEUP_H
#define COMMON_WAKEUP_H

#include <stdbool.h>

#include "common/err.h"

/* The descriptor, or -1 and ERR_FATAL. */
int wakeup_open(struct err *err) MUST_CHECK;

void wakeup_ring(int fd);

/* Makes it wait again. True: it was rung since it was taken last. What was rung for is looked at
 * after this, so that another ring meanwhile is not missed. */
bool wakeup_take(int fd);

#endif
