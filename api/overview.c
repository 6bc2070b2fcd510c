#include "api/overview.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/timestamp.h"

struct overview {
    struct figures *figures;
    pthread_mutex_t lock; /* held while an answer is made: who asks meanwhile gets that one */
    int64_t made_ns;      /* of the answer; 0: there is none */
    char *text;
    size_t len;
    char tag[ANSWER_TAG_SIZE];
};

struct overview *overview_new(struct figures *figures)
{
    struct overview *o = mem_alloc(1, sizeof(*o));

    o->figures = figures;
    pthread_mutex_init(&o->lock, NULL);
    return o;
}

void overview_free(struct overview *o)
{
    if (o != NULL) {
        pthread_mutex_destroy(&o->lock);
        free(o->text);
        free(o);
    }
}

/* `site` and `figure` are objects, of which one is printed. */
static void print_site(FILE *out, const char *site, const struct figure *figure)
{
    if (figure == NULL) {
        fputs(site, out);
    } else {
        fprintf(out, "%.*s,%s", (int)strlen(site) - 1, site, figure->json + 1);
    }
}

static void print_sites(FILE *out, const PGresult *result, const struct figures_made *made)
{
    size_t next = 0;

    for (int i = 0; i < PQntuples(result) && !PQgetisnull(result, i, 1); i++) {
        int64_t id = pg_int(result, i, 1);

        while (made != NULL && next < made->count && made->sites[next].website_id < id) {
            next++;
        }
        bool has = made != NULL && next < made->count && made->sites[next].website_id == id;

        fputs(i == 0 ? "" : ",\n", out);
        print_site(out, PQgetvalue(result, i, 2), has ? &made->sites[next] : NULL);
    }
}

static void render(struct overview *o, const PGresult *result)
{
    const struct figures_made *made = figures_take(o->figures, OVERVIEW_WAIT_MS);
    char at[TIMESTAMP_SIZE];
    struct answer_text t;

    answer_text_begin(&t);
    fprintf(t.out, "{\"sites\":[");
    print_sites(t.out, result, made);
    fprintf(t.out, "],\"total\":%s", PQgetvalue(result, 0, 0));
    if (made != NULL) {
        timestamp_format_ms(made->at_ms, at);
        fprintf(t.out, ",\"figures_at\":\"%s\"", at);
    }
    fprintf(t.out, "}");
    answer_text_end(&t);
    figures_give(o->figures, made);

    free(o->text);
    o->text = t.text;
    o->len = t.len;
    answer_tag(o->text, o->len, o->tag);
    o->made_ns = clock_mono_ns();
}

/* With the lock. */
static int make(struct overview *o, PGconn *conn, struct err *err)
{
    /* One row at the least: the total, and NULLs when there is no site. Text put together takes
     * half the time of jsonb. */
    static const char sql[] =
        "SELECT t.total, p.website_id, p.json"
        " FROM (SELECT count(*) AS total FROM websites WHERE deleted_at IS NULL) t"
        " LEFT JOIN LATERAL (SELECT w.website_id, concat('{\"id\":', w.website_id,"
        "     ',\"name\":', to_json(w.name), ',\"url\":', to_json(w.website_url),"
        "     ',\"enabled\":', to_json(w.enabled), ',\"tags\":' || (w.config -> 'tags')::text,"
        "     ',\"state\":\"', coalesce(s.status, 'unknown'), '\"}') AS json"
        "   FROM websites w LEFT JOIN site_status s USING (website_id)"
        "   WHERE w.deleted_at IS NULL ORDER BY w.website_id LIMIT $1) p ON true"
        " ORDER BY p.website_id";
    struct pg_params p = {0};

    pg_add_int(&p, FIGURES_SITES_MAX);

    PGresult *result = pg_query(conn, "read all sites", sql, &p, NULL, err);

    if (result == NULL) {
        return -1;
    }
    render(o, result);
    PQclear(result);
    return 0;
}

void overview_get(const struct api *api, PGconn *conn, const struct request *r, struct answer *a)
{
    struct overview *o = api->overview;
    struct err err;
    int rc = 0;

    (void)r;
    pthread_mutex_lock(&o->lock);
    if (o->made_ns == 0 || clock_mono_ns() - o->made_ns >= OVERVIEW_MS * NS_PER_MS) {
        rc = make(o, conn, &err);
    }
    if (rc == 0) {
        answer_body(a, 200, ANSWER_JSON, mem_copy(o->text, o->len), o->len);
        answer_header(a, "ETag", o->tag);
        answer_header(a, "Cache-Control", "private, no-cache"); /* kept, and asked for each time */
    }
    pthread_mutex_unlock(&o->lock);
    if (rc < 0) {
        db_fail(&err, a);
    }
}
