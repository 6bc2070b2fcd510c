#include "api/public.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "api/assets.h"
#include "api/badge.h"
#include "api/markup.h"
#include "common/clock.h"
#include "common/digits.h"
#include "common/mem.h"
#include "common/timestamp.h"

/* A site without a name of its own has its url for one. */
#define PUBLIC_NAME                                                                                \
    "coalesce(substring(w.name from '^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#]*@)?([^/?#]*)'), w.name)"
#define IS_PUBLIC "w.deleted_at IS NULL AND w.config -> 'tags' ? $1" /* the tag */

struct public_page {
    const char *tag;
    pthread_mutex_t lock; /* of all below */
    bool making;
    int64_t made_ns;
    char *text; /* NULL: none was made yet */
    size_t len;
};

/* A row of the page. */
enum column { NAME, STATE, DAY, MONTH };

struct public_page *public_new(const char *tag)
{
    struct public_page *p = mem_alloc(1, sizeof(*p));

    p->tag = tag;
    pthread_mutex_init(&p->lock, NULL);
    return p;
}

void public_free(struct public_page *p)
{
    if (p != NULL) {
        pthread_mutex_destroy(&p->lock);
        free(p->text);
        free(p);
    }
}

/* Takes `text`. Nothing in it is run or loaded but our own style. */
static void answer_kept(struct answer *a, const char *type, char *text, size_t len, int seconds)
{
    char tag[ANSWER_TAG_SIZE];

    answer_tag(text, len, tag);
    answer_body(a, 200, type, text, len);
    answer_header(a, "ETag", tag);
    answer_headerf(a, "Cache-Control", "public, max-age=%d", seconds);
    answer_header(a, "Content-Security-Policy",
                  "default-src 'none'; style-src 'self'; frame-ancestors 'self'; base-uri 'none'; "
                  "form-action 'none'");
}

/* --- The page --- */

static int count_of(const PGresult *rows, const char *state)
{
    int count = 0;

    for (int i = 0; i < PQntuples(rows); i++) {
        count += strcmp(PQgetvalue(rows, i, STATE), state) == 0;
    }
    return count;
}

static void write_headline(FILE *out, const PGresult *rows)
{
    int all = PQntuples(rows);
    int down = count_of(rows, "down"), unknown = count_of(rows, "unknown");
    int degraded = count_of(rows, "degraded");

    if (all == 0) {
        fprintf(out, "No site is shown here");
    } else if (down > 0) {
        fprintf(out, "%d of %d down", down, all);
    } else if (unknown > 0) {
        fprintf(out, "%d of %d unknown", unknown, all);
    } else if (degraded > 0) {
        fprintf(out, "All up, %d of %d degraded", degraded, all);
    } else {
        fprintf(out, "All up");
    }
}

static void write_uptime(FILE *out, const PGresult *rows, int row, enum column column)
{
    const char *percent = PQgetvalue(rows, row, (int)column);

    fprintf(out, percent[0] == '\0' ? "<td>-</td>" : "<td>%s %%</td>", percent);
}

static void write_rows(FILE *out, const PGresult *rows)
{
    for (int i = 0; i < PQntuples(rows); i++) {
        const char *state = PQgetvalue(rows, i, STATE);

        fprintf(out, "<tr><th scope=\"row\">");
        markup_write(out, PQgetvalue(rows, i, NAME));
        fprintf(out, "</th><td class=\"%s\">%s</td>", state, state);
        write_uptime(out, rows, i, DAY);
        write_uptime(out, rows, i, MONTH);
        fprintf(out, "</tr>\n");
    }
}

static char *page_html(const PGresult *rows, size_t *len)
{
    char *html = NULL;
    char now[TIMESTAMP_SIZE];
    FILE *out = mem_stream(&html, len);

    timestamp_format_s(clock_real_ns() / NS_PER_SEC, now);
    fprintf(out, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
                 "<meta name=\"viewport\" content=\"width=device-width\">\n"
                 "<link rel=\"stylesheet\" href=\"/status.css\">\n<title>");
    write_headline(out, rows);
    fprintf(out, "</title>\n<main>\n<h1>");
    write_headline(out, rows);
    fprintf(
        out,
        "</h1>\n<p>As of <time datetime=\"%s\">%s</time></p>\n"
        "<table>\n<thead><tr><th scope=\"col\">Site</th><th scope=\"col\">State</th>"
        "<th scope=\"col\">Up in 24 hours</th><th scope=\"col\">Up in 30 days</th></tr></thead>\n"
        "<tbody>\n",
        now, now);
    write_rows(out, rows);
    fprintf(out, "</tbody>\n</table>\n</main>\n</html>\n");
    fclose(out);
    return html;
}

/* The share of checks that found the site up, in percent; NULL without any. */
#define UPTIME(since, step)                                                                        \
    " CROSS JOIN LATERAL (SELECT"                                                                  \
    "     trunc(100.0 * sum(up + degraded) / nullif(sum(up + degraded + down), 0), 2) AS percent"  \
    "   FROM site_rollups(s.website_id, now() - interval '" since "', now(), '" step "'))"
#define UPTIME_DAY UPTIME("24 hours", "1 hour") " day"
#define UPTIME_MONTH UPTIME("30 days", "1 day") " month"
#define SITES_MAX DIGITS(PUBLIC_SITES_MAX)

static PGresult *read_sites(const struct api *api, struct err *err)
{
    static const char sql[] =
        "SELECT s.name, coalesce(t.status, 'unknown'), day.percent, month.percent"
        " FROM (SELECT w.website_id, " PUBLIC_NAME " AS name FROM websites w"
        "   WHERE w.enabled AND " IS_PUBLIC
        "   ORDER BY lower(w.name), w.website_id LIMIT " SITES_MAX ") s"
        " LEFT JOIN LATERAL (SELECT status FROM site_status t"
        "   WHERE t.website_id = s.website_id) t ON true" UPTIME_DAY UPTIME_MONTH
        " ORDER BY lower(s.name), s.website_id";
    struct pg_params p = {0};
    PGconn *conn = db_take(api->db, err);

    if (conn == NULL) {
        return NULL;
    }
    pg_add_text(&p, api->public_page->tag);

    PGresult *rows = pg_query(conn, "read public sites", sql, &p, NULL, err);

    db_give(api->db, conn);
    return rows;
}

/* Whether to make it now: it is old, and nobody else is making it. */
static bool begin_to_make(struct public_page *p)
{
    pthread_mutex_lock(&p->lock);

    bool old = p->text == NULL || clock_mono_ns() - p->made_ns > PUBLIC_PAGE_S * NS_PER_SEC;
    bool begins = old && !p->making;

    p->making = p->making || begins;
    pthread_mutex_unlock(&p->lock);
    return begins;
}

/* html is NULL: it could not be made, and the old one stays. */
static void end_to_make(struct public_page *p, char *html, size_t len)
{
    pthread_mutex_lock(&p->lock);
    p->making = false;
    if (html != NULL) {
        free(p->text);
        p->text = html;
        p->len = len;
        p->made_ns = clock_mono_ns();
    }
    pthread_mutex_unlock(&p->lock);
}

static bool make(const struct api *api, struct answer *a)
{
    struct err err;
    PGresult *rows = read_sites(api, &err);
    char *html = NULL;
    size_t len = 0;

    if (rows == NULL) {
        db_fail(&err, a);
    } else {
        html = page_html(rows, &len);
    }
    PQclear(rows);
    end_to_make(api->public_page, html, len);
    return rows != NULL;
}

void public_status(const struct api *api, PGconn *conn, const struct request *r, struct answer *a)
{
    struct public_page *p = api->public_page;

    (void)conn;
    (void)r;
    if (p->tag == NULL) {
        route_nothing(a);
        return;
    }
    if (begin_to_make(p) && !make(api, a)) {
        return;
    }
    pthread_mutex_lock(&p->lock);

    size_t len = p->len;
    char *text = p->text == NULL ? NULL : mem_copy(p->text, len);

    pthread_mutex_unlock(&p->lock);
    if (text == NULL) {
        answer_problem(a, 503, "the page is being made, try again in a moment");
        answer_header(a, "Retry-After", "1");
        return;
    }
    answer_kept(a, "text/html; charset=utf-8", text, len, PUBLIC_PAGE_S);
}

void public_style(const struct api *api, PGconn *conn, const struct request *r, struct answer *a)
{
    const struct asset *asset = asset_find("web/status.css");

    (void)conn;
    (void)r;
    if (api->public_page->tag == NULL) {
        route_nothing(a);
        return;
    }
    answer_kept(a, "text/css; charset=utf-8", mem_copy(asset->bytes, asset->len), asset->len,
                PUBLIC_PAGE_S);
}

/* --- A badge --- */

void public_badge(const struct api *api, PGconn *conn, const struct request *r, struct answer *a)
{
    static const char sql[] =
        "SELECT " PUBLIC_NAME ", coalesce(s.status, 'unknown') FROM websites w"
        " LEFT JOIN LATERAL (SELECT status FROM site_status s"
        "   WHERE s.website_id = w.website_id) s ON true"
        " WHERE w.website_id = $2 AND " IS_PUBLIC;
    struct pg_params p = {0};
    struct err err;
    int64_t id;

    if (api->public_page->tag == NULL) {
        route_nothing(a);
        return;
    }
    if (!request_id(r, &id, a)) {
        return;
    }
    pg_add_text(&p, api->public_page->tag);
    pg_add_int(&p, id);
    conn = db_take(api->db, &err);

    PGresult *rows = conn == NULL ? NULL : pg_query(conn, "read a badge", sql, &p, NULL, &err);

    if (conn != NULL) {
        db_give(api->db, conn);
    }
    if (rows == NULL) {
        db_fail(&err, a);
    } else if (PQntuples(rows) == 0) {
        answer_problem(a, 404, "there is no badge of this site");
    } else {
        size_t len;
        char *svg = badge_svg(PQgetvalue(rows, 0, NAME), PQgetvalue(rows, 0, STATE), &len);

        answer_kept(a, "image/svg+xml", svg, len, PUBLIC_BADGE_S);
    }
    PQclear(rows);
}
