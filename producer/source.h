/*
 * source - where the sites come from: one from the command line, or a targets file.
 */
#ifndef PRODUCER_SOURCE_H
#define PRODUCER_SOURCE_H

#include "common/err.h"
#include "common/targets.h"
#include "producer/options.h"

/* ERR_INVALID names the option, or file and line. *targets is set only on success. */
int source_load(const struct options *options, struct targets *targets, struct err *err) MUST_CHECK;

#endif
