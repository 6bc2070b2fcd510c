#include "consumer/errand.h"

#include <assert.h>
#include <stdlib.h>

#include "common/cond.h"
#include "common/mem.h"
#include "common/thread.h"

struct errand {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t begun, done;
    errand_fn *run; /* NULL: nothing is on its way */
    void *context;
    bool ending;
};

static void *run_errands(void *arg)
{
    struct errand *e = arg;

    pthread_mutex_lock(&e->mutex);
    for (;;) {
        while (e->run == NULL && !e->ending) {
            pthread_cond_wait(&e->begun, &e->mutex);
        }
        if (e->run == NULL) {
            break;
        }
        pthread_mutex_unlock(&e->mutex);
        e->run(e->context);
        pthread_mutex_lock(&e->mutex);
        e->run = NULL;
        pthread_cond_signal(&e->done);
    }
    pthread_mutex_unlock(&e->mutex);
    return NULL;
}

static void free_parts(struct errand *e)
{
    pthread_cond_destroy(&e->begun);
    pthread_cond_destroy(&e->done);
    pthread_mutex_destroy(&e->mutex);
    free(e);
}

struct errand *errand_new(struct err *err)
{
    struct errand *e = mem_alloc(1, sizeof(*e));

    pthread_mutex_init(&e->mutex, NULL);
    cond_init(&e->begun);
    cond_init(&e->done);
    if (thread_start(&e->thread, "store", run_errands, e, err) < 0) {
        free_parts(e);
        return NULL;
    }
    return e;
}

void errand_free(struct errand *e)
{
    if (e == NULL) {
        return;
    }
    pthread_mutex_lock(&e->mutex);
    e->ending = true;
    pthread_cond_signal(&e->begun);
    pthread_mutex_unlock(&e->mutex);
    pthread_join(e->thread, NULL);
    free_parts(e);
}

void errand_begin(struct errand *e, errand_fn *run, void *context)
{
    pthread_mutex_lock(&e->mutex);
    assert(e->run == NULL && run != NULL);
    e->run = run;
    e->context = context;
    pthread_cond_signal(&e->begun);
    pthread_mutex_unlock(&e->mutex);
}

bool errand_wait(struct errand *e, int64_t deadline_ns)
{
    bool in_time = true;

    pthread_mutex_lock(&e->mutex);
    while (e->run != NULL && in_time) {
        in_time = cond_wait_until(&e->done, &e->mutex, deadline_ns);
    }
    bool done = e->run == NULL;

    pthread_mutex_unlock(&e->mutex);
    return done;
}
