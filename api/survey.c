#include "api/survey.h"

#include <stdlib.h>
#include <string.h>

#include "api/diagnosis.h"
#include "common/clock.h"
#include "common/digits.h"
#include "common/jsonprint.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/timestamp.h"

#define LOOKS_MAX (SURVEY_WINDOW_S / SURVEY_SECONDS_MIN + 1)
#define GROUP_SIZE 256
#define LETTERS_SEEN "10000" /* the newest, in which those of the last hour are counted */

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
    struct group_sum groups[SURVEY_GROUPS_MAX];
    size_t groups_count;
};

struct survey {
    struct db *db;
    struct scrape *scrape;
    struct scrape_found *found;
    struct past_look past[LOOKS_MAX]; /* a ring */
    size_t past_count, past_next;
    struct metric *states[WELLNESSES], *check_age, *letters;
};

/* --- Looks before --- */

/* The oldest one that is not too old, and in which the program was reached; any program where it
 * is SCRAPE_PROGRAMS_MAX. */
static const struct past_look *oldest(const struct survey *s, int64_t now_ns, size_t program)
{
    const struct past_look *found = NULL;

    for (size_t i = 0; i < s->past_count; i++) {
        const struct past_look *look = &s->past[i];

        if (now_ns - look->at_ns <= (SURVEY_WINDOW_S + SURVEY_SECONDS_MIN) * NS_PER_SEC &&
            (program == SCRAPE_PROGRAMS_MAX || look->reached[program]) &&
            (found == NULL || look->at_ns < found->at_ns)) {
            found = look;
        }
    }
    return found;
}

static struct past_look *next_past(struct survey *s, int64_t now_ns)
{
    struct past_look *look = &s->past[s->past_next];

    s->past_next = (s->past_next + 1) % LOOKS_MAX;
    s->past_count = s->past_count < LOOKS_MAX ? s->past_count + 1 : LOOKS_MAX;
    look->at_ns = now_ns;
    look->groups_count = 0;
    for (size_t i = 0; i < scrape_count(s->scrape); i++) {
        look->reached[i] = s->found[i].reached;
        look->readings[i] = s->found[i].readings;
    }
    return look;
}

/* --- What is looked at --- */

static double seconds_since(const struct past_look *look, int64_t now_ns)
{
    return (double)(now_ns - look->at_ns) / (double)NS_PER_SEC;
}

static void look_at_programs(struct survey *s, struct diagnosis *d, int64_t now_ns)
{
    static const struct readings none = {0};

    if (scrape_count(s->scrape) == 0) {
        diagnosis_no_programs(d);
        return;
    }
    scrape_run(s->scrape, s->found);
    for (size_t i = 0; i < scrape_count(s->scrape); i++) {
        const struct past_look *before = oldest(s, now_ns, i);

        diagnosis_program(d, &s->found[i], before == NULL ? &none : &before->readings[i],
                          before == NULL ? 0 : seconds_since(before, now_ns));
    }
}

/* The observers are those of the newest few checks. */
static int look_at_locations(struct survey *s, PGconn *conn, struct diagnosis *d, struct err *err)
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
        " ORDER BY s.location LIMIT " DIGITS(SURVEY_LOCATIONS_MAX);
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
    metric_set(s->check_age, (int64_t)newest_s);
    return 0;
}

static int look_at_groups(struct survey *s, PGconn *conn, struct diagnosis *d, int64_t now_ns,
                          struct past_look *keep, struct err *err)
{
    const struct past_look *before = oldest(s, now_ns, SCRAPE_PROGRAMS_MAX);
    PGresult *rows = pg_query(conn, "look at the offsets",
                              "SELECT consumer_group, count(*), sum(next_offset)"
                              " FROM kafka_offsets GROUP BY 1 ORDER BY 1"
                              " LIMIT " DIGITS(SURVEY_GROUPS_MAX),
                              NULL, NULL, err);

    if (rows == NULL) {
        return -1;
    }
    size_t known = before == NULL || before == keep ? 0 : before->groups_count;

    for (int i = 0; i < PQntuples(rows); i++) {
        struct group_sum *group = &keep->groups[keep->groups_count++];
        int64_t rise = 0;
        double seconds = 0;

        snprintf(group->name, sizeof(group->name), "%s", PQgetvalue(rows, i, 0));
        group->sum = pg_int(rows, i, 2);
        for (size_t k = 0; k < known; k++) {
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

static int look_at_queues(struct survey *s, PGconn *conn, struct diagnosis *d, struct err *err)
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
    metric_set(s->letters, pg_int(rows, 0, 0));
    diagnosis_letters(d, pg_int(rows, 0, 0), PQgetvalue(rows, 0, 1));
    diagnosis_outbox(d, pg_int(rows, 0, 2), strtod(PQgetvalue(rows, 0, 3), NULL));
    diagnosis_rollups(d, pg_int(rows, 0, 4), strtod(PQgetvalue(rows, 0, 5), NULL));
    PQclear(rows);
    return 0;
}

static int look_at_database(struct survey *s, struct diagnosis *d, int64_t now_ns, struct err *err)
{
    PGconn *conn = db_take(s->db, err);

    if (conn == NULL) {
        return -1;
    }
    struct past_look *keep = next_past(s, now_ns);
    int rc = look_at_locations(s, conn, d, err) < 0 ||
                     look_at_groups(s, conn, d, now_ns, keep, err) < 0 ||
                     look_at_queues(s, conn, d, err) < 0
                 ? -1
                 : 0;

    db_give(s->db, conn);
    return rc;
}

char *survey_take(struct survey *s, int64_t *database_ns)
{
    struct diagnosis d;
    struct err err;
    char at[TIMESTAMP_SIZE];
    int64_t now_ns = clock_mono_ns();
    cJSON *json = cJSON_CreateObject();

    diagnosis_begin(&d);
    look_at_programs(s, &d, now_ns);
    timestamp_format_ms(clock_real_ns() / NS_PER_MS, at);
    cJSON_AddStringToObject(json, "at", at);
    cJSON_AddItemToObject(json, "items", d.rows);

    int64_t began_ns = clock_mono_ns();
    int rc = look_at_database(s, &d, now_ns, &err);

    *database_ns = clock_mono_ns() - began_ns;
    if (rc < 0) {
        log_write(LOG_WARN, "the pipeline is not looked at", LOG_S("reason", err.message));
        cJSON_Delete(json);
        return NULL;
    }
    cJSON_AddStringToObject(json, "state", wellness_names[diagnosis_state(&d)]);
    for (size_t i = 0; i < WELLNESSES; i++) {
        metric_set(s->states[i], (int64_t)d.counts[i]);
    }
    return jsonprint(json);
}

/* --- Making it --- */

static void make_metrics(struct survey *s, struct metrics *m)
{
    for (size_t i = 0; i < WELLNESSES; i++) {
        char labels[32];

        snprintf(labels, sizeof(labels), "state=\"%s\"", wellness_names[i]);
        s->states[i] = metrics_gauge(m, "sitewatch_pipeline_parts",
                                     "Parts of the pipeline by how they are", labels);
    }
    s->check_age =
        metrics_gauge(m, "sitewatch_pipeline_check_age_seconds",
                      "Since the slot of the newest check stored; -1: there is none", NULL);
    s->letters = metrics_gauge(m, "sitewatch_pipeline_dead_letters",
                               "Dead letters of the last hour that are not put back", NULL);
}

struct survey *survey_new(struct db *db, const char *programs, struct metrics *m, struct err *err)
{
    struct scrape *scrape = scrape_new(programs, err);

    if (scrape == NULL) {
        return NULL;
    }
    struct survey *s = mem_alloc(1, sizeof(*s));

    s->db = db;
    s->scrape = scrape;
    s->found = mem_alloc(scrape_count(scrape), sizeof(*s->found));
    for (size_t i = 0; i < LOOKS_MAX; i++) {
        s->past[i].readings = mem_alloc(scrape_count(scrape), sizeof(*s->past[i].readings));
    }
    make_metrics(s, m);
    return s;
}

void survey_free(struct survey *s)
{
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < LOOKS_MAX; i++) {
        free(s->past[i].readings);
    }
    scrape_free(s->scrape);
    free(s->found);
    free(s);
}
