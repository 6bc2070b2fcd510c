#include "common/options.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>

#include "common/clock.h"
#include "common/health.h"
#include "common/log.h"

const char *const options_log_formats[] = {"logfmt", "json", NULL};

static void fill_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

int options_signal_fd(struct err *err)
{
    sigset_t set;

    fill_signals(&set);

    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);

    return fd < 0 ? err_set(err, ERR_FATAL, "signalfd: %s", strerror(errno)) : fd;
}

void options_default_signals(void)
{
    sigset_t set;

    fill_signals(&set);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int options_start_admin(const struct common_options *common, const char *default_listen,
                        const struct metrics *metrics, struct admin_health *health,
                        struct admin **admin, struct err *err)
{
    const char *listen = common->listen == NULL ? default_listen : common->listen;
    char address[256];

    atomic_store(&health->beat_ns, clock_mono_ns());
    if (strcmp(listen, "off") == 0) {
        return 0;
    }
    int host_len = (int)(strrchr(listen, ':') == NULL ? 0 : strrchr(listen, ':') - listen);

    *admin = admin_new(listen, metrics, health, err);
    if (*admin == NULL && common->listen == NULL) {
        snprintf(address, sizeof(address), "%.*s:0", host_len, listen);
        *admin = admin_new(address, metrics, health, err);
    }
    if (*admin == NULL) {
        return err_context(err, "listen");
    }
    snprintf(address, sizeof(address), "%.*s:%u", host_len, listen, admin_port(*admin));
    log_write(LOG_INFO, "admin endpoint", LOG_S("address", address));
    return 0;
}

int options_ask_health(const struct common_options *common, const char *default_listen, bool tls,
                       struct err *err)
{
    options_default_signals(); /* SIGTERM ends it */
    return health_ask(common->listen == NULL ? default_listen : common->listen, tls, err);
}

int options_fail(const struct settings_table *table, const struct err *err)
{
    fprintf(stderr, "%s: %s\n", table->program, err->message);
    return err->kind == ERR_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

bool options_begin(const struct settings_table *table, void *into, struct common_options *common,
                   const char *version, int argc, char **argv, const char **operands,
                   size_t *operand_count, int *exit_code)
{
    enum log_level level;
    struct err err;
    sigset_t set;

    fill_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    *exit_code = EXIT_CLEAN;
    if (settings_load(into, table, argc, argv, operands, operand_count, &err) < 0) {
        *exit_code = options_fail(table, &err);
        return false;
    }
    if (common->help) {
        settings_print_help(stdout, table);
        return false;
    }
    if (common->version) {
        printf("%s %s\n", table->program, version);
        return false;
    }
    if (common->print_mdoc) {
        settings_print_mdoc(stdout, table);
        return false;
    }
    if (common->print_markdown) {
        settings_print_markdown(stdout, table);
        return false;
    }
    if (log_level_parse(common->log_level, &level, &err) < 0) {
        err_context(&err, "log-level");
        *exit_code = options_fail(table, &err);
        return false;
    }
    log_setup(level, (enum log_format)common->log_format);
    return true;
}
