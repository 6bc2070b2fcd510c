/*
 * api - what the routes share: made once by run.c, then only read.
 */
#ifndef API_API_H
#define API_API_H

#include "api/db.h"
#include "api/website_body.h"
#include "common/metrics.h"
#include "common/seal.h"

struct events;
struct overview;
struct pipeline;
struct public_page;

struct api {
    struct db *db;
    struct events *events;
    struct pipeline *pipeline;
    struct public_page *public_page;
    struct overview *overview;
    const struct metrics *metrics;
    const char *cors_origin; /* NULL: no other page may ask */
    struct website_rules rules;
    const struct seal *seal; /* NULL: sites have no secrets */
};

#endif
