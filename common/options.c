#include "common/options.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/health.h"
#include "common/listen.h"
#include "common/log.h"
#include "common/thread.h"

#define LISTEN_OFF "off"

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

/* In a thread of its own, as the main one may wait for a server. */
static void *wait_for_signal(void *after_seconds)
{
    struct timespec after = {.tv_sec = (time_t)(intptr_t)after_seconds};
    sigset_t set;
    int number;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    do {
        number = sigtimedwait(&set, NULL, after.tv_sec == 0 ? NULL : &after);
    } while (number < 0 && errno == EINTR);
    log_write(LOG_WARN, number < 0 ? "a server does not answer, leaving at once"
                                   : "another signal, servers are not waited for");
    _exit(EXIT_CLEAN);
}

void options_leave_on_signal(int after_seconds)
{
    pthread_t thread;
    struct err ignored;

    /* Without it the program ends too, when its servers have answered or were given up. */
    if (thread_start(&thread, "second signal", wait_for_signal, (void *)(intptr_t)after_seconds,
                     &ignored) == 0) {
        pthread_detach(thread);
    }
}

int options_start_admin(const struct common_options *common, const char *default_listen,
                        const struct metrics *metrics, struct admin_health *health,
                        struct admin **admin, struct err *err)
{
    const char *listen = common->listen == NULL ? default_listen : common->listen;
    char address[256];

    atomic_store(&health->beat_ns, clock_mono_ns());
    if (strcmp(listen, LISTEN_OFF) == 0) {
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

int options_check_admin(const struct common_options *common, struct err *err)
{
    if (common->listen == NULL || strcmp(common->listen, LISTEN_OFF) == 0) {
        return 0;
    }
    return listen_check(common->listen, err) < 0 ? err_context(err, "listen") : 0;
}

int options_ask_health(const struct common_options *common, const char *default_listen, bool tls,
                       struct err *err)
{
    options_default_signals(); /* SIGTERM ends it */
    return health_ask(common->listen == NULL ? default_listen : common->listen, tls, err);
}

int options_fail(const struct settings_table *table, const struct err *err)
{
    (void)fflush(stdout); /* what was printed before it comes before it */
    fprintf(stderr, "%s: %s\n", table->program, err->message);
    return err->kind == ERR_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

int options_end(const struct settings_table *table, int exit_code)
{
    struct err err;

    if (fflush(stdout) != 0 && exit_code == EXIT_CLEAN) {
        err_fill(&err, ERR_FATAL, "standard output: %s", strerror(errno));
        return options_fail(table, &err);
    }
    return exit_code;
}

/* What needs no settings. False: it was not asked for. */
static bool tell_of_itself(const struct settings_table *table, const struct common_options *common,
                           const char *version)
{
    if (common->help) {
        settings_print_help(stdout, table);
    } else if (common->version) {
        printf("%s %s\n", table->program, version);
    } else if (common->print_mdoc) {
        settings_print_mdoc(stdout, table);
    } else if (common->print_markdown) {
        settings_print_markdown(stdout, table);
    } else {
        return false;
    }
    return true;
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

    int rc = settings_load(into, table, argc, argv, operands, operand_count, &err);

    if (tell_of_itself(table, common, version)) {
        return false; /* whatever is wrong in the environment or in a file */
    }
    if (rc < 0) {
        *exit_code = options_fail(table, &err);
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
