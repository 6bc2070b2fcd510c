/*
 * gzip - bytes compressed while they are read, for clients of HTTP that take it. With it zlib.h has
 * its one owner.
 */
#ifndef COMMON_GZIP_H
#define COMMON_GZIP_H

#include <stdbool.h>
#include <stddef.h>

/* Whether an Accept-Encoding (RFC 9110, 12.5.3; NULL: none) names gzip, or *, and does not refuse
 * it with q=0. */
bool gzip_is_accepted(const char *accepted);

struct gzip;

/* The next bytes to compress, at most size; 0 at the end. */
typedef size_t gzip_read_fn(void *context, char *out, size_t size);

struct gzip *gzip_new(gzip_read_fn *read, void *context);
void gzip_free(struct gzip *g);

/* The next compressed bytes, at most size; 0 at the end. */
size_t gzip_read(struct gzip *g, char *out, size_t size);

#endif
