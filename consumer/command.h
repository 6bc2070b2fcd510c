/*
 * command - what the operands ask for: which command, whether it may have these operands and
 * flags, and its run.
 */
#ifndef CONSUMER_COMMAND_H
#define CONSUMER_COMMAND_H

#include <stddef.h>

#include "common/err.h"
#include "consumer/options.h"

struct command;

/* The command that the operands name, `run` when there are none. ERR_INVALID when there is no such
 * command, it has other operands, or a flag was given that is another command's. NULL then. */
const struct command *command_find(const struct options *options, const char **operands,
                                   size_t count, struct err *err);

/* What its operands name, without anybody else: the sites of a file. Prints what is valid. */
int command_check(const struct command *command, const char **operands, struct err *err) MUST_CHECK;

/* Of those that command_find took. Prints on the standard output. */
int command_run(const struct command *command, const struct options *options, const char **operands,
                size_t count, struct err *err) MUST_CHECK;

#endif
