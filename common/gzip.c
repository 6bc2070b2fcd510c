#include "common/gzip.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "common/mem.h"

#define WINDOW_BITS (15 + 16) /* 16: gzip's own frame (zlib.h, deflateInit2) */
#define MEM_LEVEL 8
#define INPUT_SIZE 65536

struct gzip {
    gzip_read_fn *read;
    void *context;
    z_stream stream;
    bool ended; /* read has given all */
    char input[INPUT_SIZE];
};

bool gzip_is_accepted(const char *accepted)
{
    while (accepted != NULL && *accepted != '\0') {
        size_t len = strcspn(accepted, ",");
        size_t start = strspn(accepted, " \t");
        size_t name_len = strcspn(accepted + start, ",; \t");
        const char *name = accepted + start;

        if ((name_len == 4 && strncasecmp(name, "gzip", 4) == 0) || strncmp(name, "*", 1) == 0) {
            const char *weight = memmem(accepted, len, "q=", 2);

            return weight == NULL || strtod(weight + 2, NULL) > 0;
        }
        accepted += len + (accepted[len] == ',');
    }
    return false;
}

static void *allocate(void *opaque, unsigned count, unsigned size)
{
    (void)opaque;
    return mem_alloc(count, size);
}

static void release(void *opaque, void *memory)
{
    (void)opaque;
    free(memory);
}

struct gzip *gzip_new(gzip_read_fn *read, void *context)
{
    struct gzip *g = mem_alloc(1, sizeof(*g));

    g->read = read;
    g->context = context;
    g->stream.zalloc = allocate;
    g->stream.zfree = release;

    int code = deflateInit2(&g->stream, Z_BEST_SPEED, Z_DEFLATED, WINDOW_BITS, MEM_LEVEL,
                            Z_DEFAULT_STRATEGY);

    assert(code == Z_OK); /* the parameters are ours, and memory there is */
    (void)code;
    return g;
}

void gzip_free(struct gzip *g)
{
    if (g != NULL) {
        deflateEnd(&g->stream);
        free(g);
    }
}

size_t gzip_read(struct gzip *g, char *out, size_t size)
{
    z_stream *s = &g->stream;
    int code = Z_OK;

    s->next_out = (unsigned char *)out;
    s->avail_out = (unsigned)size;
    while (s->avail_out > 0 && code == Z_OK) {
        if (s->avail_in == 0 && !g->ended) {
            s->avail_in = (unsigned)g->read(g->context, g->input, sizeof(g->input));
            s->next_in = (unsigned char *)g->input;
            g->ended = s->avail_in == 0;
        }
        code = deflate(s, g->ended ? Z_FINISH : Z_NO_FLUSH);
    }
    return size - s->avail_out;
}
