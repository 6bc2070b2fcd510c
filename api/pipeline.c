#include "api/pipeline.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "api/diagnosis.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/timestamp.h"

#define LOOKS_MAX (PIPELINE_WINDOW_S / PIPELINE_SECONDS_MIN + 1)
#define FIRST_WAIT_MS 3000 /* for the first look after the start, or after nobody asked */
#define STALE_S 30         /* what was found before is not shown after so long */
#define GROUP_SIZE 256
#define LETTERS_SEEN "10000" /* the newest, in which those of the last hour are counted */
#define TEXT_OF(x) #x
#define NUMBER(x) TEXT_OF(x)

/* What the offsets of a group came to. */
struct group_sum {
    char name[GROUP_SIZE];
    int64_t sum;
};

/* What a look leaves for later ones to compare with. */
struct past_look {
    int64_t at_ns;
    bool reached[SCRAPE_PROGRAMS_MAX];
    struct readings *readings; /* of each program */
    struct group_sum groups[PIPELINE_GROUPS_MAX];
    size_t groups_count;
};

struct pipeline {
    struct db *db;
    struct scrape *scrape;
    struct scrape_found *found;
    struct past_look past[LOOKS_MAX]; /* of the thread alone; a ring */
    size_t past_count, past_next;

    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t asked, changed;
    bool ending, wanted;
    int64_t next_ns; /* not before */
    int64_t made_ns; /* of text */
    char *text;      /* the answer; NULL: none yet */
    size_t len;

    struct metric *states[WELLNESSES], *check_age, *letters;
};

/* --- Looks before --- */

/* The oldest one that is not too old, in which `usable` says that there is something. */
static const struct past_look *oldest(const struct pipeline *p, int64_t now_ns, size_t program)
{
    const struct past_look *found = NULL;

    for (size_t i = 0; i < p->past_count; i++) {
        const struct past_look *look = &p->past[i];

        if (now_ns - look->at_ns <= (PIPELINE_WINDOW_S + PIPELINE_SECONDS_MIN) * NS_PER_SEC &&
            (program == SCRAPE_PROGRAMS_MAX || look->reached[program]) &&
            (found == NULL || look->at_ns < found->at_ns)) {
            found = look;
        }
    }
    return found;
}

static struct past_look *next_past(struct pipeline *p, int64_t now_ns)
{
    struct past_look *look = &p->past[p->past_next];

    p->past_next = (p->past_next + 1) % LOOKS_MAX;
    p->past_count = p->past_count < LOOKS_MAX ? p->past_count + 1 : LOOKS_MAX;
    look->at_ns = now_ns;
    look->groups_count = 0;
    for (size_t i = 0; i < scrape_count(p->scrape); i++) {
        look->reached[i] = p->found[i].reached;
        look->readings[i] = p->found[i].readings;
    }
    return look;
}

/* --- What is looked at --- */

static double seconds_since(const struct past_look *look, int64_t now_ns)
{
    return (double)(now_ns - look->at_ns) / (double)NS_PER_SEC;
}

static void look_at_programs(struct pipeline *p, struct diagnosis *d, int64_t now_ns)
{
    static const struct readings none = {0};

    if (scrape_count(p->scrape) == 0) {
        diagnosis_no_programs(d);
        return;
    }
    scrape_run(p->scrape, p->found);
    for (size_t i = 0; i < scrape_count(p->scrape); i++) {
        const struct past_look *before = oldest(p, now_ns, i);

        diagnosis_program(d, &p->found[i], before == NULL ? &none : &before->readings[i],
                          before == NULL ? 0 : seconds_since(before, now_ns));
    }
}

/* The observers are those of the newest few checks. */
static int look_at_locations(struct pipeline *p, PGconn *conn, struct diagnosis *d, struct err *err)
{
    static const char sql[] =
        "WITH states AS MATERIALIZED (SELECT l.website_id, l.location_id, l.location, l.last_slot,"
        "   l.stale, row_number() OVER (PARTITION BY l.location_id"
        "     ORDER BY l.last_slot DESC NULLS LAST) AS n"
        "   FROM site_locations l JOIN websites w USING (website_id)"
        "   WHERE w.enabled AND w.deleted_at IS NULL),"
        " observed AS (SELECT s.location_id,"
        "   left(string_agg(DISTINCT c.observer, ', ' ORDER BY c.observer), 200) AS observers"
        "   FROM states s JOIN LATERAL (SELECT observer FROM checks c"
        "     WHERE c.website_id = s.website_id AND c.slot = s.last_slot"
        "     AND c.location_id = s.location_id ORDER BY attempt DESC LIMIT 1) c ON true"
        "   WHERE s.n <= 20 GROUP BY 1)"
        " SELECT s.location, coalesce(o.observers, ''), count(*), count(*) FILTER (WHERE s.stale),"
        "   coalesce(extract(epoch FROM now() - max(s.last_slot)), -1)"
        " FROM states s LEFT JOIN observed o USING (location_id)"
        " GROUP BY s.location_id, s.location, o.observers"
        " ORDER BY s.location LIMIT " NUMBER(PIPELINE_LOCATIONS_MAX);
    PGresult *rows = pg_query(conn, "look at the locations", sql, NULL, NULL, err);
    double newest_s = -1;

    if (rows == NULL) {
        return -1;
    }
    for (int i = 0; i < PQntuples(rows); i++) {
        struct diagnosis_location location = {
            .name = PQgetvalue(rows, i, 0),
            .observers = PQgetvalue(rows, i, 1),
            .sites = pg_int(rows, i, 2),
            .stale = pg_int(rows, i, 3),
            .age_s = strtod(PQgetvalue(rows, i, 4), NULL),
        };

        diagnosis_location(d, &location);
        if (location.age_s >= 0 && (newest_s < 0 || location.age_s < newest_s)) {
            newest_s = location.age_s;
        }
    }
    PQclear(rows);
    metric_set(p->check_age, (int64_t)newest_s);
    return 0;
}

static int look_at_groups(struct pipeline *p, PGconn *conn, struct diagnosis *d, int64_t now_ns,
                          struct past_look *keep, struct err *err)
{
    const struct past_look *before = oldest(p, now_ns, SCRAPE_PROGRAMS_MAX);
    PGresult *rows = pg_query(conn, "look at the offsets",
                              "SELECT consumer_group, count(*), sum(next_offset)"
                              " FROM kafka_offsets GROUP BY 1 ORDER BY 1"
                              " LIMIT " NUMBER(PIPELINE_GROUPS_MAX),
                              NULL, NULL, err);

    if (rows == NULL) {
        return -1;
    }
    for (int i = 0; i < PQntuples(rows); i++) {
        struct group_sum *group = &keep->groups[keep->groups_count++];
        int64_t rise = 0;
        double seconds = 0;

        snprintf(group->name, sizeof(group->name), "%s", PQgetvalue(rows, i, 0));
        group->sum = pg_int(rows, i, 2);
        for (size_t k = 0; before != keep && k < before->groups_count; k++) {
            if (strcmp(before->groups[k].name, group->name) == 0) {
                rise = group->sum - before->groups[k].sum;
                seconds = seconds_since(before, now_ns);
            }
        }
        diagnosis_stored(d, group->name, pg_int(rows, i, 1), rise, seconds);
    }
    PQclear(rows);
    return 0;
}

static int look_at_queues(struct pipeline *p, PGconn *conn, struct diagnosis *d, struct err *err)
{
    static const char sql[] =
        "WITH letters AS MATERIALIZED (SELECT reason, count(*) AS n FROM ("
        "   SELECT reason, received_at, replayed_at FROM dead_letters ORDER BY id DESC"
        "   LIMIT " LETTERS_SEEN ") newest"
        "   WHERE received_at > now() - interval '1 hour' AND replayed_at IS NULL GROUP BY 1)"
        " SELECT coalesce((SELECT sum(n) FROM letters), 0),"
        " coalesce((SELECT left(string_agg(n || ' ' || reason, ', ' ORDER BY n DESC, reason), 200)"
        "   FROM letters), ''), o.*, r.*"
        " FROM (SELECT count(*), coalesce(extract(epoch FROM now() - min(queued_at)), 0)"
        "   FROM site_outbox) o"
        " CROSS JOIN (SELECT count(*), coalesce(extract(epoch FROM now() - min(due)), 0)"
        "   FROM rollup_stale_hours WHERE due < now()) r";
    PGresult *rows = pg_query(conn, "look at what waits", sql, NULL, NULL, err);

    if (rows == NULL) {
        return -1;
    }
    metric_set(p->letters, pg_int(rows, 0, 0));
    diagnosis_letters(d, pg_int(rows, 0, 0), PQgetvalue(rows, 0, 1));
    diagnosis_outbox(d, pg_int(rows, 0, 2), strtod(PQgetvalue(rows, 0, 3), NULL));
    diagnosis_rollups(d, pg_int(rows, 0, 4), strtod(PQgetvalue(rows, 0, 5), NULL));
    PQclear(rows);
    return 0;
}

static int look_at_database(struct pipeline *p, struct diagnosis *d, int64_t now_ns,
                            struct err *err)
{
    PGconn *conn = db_take(p->db, err);

    if (conn == NULL) {
        return -1;
    }
    struct past_look *keep = next_past(p, now_ns);
    int rc = look_at_locations(p, conn, d, err) < 0 ||
                     look_at_groups(p, conn, d, now_ns, keep, err) < 0 ||
                     look_at_queues(p, conn, d, err) < 0
                 ? -1
                 : 0;

    db_give(p->db, conn);
    return rc;
}

/* The answer, or NULL when Postgres failed, which is logged. */
static char *look(struct pipeline *p)
{
    struct diagnosis d;
    struct err err;
    char at[TIMESTAMP_SIZE];
    int64_t now_ns = clock_mono_ns();
    cJSON *json = cJSON_CreateObject();

    diagnosis_begin(&d);
    look_at_programs(p, &d, now_ns);
    timestamp_format_ms(clock_real_ns() / NS_PER_MS, at);
    cJSON_AddStringToObject(json, "at", at);
    cJSON_AddItemToObject(json, "items", d.rows);
    if (look_at_database(p, &d, now_ns, &err) < 0) {
        log_write(LOG_WARN, "the pipeline is not looked at", LOG_S("reason", err.message));
        cJSON_Delete(json);
        return NULL;
    }
    cJSON_AddStringToObject(json, "state", wellness_names[diagnosis_state(&d)]);
    for (size_t i = 0; i < WELLNESSES; i++) {
        metric_set(p->states[i], (int64_t)d.counts[i]);
    }
    char *text = cJSON_PrintUnformatted(json);

    cJSON_Delete(json);
    if (text == NULL) {
        abort(); /* no memory: as mem.h has it */
    }
    return text;
}

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

        int64_t began_ns = clock_mono_ns();
        char *text = look(p);
        int64_t now_ns = clock_mono_ns();
        int64_t rest_ns = (now_ns - began_ns) * PIPELINE_SHARE;
        int64_t least_ns = PIPELINE_SECONDS_MIN * NS_PER_SEC;

        pthread_mutex_lock(&p->lock);
        /* A program that does not answer takes time, but no work. */
        p->next_ns =
            now_ns +
            (rest_ns > least_ns && rest_ns < SCRAPE_MS_MAX * NS_PER_MS ? rest_ns : least_ns);
        if (text != NULL) {
            free(p->text);
            p->text = text;
            p->len = strlen(text);
            p->made_ns = now_ns;
        }
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void release(struct pipeline *p)
{
    for (size_t i = 0; i < LOOKS_MAX; i++) {
        free(p->past[i].readings);
    }
    pthread_cond_destroy(&p->asked);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    scrape_free(p->scrape);
    free(p->found);
    free(p->text);
    free(p);
}

static void make_metrics(struct pipeline *p, struct metrics *m)
{
    for (size_t i = 0; i < WELLNESSES; i++) {
        char labels[32];

        snprintf(labels, sizeof(labels), "state=\"%s\"", wellness_names[i]);
        p->states[i] = metrics_gauge(m, "sitewatch_pipeline_parts",
                                     "Parts of the pipeline by how they are", labels);
    }
    p->check_age =
        metrics_gauge(m, "sitewatch_pipeline_check_age_seconds",
                      "Since the slot of the newest check stored; -1: there is none", NULL);
    p->letters = metrics_gauge(m, "sitewatch_pipeline_dead_letters",
                               "Dead letters of the last hour that are not put back", NULL);
}

struct pipeline *pipeline_new(struct db *db, const char *programs, struct metrics *m,
                              struct err *err)
{
    struct scrape *scrape = scrape_new(programs, err);

    if (scrape == NULL) {
        return NULL;
    }
    struct pipeline *p = mem_alloc(1, sizeof(*p));
    pthread_condattr_t attr;

    p->db = db;
    p->scrape = scrape;
    p->found = mem_alloc(scrape_count(scrape), sizeof(*p->found));
    for (size_t i = 0; i < LOOKS_MAX; i++) {
        p->past[i].readings = mem_alloc(scrape_count(scrape), sizeof(*p->past[i].readings));
    }
    make_metrics(p, m);
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
    return p->text != NULL && clock_mono_ns() - p->made_ns < STALE_S * NS_PER_SEC;
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
