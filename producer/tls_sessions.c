#include "producer/tls_sessions.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define WAYS 4 /* sessions that share a place */

struct entry {
    unsigned char key[TLS_MEMO_KEY_BYTES];
    struct tls_resumable resumable; /* session NULL: free */
    uint64_t used;                  /* the table's clock then */
};

struct tls_sessions {
    uint64_t clock; /* counts uses */
    struct metric *kept, *evicted;
    struct entry entries[TLS_SESSIONS_MAX];
};

struct tls_sessions *tls_sessions_new(struct metrics *m)
{
    struct tls_sessions *s = mem_alloc(1, sizeof(*s));

    s->kept = metrics_gauge(m, "sitewatch_tls_sessions", "TLS sessions kept to be resumed", NULL);
    s->evicted = metrics_counter(m, "sitewatch_tls_sessions_evicted",
                                 "TLS sessions that made room for others", NULL);
    return s;
}

static void entry_clear(struct tls_sessions *s, struct entry *entry)
{
    *entry = (struct entry){0};
    metric_change(s->kept, -1);
}

void tls_sessions_free(struct tls_sessions *s)
{
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < TLS_SESSIONS_MAX; i++) {
        if (s->entries[i].resumable.session != NULL) {
            SSL_SESSION_free(s->entries[i].resumable.session);
            entry_clear(s, &s->entries[i]);
        }
    }
    free(s);
}

/* The first of the WAYS that may hold it. The key is a hash: any bits of it will do. */
static struct entry *place_of(struct tls_sessions *s, const unsigned char *key)
{
    uint32_t bits;

    memcpy(&bits, key, sizeof(bits));
    return &s->entries[bits % (TLS_SESSIONS_MAX / WAYS) * WAYS];
}

static struct entry *find(struct tls_sessions *s, const unsigned char *key)
{
    struct entry *place = place_of(s, key);

    for (size_t i = 0; i < WAYS; i++) {
        if (place[i].resumable.session != NULL &&
            memcmp(place[i].key, key, sizeof(place[i].key)) == 0) {
            return &place[i];
        }
    }
    return NULL;
}

bool tls_sessions_take(struct tls_sessions *s, const unsigned char key[TLS_MEMO_KEY_BYTES],
                       struct tls_resumable *out)
{
    struct entry *entry = find(s, key);

    if (entry == NULL) {
        return false;
    }
    *out = entry->resumable;
    entry_clear(s, entry);
    return true;
}

/* Where a session that has no place yet goes: a free one, or the one not used for longest. */
static struct entry *choose(struct tls_sessions *s, const unsigned char *key)
{
    struct entry *place = place_of(s, key);
    struct entry *oldest = &place[0];

    for (size_t i = 0; i < WAYS; i++) {
        if (place[i].used < oldest->used) {
            oldest = &place[i]; /* 0: free */
        }
    }
    if (oldest->resumable.session != NULL) {
        metric_add(s->evicted, 1);
    }
    return oldest;
}

void tls_sessions_put(struct tls_sessions *s, const unsigned char key[TLS_MEMO_KEY_BYTES],
                      const struct tls_resumable *resumable)
{
    struct entry *entry = find(s, key);

    if (entry == NULL) {
        entry = choose(s, key);
    }
    if (entry->resumable.session != NULL) {
        SSL_SESSION_free(entry->resumable.session);
        entry_clear(s, entry);
    }
    *entry = (struct entry){.resumable = *resumable, .used = ++s->clock};
    memcpy(entry->key, key, sizeof(entry->key));
    metric_change(s->kept, 1);
}
