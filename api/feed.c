#include "api/feed.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/cond.h"
#include "common/mem.h"

#define ID_SIZE 48
#define RETRY_MS 2000 /* until a client that lost the connection tries again */

/* Shared by the ring and those who are sending it. */
struct text {
    int users;
    size_t len;
    char bytes[];
};

struct feed_client {
    struct feed *feed;
    struct feed_client *next, *previous;
    int64_t token_id;
    uint64_t place;    /* of the event to send next; below the ring's first: it lost some */
    uint64_t beat;     /* the last one that it needs no comment for */
    struct text *text; /* being sent, or NULL */
    size_t sent;       /* bytes of it */
    bool greeted, ends;
    feed_wake *wake;
    void *wake_context;
};

struct feed {
    pthread_mutex_t lock; /* of all below */
    uint64_t epoch, beat;
    uint64_t first, end; /* places: of the oldest event, and of the next */
    struct text *ring[FEED_EVENTS_MAX];
    size_t bytes;
    pthread_cond_t left; /* a client has */
    struct feed_client *clients;
    int clients_count, clients_max;
    bool ended;
    struct metric *clients_now, *refused, *resets;
};

/* --- Texts --- */

static struct text *text_new(const char *bytes, size_t len)
{
    struct text *t = mem_alloc(1, sizeof(*t) + len);

    t->users = 1;
    t->len = len;
    memcpy(t->bytes, bytes, len);
    return t;
}

static void text_release(struct text *t)
{
    if (t != NULL && --t->users == 0) {
        free(t);
    }
}

static void write_id(const struct feed *f, uint64_t place, FILE *out)
{
    fprintf(out, "id: %016" PRIx64 "-%" PRIu64 "\n", f->epoch, place);
}

static struct text *close_text(FILE *out, char **bytes, const size_t *len)
{
    fclose(out);

    struct text *t = text_new(*bytes, *len);

    free(*bytes);
    return t;
}

/* A line of data for each line; a line ends in CR, LF or both. */
static void write_data(const char *data, FILE *out)
{
    for (;;) {
        size_t len = strcspn(data, "\r\n");

        fprintf(out, "data: %.*s\n", (int)len, data);
        data += len;
        if (*data == '\0') {
            return;
        }
        data += data[0] == '\r' && data[1] == '\n' ? 2 : 1;
    }
}

static struct text *text_of_event(const struct feed *f, const char *event, uint64_t place,
                                  const char *data)
{
    char *bytes = NULL;
    size_t len = 0;
    FILE *out = mem_stream(&bytes, &len);

    fprintf(out, "event: %s\n", event);
    write_id(f, place, out);
    write_data(data, out);
    fputc('\n', out);
    return close_text(out, &bytes, &len);
}

/* No event, but an id: who comes back before the first event has missed none. */
static struct text *text_of_greeting(const struct feed *f, uint64_t place)
{
    char *bytes = NULL;
    size_t len = 0;
    FILE *out = mem_stream(&bytes, &len);

    fprintf(out, "retry: %d\n", RETRY_MS);
    write_id(f, place, out);
    fputc('\n', out);
    return close_text(out, &bytes, &len);
}

/* --- The ring --- */

static void drop_oldest(struct feed *f)
{
    struct text **slot = &f->ring[f->first % FEED_EVENTS_MAX];

    f->bytes -= (*slot)->len;
    text_release(*slot);
    *slot = NULL;
    f->first++;
}

static void wake(struct feed_client *c)
{
    if (c->wake != NULL) {
        c->wake(c->wake_context);
    }
}

static void wake_all(struct feed *f)
{
    for (struct feed_client *c = f->clients; c != NULL; c = c->next) {
        wake(c);
    }
}

struct feed *feed_new(int clients_max, struct metrics *m)
{
    struct feed *f = mem_alloc(1, sizeof(*f));

    pthread_mutex_init(&f->lock, NULL);
    cond_init(&f->left);
    f->clients_max = clients_max;
    f->first = f->end = 1; /* place 0 is before them all */
    f->clients_now =
        metrics_gauge(m, "sitewatch_api_event_clients", "Clients that read events", NULL);
    f->refused = metrics_counter(m, "sitewatch_api_event_clients_refused",
                                 "Clients refused because there were as many as may be", NULL);
    f->resets = metrics_counter(m, "sitewatch_api_event_resets",
                                "Times that a client was told to load all anew", NULL);
    return f;
}

void feed_free(struct feed *f)
{
    if (f == NULL) {
        return;
    }
    assert(f->clients == NULL);
    while (f->first < f->end) {
        drop_oldest(f);
    }
    pthread_cond_destroy(&f->left);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

void feed_begin(struct feed *f, uint64_t epoch)
{
    pthread_mutex_lock(&f->lock);
    while (f->first < f->end) {
        drop_oldest(f);
    }
    f->first = ++f->end; /* who was at the end is behind it */
    f->epoch = epoch;
    wake_all(f);
    pthread_mutex_unlock(&f->lock);
}

void feed_put(struct feed *f, const char *event, const char *data)
{
    pthread_mutex_lock(&f->lock);

    struct text *t = text_of_event(f, event, f->end, data);

    while (f->first < f->end &&
           (f->end - f->first == FEED_EVENTS_MAX || f->bytes + t->len > FEED_BYTES_MAX)) {
        drop_oldest(f);
    }
    f->ring[f->end++ % FEED_EVENTS_MAX] = t;
    f->bytes += t->len;
    wake_all(f);
    pthread_mutex_unlock(&f->lock);
}

void feed_beat(struct feed *f)
{
    pthread_mutex_lock(&f->lock);
    f->beat++;
    wake_all(f);
    pthread_mutex_unlock(&f->lock);
}

void feed_end(struct feed *f, int64_t deadline_ns)
{
    bool in_time = true;

    pthread_mutex_lock(&f->lock);
    f->ended = true;
    wake_all(f);
    while (f->clients_count > 0 && in_time) {
        in_time = cond_wait_until(&f->left, &f->lock, deadline_ns);
    }
    pthread_mutex_unlock(&f->lock);
}

/* --- Clients --- */

int64_t *feed_tokens(struct feed *f, size_t *count)
{
    pthread_mutex_lock(&f->lock);

    int64_t *ids = mem_alloc((size_t)f->clients_count + 1, sizeof(*ids));

    *count = 0;
    for (const struct feed_client *c = f->clients; c != NULL; c = c->next) {
        ids[(*count)++] = c->token_id;
    }
    pthread_mutex_unlock(&f->lock);
    return ids;
}

void feed_drop(struct feed *f, int64_t token_id)
{
    pthread_mutex_lock(&f->lock);
    for (struct feed_client *c = f->clients; c != NULL; c = c->next) {
        if (c->token_id == token_id) {
            c->ends = true;
            wake(c);
        }
    }
    pthread_mutex_unlock(&f->lock);
}

/* Of the event after the one that is named; 0 when that is none of ours. */
static uint64_t place_after(const struct feed *f, const char *id)
{
    char wanted[ID_SIZE];
    char *end = NULL;
    const char *dash = strchr(id, '-');
    uint64_t place = dash == NULL ? 0 : strtoull(dash + 1, &end, 10);

    /* Written as it was read, it is the same to the letter, or it is not ours. */
    snprintf(wanted, sizeof(wanted), "%016" PRIx64 "-%" PRIu64, f->epoch, place);
    return strcmp(wanted, id) == 0 && place < f->end ? place + 1 : 0;
}

struct feed_client *feed_join(struct feed *f, int64_t token_id, const char *last_id)
{
    struct feed_client *c = NULL;

    pthread_mutex_lock(&f->lock);
    if (f->ended || f->clients_count == f->clients_max) {
        metric_add(f->refused, 1);
    } else {
        c = mem_alloc(1, sizeof(*c));
        *c = (struct feed_client){.feed = f, .token_id = token_id, .beat = f->beat};
        c->place = last_id == NULL ? f->end : place_after(f, last_id);
        c->next = f->clients;
        if (c->next != NULL) {
            c->next->previous = c;
        }
        f->clients = c;
        metric_set(f->clients_now, ++f->clients_count);
    }
    pthread_mutex_unlock(&f->lock);
    return c;
}

void feed_leave(struct feed_client *c)
{
    struct feed *f = c->feed;

    pthread_mutex_lock(&f->lock);
    if (c->next != NULL) {
        c->next->previous = c->previous;
    }
    if (c->previous != NULL) {
        c->previous->next = c->next;
    } else {
        f->clients = c->next;
    }
    metric_set(f->clients_now, --f->clients_count);
    text_release(c->text);
    pthread_cond_signal(&f->left);
    pthread_mutex_unlock(&f->lock);
    free(c);
}

void feed_listen(struct feed_client *c, feed_wake *on_more, void *context)
{
    pthread_mutex_lock(&c->feed->lock);
    c->wake = on_more;
    c->wake_context = context;
    pthread_mutex_unlock(&c->feed->lock);
}

/* What comes next for a client; NULL: nothing now. The caller is one more of its users. */
static struct text *next_text(struct feed_client *c)
{
    struct feed *f = c->feed;
    static const char beat[] = ":\n\n";

    if (c->place < f->first) {
        c->place = f->end;
        c->greeted = true;
        metric_add(f->resets, 1);
        return text_of_event(f, "reset", c->place - 1, "{}");
    }
    if (!c->greeted) {
        c->greeted = true;
        return text_of_greeting(f, c->place - 1);
    }
    if (c->place < f->end) {
        struct text *t = f->ring[c->place++ % FEED_EVENTS_MAX];

        t->users++;
        return t;
    }
    return c->beat == f->beat ? NULL : text_new(beat, sizeof(beat) - 1);
}

ssize_t feed_read(struct feed_client *c, char *out, size_t size)
{
    size_t used = 0;

    pthread_mutex_lock(&c->feed->lock);

    bool ends = c->ends || c->feed->ended;

    while (used < size && !ends) {
        if (c->text == NULL) {
            c->text = next_text(c);
            c->sent = 0;
        }
        if (c->text == NULL) {
            break;
        }
        size_t left = c->text->len - c->sent;
        size_t part = left < size - used ? left : size - used;

        memcpy(out + used, c->text->bytes + c->sent, part);
        used += part;
        c->sent += part;
        c->beat = c->feed->beat; /* any byte is as good as a comment */
        if (c->sent == c->text->len) {
            text_release(c->text);
            c->text = NULL;
        }
    }
    pthread_mutex_unlock(&c->feed->lock);
    return ends ? -1 : (ssize_t)used;
}
