/*
 * website_transfer - many sites at once: the routes of GET /websites/export and POST
 * /websites/import. What one gives the other takes back, and changes nothing.
 */
#ifndef API_WEBSITE_TRANSFER_H
#define API_WEBSITE_TRANSFER_H

#include "api/route.h"

extern const struct route_parameter website_export_query[];
extern const struct route_parameter website_import_query[];

route_handle website_export;
route_handle website_import;

#endif
