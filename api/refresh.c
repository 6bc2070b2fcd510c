#include "api/refresh.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/cond.h"
#include "common/mem.h"
#include "common/thread.h"

struct refresh {
    struct refresh_settings settings;
    pthread_t thread;
    pthread_mutex_t lock; /* of all below, and of what was made */
    pthread_cond_t asked, made;
    bool ending;
    bool wanted;     /* since the last making began */
    int64_t next_ns; /* not before */
};

/* With the lock. True: somebody wants another, and it is time; false: we are ending. */
static bool wait_until_wanted(struct refresh *r)
{
    while (!r->ending) {
        if (r->wanted && clock_mono_ns() >= r->next_ns) {
            return true;
        }
        cond_wait_until(&r->asked, &r->lock, r->wanted ? r->next_ns : TIME_NEVER);
    }
    return false;
}

static void *run_refresh(void *context)
{
    struct refresh *r = context;

    pthread_mutex_lock(&r->lock);
    while (wait_until_wanted(r)) {
        r->wanted = false;
        pthread_mutex_unlock(&r->lock);

        int64_t pause_ns = r->settings.make(r->settings.context, r);

        pthread_mutex_lock(&r->lock);
        r->next_ns = clock_mono_ns() + pause_ns;
        r->settings.keep(r->settings.context);
        pthread_cond_broadcast(&r->made);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

static void free_parts(struct refresh *r)
{
    pthread_cond_destroy(&r->asked);
    pthread_cond_destroy(&r->made);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

struct refresh *refresh_new(const struct refresh_settings *settings, struct err *err)
{
    struct refresh *r = mem_alloc(1, sizeof(*r));

    r->settings = *settings;
    pthread_mutex_init(&r->lock, NULL);
    cond_init(&r->asked);
    cond_init(&r->made);
    if (thread_start(&r->thread, settings->name, run_refresh, r, err) < 0) {
        free_parts(r);
        return NULL;
    }
    return r;
}

void refresh_free(struct refresh *r)
{
    if (r == NULL) {
        return;
    }
    pthread_mutex_lock(&r->lock);
    r->ending = true;
    pthread_cond_signal(&r->asked);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    free_parts(r);
}

bool refresh_is_ending(struct refresh *r)
{
    pthread_mutex_lock(&r->lock);

    bool ending = r->ending;

    pthread_mutex_unlock(&r->lock);
    return ending;
}

void refresh_want(struct refresh *r)
{
    pthread_mutex_lock(&r->lock);
    r->wanted = true;
    pthread_cond_signal(&r->asked);
    pthread_mutex_unlock(&r->lock);
}

void refresh_lock(struct refresh *r)
{
    pthread_mutex_lock(&r->lock);
}

void refresh_unlock(struct refresh *r)
{
    pthread_mutex_unlock(&r->lock);
}

bool refresh_wait(struct refresh *r, int64_t until_ns)
{
    return cond_wait_until(&r->made, &r->lock, until_ns);
}

int64_t refresh_next_ns(const struct refresh *r)
{
    return r->next_ns;
}
