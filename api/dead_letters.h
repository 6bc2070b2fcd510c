/*
 * dead_letters - messages that are no valid events, to be looked at: GET /dead-letters and
 * /dead-letters/{id}. The api has no connection to Kafka: `consumer dead-letters replay` puts them
 * back.
 */
#ifndef API_DEAD_LETTERS_H
#define API_DEAD_LETTERS_H

#include "api/route.h"

extern const struct route_parameter dead_letters_list_query[];

route_handle dead_letters_list, dead_letters_get;

#endif
