#include "producer/loader.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "producer/source.h"
#include "producer/tls.h"

#define NICE 10 /* less of a busy core than a loop has, and none of its wakeups */

struct loader {
    const struct options *options;
    struct siteset *set;
    struct tls *tls; /* where files are tried */
    struct metric *done, *refused, *sites;
    size_t part_count;
    int *fds; /* a part's */
    pthread_t thread;
    bool running;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    bool stop;
    bool wanted; /* a load that did not begin yet */
    bool failed; /* the first one, with err */
    struct err err;
    struct site_change *change; /* that the loops are making */
    size_t parts_left;          /* of it */
};

static void ring(const struct loader *l)
{
    for (size_t i = 0; i < l->part_count; i++) {
        eventfd_write(l->fds[i], 1);
    }
}

/* --- The thread --- */

/* Try the files of a site's handshakes. */
static int read_files(const struct loader *l, const struct site *site, struct err *err)
{
    if (site->ca_file != NULL && tls_trust(l->tls, site->ca_file, err) < 0) {
        return err_context(err, "site %s: ca_file", site->name);
    }
    if (site->cert_file != NULL && tls_identify(l->tls, site->cert_file, site->key_file, err) < 0) {
        return err_context(err, "site %s", site->name);
    }
    return 0;
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static int load(const struct loader *l, struct targets *targets, struct err *err)
{
    const struct site none = {0};
    const struct site *last = &none;

    if (source_load(l->options, targets, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < targets->count; i++) {
        const struct site *site = &targets->sites[i];

        if (same_text(site->ca_file, last->ca_file) &&
            same_text(site->cert_file, last->cert_file) &&
            same_text(site->key_file, last->key_file)) {
            continue; /* most have none, or those of the site before */
        }
        if (read_files(l, site, err) < 0) {
            targets_free(targets);
            return -1;
        }
        last = site;
    }
    return 0;
}

/* False: it is to end. */
static bool wait_for_request(struct loader *l)
{
    pthread_mutex_lock(&l->lock);
    while (!l->stop && !l->wanted) {
        pthread_cond_wait(&l->wake, &l->lock);
    }
    bool go = !l->stop;

    l->wanted = false;
    pthread_mutex_unlock(&l->lock);
    return go;
}

static void refuse(struct loader *l, bool first, const struct err *err)
{
    if (!first) {
        metric_add(l->refused, 1);
        log_write(LOG_ERROR, "reload refused, the old sites go on", LOG_S("reason", err->message));
        return;
    }
    pthread_mutex_lock(&l->lock);
    l->failed = true;
    l->err = *err;
    pthread_mutex_unlock(&l->lock);
    ring(l);
}

/* False: the loops have ended before they had made it. */
static bool hand_over(struct loader *l, struct site_change *change)
{
    pthread_mutex_lock(&l->lock);
    l->change = change;
    l->parts_left = l->part_count;
    ring(l);
    while (!l->stop && l->parts_left > 0) {
        pthread_cond_wait(&l->wake, &l->lock);
    }
    bool made = l->parts_left == 0;

    l->change = NULL;
    pthread_mutex_unlock(&l->lock);
    return made;
}

static void say_loaded(const struct loader *l, bool first, const struct site_change *change,
                       int64_t took_ms)
{
    if (l->options->once) {
        return;
    }
    if (first) {
        log_write(LOG_INFO, "checking", LOG_I("sites", change->added),
                  LOG_S("location", l->options->location), LOG_I("load_ms", took_ms));
        return;
    }
    metric_add(l->done, 1);
    log_write(LOG_INFO, "reloaded", LOG_S("file", l->options->targets_file),
              LOG_I("added", change->added), LOG_I("changed", change->changed),
              LOG_I("removed", change->removed), LOG_I("unchanged", change->unchanged),
              LOG_I("load_ms", took_ms));
}

static void *loader_main(void *context)
{
    struct loader *l = context;
    bool first = true;

    (void)setpriority(PRIO_PROCESS, 0, NICE); /* of this thread alone, on Linux */
    while (wait_for_request(l)) {
        int64_t began_ns = clock_mono_ns();
        struct targets targets = {0};
        struct err err;

        if (load(l, &targets, &err) < 0) {
            refuse(l, first, &err);
            continue;
        }
        struct site_change *change = siteset_take_over(l->set, &targets);

        if (hand_over(l, change)) {
            metric_set(l->sites, (int64_t)siteset_count(l->set));
            say_loaded(l, first, change, (clock_mono_ns() - began_ns) / NS_PER_MS);
        }
        first = false;
        site_change_free(change);
        siteset_bury(l->set);
        malloc_trim(0); /* the file's tree is several times what stays of it */
    }
    return NULL;
}

/* --- What the header promises --- */

static int start_thread(struct loader *l, struct err *err)
{
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);

    int code = pthread_create(&l->thread, NULL, loader_main, l);

    pthread_sigmask(SIG_SETMASK, &before, NULL);
    l->running = code == 0;
    return code == 0 ? 0 : err_set(err, ERR_FATAL, "pthread_create: %s", strerror(code));
}

struct loader *loader_new(const struct options *options, size_t parts, struct metrics *m,
                          struct err *err)
{
    static const char help[] = "Reloads of the targets file";
    struct loader *l = mem_alloc(1, sizeof(*l));

    l->options = options;
    l->wanted = true;
    l->part_count = parts;
    l->fds = mem_alloc(parts, sizeof(l->fds[0]));
    l->set = siteset_new(parts);
    l->tls = tls_new(m);
    l->done = metrics_counter(m, "sitewatch_reloads", help, "result=\"done\"");
    l->refused = metrics_counter(m, "sitewatch_reloads", help, "result=\"refused\"");
    l->sites = metrics_gauge(m, "sitewatch_sites", "Sites being checked", NULL);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->wake, NULL);
    for (size_t i = 0; i < parts; i++) {
        l->fds[i] = -1;
    }
    for (size_t i = 0; i < parts; i++) {
        l->fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (l->fds[i] < 0) {
            err_set(err, ERR_FATAL, "eventfd: %s", strerror(errno));
            goto fail;
        }
    }
    if (start_thread(l, err) < 0) {
        goto fail;
    }
    return l;

fail:
    loader_free(l);
    return NULL;
}

void loader_free(struct loader *l)
{
    if (l == NULL) {
        return;
    }
    if (l->running) {
        pthread_mutex_lock(&l->lock);
        l->stop = true;
        pthread_cond_signal(&l->wake);
        pthread_mutex_unlock(&l->lock);
        pthread_join(l->thread, NULL);
    }
    for (size_t i = 0; i < l->part_count; i++) {
        if (l->fds[i] >= 0) {
            close(l->fds[i]);
        }
    }
    free(l->fds);
    siteset_free(l->set);
    tls_free(l->tls);
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

int loader_first(struct loader *l, struct err *err)
{
    pthread_mutex_lock(&l->lock);

    int state = l->failed ? -1 : l->change != NULL;

    if (state < 0) {
        *err = l->err;
    }
    pthread_mutex_unlock(&l->lock);
    return state;
}

void loader_request(struct loader *l)
{
    pthread_mutex_lock(&l->lock);
    l->wanted = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
}

int loader_fd(const struct loader *l, size_t part)
{
    return l->fds[part];
}

int loader_take(struct loader *l, size_t part, struct site_change **change, struct err *err)
{
    eventfd_t rung;
    int rc = 0;

    *change = NULL;
    if (eventfd_read(l->fds[part], &rung) < 0) {
        return 0;
    }
    pthread_mutex_lock(&l->lock);
    if (l->failed) {
        *err = l->err;
        rc = -1;
    } else {
        *change = l->change;
    }
    pthread_mutex_unlock(&l->lock);
    return rc;
}

void loader_made(struct loader *l)
{
    pthread_mutex_lock(&l->lock);
    l->parts_left--;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
}
