/*
 * run_internal - what the files of run share: run.c, which is its life (parts, signals, turns,
 * end), and run_database.c, which waits for Postgres before there is anything else.
 */
#ifndef CONSUMER_RUN_INTERNAL_H
#define CONSUMER_RUN_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/admin.h"
#include "common/err.h"
#include "common/kafka_files.h"
#include "common/notify.h"
#include "consumer/maintainer.h"
#include "consumer/outbox.h"
#include "consumer/pool.h"
#include "consumer/run.h"

struct service {
    const struct options *options;
    struct metrics *metrics;
    struct admin_health health;
    struct notify_watchdog watchdog;
    struct admin *admin;
    struct maintainer *maintainer;
    struct outbox *outbox;
    struct pool *pool;
    struct kafka_files kafka_files; /* that outbox and pool were made with */
    int signal_fd;
    bool renewing; /* the pool drains, to be made anew */
    bool draining;
    int64_t deadline_ns; /* of either: then no server is waited for any more */
    bool quit;           /* a second signal: leave at once */
};

/* True when a signal that ends us came. */
bool run_took_signal(struct service *s);

/* Wait for a descriptor or the time. */
void run_wait_ms(struct service *s, int ms);

/* Bring the schema up to date. Postgres may start after us: try until it is there or a signal ends
 * us, which 1 says. */
int run_wait_for_database(struct service *s, struct err *err) MUST_CHECK;

#endif
