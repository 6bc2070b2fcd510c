/*
 * events - what changes of sites and of their state, told to clients as it happens: GET /events.
 *
 * One thread, with a connection of its own, looks twice a second at what was committed since its
 * last look, for all clients together, and puts it into the feed that they read.
 */
#ifndef API_EVENTS_H
#define API_EVENTS_H

#include "api/route.h"

struct events;

/* Takes a first look and starts the thread; Postgres may come later. NULL, ERR_FATAL. dsn is kept
 * by pointer. */
struct events *events_new(const char *dsn, int clients_max, struct metrics *m, struct err *err);

/* Every stream ends, before the server is stopped; clients have two seconds to read that. */
void events_end(struct events *e);

/* After the server. */
void events_free(struct events *e);

route_handle events_get;

#endif
