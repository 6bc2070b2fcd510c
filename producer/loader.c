#include "producer/loader.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/thread.h"
#include "common/wakeup.h"
#include "producer/heap.h"
#include "producer/source.h"
#include "producer/tls.h"

#define NICE 10 /* less of a busy core than a loop has, and none of its wakeups */
#define REPEAT_NS (10 * NS_PER_SEC) /* of a log line that news could repeat without end */

struct loader {
    const struct options *options;
    struct siteset *set;
    struct tls *tls; /* where files are tried */
    struct metric *done, *refused, *sites, *topic_sites, *name_taken;
    struct metric *taken, *older, *bad, *over_limit; /* messages of the topic */
    struct log_limit taken_limit, over_limit_limit;
    size_t part_count;
    int *fds; /* a part's */
    pthread_t thread;
    bool running;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    bool stop;
    bool wanted; /* a list that was not begun yet */
    bool failed; /* the first one, with err */
    struct err err;
    bool closed;                /* no news any more */
    struct news_list news;      /* not begun yet */
    bool hearing;               /* others are being taken */
    struct site_change *change; /* that the loops are making */
    size_t parts_left;          /* of it */
};

static void ring(const struct loader *l)
{
    for (size_t i = 0; i < l->part_count; i++) {
        wakeup_ring(l->fds[i]);
    }
}

/* --- The thread --- */

/* Try the files of a site's handshakes. */
static int read_files(struct tls *tls, const struct site *site, struct err *err)
{
    if (site->ca_file != NULL && tls_trust(tls, site->ca_file, err) < 0) {
        return err_context(err, "ca_file");
    }
    return site->cert_file == NULL ? 0 : tls_identify(tls, site->cert_file, site->key_file, err);
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

struct trial {
    struct tls *tls;
    const struct site *last; /* whose files were read */
};

static int try_site(void *context, const struct site *site, struct err *err)
{
    struct trial *trial = context;
    const struct site *last = trial->last;

    if (same_text(site->ca_file, last->ca_file) && same_text(site->cert_file, last->cert_file) &&
        same_text(site->key_file, last->key_file)) {
        return 0; /* most have none, or those of the site before */
    }
    trial->last = site;
    return read_files(trial->tls, site, err);
}

static int read_list(const struct options *options, struct tls *tls, struct targets *targets,
                     struct err *err)
{
    const struct site none = {0};
    struct trial trial = {tls, &none};
    const struct targets_check check = {try_site, &trial};

    return source_load(options, &check, targets, err);
}

int loader_check(const struct options *options, struct targets *targets, struct err *err)
{
    struct metrics *metrics = metrics_new();
    struct tls *tls = tls_new(metrics);
    int rc = read_list(options, tls, targets, err);

    tls_free(tls);
    metrics_free(metrics);
    return rc;
}

enum work { WORK_END, WORK_NEWS, WORK_LIST };

/* News first: there are few of them, and a list may take seconds. */
static enum work wait_for_work(struct loader *l, struct news_list *news)
{
    enum work work = WORK_END;

    pthread_mutex_lock(&l->lock);
    while (!l->stop && !l->wanted && l->news.count == 0) {
        pthread_cond_wait(&l->wake, &l->lock);
    }
    if (!l->stop && l->news.count > 0) {
        work = WORK_NEWS;
        *news = l->news;
        l->news = (struct news_list){0};
        l->hearing = true;
        pthread_cond_broadcast(&l->wake); /* there is room for the next */
    } else if (!l->stop) {
        work = WORK_LIST;
        l->wanted = false;
    }
    pthread_mutex_unlock(&l->lock);
    return work;
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

static void show_sites(struct loader *l)
{
    metric_set(l->sites, (int64_t)siteset_count(l->set));
    metric_set(l->topic_sites, (int64_t)siteset_topic_count(l->set));
    metric_set(l->name_taken, (int64_t)siteset_waiting_count(l->set));
}

/* Has the loops make it, and frees it. False: they have ended before. */
static bool carry_out(struct loader *l, struct site_change *change)
{
    bool made = hand_over(l, change);

    site_change_free(change);
    siteset_bury(l->set);
    show_sites(l);
    return made;
}

static void say_taken(struct loader *l, const struct site_change *change)
{
    uint64_t held_back = 0;

    if (change->taken != NULL && log_limit_allows(&l->taken_limit, clock_mono_ns(), &held_back)) {
        log_write(LOG_WARN, "sites of the topic wait, as their names are taken by other sites",
                  LOG_I("sites", change->taken_count), LOG_S("site", change->taken->name),
                  LOG_I("id", change->taken->id), LOG_I("not_logged_before", held_back));
    }
}

static void load(struct loader *l, bool first)
{
    int64_t began_ns = clock_mono_ns();
    struct targets targets = {0};
    struct err err;

    if (read_list(l->options, l->tls, &targets, &err) < 0) {
        refuse(l, first, &err);
        return;
    }
    struct site_change *change = siteset_take_over(l->set, &targets);
    const struct site_change counts = *change; /* its numbers */

    say_taken(l, change);
    if (carry_out(l, change)) {
        say_loaded(l, first, &counts, (clock_mono_ns() - began_ns) / NS_PER_MS);
    }
    heap_give_back(); /* the file's tree is several times what stays of it */
}

/* Those of sites whose files cannot be used are taken out. */
static void check_files(const struct loader *l, struct news_list *list)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++) {
        struct news *news = &list->news[i];
        struct err err;

        if (news->kind == NEWS_PUT && read_files(l->tls, &news->site, &err) < 0) {
            err_prepend(&err, "site %s", news->site.name);
            metric_add(l->bad, 1);
            log_write(LOG_WARN, "a site of the topic is refused", LOG_I("partition", news->shard),
                      LOG_I("offset", news->offset), LOG_I("id", news->id),
                      LOG_S("reason", err.message));
            site_free(&news->site);
            continue;
        }
        list->news[kept++] = *news;
    }
    list->count = kept;
}

static size_t count_messages(const struct news_list *list)
{
    size_t count = 0;

    for (size_t i = 0; i < list->count; i++) {
        count += list->news[i].kind == NEWS_PUT || list->news[i].kind == NEWS_DROP;
    }
    return count;
}

static void hear(struct loader *l, struct news_list *list)
{
    uint64_t held_back = 0;

    check_files(l, list);

    size_t messages = count_messages(list);
    struct site_change *change = siteset_hear(l->set, list);

    metric_add(l->older, change->older);
    metric_add(l->over_limit, change->over_limit);
    metric_add(l->taken, messages - change->older - change->over_limit);
    if (change->over_limit > 0 &&
        log_limit_allows(&l->over_limit_limit, clock_mono_ns(), &held_back)) {
        log_write(LOG_ERROR, "sites of the topic are left out, there are too many for one producer",
                  LOG_I("sites", change->over_limit + held_back),
                  LOG_I("sites_max", SITESET_TOPIC_SITES_MAX));
    }
    say_taken(l, change);
    if (change->steps_count > 0) {
        carry_out(l, change);
    } else { /* most, while shards are read */
        site_change_free(change);
        show_sites(l);
    }
    pthread_mutex_lock(&l->lock);
    l->hearing = false;
    pthread_cond_broadcast(&l->wake);
    pthread_mutex_unlock(&l->lock);
}

static void *loader_main(void *context)
{
    struct loader *l = context;
    struct news_list news;
    bool first = true;
    enum work work;

    (void)setpriority(PRIO_PROCESS, 0, NICE); /* of this thread alone, on Linux */
    while ((work = wait_for_work(l, &news)) != WORK_END) {
        if (work == WORK_NEWS) {
            hear(l, &news);
        } else {
            load(l, first);
            first = false;
        }
    }
    return NULL;
}

/* --- What the header promises --- */

static struct metric *messages(struct metrics *m, const char *result)
{
    char labels[40];

    snprintf(labels, sizeof(labels), "result=\"%s\"", result);
    return metrics_counter(m, "sitewatch_site_messages", "Messages of the topic of the sites",
                           labels);
}

static void register_sites(struct loader *l, struct metrics *m)
{
    l->sites = metrics_gauge(m, "sitewatch_sites", "Sites being checked", NULL);
    l->topic_sites = metrics_gauge(m, "sitewatch_topic_sites",
                                   "Sites being checked that the topic told of", NULL);
    l->name_taken =
        metrics_gauge(m, "sitewatch_sites_name_taken",
                      "Sites of the topic that wait, as their name is another site's", NULL);
    l->taken = messages(m, "taken");
    l->older = messages(m, "older");
    l->bad = messages(m, "bad");
    l->over_limit = messages(m, "over_limit");
}

struct loader *loader_new(const struct options *options, size_t parts, struct metrics *m,
                          struct err *err)
{
    static const char help[] = "Reloads of the targets file";
    struct loader *l = mem_alloc(1, sizeof(*l));

    l->options = options;
    l->wanted = source_has_list(options);
    l->taken_limit.interval_ns = REPEAT_NS;
    l->over_limit_limit.interval_ns = REPEAT_NS;
    l->part_count = parts;
    l->fds = mem_alloc(parts, sizeof(l->fds[0]));
    l->set = siteset_new(parts);
    l->tls = tls_new(m);
    l->done = metrics_counter(m, "sitewatch_reloads", help, "result=\"done\"");
    l->refused = metrics_counter(m, "sitewatch_reloads", help, "result=\"refused\"");
    register_sites(l, m);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->wake, NULL);
    for (size_t i = 0; i < parts; i++) {
        l->fds[i] = -1;
    }
    for (size_t i = 0; i < parts; i++) {
        l->fds[i] = wakeup_open(err);
        if (l->fds[i] < 0) {
            goto fail;
        }
    }
    if (thread_start(&l->thread, "loader", loader_main, l, err) < 0) {
        goto fail;
    }
    l->running = true;
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
        pthread_cond_broadcast(&l->wake);
        pthread_mutex_unlock(&l->lock);
        pthread_join(l->thread, NULL);
    }
    for (size_t i = 0; i < l->part_count; i++) {
        if (l->fds[i] >= 0) {
            close(l->fds[i]);
        }
    }
    free(l->fds);
    news_clear(&l->news);
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
    pthread_cond_broadcast(&l->wake);
    pthread_mutex_unlock(&l->lock);
}

void loader_tell(struct loader *l, struct news_list *list)
{
    pthread_mutex_lock(&l->lock);
    while (!l->closed && l->news.count > 0) {
        pthread_cond_wait(&l->wake, &l->lock);
    }
    if (!l->closed) {
        l->news = *list;
        *list = (struct news_list){0};
        pthread_cond_broadcast(&l->wake);
    }
    pthread_mutex_unlock(&l->lock);
    news_clear(list);
}

void loader_settle(struct loader *l)
{
    pthread_mutex_lock(&l->lock);
    while (!l->closed && (l->news.count > 0 || l->hearing)) {
        pthread_cond_wait(&l->wake, &l->lock);
    }
    pthread_mutex_unlock(&l->lock);
}

void loader_close(struct loader *l)
{
    pthread_mutex_lock(&l->lock);
    l->closed = true;
    pthread_cond_broadcast(&l->wake);
    pthread_mutex_unlock(&l->lock);
}

int loader_fd(const struct loader *l, size_t part)
{
    return l->fds[part];
}

int loader_take(struct loader *l, size_t part, struct site_change **change, struct err *err)
{
    int rc = 0;

    *change = NULL;
    if (!wakeup_take(l->fds[part])) {
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
    pthread_cond_broadcast(&l->wake);
    pthread_mutex_unlock(&l->lock);
}
