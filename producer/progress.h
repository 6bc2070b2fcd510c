/*
 * progress - the line of a long run of --once that says how far it is, on a terminal and nowhere
 * else. It needs no escape sequence.
 */
#ifndef PRODUCER_PROGRESS_H
#define PRODUCER_PROGRESS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/event.h"
#include "producer/terminal.h"

#define PROGRESS_FIRST_NS (INT64_C(500) * 1000000) /* a run that is shorter has no such line */
#define PROGRESS_NS (INT64_C(200) * 1000000)       /* at most so often */

struct progress {
    const struct terminal *terminal;
    FILE *out;
    size_t done, not_up;
    int columns;    /* of the line that is there; 0: none */
    int64_t due_ns; /* TIME_NEVER: it is not for a terminal */
};

/* out goes to that terminal. */
void progress_init(struct progress *p, const struct terminal *terminal, FILE *out, int64_t now_ns);
void progress_count(struct progress *p, enum check_status status);
/* Draws it when it is due; p->due_ns is when it is again. */
void progress_show(struct progress *p, size_t total, int64_t now_ns);
/* Before anything else is written to the same terminal, and at the end. */
void progress_hide(struct progress *p);

#endif
