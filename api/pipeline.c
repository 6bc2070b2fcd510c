#include "api/pipeline.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "api/survey.h"
#include "common/clock.h"
#include "common/mem.h"

#define DATABASE_SHARE 20  /* the pause is so many times as long as Postgres took */
#define FIRST_WAIT_MS 3000 /* for the first look after the start, or after nobody asked */
#define STALE_S 25         /* that what was found is still shown once a look may be taken */

struct pipeline {
    struct survey *survey; /* of the thread */
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t asked, changed;
    bool ending, wanted;
    int64_t next_ns; /* not before */
    char *text;      /* the answer; NULL: none yet */
    size_t len;
};

/* --- The thread --- */

/* With the lock. False: it is to end. */
static bool wait_until_wanted(struct pipeline *p)
{
    while (!p->ending) {
        struct timespec at = {.tv_sec = p->next_ns / NS_PER_SEC,
                              .tv_nsec = p->next_ns % NS_PER_SEC};

        if (!p->wanted) {
            pthread_cond_wait(&p->asked, &p->lock);
        } else if (clock_mono_ns() < p->next_ns) {
            pthread_cond_timedwait(&p->asked, &p->lock, &at);
        } else {
            return true;
        }
    }
    return false;
}

static void *run_pipeline(void *context)
{
    struct pipeline *p = context;

    pthread_mutex_lock(&p->lock);
    while (wait_until_wanted(p)) {
        p->wanted = false;
        pthread_mutex_unlock(&p->lock);

        int64_t database_ns = 0;
        char *text = survey_take(p->survey, &database_ns);
        int64_t now_ns = clock_mono_ns();
        int64_t rest_ns = database_ns * DATABASE_SHARE;
        int64_t least_ns = SURVEY_SECONDS_MIN * NS_PER_SEC;

        pthread_mutex_lock(&p->lock);
        p->next_ns = now_ns + (rest_ns > least_ns ? rest_ns : least_ns);
        if (text != NULL) {
            free(p->text);
            p->text = text;
            p->len = strlen(text);
        }
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void release(struct pipeline *p)
{
    pthread_cond_destroy(&p->asked);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    survey_free(p->survey);
    free(p->text);
    free(p);
}

struct pipeline *pipeline_new(struct db *db, const char *programs, struct metrics *m,
                              struct err *err)
{
    struct survey *survey = survey_new(db, programs, m, err);

    if (survey == NULL) {
        return NULL;
    }
    struct pipeline *p = mem_alloc(1, sizeof(*p));
    pthread_condattr_t attr;

    p->survey = survey;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->asked, &attr);
    pthread_cond_init(&p->changed, &attr);
    pthread_condattr_destroy(&attr);

    int code = pthread_create(&p->thread, NULL, run_pipeline, p);

    if (code != 0) {
        err_set(err, ERR_FATAL, "thread of the pipeline: %s", strerror(code));
        release(p);
        return NULL;
    }
    return p;
}

void pipeline_free(struct pipeline *p)
{
    if (p == NULL) {
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->ending = true;
    pthread_cond_signal(&p->asked);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    release(p);
}

/* --- Who asks --- */

void pipeline_want(struct pipeline *p)
{
    pthread_mutex_lock(&p->lock);
    p->wanted = true;
    pthread_cond_signal(&p->asked);
    pthread_mutex_unlock(&p->lock);
}

/* With the lock. */
static bool is_fresh(const struct pipeline *p)
{
    return p->text != NULL && clock_mono_ns() < p->next_ns + STALE_S * NS_PER_SEC;
}

void pipeline_get(const struct api *api, PGconn *conn, const struct request *r, struct answer *a)
{
    struct pipeline *p = api->pipeline;
    int64_t until_ns = clock_mono_ns() + FIRST_WAIT_MS * NS_PER_MS;
    struct timespec until = {.tv_sec = until_ns / NS_PER_SEC, .tv_nsec = until_ns % NS_PER_SEC};
    int code = 0;

    (void)conn;
    (void)r;
    pipeline_want(p);
    pthread_mutex_lock(&p->lock);
    while (!is_fresh(p) && code == 0) {
        code = pthread_cond_timedwait(&p->changed, &p->lock, &until);
    }
    size_t len = p->len;
    char *text = is_fresh(p) ? mem_copy(p->text, len) : NULL;

    pthread_mutex_unlock(&p->lock);
    if (text == NULL) {
        answer_problem(a, 503, "the pipeline is being looked at, try again in a few seconds");
        answer_header(a, "Retry-After", "2");
        return;
    }
    answer_body(a, 200, ANSWER_JSON, text, len);
}
