/*
 * assets - the files that are embedded into the program: api/schemas.json and api/web/.
 */
#ifndef API_ASSETS_H
#define API_ASSETS_H

#include <stddef.h>

struct asset {
    const char *name; /* "web/docs.js"; NULL ends the list */
    const char *tag;  /* another one where the bytes are others */
    const char *bytes;
    size_t len;
};

extern const struct asset assets[];

/* NULL when there is none of that name. */
const struct asset *asset_find(const char *name);

#endif
