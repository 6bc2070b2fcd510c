/*
 * website_secrets - secrets of a site that a change does not speak of. They are never shown, so
 * whoever sends back what was read cannot send them: they stay.
 *
 * An option that is given, or null, replaces what was there; headers do so as soon as one of those
 * given has a name that speaks of a secret. The password goes with the username, and the
 * bearer_token when a username comes. No secret stays when the url leads to another scheme, host or
 * port: who may change a site could have it sent to a place of his own.
 */
#ifndef API_WEBSITE_SECRETS_H
#define API_WEBSITE_SECRETS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "api/website_faults.h"
#include "common/seal.h"

/*
 * Add to `options`, what the site is to be, the secrets of `config`, its row's, that `given`, what
 * was sent, does not replace; nulls of such options are taken out of it. `stored`, the row's other
 * options, gets them too, as these do not change. False with a fault: 422 that names a secret to
 * be given anew, 409 when one does not open.
 */
bool website_secrets_keep(cJSON *options, cJSON *stored, const cJSON *given, const cJSON *config,
                          const struct seal *seal, struct website_faults *faults);

#endif
