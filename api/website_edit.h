/*
 * website_edit - making, changing and deleting sites: the routes of POST, PUT, PATCH and DELETE.
 *
 * Each change is one transaction, raises the site's version, and answers with the site as it is
 * then. If-Match with a site's ETag makes a change conditional (RFC 9110, 13.1.1).
 */
#ifndef API_WEBSITE_EDIT_H
#define API_WEBSITE_EDIT_H

#include "api/route.h"

route_handle website_post;
route_handle website_put;         /* /websites/{id} */
route_handle website_put_by_body; /* /websites: by the body's id or url */
route_handle website_patch;       /* a merge patch (RFC 7396) */
route_handle website_delete;      /* its checks stay until they are past their retention */

#endif
