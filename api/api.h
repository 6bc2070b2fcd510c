/*
 * api - what the routes share: made once by run.c, then only read.
 */
#ifndef API_API_H
#define API_API_H

#include "api/db.h"
#include "common/metrics.h"

struct api {
    struct db *db;
    const struct metrics *metrics;
    const char *cors_origin;     /* NULL: no other page may ask */
    const char *allowed_options; /* of a site; see website_body.h */
};

#endif
