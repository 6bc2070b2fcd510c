/*
 * websites - reading the sites: the routes of GET /websites, /website and /websites/{id}.
 */
#ifndef API_WEBSITES_H
#define API_WEBSITES_H

#include "api/route.h"

#define WEBSITES_PAGE_MAX 1000 /* sites of one page */
#define WEBSITES_PAGE_DEFAULT 50

extern const struct route_parameter websites_list_query[];
extern const struct route_parameter websites_find_query[];

route_handle websites_list;
route_handle websites_find; /* the same, by keyword alone */
route_handle websites_get;

/* Answer with one site; 404 when there is none. For what has changed it, too. Its ETag is
 * "VERSION.STATE": the first part changes with the site's options, the second with what the last
 * check found; If-Match compares the first alone. */
void websites_answer(PGconn *conn, const struct request *r, int64_t website_id, int status,
                     struct answer *a);

/* An address as websites.website_url has it; NULL when it is none. The caller frees. */
char *websites_normal_url(const char *text);

/* The sites with a normal address: their ids as an array of Postgres', how many there are, and the
 * lowest id. The caller frees with PQclear. NULL with an answer, when there is none too. */
PGresult *websites_with_url(PGconn *conn, const char *url, struct answer *a);

#endif
