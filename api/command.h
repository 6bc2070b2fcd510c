/*
 * command - which command of the api is asked for, and whether its flags are: to serve, or to make,
 * list and revoke tokens. It does them too, but for serving, which is run's.
 */
#ifndef API_COMMAND_H
#define API_COMMAND_H

#include <stddef.h>

#include "api/options.h"
#include "common/err.h"

/* operands[0..count): what stands beside the flags. ERR_INVALID: they are no command, its flags are
 * not right, or a setting that it needs is not given; else as the command has it. */
int command_do(const struct options *o, const char **operands, size_t count,
               struct err *err) MUST_CHECK;

#endif
