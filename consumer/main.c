/* consumer - read check events from Kafka and store each once in Postgres. Wiring only. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/targets.h"
#include "consumer/migrate.h"
#include "consumer/options.h"
#include "consumer/run.h"
#include "consumer/seed.h"

static void print_applied(void *context, const struct migration *migration)
{
    (void)context;
    printf("applied %s\n", migration->name);
}

static int migrate(const struct options *o, struct err *err)
{
    if (migrate_run(o->postgres_dsn, print_applied, NULL, err) < 0) {
        return -1;
    }
    printf("database is up to date\n");
    return 0;
}

static int seed(const struct options *o, const char *path, struct err *err)
{
    struct targets targets;
    struct seed_counts counts;

    if (targets_load(path, &targets, err) < 0) {
        return -1;
    }
    int rc = seed_run(o->postgres_dsn, &targets, &counts, err);

    targets_free(&targets);
    if (rc == 0) {
        printf("%zu inserted, %zu updated, %zu unchanged\n", counts.inserted, counts.updated,
               counts.unchanged);
    }
    return rc;
}

/* operands: what stands beside the flags. */
static int do_command(const struct options *o, const char **operands, size_t count, struct err *err)
{
    const char *command = count == 0 ? "run" : operands[0];

    if (o->postgres_dsn == NULL) {
        return err_set(err, ERR_INVALID, "postgres-dsn is not set (environment POSTGRES_DSN)");
    }
    if (strcmp(command, "run") == 0 && count <= 1) {
        return o->common.check_config ? run_check(o, err) : run(o, err);
    }
    if (strcmp(command, "migrate") == 0 && count == 1) {
        return migrate(o, err);
    }
    if (strcmp(command, "seed") == 0 && count == 2) {
        return seed(o, operands[1], err);
    }
    return err_set(err, ERR_INVALID, "%s: not a command; usage: consumer %s", command,
                   consumer_options.usage);
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
    return exit_code;
}
