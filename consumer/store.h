/*
 * store - a connection to Postgres that claims partitions and writes batches, each whole or not
 * at all, together with the offsets that say so (docs/delivery.md).
 *
 * It knows SQL and nothing of Kafka. One thread at a time uses it. With migrate and seed it is the
 * consumer's owner of libpq-fe.h. Errors: ERR_RETRY is an outage of whatever kind (the caller backs
 * off and calls store_connect again), ERR_FATAL a refusal that more of the same cannot mend (over
 * 10 % of a batch refused).
 */
#ifndef CONSUMER_STORE_H
#define CONSUMER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/metrics.h"
#include "consumer/batch.h"

#define STORE_DAYS_AHEAD 7       /* partitions made before they are needed */
#define STORE_LOCATIONS_MAX 1000 /* rows of locations made from events */
#define STORE_NAMES_CACHED_MAX 1000000
#define STORE_ROLLUP_KEYS 500     /* rollups of hours, and of days, put together in a transaction */
#define STORE_OVERALL_SITES 500   /* counted over all their locations in a transaction of its own */
#define STORE_STANDING_SITES 1000 /* whose standing is looked at, in one too */
#define STORE_LOCK_SECONDS "30"   /* waited for a lock; then ERR_RETRY */
#define STORE_RETENTION_LOCK_MS "2000" /* waited for readers of a day that is to go */
/* What `deliver` may take; then the server ends the transaction. */
#define STORE_IDLE_SECONDS "120"

struct store;

struct store_settings {
    const char *dsn; /* both are copied */
    const char *consumer_group;
    int64_t max_auto_sites; /* rows of websites made from events */
    int64_t retention_days; /* an older row makes no partition any more; 0: any may */
    int64_t dead_letter_days, dead_letter_rows; /* of dead_letters; 0: no limit */
    int64_t incident_days, incident_rows;       /* of incidents; 0: no limit */
    int64_t rollup_days;          /* of rollups, not below retention_days; 0: no limit */
    int64_t rollup_delay_seconds; /* from an hour's end, or a late check, to its rollup */
};

/* Does not connect yet. Registers sitewatch_rows_total, sitewatch_duplicates_total,
 * sitewatch_commit_seconds, sitewatch_batch_rows, sitewatch_partitions_dropped_total,
 * sitewatch_dead_letters_deleted_total, sitewatch_incidents_deleted_total, sitewatch_rollup*,
 * sitewatch_sites_stale (shared by all stores of the process). */
struct store *store_new(const struct store_settings *settings, struct metrics *m);
void store_free(struct store *s);

/* (Re)connect unless the connection is good. ERR_RETRY; ERR_FATAL when the DSN does not parse. */
int store_connect(struct store *s, struct err *err) MUST_CHECK;
bool store_is_connected(const struct store *s);

/* The one call that another thread may make: whatever call is waiting for the server fails soon,
 * as when the connection is lost (common/pgline.h). */
void store_cut(struct store *s);

struct store_claim {
    const char *topic;
    int32_t partition;
    int64_t low_watermark; /* in: where to start when nothing is stored */
    int64_t next_offset;   /* out */
    int64_t epoch;         /* out */
};

/* Make the partition ours: waits for a commit of the former owner that is still running. */
int store_claim(struct store *s, struct store_claim *claim, struct err *err) MUST_CHECK;

/* Move a claimed partition's stored offset (it was outside the log). ERR_RETRY, and then the same
 * call may be made again; *moved false when the claim is not ours any more. */
int store_move(struct store *s, const char *topic, int32_t partition, int64_t epoch, int64_t stored,
               int64_t next, bool *moved, struct err *err) MUST_CHECK;

enum store_outcome {
    STORE_DONE,   /* committed: every partition not dropped is at its `next` */
    STORE_FENCED, /* rolled back: partitions in lost[] are not at our claim any more */
};

/*
 * Write the batch in one transaction. Before it, in transactions of their own: unknown sites and
 * locations are inserted (or rejected: unknown_site, unknown_location), missing day partitions
 * made (or the row rejected: slot_expired, slot_future, when it is a day past retention or a day
 * past STORE_DAYS_AHEAD). Rows that Postgres refuses become letters (sqlstate_22P05), unless they
 * are more than 10 % of the batch and more than 5: ERR_FATAL, and the batch is as it was.
 *
 * `deliver` is called, if there are letters, when they are final and before they are written and
 * COMMIT is sent (what it notes in in_topic is stored); it must not return 0 before the
 * dead-letter topic has them (or refused them for good). It may be called again for the same
 * letters. When it fails the transaction is rolled back and its error returned.
 *
 * STORE_FENCED: lost has room for batch->partitions_count indexes. A connection lost during
 * COMMIT is looked into on the next call with the same batch (partitions may have been dropped
 * from it, nothing may have been added): store_write then finds whether the batch is in, and says
 * DONE. Another batch given instead is safe as well: the fence judges it.
 */
typedef int store_deliver_fn(void *context, struct batch *batch, struct err *err);
int store_write(struct store *s, struct batch *batch, store_deliver_fn *deliver, void *context,
                enum store_outcome *outcome, uint32_t *lost, size_t *lost_count,
                struct err *err) MUST_CHECK;

/* Make the partitions of checks for today and `days` days more (UTC). To be called at the start
 * and every hour; of a day that comes without, store_write makes the partition itself. */
int store_days_ahead(struct store *s, int days, struct err *err) MUST_CHECK;

/*
 * Drop the oldest day of checks that is past the retention, and delete a portion of the dead
 * letters, incidents and rollups that are past theirs; an incident that is open stays. To be called
 * every hour, and again at once while *more says that there is more. Nothing happens, and *more is
 * false, while another consumer does it. Inserts never wait; ERR_RETRY, after
 * STORE_RETENTION_LOCK_MS, when somebody still reads the day.
 */
int store_retain(struct store *s, bool *more, struct err *err) MUST_CHECK;

/*
 * Put stale rollups together, STORE_ROLLUP_KEYS at the most, in one transaction. *more as in
 * store_retain. To be called every second. Nothing happens while another consumer does it.
 */
int store_rollup(struct store *s, bool *more, struct err *err) MUST_CHECK;

/*
 * Count sites over all their locations anew where one of those has become stale, or whose quorum
 * was changed: STORE_OVERALL_SITES at the most, in one transaction. Then bring the standing of
 * sites up to date: STORE_STANDING_SITES at the most, in another. *more as in store_retain. To be
 * called every few seconds. Nothing is done while another consumer does it.
 */
int store_stale(struct store *s, bool *more, struct err *err) MUST_CHECK;

#endif
