/*
 * sink - where the poller's events go: Kafka, JSON lines, or a table for a person.
 */
#ifndef PRODUCER_SINK_H
#define PRODUCER_SINK_H

#include <stdbool.h>
#include <stdio.h>

#include "common/err.h"
#include "common/event.h"

/* One event a line, as it would go to Kafka. ERR_FATAL when `out` takes no more (a closed pipe). */
int sink_print_json(FILE *out, const struct event *event, struct err *err) MUST_CHECK;

/* A line of the table of --once: status, name, code, time by phase, and what is wrong. */
int sink_print_row(FILE *out, const struct event *event, struct err *err) MUST_CHECK;
int sink_print_heading(FILE *out, struct err *err) MUST_CHECK;

#endif
