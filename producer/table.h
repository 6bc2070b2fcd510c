/*
 * table - checks as lines for a person: a line each, with where its time went.
 *
 * On a terminal the phases are a bar as well; elsewhere there are numbers alone, and no escape
 * sequence. Text of a site is shown by producer/terminal, and cannot steer the terminal.
 */
#ifndef PRODUCER_TABLE_H
#define PRODUCER_TABLE_H

#include <stdio.h>

#include "common/event.h"
#include "producer/terminal.h"

#define TABLE_BAR_WIDTH 20

/* The first lines: names of the columns, and on a terminal what the bars are made of. */
void table_print_heading(const struct terminal *t, FILE *out);
void table_print_row(const struct terminal *t, FILE *out, const struct event *event);

/* Parts of it, for others who draw checks. */
enum colour table_status_colour(enum check_status status);
/* "12.3", or "-" for what was not measured. The cell is the caller's. */
const char *table_milliseconds(int64_t us, char *cell, size_t size);

/*
 * How many of `width` cells each of `count` parts gets, in proportion: together all of them, when
 * any part is above 0. Parts below 0 count as 0. What is lost by rounding down goes to those that
 * lost most.
 */
void table_share(const int64_t *parts, size_t count, int width, int *cells);

#endif
