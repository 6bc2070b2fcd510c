/*
 * options - the settings that all programs have, and what they do with them when they start, so
 * that each is written once.
 */
#ifndef COMMON_OPTIONS_H
#define COMMON_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/admin.h"
#include "common/err.h"
#include "common/metrics.h"
#include "common/settings.h"

/* A program puts this into its own struct of settings, and COMMON_OPTIONS_ROWS into its table. */
struct common_options {
    bool help, version, print_mdoc, print_markdown, check_config, health;
    char *config;
    char *listen;
    char *log_level;
    int log_format; /* enum log_format */
};

extern const char *const options_log_formats[]; /* in the order of enum log_format */

/*
 * What every program begins with: block SIGTERM, SIGINT and SIGHUP before any library starts a
 * thread (they are read from a signalfd later), ignore SIGPIPE, load the settings into *into,
 * answer --help, --version, --print-mdoc and --print-markdown, set up the log. Those four are
 * answered also when the environment or a file is wrong. `common` points into *into.
 *
 * Returns true to go on. False: the program is to end with *exit_code; it was said why. The
 * caller frees the settings with settings_free in both cases.
 */
bool options_begin(const struct settings_table *table, void *into, struct common_options *common,
                   const char *version, int argc, char **argv, const char **operands,
                   size_t *operand_count, int *exit_code);

/* Exit statuses of every program. */
enum { EXIT_CLEAN = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* For main to return: exit_code, or EXIT_FAILED when that was EXIT_CLEAN and the standard output
 * has not taken all, which is then said. */
int options_end(const struct settings_table *table, int exit_code);

/* A failure that ends the program, on stderr as "program: message"; returns the exit status that
 * fits its kind: EXIT_USAGE for ERR_INVALID, EXIT_FAILED otherwise. */
int options_fail(const struct settings_table *table, const struct err *err);

/*
 * The admin endpoint where --listen says; *admin stays NULL when it says "off". Without --listen it
 * is at default_listen, or at a free port when another program has that one, so that several can
 * run beside each other. The address is logged. ERR_INVALID or ERR_FATAL, naming the setting.
 */
int options_start_admin(const struct common_options *common, const char *default_listen,
                        const struct metrics *metrics, struct admin_health *health,
                        struct admin **admin, struct err *err) MUST_CHECK;

/* Whether options_start_admin would take what --listen says. ERR_INVALID. */
int options_check_admin(const struct common_options *common, struct err *err) MUST_CHECK;

/* --health: whether the program that listens where the settings say is well. ERR_INVALID for
 * "off" and for port 0, ERR_FATAL when it is not well. */
int options_ask_health(const struct common_options *common, const char *default_listen, bool tls,
                       struct err *err) MUST_CHECK;

/* A descriptor that reads SIGTERM, SIGINT and SIGHUP as struct signalfd_siginfo. -1 and ERR_FATAL.
 */
int options_signal_fd(struct err *err);

/* For a command that ends by itself: SIGTERM and SIGINT end it at once, as options_begin found
 * them.
 */
void options_default_signals(void);

/*
 * For the end of a program that a signal has asked to end, when it reads its descriptor no more:
 * from here on SIGTERM and SIGINT leave at once, with EXIT_CLEAN, and so does the end of so many
 * seconds (0: of none), should a server not answer.
 */
void options_leave_on_signal(int after_seconds);

/* The help of --listen of a program that serves its admin endpoint there. */
#define COMMON_LISTEN_HELP(default_listen)                                                         \
    "serve /metrics, /healthz and /readyz here; port 0: a free one; off: not at all; "             \
    "default " default_listen ", or a free port when that is taken"

#define COMMON_OPTIONS_ROWS(owner, field, listen_env, listen_help)                                 \
    {.name = "help",                                                                               \
     .type = SETTING_BOOL,                                                                         \
     .flags = SETTING_FLAG_ONLY,                                                                   \
     .offset = offsetof(owner, field.help),                                                        \
     .help = "print this help and exit"},                                                          \
        {.name = "version",                                                                        \
         .type = SETTING_BOOL,                                                                     \
         .flags = SETTING_FLAG_ONLY,                                                               \
         .offset = offsetof(owner, field.version),                                                 \
         .help = "print the version and exit"},                                                    \
        {.name = "print-mdoc",                                                                     \
         .type = SETTING_BOOL,                                                                     \
         .flags = SETTING_FLAG_ONLY,                                                               \
         .offset = offsetof(owner, field.print_mdoc),                                              \
         .help = "print the options as the man page has them and exit"},                           \
        {.name = "print-markdown",                                                                 \
         .type = SETTING_BOOL,                                                                     \
         .flags = SETTING_FLAG_ONLY,                                                               \
         .offset = offsetof(owner, field.print_markdown),                                          \
         .help = "print the options as docs/settings.md has them and exit"},                       \
        {.name = "check-config",                                                                   \
         .type = SETTING_BOOL,                                                                     \
         .flags = SETTING_FLAG_ONLY,                                                               \
         .offset = offsetof(owner, field.check_config),                                            \
         .help = "say whether the settings are valid and exit"},                                   \
        {.name = "health",                                                                         \
         .type = SETTING_BOOL,                                                                     \
         .flags = SETTING_FLAG_ONLY,                                                               \
         .offset = offsetof(owner, field.health),                                                  \
         .help = "ask the program that runs with these settings for /healthz and exit: 0 when it " \
                 "is well, 1 when not"},                                                           \
        {.name = "config",                                                                         \
         .type = SETTING_TEXT,                                                                     \
         .flags = SETTING_FLAG_ONLY,                                                               \
         .offset = offsetof(owner, field.config),                                                  \
         .value_name = "FILE",                                                                     \
         .help = "read settings from this libconfig file"},                                        \
        {.name = "listen",                                                                         \
         .env = listen_env,                                                                        \
         .type = SETTING_TEXT,                                                                     \
         .offset = offsetof(owner, field.listen),                                                  \
         .value_name = "HOST:PORT",                                                                \
         .help = listen_help},                                                                     \
        {.name = "log-level",                                                                      \
         .env = "LOG_LEVEL",                                                                       \
         .env_also = "LOGURU_LEVEL",                                                               \
         .type = SETTING_TEXT,                                                                     \
         .offset = offsetof(owner, field.log_level),                                               \
         .fallback = "info",                                                                       \
         .value_name = "LEVEL",                                                                    \
         .help = "how much to log: debug, info, warning or error"},                                \
    {                                                                                              \
        .name = "log-format", .env = "LOG_FORMAT", .type = SETTING_CHOICE,                         \
        .offset = offsetof(owner, field.log_format), .fallback = "logfmt",                         \
        .choices = options_log_formats, .value_name = "FORMAT", .help = "how to write a log line"  \
    }

#define COMMON_TOPIC_ROWS(owner)                                                                   \
    {.name = "kafka-topic-success",                                                                \
     .env = "KAFKA_TOPIC_SUCCESS",                                                                 \
     .type = SETTING_TEXT,                                                                         \
     .offset = offsetof(owner, topic_success),                                                     \
     .fallback = "checks-success",                                                                 \
     .value_name = "TOPIC",                                                                        \
     .help = "topic of checks that found the site up or degraded"},                                \
    {                                                                                              \
        .name = "kafka-topic-failure", .env = "KAFKA_TOPIC_FAILURE", .type = SETTING_TEXT,         \
        .offset = offsetof(owner, topic_failure), .fallback = "checks-failure",                    \
        .value_name = "TOPIC",                                                                     \
        .help = "topic of checks that found the site down, or could not judge"                     \
    }

#define COMMON_SECRET_KEY_ROW(owner)                                                               \
    {                                                                                              \
        .name = "sites-secret-key", .env = "SITES_SECRET_KEY", .type = SETTING_TEXT,               \
        .flags = SETTING_SECRET, .offset = offsetof(owner, sites_secret_key),                      \
        .value_name = "KEY,...",                                                                   \
        .help =                                                                                    \
            "keys that secrets of sites are sealed with on their way through the database and "    \
            "the topic: 32 bytes each in base64; the first seals, all open"                        \
    }

#define COMMON_DRAIN_ROW(owner)                                                                    \
    {                                                                                              \
        .name = "drain-seconds", .env = "DRAIN_SECONDS", .type = SETTING_INT,                      \
        .offset = offsetof(owner, drain_seconds), .fallback = "20", .min = 0, .max = 600,          \
        .value_name = "S",                                                                         \
        .help = "how long to finish what has begun, and to hand it on, after SIGTERM"              \
    }

#endif
