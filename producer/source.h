/*
 * source - where the sites come from: a list of them, which is one from the command line or a
 * targets file, and the topic of the sites beside it or alone.
 */
#ifndef PRODUCER_SOURCE_H
#define PRODUCER_SOURCE_H

#include <stdbool.h>

#include "common/err.h"
#include "common/targets.h"
#include "producer/options.h"

/* Whether the options give a list, and which topic, NULL for none. */
bool source_has_list(const struct options *options);
const char *source_topic(const struct options *options);

/* Whether the options go together and give something to check. ERR_INVALID names the option. */
int source_check(const struct options *options, struct err *err) MUST_CHECK;

/* Read the list, of options that source_check took; check is of what only a file can say.
 * ERR_INVALID names the option, or file and line. *targets is set only on success. */
int source_load(const struct options *options, const struct targets_check *check,
                struct targets *targets, struct err *err) MUST_CHECK;

#endif
