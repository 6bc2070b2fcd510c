/*
 * view - one frame of --watch: every site's state and last checks, as many lines as there are, the
 * worst first.
 *
 * It draws a frame of any size from producer/latest, and knows no time and no terminal's life.
 */
#ifndef PRODUCER_VIEW_H
#define PRODUCER_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "producer/latest.h"
#include "producer/terminal.h"

#define VIEW_ROWS_MAX 512 /* of a frame; a taller terminal stays empty below */

/* What the first line says beside the states. */
struct view_facts {
    const char *location;
    const char *note; /* "draining", ""; not NULL */
    size_t sites, in_flight;
    uint64_t slots_missed;
    int64_t now_us; /* realtime */
};

/* Home, t->rows lines of at most t->columns columns, and what is below cleared. */
void view_draw(const struct terminal *t, FILE *out, struct latest *latest,
               const struct view_facts *facts);

#endif
