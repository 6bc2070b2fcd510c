/*
 * site_secrets - the secrets of a site on their way through the database and the topic of the
 * sites: sealed (common/seal) in the member "sealed" of its JSON, by their options: {"password":
 * SEALED, "headers": SEALED}; of headers those whose name speaks of a secret, all in one.
 *
 * Each is sealed for its option and for the scheme, host and port of the site's url, and opens for
 * no other: who can change what is stored cannot have a secret sent elsewhere.
 */
#ifndef COMMON_SITE_SECRETS_H
#define COMMON_SITE_SECRETS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "common/err.h"
#include "common/seal.h"
#include "common/site.h"

#define SITE_SECRETS_MEMBER "sealed"

/* websites.config of a finished site: site_config_json with its secrets, or without them where
 * `seal` is NULL. The same site gives the same text. The caller frees. */
char *site_secrets_config(const struct site *site, const struct seal *seal);

/*
 * What the member holds, opened, as options: {"password": "...", "headers": ["Name: value"]}; empty
 * where it is NULL. The caller deletes. NULL and ERR_INVALID names the option that does not open,
 * and why; `seal` may be NULL.
 */
cJSON *site_secrets_open(const cJSON *sealed, const char *url, const struct seal *seal,
                         struct err *err);

/* Set them, opened, in a site that has all its other options and is not finished. */
int site_secrets_set(struct site *site, const cJSON *sealed, const struct seal *seal,
                     struct err *err) MUST_CHECK;

/* Whether both urls have one scheme, host and port, so that secrets of one open for the other. */
bool site_secrets_same_place(const char *url, const char *other);

#endif
