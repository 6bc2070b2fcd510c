#include "api/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/run.h"
#include "api/token.h"
#include "common/pg.h"

enum command { COMMAND_RUN, COMMAND_CREATE, COMMAND_LIST, COMMAND_REVOKE };

static int token_command_create(PGconn *conn, const struct options *o, struct err *err)
{
    char token[TOKEN_SIZE];

    if (token_create(conn, o->owner, o->scope == 0 ? SCOPE_READ : SCOPE_WRITE, o->days, token,
                     err) < 0) {
        return -1;
    }
    printf("%s\n", token);
    fprintf(stderr, "api: this is the only time that the token is shown\n");
    return 0;
}

static int token_command_revoke(PGconn *conn, const char *text, struct err *err)
{
    char *end = NULL;
    long long id = strtoll(text, &end, 10);

    if (end == text || *end != '\0' || id <= 0) {
        return err_set(err, ERR_INVALID, "token revoke: %s: want the id that token list shows",
                       text);
    }
    return token_revoke(conn, id, err);
}

static int token_command(enum command command, const struct options *o, const char *id,
                         struct err *err)
{
    int rc;

    options_default_signals();

    PGconn *conn = token_setup(err) < 0 ? NULL : pg_connect(o->postgres_dsn, NULL, err);

    if (conn == NULL) {
        return -1;
    }
    if (command == COMMAND_CREATE) {
        rc = token_command_create(conn, o, err);
    } else if (command == COMMAND_LIST) {
        rc = token_list(conn, stdout, err);
    } else {
        rc = token_command_revoke(conn, id, err);
    }
    PQfinish(conn);
    return rc;
}

/* What the operands say, which stand beside the flags. */
static int command_find(const char **operands, size_t count, enum command *command, struct err *err)
{
    const char *verb = count < 2 ? "" : operands[1];

    if (count == 0 || (count == 1 && strcmp(operands[0], "run") == 0)) {
        *command = COMMAND_RUN;
        return 0;
    }
    if (strcmp(operands[0], "token") != 0) {
        return err_set(err, ERR_INVALID, "%.64s%s%.64s: not a command; usage: api %s", operands[0],
                       count > 1 ? " " : "", verb, api_options.usage);
    }
    if (strcmp(verb, "create") == 0 && count == 2) {
        *command = COMMAND_CREATE;
    } else if (strcmp(verb, "list") == 0 && count == 2) {
        *command = COMMAND_LIST;
    } else if (strcmp(verb, "revoke") == 0 && count == 3) {
        *command = COMMAND_REVOKE;
    } else {
        return err_set(err, ERR_INVALID, "token: want create, list or revoke ID; usage: api %s",
                       api_options.usage);
    }
    return 0;
}

static int check_flags(enum command command, const struct options *o, struct err *err)
{
    if (command != COMMAND_CREATE && (o->owner != NULL || o->scope != 0 || o->days != 0)) {
        return err_set(err, ERR_INVALID, "flag --%s is one of api token create alone",
                       o->owner != NULL ? "owner"
                       : o->scope != 0  ? "scope"
                                        : "days");
    }
    if (command == COMMAND_CREATE && o->owner == NULL) {
        return err_set(err, ERR_INVALID, "token create: needs --owner NAME");
    }
    return 0;
}

int command_do(const struct options *o, const char **operands, size_t count, struct err *err)
{
    enum command command;

    if (command_find(operands, count, &command, err) < 0 || check_flags(command, o, err) < 0) {
        return -1;
    }
    if (o->common.health) {
        return options_ask_health(&o->common, API_LISTEN, o->cert_file != NULL, err);
    }
    if (o->postgres_dsn == NULL) {
        return err_set(err, ERR_INVALID, "postgres-dsn is not set (environment POSTGRES_DSN)");
    }
    if (o->common.check_config) {
        return run_check(o, err);
    }
    return command == COMMAND_RUN ? run(o, err)
                                  : token_command(command, o, count < 3 ? "" : operands[2], err);
}
