#include "api/run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "api/api.h"
#include "api/events.h"
#include "api/figures.h"
#include "api/http.h"
#include "api/overview.h"
#include "api/pipeline.h"
#include "api/public.h"
#include "api/route.h"
#include "api/scrape.h"
#include "api/token.h"
#include "api/website_body.h"
#include "common/listen.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/notify.h"
#include "common/pg.h"
#include "common/textfile.h"

#define PEM_BYTES_MAX (1024 * 1024)
#define BACKLOG 511
#define RETRY_MS 1000
#define END_SECONDS 15 /* more than a statement may take */

struct service {
    const struct options *options;
    struct metrics *metrics;
    char *cert_pem, *key_pem;
    struct seal *seal;
    struct figures *figures;
    struct api api;
    struct http *http;
    int signal_fd;
};

/* --- Settings --- */

static int read_pem(struct service *s, struct err *err)
{
    const struct options *o = s->options;
    size_t len;

    if ((o->cert_file == NULL) != (o->key_file == NULL)) {
        return err_set(err, ERR_INVALID, "api-cert-file and api-key-file: give both or none");
    }
    if (o->cert_file == NULL) {
        return 0;
    }
    if (textfile_read(o->cert_file, PEM_BYTES_MAX, &s->cert_pem, &len, err) < 0) {
        return err_context(err, "api-cert-file");
    }
    if (textfile_read(o->key_file, PEM_BYTES_MAX, &s->key_pem, &len, err) < 0) {
        return err_context(err, "api-key-file");
    }
    return 0;
}

static const char *listen_address(const struct options *o)
{
    return o->common.listen == NULL ? API_LISTEN : o->common.listen;
}

/* What can be wrong about the settings without anybody else. */
static int read_settings(struct service *s, struct err *err)
{
    const char *keys = s->options->sites_secret_key;

    if (website_body_check_allowed(s->options->allow_options, err) < 0 || read_pem(s, err) < 0 ||
        pg_check_start(s->options->postgres_dsn, err) < 0) {
        return -1;
    }
    if (scrape_check(s->options->programs, err) < 0) {
        return err_context(err, "api-programs");
    }
    s->seal = keys == NULL ? NULL : seal_new(keys, err);
    s->api.seal = s->seal;
    s->api.rules.seals = s->seal != NULL;
    return keys != NULL && s->seal == NULL ? err_context(err, "sites-secret-key") : 0;
}

static void free_settings(struct service *s)
{
    free(s->cert_pem);
    free(s->key_pem);
    seal_free(s->seal);
}

/* --- Signals --- */

/* True when one that ends us came within the time. */
static bool signal_came(struct service *s, int wait_ms)
{
    struct pollfd fd = {.fd = s->signal_fd, .events = POLLIN};
    struct signalfd_siginfo info;
    bool came = false;

    if (poll(&fd, 1, wait_ms) < 0 && errno != EINTR) {
        abort(); /* EFAULT or EINVAL: our own fault */
    }
    while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        came = came || info.ssi_signo != SIGHUP; /* there is nothing to reload */
    }
    return came;
}

/* --- Start --- */

/* Postgres may start after us. 1: a signal came first. */
static int wait_for_tokens(struct service *s, bool *exists, struct err *err)
{
    struct err said = {0};

    for (;;) {
        struct err why;
        PGconn *conn = db_take(s->api.db, &why);
        int rc = conn == NULL ? -1 : token_exists(conn, exists, &why);

        if (conn != NULL) {
            db_give(s->api.db, conn);
        }
        if (rc == 0) {
            return 0;
        }
        if (why.kind != ERR_RETRY) {
            *err = why;
            return err_context(err, "the database is not ours, or not migrated");
        }
        if (strcmp(said.message, why.message) != 0) {
            log_write(LOG_ERROR, "waiting for Postgres", LOG_S("reason", why.message));
            notify_status("waiting for Postgres");
            said = why;
        }
        if (signal_came(s, RETRY_MS)) {
            return 1;
        }
    }
}

/* Whoever gets hold of the api shall not get hold of what was found. On loopback, where somebody
 * tries things out, it is only noted. */
static void tell_of_rights(struct service *s, int listen_fd)
{
    struct err why;
    PGconn *conn = db_take(s->api.db, &why);
    PGresult *result =
        conn == NULL
            ? NULL
            : pg_query(conn, "look at the role's rights",
                       "SELECT has_table_privilege('checks', 'INSERT, UPDATE, DELETE, TRUNCATE')",
                       NULL, NULL, &why);

    if (result == NULL) {
        log_write(LOG_WARN, "the role's rights are not known", LOG_S("reason", why.message));
    } else if (PQgetvalue(result, 0, 0)[0] == 't') {
        log_write(listen_is_loopback(listen_fd) ? LOG_INFO : LOG_WARN,
                  "the database role of the api may write checks, which it need not",
                  LOG_S("do", "CREATE ROLE name LOGIN IN ROLE sitewatch_api"));
    }
    PQclear(result);
    if (conn != NULL) {
        db_give(s->api.db, conn);
    }
}

/* Who finds an open door must have been let in: without a token nobody else may knock. */
static int check_tokens(bool exist, int listen_fd, struct err *err)
{
    if (exist) {
        return 0;
    }
    if (!listen_is_loopback(listen_fd)) {
        return err_set(err, ERR_INVALID,
                       "listen: without a token only an address of loopback; make one first: "
                       "api token create --owner NAME --scope write");
    }
    log_write(LOG_WARN, "there is no token, every request will be refused; make one",
              LOG_S("command", "api token create --owner NAME --scope write"));
    return 0;
}

static int start_http(struct service *s, int listen_fd, struct err *err)
{
    const struct options *o = s->options;
    struct http_settings settings = {
        .listen_fd = listen_fd,
        .threads = (int)o->threads,
        .connections_max = (int)o->connections,
        .connections_per_address_max = (int)o->connections_per_address,
        .timeout_s = (int)o->timeout_seconds,
        .body_bytes_max = o->body_kb * 1024,
        .much_bytes_max = o->import_kb * 1024,
        .may_send_much = route_may_send_much,
        .rate_per_second = o->rate,
        .cert_pem = s->cert_pem,
        .key_pem = s->key_pem,
    };
    uint16_t port = listen_port(listen_fd);

    s->http = http_new(&settings, s->metrics, route_answer, &s->api, err);
    if (s->http == NULL) {
        return -1;
    }
    log_write(LOG_INFO, "serving", LOG_S("scheme", s->cert_pem == NULL ? "http" : "https"),
              LOG_I("port", port));
    notify_ready();
    return 0;
}

static int start(struct service *s, struct err *err)
{
    bool tokens = false;
    int listen_fd = listen_open(listen_address(s->options), BACKLOG, err);

    if (listen_fd < 0) {
        return err_context(err, "listen");
    }
    int rc = wait_for_tokens(s, &tokens, err);

    if (rc == 0) {
        rc = check_tokens(tokens, listen_fd, err);
    }
    if (rc == 0) {
        s->api.events =
            events_new(s->options->postgres_dsn, (int)s->options->event_clients, s->metrics, err);
        rc = s->api.events == NULL ? -1 : 0;
    }
    if (rc == 0) {
        s->figures = figures_new(s->api.db, err);
        rc = s->figures == NULL ? -1 : 0;
    }
    if (rc == 0) {
        s->api.pipeline = pipeline_new(s->api.db, s->options->programs, s->metrics, err);
        rc = s->api.pipeline == NULL ? -1 : 0;
    }
    if (rc != 0) {
        close(listen_fd);
        return rc;
    }
    tell_of_rights(s, listen_fd);
    s->api.overview = overview_new(s->figures);
    return start_http(s, listen_fd, err);
}

int run(const struct options *options, struct err *err)
{
    struct service s = {.options = options, .metrics = metrics_new(), .signal_fd = -1};

    /* A connection a thread, one for the figures and one for the pipeline. */
    s.api = (struct api){.db = db_new(options->postgres_dsn, (int)options->threads + 2),
                         .public_page = public_new(options->public_tag),
                         .metrics = s.metrics,
                         .cors_origin = options->cors_origin,
                         .rules = {.allowed_options = options->allow_options}};
    s.signal_fd = options_signal_fd(err);

    int rc =
        s.signal_fd < 0 || token_setup(err) < 0 || read_settings(&s, err) < 0 ? -1 : start(&s, err);

    while (rc == 0 && !signal_came(&s, -1)) {
    }
    notify_stopping();
    if (rc >= 0) {
        options_leave_on_signal(END_SECONDS);
    }
    events_end(s.api.events);
    http_free(s.http);
    events_free(s.api.events);
    pipeline_free(s.api.pipeline);
    public_free(s.api.public_page);
    overview_free(s.api.overview);
    figures_free(s.figures);
    db_free(s.api.db);
    metrics_free(s.metrics);
    free_settings(&s);
    if (s.signal_fd >= 0) {
        close(s.signal_fd);
    }
    if (rc >= 0) {
        log_write(LOG_INFO, "stopped");
    }
    return rc < 0 ? -1 : 0;
}

int run_check(const struct options *options, struct err *err)
{
    struct service s = {.options = options};
    int rc = listen_check(listen_address(options), err) < 0 ? err_context(err, "listen")
                                                            : read_settings(&s, err);

    free_settings(&s);
    if (rc == 0) {
        puts("settings are valid");
    }
    return rc;
}
