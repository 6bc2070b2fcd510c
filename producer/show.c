#include "producer/show.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "producer/progress.h"
#include "producer/sink.h"
#include "producer/table.h"
#include "producer/terminal.h"
#include "producer/view.h"
#include "producer/watch.h"

enum mode { SHOW_NOTHING, SHOW_JSON, SHOW_ROWS, SHOW_VIEW };

struct show {
    const struct options *options;
    enum mode mode;
    struct terminal out, err;
    struct metric *sites, *missed;
    struct watch *watch; /* of SHOW_VIEW, once it began */
    atomic_bool failed;  /* with why */

    pthread_mutex_t mutex; /* of what follows, and of the standard output */
    struct progress progress;
    struct err why;
};

static enum mode mode_of(const struct options *o, const struct terminal *out)
{
    if (o->output == OUTPUT_JSON) {
        return SHOW_JSON;
    }
    if (o->watch && out->escapes) {
        return SHOW_VIEW;
    }
    return o->watch || o->once ? SHOW_ROWS : SHOW_NOTHING;
}

struct show *show_new(const struct options *options)
{
    struct show *s = mem_alloc(1, sizeof(*s));

    s->options = options;
    terminal_look(&s->out, STDOUT_FILENO);
    terminal_look(&s->err, STDERR_FILENO);
    s->mode = mode_of(options, &s->out);
    s->progress.due_ns = TIME_NEVER;
    pthread_mutex_init(&s->mutex, NULL);
    if (s->mode == SHOW_VIEW && s->err.is_terminal) {
        log_setup(LOG_ERROR, (enum log_format)options->common.log_format);
    }
    return s;
}

void show_end(struct show *s)
{
    watch_free(s->watch);
    s->watch = NULL;
    pthread_mutex_lock(&s->mutex);
    progress_hide(&s->progress);
    s->progress.due_ns = TIME_NEVER;
    pthread_mutex_unlock(&s->mutex);
}

void show_free(struct show *s)
{
    if (s == NULL) {
        return;
    }
    show_end(s);
    pthread_mutex_destroy(&s->mutex);
    terminal_clear(&s->out);
    terminal_clear(&s->err);
    free(s);
}

bool show_wants_latest(const struct show *s)
{
    return s->mode == SHOW_VIEW;
}

int show_begin(struct show *s, struct loop *loop, struct latest *latest, struct metrics *m,
               struct err *err)
{
    s->sites = metrics_gauge(m, "sitewatch_sites", "Sites being checked", NULL);
    s->missed = metrics_counter(m, "sitewatch_slots_missed",
                                "Slots that passed before a check could start", NULL);
    if (s->mode == SHOW_VIEW) {
        s->watch = watch_new(&s->out, latest, loop, err);
        return s->watch == NULL ? -1 : 0;
    }
    if (s->mode == SHOW_ROWS) {
        table_print_heading(&s->out, stdout);
        if (s->options->once) {
            progress_init(&s->progress, &s->err, stderr, clock_mono_ns());
        }
        return sink_flush(stdout, err);
    }
    return 0;
}

void show_event(struct show *s, const struct event *event)
{
    int rc = 0;

    if ((s->mode != SHOW_JSON && s->mode != SHOW_ROWS) || atomic_load(&s->failed)) {
        return;
    }
    pthread_mutex_lock(&s->mutex);
    if (s->mode == SHOW_JSON) {
        rc = sink_print_json(stdout, event, &s->why);
    } else if (event->final) { /* a person's table has one line a check */
        progress_count(&s->progress, event->status);
        progress_hide(&s->progress);
        table_print_row(&s->out, stdout, event);
        rc = sink_flush(stdout, &s->why);
    }
    pthread_mutex_unlock(&s->mutex);
    if (rc < 0) {
        atomic_store(&s->failed, true);
    }
}

int64_t show_next_due_ns(const struct show *s)
{
    return s->watch != NULL ? watch_next_due_ns(s->watch) : s->progress.due_ns;
}

static int draw(struct show *s, size_t in_flight, bool draining, int64_t now_ns, struct err *err)
{
    const struct view_facts facts = {
        .location = s->options->location,
        .note = draining ? "draining" : "",
        .sites = (size_t)metric_level(s->sites),
        .in_flight = in_flight,
        .slots_missed = metric_value(s->missed),
        .now_us = clock_real_ns() / NS_PER_US,
    };

    return watch_draw(s->watch, &facts, now_ns, err);
}

int show_check(struct show *s, struct err *err)
{
    if (atomic_load(&s->failed)) {
        *err = s->why; /* written before, and not again */
        return -1;
    }
    return 0;
}

int show_run_due(struct show *s, size_t in_flight, bool draining, int64_t now_ns, struct err *err)
{
    if (show_check(s, err) < 0) {
        return -1;
    }
    if (now_ns < show_next_due_ns(s)) {
        return 0;
    }
    if (s->watch != NULL) {
        return draw(s, in_flight, draining, now_ns, err);
    }
    pthread_mutex_lock(&s->mutex);
    progress_show(&s->progress, (size_t)metric_level(s->sites), now_ns);
    pthread_mutex_unlock(&s->mutex);
    return 0;
}
