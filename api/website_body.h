/*
 * website_body - a site between JSON and struct site: the options of common/site.h by their own
 * names, and what the API adds to their rules. It knows no database.
 *
 * Through the API seconds is in 5..300, allow_private is false unless it is given, and the options
 * that reach into the operator's machine or network are refused with 403 unless the operator lists
 * them in API_ALLOW_OPTIONS: allow_private, resolve_to, proxy and every *_file. Secrets are refused
 * with 403 where there is no key to seal them with.
 */
#ifndef API_WEBSITE_BODY_H
#define API_WEBSITE_BODY_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "api/website_faults.h"
#include "common/err.h"
#include "common/site.h"

#define WEBSITE_SECONDS_MIN 5
#define WEBSITE_SECONDS_MAX 300

/* What the operator has set. */
struct website_rules {
    const char *allowed_options; /* "proxy, ca_file"; NULL: none */
    bool seals;                  /* there is a key, so that a site may have secrets */
    bool any_seconds;            /* the caller looks at the interval: website_body_check_seconds */
};

/*
 * Make *site, which the caller frees, from the members of `json`. False: every fault is added
 * to *faults, which was empty, as 422, or 403 where an option is not allowed.
 *
 * stored: what the site had before, from website_body_stored; NULL for a new one. An option that is
 * as it was needs no leave of the operator.
 */
bool website_body_read(const cJSON *json, const cJSON *stored, const struct website_rules *rules,
                       struct site *site, struct website_faults *faults);

/* Adds a fault where the interval is not one of the API's. */
void website_body_check_seconds(const struct site *site, struct website_faults *faults);

/* The options of a site of websites.config, as the API speaks of them: without the sealed ones, and
 * with allow_private, whose default is another one in a file. The caller deletes. */
cJSON *website_body_stored(const cJSON *config);

/* Take out what the api itself puts into a site's JSON (id, version, state, ...), so that what GET
 * has shown may come back as it is. */
void website_body_drop_read_only(cJSON *json);

/* Whether `allowed_options` ("proxy, ca_file") is a list of options that exist and are refused
 * otherwise; ERR_INVALID names the first that is not. NULL is an empty list. */
int website_body_check_allowed(const char *allowed_options, struct err *err) MUST_CHECK;

#endif
