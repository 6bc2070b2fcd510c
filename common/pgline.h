/*
 * pgline - the line to Postgres of a connection that one thread uses and another may cut, so that
 * a call that waits for the server fails soon, as when the connection is lost: a server that is
 * stopped, or behind a network that swallows packets, would let it wait for ever.
 *
 * It keeps a duplicate of the connection's socket, so that a cut never hits a descriptor that
 * stands for something else by then. It knows nothing of libpq.
 */
#ifndef COMMON_PGLINE_H
#define COMMON_PGLINE_H

#include <pthread.h>

struct pgline {
    pthread_mutex_t mutex;
    int fd; /* -1: there is no connection */
};

void pgline_init(struct pgline *line);
void pgline_free(struct pgline *line);

/* The connection's socket from now on, or -1 when there is none. */
void pgline_set(struct pgline *line, int socket);

/* The one call that another thread may make. Without a connection it does nothing: one that is
 * being made is not cut, but ends by its connect_timeout. */
void pgline_cut(struct pgline *line);

#endif
