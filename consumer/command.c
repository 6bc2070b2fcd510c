#include "consumer/command.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/targets.h"
#include "consumer/letters_print.h"
#include "consumer/migrate.h"
#include "consumer/offsets.h"
#include "consumer/replay.h"
#include "consumer/run.h"
#include "consumer/seed.h"
#include "consumer/topics.h"

typedef int run_fn(const struct options *o, const char **args, size_t count, struct err *err);

/* The flags that belong to single commands. */
enum flag {
    FLAG_TOPICS = 1,
    FLAG_REPLICATION = 2,
    FLAG_TOPIC = 4,
    FLAG_OFFSETS = 8, /* --partition, --to, --execute */
    FLAG_FORCE = 16,
    FLAG_FILTER = 32, /* --reason, --since, --until */
    FLAG_PAGE = 64,   /* --before, --limit */
    FLAG_OUTPUT = 128,
    FLAG_ALL = 256,
};

struct command {
    const char *words[2];      /* the second NULL: it has one word */
    const char *operands;      /* for the usage */
    size_t args_min, args_max; /* after the words */
    unsigned flags;
    run_fn *run;
};

/* --- The commands --- */

static int do_run(const struct options *o, const char **args, size_t count, struct err *err)
{
    (void)args;
    (void)count;
    return run(o, err);
}

static void print_applied(void *context, const struct migration *migration)
{
    (void)context;
    printf("applied %s\n", migration->name);
}

static int do_migrate(const struct options *o, const char **args, size_t count, struct err *err)
{
    const struct topics_settings topics = {
        .kafka = &o->kafka,
        .success = o->topic_success,
        .failure = o->topic_failure,
        .dead_letter = o->topic_dead_letter,
        .sites = o->topic_sites,
        .replicas = (int32_t)o->replication_factor,
    };

    (void)args;
    (void)count;
    if (migrate_run(o->postgres_dsn, print_applied, NULL, err) < 0) {
        return -1;
    }
    printf("database is up to date\n");
    return o->topics ? topics_ensure(&topics, stdout, err) : 0;
}

static int do_seed(const struct options *o, const char **args, size_t count, struct err *err)
{
    struct targets targets;
    struct siterows_counts counts;
    struct seal *seal = NULL;

    (void)count;
    if (o->sites_secret_key != NULL) {
        seal = seal_new(o->sites_secret_key, err);
        if (seal == NULL) {
            return err_context(err, "sites-secret-key");
        }
    }
    if (targets_load(args[0], NULL, &targets, err) < 0) {
        seal_free(seal);
        return -1;
    }
    int rc = seed_run(o->postgres_dsn, &targets, seal, &counts, err);

    targets_free(&targets);
    seal_free(seal);
    if (rc == 0) {
        printf("%zu inserted, %zu updated, %zu unchanged\n", counts.inserted, counts.updated,
               counts.unchanged);
    }
    return rc;
}

static int parse_id(const char *text, int64_t *id, struct err *err)
{
    char *end;

    errno = 0;
    *id = strtoll(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0) {
        return err_set(err, ERR_INVALID, "%.64s: not the id of a dead letter", text);
    }
    return 0;
}

static struct letters_filter filter_of(const struct options *o)
{
    return (struct letters_filter){
        .reason = o->reason, .topic = o->topic, .since = o->since, .until = o->until};
}

static int do_list(const struct options *o, const char **args, size_t count, struct err *err)
{
    struct letters_filter filter = filter_of(o);
    struct letters letters;

    (void)args;
    (void)count;
    if (letters_filter_check(&filter, err) < 0) {
        return -1;
    }
    PGconn *conn = pg_connect(o->postgres_dsn, NULL, err);

    if (conn == NULL) {
        return -1;
    }
    int rc = letters_list(conn, &filter, o->before, o->limit, &letters, err);

    if (rc == 0) {
        letters_print_list(stdout, (enum letters_format)o->output, &letters);
        if (letters.count == (size_t)o->limit && o->output == LETTERS_TABLE) {
            printf("older ones: --before %" PRId64 "\n", letters.all[letters.count - 1].id);
        }
        letters_free(&letters);
    }
    PQfinish(conn);
    return rc;
}

static int do_show(const struct options *o, const char **args, size_t count, struct err *err)
{
    struct letters letters = {0};
    int64_t id;

    (void)count;
    if (parse_id(args[0], &id, err) < 0) {
        return -1;
    }
    PGconn *conn = pg_connect(o->postgres_dsn, NULL, err);

    if (conn == NULL) {
        return -1;
    }
    int rc = letters_get(conn, id, &letters, err);

    if (rc == 0 && letters.count == 0) {
        rc = err_set(err, ERR_FATAL, "there is no dead letter %" PRId64, id);
    } else if (rc == 0) {
        letters_print_one(stdout, (enum letters_format)o->output, &letters.all[0]);
    }
    letters_free(&letters);
    PQfinish(conn);
    return rc;
}

/* Everything is put back only where that was said in so many words. */
static int check_choice(const struct options *o, size_t ids_count, struct err *err)
{
    bool filtered = o->reason != NULL || o->topic != NULL || o->since != NULL || o->until != NULL;

    if (ids_count > 0 && (filtered || o->all)) {
        return err_set(err, ERR_INVALID, "dead-letters replay: either ids, or --all or a filter");
    }
    if (ids_count == 0 && !filtered && !o->all) {
        return err_set(err, ERR_INVALID,
                       "dead-letters replay: which? ids, --reason, --topic, --since, --until, or "
                       "--all");
    }
    return 0;
}

static int replay(const struct options *o, const int64_t *ids, size_t count, struct err *err)
{
    struct replay_settings settings = {
        .dsn = o->postgres_dsn,
        .kafka = &o->kafka,
        .topic_dead_letter = o->topic_dead_letter,
        .choice = {.filter = filter_of(o),
                   .ids = count == 0 ? NULL : ids,
                   .ids_count = count,
                   .again = o->force},
    };
    struct replay_counts counts;
    int rc = replay_run(&settings, stdout, &counts, err);

    printf("%zu replayed, %zu refused\n", counts.replayed, counts.refused);
    if (rc == 0 && counts.refused > 0) {
        return err_set(err, ERR_FATAL, "%zu were not replayed", counts.refused);
    }
    return rc;
}

static int do_replay(const struct options *o, const char **args, size_t count, struct err *err)
{
    int64_t *ids = mem_alloc(count, sizeof(*ids));
    int rc = check_choice(o, count, err);

    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = parse_id(args[i], &ids[i], err);
    }
    if (rc == 0) {
        rc = replay(o, ids, count, err);
    }
    free(ids);
    return rc;
}

static int do_reset(const struct options *o, const char **args, size_t count, struct err *err)
{
    const struct offsets_settings settings = {
        .dsn = o->postgres_dsn,
        .kafka = &o->kafka,
        .group = o->kafka_group,
        .topic = o->topic,
        .partition = o->partition,
        .to = o->to,
        .execute = o->execute,
        .force = o->force,
    };

    (void)args;
    (void)count;
    return offsets_reset(&settings, stdout, err);
}

static const struct command commands[] = {
    {{"run", NULL}, "", 0, 0, 0, do_run},
    {{"migrate", NULL}, "", 0, 0, FLAG_TOPICS | FLAG_REPLICATION, do_migrate},
    {{"seed", NULL}, " FILE", 1, 1, 0, do_seed},
    {{"dead-letters", "list"},
     "",
     0,
     0,
     FLAG_FILTER | FLAG_TOPIC | FLAG_PAGE | FLAG_OUTPUT,
     do_list},
    {{"dead-letters", "show"}, " ID", 1, 1, FLAG_OUTPUT, do_show},
    {{"dead-letters", "replay"},
     " [ID...]",
     0,
     SIZE_MAX,
     FLAG_FILTER | FLAG_TOPIC | FLAG_ALL | FLAG_FORCE,
     do_replay},
    {{"offsets", "reset"}, "", 0, 0, FLAG_TOPIC | FLAG_OFFSETS | FLAG_FORCE, do_reset},
};

#define COMMANDS_COUNT (sizeof(commands) / sizeof(commands[0]))

/* --- Which of them --- */

static int check_flags(const struct command *command, const struct options *o, struct err *err)
{
    const struct {
        const char *name;
        enum flag flag;
        bool given;
    } given[] = {
        {"topics", FLAG_TOPICS, o->topics},
        {"replication-factor", FLAG_REPLICATION, o->replication_factor != 0},
        {"topic", FLAG_TOPIC, o->topic != NULL},
        {"partition", FLAG_OFFSETS, o->partition != NULL},
        {"to", FLAG_OFFSETS, o->to != NULL},
        {"execute", FLAG_OFFSETS, o->execute},
        {"force", FLAG_FORCE, o->force},
        {"reason", FLAG_FILTER, o->reason != NULL},
        {"since", FLAG_FILTER, o->since != NULL},
        {"until", FLAG_FILTER, o->until != NULL},
        {"before", FLAG_PAGE, o->before != 0},
        {"limit", FLAG_PAGE, o->limit != OPTIONS_LIMIT_DEFAULT},
        {"output", FLAG_OUTPUT, o->output != LETTERS_TABLE},
        {"all", FLAG_ALL, o->all},
    };

    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        if (given[i].given && (command->flags & given[i].flag) == 0) {
            return err_set(err, ERR_INVALID, "flag --%s is not one of consumer %s%s%s",
                           given[i].name, command->words[0], command->words[1] == NULL ? "" : " ",
                           command->words[1] == NULL ? "" : command->words[1]);
        }
    }
    return 0;
}

static int check_topics(const struct options *o, struct err *err)
{
    if (o->replication_factor != 0 && !o->topics) {
        return err_set(err, ERR_INVALID, "flag --replication-factor goes with --topics");
    }
    return 0;
}

static size_t words_count(const struct command *command)
{
    return command->words[1] == NULL ? 1 : 2;
}

static bool is_named(const struct command *command, const char **operands, size_t count)
{
    if (count < words_count(command)) {
        return false;
    }
    for (size_t i = 0; i < words_count(command); i++) {
        if (strcmp(operands[i], command->words[i]) != 0) {
            return false;
        }
    }
    return true;
}

const struct command *command_find(const struct options *o, const char **operands, size_t count,
                                   struct err *err)
{
    static const char *const by_default[] = {"run"};

    if (count == 0) {
        operands = (const char **)(uintptr_t)by_default;
        count = 1;
    }
    for (size_t i = 0; i < COMMANDS_COUNT; i++) {
        const struct command *command = &commands[i];
        size_t words = words_count(command);

        if (!is_named(command, operands, count)) {
            continue;
        }
        if (count - words < command->args_min || count - words > command->args_max) {
            err_set(err, ERR_INVALID, "usage: consumer %s%s%s%s", command->words[0],
                    command->words[1] == NULL ? "" : " ",
                    command->words[1] == NULL ? "" : command->words[1], command->operands);
            return NULL;
        }
        return check_flags(command, o, err) < 0 || check_topics(o, err) < 0 ? NULL : command;
    }
    err_set(err, ERR_INVALID, "%.64s%s%.64s: not a command; usage: consumer %s", operands[0],
            count > 1 ? " " : "", count > 1 ? operands[1] : "", consumer_options.usage);
    return NULL;
}

int command_check(const struct command *command, const char **operands, struct err *err)
{
    struct targets targets;

    if (command->run != do_seed) {
        return 0;
    }
    if (targets_load(operands[words_count(command)], NULL, &targets, err) < 0) {
        return -1;
    }
    targets_print_valid(&targets);
    targets_free(&targets);
    return 0;
}

int command_run(const struct command *command, const struct options *o, const char **operands,
                size_t count, struct err *err)
{
    size_t words = count == 0 ? 0 : words_count(command);

    if (command->run != do_run) {
        options_default_signals();
    }
    return command->run(o, operands + words, count - words, err);
}
