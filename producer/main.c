/* producer - check web sites and emit one event a check to Kafka. Wiring only. */

#include <stdlib.h>

#include "common/mem.h"
#include "producer/options.h"
#include "producer/run.h"

static int do_command(const struct options *o, const char **operands, size_t count, bool *any_down,
                      struct err *err)
{
    if (count > 0) {
        return err_set(err, ERR_INVALID, "%s: not an option; usage: producer %s", operands[0],
                       producer_options.usage);
    }
    if (o->common.health) {
        return options_ask_health(&o->common, PRODUCER_LISTEN, false, err);
    }
    if (options_check(o, err) < 0) {
        return -1;
    }
    if (o->common.check_config) {
        return run_check(o, err);
    }
    return run(o, VERSION, any_down, err);
}

int main(int argc, char **argv)
{
    struct options options = {0};
    const char **operands = mem_alloc((size_t)argc, sizeof(operands[0]));
    size_t operand_count = 0;
    struct err err;
    bool any_down = false;
    int exit_code = EXIT_CLEAN;

    if (options_begin(&producer_options, &options, &options.common, VERSION, argc, argv, operands,
                      &operand_count, &exit_code)) {
        if (do_command(&options, operands, operand_count, &any_down, &err) < 0) {
            exit_code = options_fail(&producer_options, &err);
        } else if (any_down) {
            exit_code = EXIT_FAILED;
        }
    }
    settings_free(&options, &producer_options);
    free(operands);
    return options_end(&producer_options, exit_code);
}
