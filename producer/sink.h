/*
 * sink - events on the standard output, as they would go to Kafka.
 */
#ifndef PRODUCER_SINK_H
#define PRODUCER_SINK_H

#include <stdio.h>

#include "common/err.h"
#include "common/event.h"

/* One event a line. ERR_FATAL when `out` takes no more (a closed pipe). */
int sink_print_json(FILE *out, const struct event *event, struct err *err) MUST_CHECK;

/* What was written to it goes out at once. ERR_FATAL as above. */
int sink_flush(FILE *out, struct err *err) MUST_CHECK;

#endif
