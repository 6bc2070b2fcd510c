/*
 * watch - the terminal of --watch: taken over, drawn on a few times a second, and given back as it
 * was.
 *
 * It writes through a description of its own that never blocks, so that a terminal that was
 * stopped (Ctrl-S) holds up nothing. It follows the terminal's size, gives the terminal back while
 * the process is stopped (Ctrl-Z), and when the process ends by a signal that is a fault.
 */
#ifndef PRODUCER_WATCH_H
#define PRODUCER_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "producer/latest.h"
#include "producer/loop.h"
#include "producer/terminal.h"
#include "producer/view.h"

#define WATCH_NS (INT64_C(250) * 1000000) /* at most so often */

struct watch;

/* Takes the terminal of the standard output over. Borrows all. There is one in a process, made
 * before threads that do not block its signals. NULL and ERR_FATAL on failure. */
struct watch *watch_new(const struct terminal *terminal, struct latest *latest, struct loop *loop,
                        struct err *err);
/* Gives it back. */
void watch_free(struct watch *w);

/* When watch_draw wants to be called. */
int64_t watch_next_due_ns(const struct watch *w);
/* ERR_FATAL when the terminal is gone. */
int watch_draw(struct watch *w, const struct view_facts *facts, int64_t now_ns,
               struct err *err) MUST_CHECK;

#endif
