#include "api/pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "api/refresh.h"
#include "api/survey.h"
#include "common/clock.h"
#include "common/mem.h"

#define DATABASE_SHARE 20  /* the pause is so many times as long as Postgres took */
#define FIRST_WAIT_MS 3000 /* for the first look after the start, or after nobody asked */
#define STALE_S 25         /* that what was found is still shown once a look may be taken */

struct pipeline {
    struct refresh *refresh;
    /* The thread's. */
    struct survey *survey;
    char *found; /* by the last look; NULL: it failed */
    /* With the lock. */
    char *text; /* the answer; NULL: none yet */
    size_t len;
};

static int64_t look(void *context, struct refresh *refresh)
{
    struct pipeline *p = context;
    int64_t database_ns = 0;

    (void)refresh;
    p->found = survey_take(p->survey, &database_ns);

    int64_t rest_ns = database_ns * DATABASE_SHARE;
    int64_t least_ns = SURVEY_SECONDS_MIN * NS_PER_SEC;

    return rest_ns > least_ns ? rest_ns : least_ns;
}

static void keep(void *context)
{
    struct pipeline *p = context;

    if (p->found != NULL) {
        free(p->text);
        p->text = p->found;
        p->len = strlen(p->found);
    }
}

static void release(struct pipeline *p)
{
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
    const struct refresh_settings settings = {
        .name = "pipeline", .make = look, .keep = keep, .context = p};

    p->survey = survey;
    p->refresh = refresh_new(&settings, err);
    if (p->refresh == NULL) {
        release(p);
        return NULL;
    }
    return p;
}

void pipeline_free(struct pipeline *p)
{
    if (p != NULL) {
        refresh_free(p->refresh);
        release(p);
    }
}

/* --- Who asks --- */

void pipeline_want(struct pipeline *p)
{
    refresh_want(p->refresh);
}

/* With the lock. */
static bool is_fresh(const struct pipeline *p)
{
    return p->text != NULL && clock_mono_ns() < refresh_next_ns(p->refresh) + STALE_S * NS_PER_SEC;
}

void pipeline_get(const struct api *api, PGconn *conn, const struct request *r, struct answer *a)
{
    struct pipeline *p = api->pipeline;
    int64_t until_ns = clock_mono_ns() + FIRST_WAIT_MS * NS_PER_MS;
    bool in_time = true;

    (void)conn;
    (void)r;
    pipeline_want(p);
    refresh_lock(p->refresh);
    while (!is_fresh(p) && in_time) {
        in_time = refresh_wait(p->refresh, until_ns);
    }
    size_t len = p->len;
    char *text = is_fresh(p) ? mem_copy(p->text, len) : NULL;

    refresh_unlock(p->refresh);
    if (text == NULL) {
        answer_problem(a, 503, "the pipeline is being looked at, try again in a few seconds");
        answer_header(a, "Retry-After", "2");
        return;
    }
    answer_body(a, 200, ANSWER_JSON, text, len);
}
