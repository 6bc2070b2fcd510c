/* worker_internal - what worker.c (batches, outages) and worker_partitions.c (claims, changes of
 * the group) share, and nobody else includes. */
#ifndef CONSUMER_WORKER_INTERNAL_H
#define CONSUMER_WORKER_INTERNAL_H

#include "common/log.h"
#include "consumer/backoff.h"
#include "consumer/batch.h"
#include "consumer/deadletter.h"
#include "consumer/holding.h"
#include "consumer/worker.h"

struct worker_metrics {
    struct metric *lag, *held, *offsets_skipped, *fences_lost, *outages;
    struct metric **letters; /* by reason, in the order of letter_reasons[] */
};

struct worker {
    struct worker_settings settings;
    int number;
    struct consume *consume;
    struct store *store;
    struct deadletter *deadletter;
    struct holding holding;
    struct batch *filling; /* takes messages */
    struct batch *storing; /* empty, or waits to be stored; nothing is added to it any more */
    struct backoff backoff;
    bool away;         /* an outage: partitions are paused */
    int64_t away_ns;   /* since */
    uint64_t failures; /* begun or gone on, ever: what a caller compares */
    int64_t retry_ns;  /* when to try again */
    bool member;       /* of the group, when we looked last */
    int64_t lag_ns;    /* when to look at the group and the lag again */
    struct log_limit letters_limit, errors_limit;
    struct worker_metrics metrics;
};

/* worker.c: an outage begins or goes on; what failed is tried again at retry_ns. */
void worker_begin_outage(struct worker *w, const struct err *why);
/* worker.c: store the batches. 0 also when an outage began meanwhile. ERR_FATAL. */
int worker_store_all(struct worker *w, struct err *err) MUST_CHECK;

/* worker_partitions.c: act on what the group gave and took. ERR_FATAL. */
int worker_follow_group(struct worker *w, struct err *err) MUST_CHECK;
/* worker_partitions.c: claim what is held and not claimed, and start it. Begins an outage when
 * Postgres or the broker does not answer. ERR_FATAL. */
int worker_claim_held(struct worker *w, struct err *err) MUST_CHECK;
/* worker_partitions.c: its claim is lost or its offset outside the log: read it anew. */
void worker_reclaim(struct worker *w, const char *topic, int32_t partition);

#endif
