/* worker_internal - what worker.c (messages, turns), worker_store.c (storing, outages) and
 * worker_partitions.c (claims, changes of the group) share, and nobody else includes. */
#ifndef CONSUMER_WORKER_INTERNAL_H
#define CONSUMER_WORKER_INTERNAL_H

#include "common/backoff.h"
#include "common/log.h"
#include "consumer/batch.h"
#include "consumer/deadletter.h"
#include "consumer/errand.h"
#include "consumer/holding.h"
#include "consumer/worker.h"

struct worker_metrics {
    struct metric *lag, *held, *offsets_skipped, *fences_lost, *outages;
    struct metric **letters; /* by reason, in the order of letter_reasons[] */
};

/* The write that the errand's thread is on. */
struct worker_write {
    bool running;
    int64_t begun_ns;
    int64_t cut_ns; /* when its connection is given up */
    size_t rows;    /* at its beginning */
    bool slow;      /* it takes long, and that was said */
    bool given_up;  /* its connection is, and that was said */
    /* set by the errand */
    int rc;
    struct err err;
    enum store_outcome outcome;
    uint32_t *lost; /* room for the batch's partitions */
    size_t lost_count;
};

struct worker {
    struct worker_settings settings;
    int number;
    struct consume *consume;
    struct store *store;
    struct deadletter *deadletter;
    struct holding holding;
    struct batch *filling; /* takes messages */
    bool nothing_came;     /* when we looked for messages last */
    struct batch *storing; /* empty, or waits to be stored; nothing is added to it any more, and
                            * while write.running it is the errand's */
    struct errand *errand;
    struct worker_write write;
    struct backoff backoff;
    bool away;         /* an outage: partitions are paused */
    int64_t away_ns;   /* since */
    uint64_t failures; /* begun or gone on, ever: what a caller compares */
    int64_t retry_ns;  /* when to try again */
    bool member;       /* of the group, when we looked last */
    int64_t end_ns;    /* when nothing may be waited for any more */
    int64_t member_ns; /* when to look at the group again */
    struct log_limit letters_limit, errors_limit;
    struct worker_metrics metrics;
};

/*
 * worker_store.c. An outage begins or goes on; what failed is tried again at retry_ns. Ends.
 */
void worker_begin_outage(struct worker *w, const struct err *why);
void worker_end_outage(struct worker *w);

/* Begin to write the batch that waits, or else the one that was filled; false when both are empty.
 * Not while another write runs. */
bool worker_store_start(struct worker *w);
/* Act on the end of the write, if there is one and it ends by wait_until_ns; give up its
 * connection when it takes too long. ERR_FATAL. */
int worker_store_look(struct worker *w, int64_t wait_until_ns, struct err *err) MUST_CHECK;
/* The same, at its end. No write runs afterwards. */
int worker_store_settle(struct worker *w, struct err *err) MUST_CHECK;
/* Store both batches, and wait. 0 also when an outage began meanwhile. ERR_FATAL. */
int worker_store_all(struct worker *w, struct err *err) MUST_CHECK;
/* Run something else that needs the store, in the errand's thread, and wait for it. Not while a
 * write runs. */
void worker_store_run(struct worker *w, errand_fn *run, void *context);
void worker_store_register(struct worker *w, struct metrics *m);

/* worker_partitions.c: act on what the group gave and took. ERR_FATAL. */
int worker_follow_group(struct worker *w, struct err *err) MUST_CHECK;
/* worker_partitions.c: claim what is held and not claimed, and start it. Begins an outage when
 * Postgres or the broker does not answer. ERR_FATAL. */
int worker_claim_held(struct worker *w, struct err *err) MUST_CHECK;
/* worker_partitions.c: its claim is lost or its offset outside the log: read it anew. */
void worker_reclaim(struct worker *w, const char *topic, int32_t partition);

#endif
