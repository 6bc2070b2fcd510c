/* The table of routes. One row a route, and nothing about a route anywhere else. */
#include <stdlib.h>
#include <string.h>

#include "api/assets.h"
#include "api/dead_letters.h"
#include "api/events.h"
#include "api/monitoring.h"
#include "api/openapi.h"
#include "api/overview.h"
#include "api/pipeline.h"
#include "api/public.h"
#include "api/route.h"
#include "api/website_edit.h"
#include "api/website_transfer.h"
#include "api/websites.h"
#include "common/mem.h"

static void answer_text(struct answer *a, int status, const char *text)
{
    answer_body(a, status, "text/plain; charset=utf-8", mem_copy_string(text), strlen(text));
}

static void healthz(const struct api *api, PGconn *conn, const struct request *r, struct answer *a)
{
    (void)api;
    (void)conn;
    (void)r;
    answer_text(a, 200, "ok\n");
}

/* Ready is who reaches the database: another behind the same address may. */
static void readyz(const struct api *api, PGconn *conn, const struct request *r, struct answer *a)
{
    struct err err;

    (void)r;
    conn = db_take(api->db, &err);
    if (conn != NULL && pg_run(conn, "SELECT 1", &err) == 0) {
        answer_text(a, 200, "ready\n");
    } else {
        answer_text(a, 503, "the database does not answer\n");
    }
    if (conn != NULL) {
        db_give(api->db, conn);
    }
}

static void metrics(const struct api *api, PGconn *conn, const struct request *r, struct answer *a)
{
    enum metrics_format format = metrics_format_of(request_header(r, "Accept"));
    size_t len;

    pipeline_want(api->pipeline); /* its figures are those of the last look */
    char *text = metrics_render(api->metrics, format, &len);

    (void)conn;
    answer_body(a, 200, metrics_content_type(format), text, len);
    answer_header(a, "Vary", "Accept");
}

/* What of api/web/ is served, as it is: its path, the file, its media type and the parameters of
 * that, and what the description says. One row a file. */
#define PAGES(X)                                                                                   \
    X("/", "index.html", "text/html", UTF_8, "getDashboard", "The dashboard")                      \
    X("/web/app.css", "app.css", "text/css", UTF_8, "getDashboardStyle", "How it looks")           \
    X("/web/app.js", "app.js", "text/javascript", UTF_8, "getDashboardScript", "What it does")     \
    X("/web/api.js", "api.js", "text/javascript", UTF_8, "getDashboardApi", "How it asks")         \
    X("/web/dom.js", "dom.js", "text/javascript", UTF_8, "getDashboardDom", "Its elements")        \
    X("/web/form.js", "form.js", "text/javascript", UTF_8, "getDashboardForm", "Its forms")        \
    X("/web/icon.svg", "icon.svg", "image/svg+xml", "", "getDashboardIcon", "Its icon")            \
    X("/web/list.js", "list.js", "text/javascript", UTF_8, "getDashboardList", "Its list")         \
    X("/web/live.js", "live.js", "text/javascript", UTF_8, "getDashboardLive", "How it is told")   \
    X("/web/pipeline.js", "pipeline.js", "text/javascript", UTF_8, "getDashboardPipeline",         \
      "Its page of the pipeline")                                                                  \
    X("/web/plot.js", "plot.js", "text/javascript", UTF_8, "getDashboardPlot", "Its plots")        \
    X("/web/site.js", "site.js", "text/javascript", UTF_8, "getDashboardSite", "A site's page")    \
    X("/web/sites.js", "sites.js", "text/javascript", UTF_8, "getDashboardSites", "Its sites")     \
    X("/web/vendor/uPlot.iife.min.js", "vendor/uPlot.iife.min.js", "text/javascript", UTF_8,       \
      "getUplot", "The library of its plots")                                                      \
    X("/web/vendor/uPlot.min.css", "vendor/uPlot.min.css", "text/css", UTF_8, "getUplotStyle",     \
      "How that looks")                                                                            \
    X("/docs", "docs.html", "text/html", UTF_8, "getDocs", "This description for people")          \
    X("/docs.css", "docs.css", "text/css", UTF_8, "getDocsStyle", "How /docs looks")               \
    X("/docs.js", "docs.js", "text/javascript", UTF_8, "getDocsScript", "What /docs does")

#define UTF_8 "; charset=utf-8"
#define PAGE_FILE(path, file, type, parameters, operation, summary)                                \
    {path, "web/" file, type parameters},
#define PAGE_ROUTE(path, file, type, parameters, operation, summary)                               \
    {"GET", path, SCOPE_NONE, page, operation, summary, NULL, NULL, {{200, type}}},

/* A page may load and do what comes from here, and nothing else (Content Security Policy 3); a
 * browser asks each time whether it has changed. */
static void page(const struct api *api, PGconn *conn, const struct request *r, struct answer *a)
{
    static const struct {
        const char *path, *file, *type;
    } pages[] = {PAGES(PAGE_FILE)};
    size_t i = 0;

    (void)api;
    (void)conn;
    while (strcmp(pages[i].path, r->path) != 0) {
        i++; /* only their routes lead here */
    }
    const struct asset *asset = asset_find(pages[i].file);

    answer_body(a, 200, pages[i].type, mem_copy(asset->bytes, asset->len), asset->len);
    answer_header(a, "Content-Security-Policy",
                  "default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; "
                  "form-action 'self'");
    answer_header(a, "Referrer-Policy", "no-referrer");
    answer_header(a, "Cache-Control", "no-cache");
    answer_headerf(a, "ETag", "\"%s\"", asset->tag);
}

static const struct route routes[] = {
    {"GET",
     "/overview",
     SCOPE_READ,
     overview_get,
     "getOverview",
     "All sites in short, with what their checks came to in the last 24 hours",
     NULL,
     NULL,
     {{200, "Overview"}}},
    {"GET",
     "/websites",
     SCOPE_READ,
     websites_list,
     "listWebsites",
     "The sites, page by page",
     websites_list_query,
     NULL,
     {{200, "WebsitePage"}}},
    {"POST",
     "/websites",
     SCOPE_WRITE,
     website_post,
     "createWebsite",
     "Add a site; it is checked at once",
     NULL,
     "WebsiteNew",
     {{201, "Website"}}},
    {"PUT",
     "/websites",
     SCOPE_WRITE,
     website_put_by_body,
     "replaceWebsiteByUrl",
     "Replace the options of the site with the body's id or url",
     NULL,
     "WebsiteReplaced",
     {{200, "Website"}}},
    {"GET",
     "/website",
     SCOPE_READ,
     websites_find,
     "findWebsites",
     "The sites with a keyword in their url",
     websites_find_query,
     NULL,
     {{200, "WebsitePage"}}},
    {"GET",
     "/websites/export",
     SCOPE_WRITE,
     website_export,
     "exportWebsites",
     "All sites as one document, without their secrets; an import takes it back",
     website_export_query,
     NULL,
     {{200, "WebsiteDocument|text/plain"}}},
    {"POST",
     "/websites/import",
     SCOPE_WRITE,
     website_import,
     "importWebsites",
     "Add and replace sites by their names: all of them or, with what is wrong, none",
     website_import_query,
     "WebsiteImport|text/plain",
     {{200, "WebsiteImported"}}},
    {"GET",
     "/websites/{id}",
     SCOPE_READ,
     websites_get,
     "getWebsite",
     "One site, with its state at each location",
     NULL,
     NULL,
     {{200, "Website"}}},
    {"PUT",
     "/websites/{id}",
     SCOPE_WRITE,
     website_put,
     "replaceWebsite",
     "Replace the options of a site",
     NULL,
     "WebsiteReplaced",
     {{200, "Website"}}},
    {"PATCH",
     "/websites/{id}",
     SCOPE_WRITE,
     website_patch,
     "changeWebsite",
     "Change options of a site; null takes one away",
     NULL,
     "WebsitePatch",
     {{200, "Website"}}},
    {"DELETE",
     "/websites/{id}",
     SCOPE_WRITE,
     website_delete,
     "deleteWebsite",
     "Stop checking a site; its checks are kept until they are past their retention",
     NULL,
     NULL,
     {{204, NULL}}},
    {"GET",
     "/websites/{id}/metrics",
     SCOPE_READ,
     monitoring_series,
     "getWebsiteMetrics",
     "What the checks of a site come to over time: what a graph shows",
     monitoring_series_query,
     NULL,
     {{200, "Series"}}},
    {"GET",
     "/websites/{id}/phases",
     SCOPE_READ,
     monitoring_phases,
     "getWebsitePhases",
     "Of what the response times of a site consist over time: means of up to 7 days",
     monitoring_series_query,
     NULL,
     {{200, "PhaseSeries"}}},
    {"GET",
     "/websites/{id}/checks",
     SCOPE_READ,
     monitoring_site_checks,
     "listWebsiteChecks",
     "The checks of a site, newest first",
     monitoring_site_checks_query,
     NULL,
     {{200, "CheckPage"}}},
    {"GET",
     "/monitoring",
     SCOPE_READ,
     monitoring_checks,
     "listChecks",
     "The checks of the sites with a url, newest first",
     monitoring_checks_query,
     NULL,
     {{200, "CheckPage"}}},
    {"GET",
     "/incidents",
     SCOPE_READ,
     monitoring_incidents,
     "listIncidents",
     "When sites were down, newest first",
     monitoring_incidents_query,
     NULL,
     {{200, "IncidentPage"}}},
    {"GET",
     "/pipeline",
     SCOPE_READ,
     pipeline_get,
     "getPipeline",
     "Whether each part of the pipeline is well, and why",
     NULL,
     NULL,
     {{200, "Pipeline"}}},
    {"GET",
     "/dead-letters",
     SCOPE_READ,
     dead_letters_list,
     "listDeadLetters",
     "Messages that are no valid events, newest first",
     dead_letters_list_query,
     NULL,
     {{200, "DeadLetterPage"}}},
    {"GET",
     "/dead-letters/{id}",
     SCOPE_READ,
     dead_letters_get,
     "getDeadLetter",
     "One of them, with its key and payload",
     NULL,
     NULL,
     {{200, "DeadLetter"}}},
    {"GET",
     "/events",
     SCOPE_READ,
     events_get,
     "readEvents",
     "Changes of sites and of their state as they happen: server-sent events, without an end",
     NULL,
     NULL,
     {{200, "text/event-stream"}}},
    {"GET",
     "/badge/{id}.svg",
     SCOPE_NONE,
     public_badge,
     "getBadge",
     "Name and state of a site as a picture, where api-public-tag shows it",
     NULL,
     NULL,
     {{200, "image/svg+xml"}, {503, NULL}}},
    {"GET",
     "/status",
     SCOPE_NONE,
     public_status,
     "getStatus",
     "The sites that api-public-tag shows, for people",
     NULL,
     NULL,
     {{200, "text/html"}, {503, NULL}}},
    {"GET",
     "/status.css",
     SCOPE_NONE,
     public_style,
     "getStatusStyle",
     "How /status looks",
     NULL,
     NULL,
     {{200, "text/css"}}},
    {"GET",
     "/openapi.json",
     SCOPE_NONE,
     openapi_json,
     "getOpenapi",
     "This description",
     NULL,
     NULL,
     {{200, "application/json"}}},
    {"GET",
     "/metrics",
     SCOPE_NONE,
     metrics,
     "getMetrics",
     "Figures for Prometheus",
     NULL,
     NULL,
     {{200, "application/openmetrics-text"}}},
    {"GET",
     "/healthz",
     SCOPE_NONE,
     healthz,
     "getHealth",
     "Whether the program runs",
     NULL,
     NULL,
     {{200, "text/plain"}}},
    {"GET",
     "/readyz",
     SCOPE_NONE,
     readyz,
     "getReadiness",
     "Whether the database answers",
     NULL,
     NULL,
     {{200, "text/plain"}, {503, "text/plain"}}},
    PAGES(PAGE_ROUTE)};

const struct route *route_at(size_t i)
{
    return i < sizeof(routes) / sizeof(routes[0]) ? &routes[i] : NULL;
}

bool route_takes_much(const struct route *route)
{
    return route->handle == website_import;
}
