/*
 * overview - all sites in one answer, in short: what the dashboard's list shows.
 */
#ifndef API_OVERVIEW_H
#define API_OVERVIEW_H

#include "api/figures.h"
#include "api/route.h"

#define OVERVIEW_MS 1000     /* an answer is given again for so long */
#define OVERVIEW_WAIT_MS 150 /* for the first figures after the start */

/* Its figures come from `figures`, which outlives it. */
struct overview *overview_new(struct figures *figures);
void overview_free(struct overview *o);

route_handle overview_get;

#endif
