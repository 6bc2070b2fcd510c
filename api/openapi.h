/*
 * openapi - the description of the API, made from the table of routes, the table of a site's
 * options and schemas.json: OpenAPI 3.1. The page at /docs reads it, so that there is one source.
 */
#ifndef API_OPENAPI_H
#define API_OPENAPI_H

#include "api/route.h"

route_handle openapi_json;

/* The document, which the caller deletes. */
cJSON *openapi_document(void);

#endif
