#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/log.h"
#include "consumer/errand.h"
#include "consumer/migrate.h"
#include "consumer/run_internal.h"

#define START_BACKOFF_FIRST_MS 200
#define START_BACKOFF_MAX_MS 5000
#define START_LOOK_NS (50 * NS_PER_MS) /* for a signal, while Postgres is waited for */

static void log_applied(void *context, const struct migration *migration)
{
    (void)context;
    log_write(LOG_INFO, "migration applied", LOG_S("name", migration->name));
}

static int migrate_and_check(const struct options *o, struct err *err)
{
    int newest = 0, ours = 0;

    if ((!o->no_migrate && migrate_run(o->postgres_dsn, log_applied, NULL, err) < 0) ||
        migrate_check(o->postgres_dsn, &newest, err) < 0) {
        return -1;
    }
    for (const struct migration *m = migrations; m->sql != NULL; m++) {
        ours = m->version;
    }
    if (newest > ours) {
        log_write(LOG_WARN, "the schema is newer than this program, which goes on with it",
                  LOG_I("schema", newest), LOG_I("program", ours));
    }
    return 0;
}

struct bringing {
    const struct options *options;
    int rc;
    struct err err;
};

/* In the errand's thread. */
static void bring(void *context)
{
    struct bringing *b = context;

    b->rc = migrate_and_check(b->options, &b->err);
}

/* A server that does not answer, or another consumer that migrates for long, must keep nobody from
 * ending us. Then we leave at once: nothing is held, and Postgres rolls back what was begun. */
static int bring_up_to_date(struct service *s, struct errand *errand, struct err *err)
{
    struct bringing b = {.options = s->options};

    errand_begin(errand, bring, &b);
    while (!errand_wait(errand, clock_mono_ns() + START_LOOK_NS)) {
        atomic_store(&s->health.beat_ns, clock_mono_ns());
        if (run_took_signal(s)) {
            log_write(LOG_INFO, "stopped, Postgres was still waited for");
            _exit(EXIT_CLEAN);
        }
    }
    if (b.rc < 0) {
        *err = b.err;
        return -1;
    }
    return 0;
}

static int try_database(struct service *s, struct errand *errand, struct err *err)
{
    struct err said = {0};
    struct backoff backoff;

    backoff_init(&backoff, START_BACKOFF_FIRST_MS, START_BACKOFF_MAX_MS);
    for (;;) {
        struct err why;

        if (bring_up_to_date(s, errand, &why) == 0) {
            return 0;
        }
        if (why.kind != ERR_RETRY) {
            *err = why;
            return -1;
        }
        if (strcmp(said.message, why.message) != 0) {
            log_write(LOG_ERROR, "waiting for Postgres", LOG_S("reason", why.message));
            notify_status("waiting for Postgres");
            said = why;
        }
        atomic_store(&s->health.beat_ns, clock_mono_ns());
        run_wait_ms(s, (int)backoff_next_ms(&backoff));
        if (run_took_signal(s)) {
            return 1;
        }
    }
}

int run_wait_for_database(struct service *s, struct err *err)
{
    struct errand *errand = errand_new(err);
    int rc = errand == NULL ? -1 : try_database(s, errand, err);

    errand_free(errand);
    return rc;
}
