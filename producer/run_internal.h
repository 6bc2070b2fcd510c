/*
 * run_internal - what the files of run share: run.c, which is its life (start, signals, turns,
 * end), and run_parts.c, which has the parts.
 */
#ifndef PRODUCER_RUN_INTERNAL_H
#define PRODUCER_RUN_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/admin.h"
#include "common/kafka_files.h"
#include "common/metrics.h"
#include "common/notify.h"
#include "common/seal.h"
#include "producer/crew.h"
#include "producer/latest.h"
#include "producer/loader.h"
#include "producer/loop.h"
#include "producer/publish.h"
#include "producer/run.h"
#include "producer/selfprobe.h"
#include "producer/shards.h"
#include "producer/show.h"
#include "producer/sitemetrics.h"

struct service {
    const struct options *options;
    char hostname[256], user_agent[64];
    struct metrics *metrics;
    struct admin_health health;
    struct notify_watchdog watchdog;
    struct admin *admin;
    struct loop *loop; /* of signals and of reports from Kafka; no checks */
    int64_t in_flight_max;
    size_t loops; /* of the crew */
    struct loader *loader;
    bool loaded;           /* the list of sites, where there is one */
    struct latest *latest; /* NULL: nobody reads it */
    struct sitemetrics *sitemetrics;
    struct shards *shards; /* NULL: no topic of sites */
    struct seal *seal;     /* of its sites' secrets; NULL: no key is set */
    struct crew *crew;
    struct selfprobe *self; /* NULL: off */
    struct show *show;
    struct publish *publish;        /* NULL: no event goes to Kafka */
    struct kafka_files kafka_files; /* that publish and shards were made with */
    int signal_fd;
    int64_t deadline_ns; /* of draining; TIME_NEVER before */
    bool quit;           /* a second signal: leave at once */
    bool failed;         /* with failed_by */
    struct err failed_by;

    atomic_bool any_down; /* the crew's threads write it */
};

/* Starts all parts. Needs the loop, and the loader with the first sites. */
int run_parts_start(struct service *s, const char *version, struct err *err) MUST_CHECK;

/* No check is made after this, and no event comes. */
void run_parts_end_crew(struct service *s);

/* Ends and frees what was started of them. */
void run_parts_stop(struct service *s);

/* Whether a check may start: there is room for its event. From any thread. */
bool run_may_start(void *context);

#endif
