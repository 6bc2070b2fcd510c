/*
 * thread - the one way in which our threads are started.
 *
 * No signal that is sent to the process is handled in them: those are for the main thread, which
 * reads them from a descriptor. Faults of a thread's own (SIGSEGV and the like) do reach it, as a
 * terminal that was taken over is given back by their handler.
 */
#ifndef COMMON_THREAD_H
#define COMMON_THREAD_H

#include <pthread.h>

#include "common/err.h"

/* What is shown of a name by ps and top; the rest is cut. */
#define THREAD_NAME_BYTES_MAX 15

/* Runs run(context) in *thread, which the caller joins or detaches. ERR_FATAL names the thread;
 * *thread is not to be joined then. */
int thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *context,
                 struct err *err) MUST_CHECK;

#endif
