/*
 * public - what is shown without a token, when it is switched on: a page of the sites with a
 * certain tag, and a badge for each of them. A site's name, its state and its uptime are told, and
 * nothing else of it; a name that is an address is told as its host.
 *
 * The page is made once for all who ask within a while: whoever asks cannot make Postgres work.
 */
#ifndef API_PUBLIC_H
#define API_PUBLIC_H

#include "api/route.h"

#define PUBLIC_SITES_MAX 200 /* of the page */
#define PUBLIC_PAGE_S 30     /* that it is shown again for, and kept by who asked */
#define PUBLIC_BADGE_S 30

struct public_page;

/* tag: of the sites to be shown; kept by pointer; NULL: none is, and there is nothing here. */
struct public_page *public_new(const char *tag);
void public_free(struct public_page *p);

route_handle public_status, public_style, public_badge;

#endif
