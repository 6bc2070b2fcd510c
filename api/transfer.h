/*
 * transfer - sites as a document: JSON, {"items": [{"url": "...", ...}]}, or a targets file of the
 * producer (libconfig), taken apart into options and put together from them. It knows no database
 * and no rule about options.
 */
#ifndef API_TRANSFER_H
#define API_TRANSFER_H

#include <cjson/cJSON.h>
#include <stdio.h>

#include "common/err.h"

#define TRANSFER_SITES_MAX 10000 /* of a document */

enum transfer_format { TRANSFER_JSON, TRANSFER_LIBCONFIG };

struct transfer_item {
    cJSON *options; /* an object */
    int line;       /* where it begins; 0: not known */
};

struct transfer {
    struct transfer_item *items;
    size_t count;
};

/* Takes a parsed document over. ERR_INVALID: it is not of that form, or has too many. */
int transfer_of_json(cJSON *document, struct transfer *out, struct err *err) MUST_CHECK;

/* `text` is terminated. ERR_INVALID: "body:3: ..."; an @include is one. Defaults are put into each.
 */
int transfer_of_libconfig(const char *text, size_t len, struct transfer *out,
                          struct err *err) MUST_CHECK;

void transfer_free(struct transfer *t);

/* One site as a group of a targets file: "    { url = ...; },". */
void transfer_print_group(FILE *out, const cJSON *options);

#endif
