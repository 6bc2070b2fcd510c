/* api - serve what is stored, and manage the sites. Wiring only. */

#include <stdlib.h>

#include "api/command.h"
#include "api/options.h"
#include "common/mem.h"

int main(int argc, char **argv)
{
    struct options options = {0};
    const char **operands = mem_alloc((size_t)argc, sizeof(operands[0]));
    size_t operand_count = 0;
    struct err err;
    int exit_code = EXIT_CLEAN;

    if (options_begin(&api_options, &options, &options.common, VERSION, argc, argv, operands,
                      &operand_count, &exit_code) &&
        command_do(&options, operands, operand_count, &err) < 0) {
        exit_code = options_fail(&api_options, &err);
    }
    settings_free(&options, &api_options);
    free(operands);
    return options_end(&api_options, exit_code);
}
