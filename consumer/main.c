/* consumer - read check events from Kafka and store each once in Postgres. Wiring only. */

#include <stdlib.h>

#include "common/mem.h"
#include "consumer/command.h"
#include "consumer/options.h"
#include "consumer/run.h"

/* operands: what stands beside the flags. */
static int do_command(const struct options *o, const char **operands, size_t count, struct err *err)
{
    const struct command *command = command_find(o, operands, count, err);

    if (command == NULL) {
        return -1;
    }
    if (o->common.health) {
        return options_ask_health(&o->common, CONSUMER_LISTEN, false, err);
    }
    if (o->postgres_dsn == NULL) {
        return err_set(err, ERR_INVALID, "postgres-dsn is not set (environment POSTGRES_DSN)");
    }
    if (o->common.check_config) {
        return command_check(command, operands, err) < 0 ? -1 : run_check(o, err);
    }
    return command_run(command, o, operands, count, err);
}

int main(int argc, char **argv)
{
    struct options options = {0};
    const char **operands = mem_alloc((size_t)argc, sizeof(operands[0]));
    size_t operand_count = 0;
    struct err err;
    int exit_code = EXIT_CLEAN;

    if (options_begin(&consumer_options, &options, &options.common, VERSION, argc, argv, operands,
                      &operand_count, &exit_code) &&
        do_command(&options, operands, operand_count, &err) < 0) {
        exit_code = options_fail(&consumer_options, &err);
    }
    settings_free(&options, &consumer_options);
    free(operands);
    return options_end(&consumer_options, exit_code);
}
