/*
 * figures - what the checks of each site came to in the last 24 hours, for the list of all sites:
 * a bar of hours, uptime, p95 and the end of the certificate. It knows no request.
 *
 * To put them together takes Postgres a second and more where there are many sites. So a thread
 * does it, while somebody asks, in portions that each take a connection for a moment; who asks
 * gets the last ones that were made.
 */
#ifndef API_FIGURES_H
#define API_FIGURES_H

#include "api/db.h"

#define FIGURES_SITES_MAX 50000 /* a multiple of a portion */
#define FIGURES_SECONDS_MIN 10  /* between two makings */
#define FIGURES_SHARE 20        /* and so many times as long as one takes */

struct figures;

/* Starts the thread. NULL and ERR_FATAL when there is none to be had. */
struct figures *figures_new(struct db *db, struct err *err);
void figures_free(struct figures *f);

struct figure {
    int64_t website_id;
    char *json; /* an object */
};

struct figures_made {
    int64_t at_ms; /* since 1970 */
    size_t count;
    struct figure *sites; /* in ascending order of their ids */
};

/*
 * The last that were made; others are made when those are old. Who asks first waits for them, for
 * `wait_ms` at most; NULL: there are none yet. They stay as they are until they are given back.
 */
const struct figures_made *figures_take(struct figures *f, int64_t wait_ms);
void figures_give(struct figures *f, const struct figures_made *made);

#endif
