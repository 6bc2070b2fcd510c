/*
 * targets - read the sites of a targets file (libconfig; man sitewatch-targets(5)).
 *
 *     defaults = { timeout_ms = 5000; };
 *     targets = ( { url = "https://example.com/"; seconds = 30; }, { ... } );
 */
#ifndef COMMON_TARGETS_H
#define COMMON_TARGETS_H

#include <stddef.h>

#include "common/err.h"
#include "common/site.h"

#define TARGETS_SITES_MAX 1000000

struct targets {
    struct site *sites; /* in file order; owned */
    size_t count;
};

/* What a site has to be besides, such as that its files hold what they should; it is called with
 * each in file order, and says ERR_INVALID. */
struct targets_check {
    int (*site)(void *context, const struct site *site, struct err *err);
    void *context;
};

/*
 * check: NULL for none. ERR_INVALID is one line: "FILE:LINE: what is wrong, what to do"; FILE is
 * the included one where the fault is there. Names are unique. A file without a site is an error,
 * so that a half-written file on reload does not empty the set. *out is set only on success.
 */
int targets_load(const char *path, const struct targets_check *check, struct targets *out,
                 struct err *err) MUST_CHECK;
void targets_free(struct targets *targets);

/* On the standard output, for --check-config. */
void targets_print_valid(const struct targets *targets);

#endif
