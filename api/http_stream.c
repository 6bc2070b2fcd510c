#include "api/http_stream.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/mem.h"

/* Asked for at a time, but in chunks, which are as long as there is room. */
#define BLOCK_BYTES 4096

struct http_stream {
    struct MHD_Connection *connection;
    struct answer_stream source;
    pthread_mutex_t lock;
    bool suspended;
    bool woken; /* since the last read */
};

/* Under the lock, so that a connection is resumed once for each time that it is suspended, and not
 * before it is. What comes between a read and the suspension is not lost: it is `woken`. */
static void on_wake(void *context)
{
    struct http_stream *s = context;

    pthread_mutex_lock(&s->lock);
    s->woken = true;
    if (s->suspended) {
        s->suspended = false;
        MHD_resume_connection(s->connection);
    }
    pthread_mutex_unlock(&s->lock);
}

/* Whether to read again at once. */
static bool suspend_unless_woken(struct http_stream *s)
{
    pthread_mutex_lock(&s->lock);

    bool again = s->woken;

    s->woken = false;
    if (!again) {
        s->suspended = true;
        MHD_suspend_connection(s->connection);
    }
    pthread_mutex_unlock(&s->lock);
    return again;
}

static ssize_t on_read(void *context, uint64_t position, char *out, size_t size)
{
    struct http_stream *s = context;
    ssize_t got;

    (void)position;
    do {
        got = s->source.read(s->source.context, out, size);
    } while (got == 0 && suspend_unless_woken(s));
    return got >= 0 ? got : MHD_CONTENT_READER_END_OF_STREAM;
}

static void on_free(void *context)
{
    struct http_stream *s = context;

    s->source.close(s->source.context); /* nobody wakes it from here on */
    pthread_mutex_destroy(&s->lock);
    free(s);
}

struct MHD_Response *http_stream_response(struct MHD_Connection *connection,
                                          const struct answer_stream *stream)
{
    struct http_stream *s = mem_alloc(1, sizeof(*s));
    struct MHD_Response *response;

    *s = (struct http_stream){.connection = connection, .source = *stream};
    pthread_mutex_init(&s->lock, NULL);
    response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, on_read, s, on_free);
    if (response == NULL) {
        pthread_mutex_destroy(&s->lock);
        free(s);
        return NULL;
    }
    s->source.listen(s->source.context, on_wake, s);
    return response;
}
