#include "consumer/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "consumer/store_internal.h"

#define TRIES_MAX 5 /* of one call: as it is, without a day, staged, halved, and one to spare */

static const double rows_bounds[] = {1, 10, 100, 1000, 2000, 5000, 10000, 20000, 50000, 100000};

struct store *store_new(const struct store_settings *settings, struct metrics *m)
{
    struct store *s = mem_alloc(1, sizeof(*s));

    s->settings = *settings;
    s->settings.dsn = mem_copy_string(settings->dsn);
    s->settings.consumer_group = mem_copy_string(settings->consumer_group);
    s->rows_total = metrics_counter(m, "sitewatch_rows", "Rows inserted into checks.", NULL);
    s->duplicates_total = metrics_counter(m, "sitewatch_duplicates",
                                          "Rows that were stored already and left out.", NULL);
    s->commit_seconds = metrics_histogram(
        m, "sitewatch_commit_seconds", "Time of a batch's transaction, from BEGIN to COMMIT.", NULL,
        metrics_seconds_bounds, metrics_seconds_bounds_count);
    s->batch_rows =
        metrics_histogram(m, "sitewatch_batch_rows", "Rows and letters of a stored batch.", NULL,
                          rows_bounds, sizeof(rows_bounds) / sizeof(rows_bounds[0]));
    s->partitions_dropped = metrics_counter(m, "sitewatch_partitions_dropped",
                                            "Days of checks dropped past the retention.", NULL);
    s->letters_deleted =
        metrics_counter(m, "sitewatch_dead_letters_deleted",
                        "Rows of dead_letters deleted by their age or number.", NULL);
    s->incidents_deleted =
        metrics_counter(m, "sitewatch_incidents_deleted",
                        "Rows of incidents deleted by their age or number.", NULL);
    s->changes_deleted =
        metrics_counter(m, "sitewatch_site_changes_deleted",
                        "Rows of site_changes deleted by their age or number.", NULL);
    s->sites_deleted = metrics_counter(m, "sitewatch_sites_deleted",
                                       "Rows of websites deleted, of sites that had been deleted"
                                       " for longer than checks are kept.",
                                       NULL);
    store_rollups_metrics(s, m);
    store_overall_metrics(s, m);
    for (size_t i = 0; i < COMMIT_OUTCOMES; i++) {
        char labels[32];

        snprintf(labels, sizeof(labels), "outcome=\"%s\"", store_commit_outcomes[i]);
        s->commits_in_doubt[i] =
            metrics_counter(m, "sitewatch_commits_in_doubt",
                            "COMMITs without an answer, by what became of them.", labels);
    }
    copyrows_init(&s->copy);
    pgline_init(&s->line);
    return s;
}

void store_free(struct store *s)
{
    if (s == NULL) {
        return;
    }
    store_disconnect(s);
    pgline_free(&s->line);
    store_commit_forget(s);
    store_names_forget(s);
    store_days_forget(s);
    store_state_forget(s);
    free(s->days);
    copyrows_free(&s->copy);
    free(s->places);
    free((char *)(uintptr_t)s->settings.dsn);
    free((char *)(uintptr_t)s->settings.consumer_group);
    free(s);
}

void store_cut(struct store *s)
{
    pgline_cut(&s->line);
}

void store_disconnect(struct store *s)
{
    pgline_set(&s->line, -1);
    PQfinish(s->conn);
    s->conn = NULL;
}

bool store_is_connected(const struct store *s)
{
    return s->conn != NULL && PQstatus(s->conn) == CONNECTION_OK;
}

static int not_connected(struct err *err)
{
    return err_set(err, ERR_RETRY, "not connected to Postgres");
}

int store_connect(struct store *s, struct err *err)
{
    /* Our statements read by key from many days: compiling a plan of that many scans takes seconds,
     * and running it milliseconds. */
    static const char session_sql[] =
        "SET jit = off;"
        "SET lock_timeout = '" STORE_LOCK_SECONDS "s';"
        "SET idle_in_transaction_session_timeout = '" STORE_IDLE_SECONDS "s'";

    if (store_is_connected(s)) {
        return 0;
    }
    /* What was read from the last server may not hold on this one: a standby that took over may
     * miss the newest transactions. */
    store_names_forget(s);
    store_days_forget(s);
    store_state_forget(s);
    store_disconnect(s);
    s->conn = pg_connect(s->settings.dsn, NULL, err);
    if (s->conn == NULL) {
        if (err->kind == ERR_INVALID) {
            err->kind = ERR_FATAL; /* the same DSN will not parse next time either */
        }
        return -1;
    }
    s->listens = false;
    pgline_set(&s->line, PQsocket(s->conn));
    if (pg_run(s->conn, session_sql, err) < 0 || store_fence_prepare(s, err) < 0) {
        store_disconnect(s);
        return store_outage(err);
    }
    return 0;
}

int store_claim(struct store *s, struct store_claim *claim, struct err *err)
{
    struct pg_params p = {0};

    if (!store_is_connected(s)) {
        return not_connected(err);
    }
    pg_add_text(&p, s->settings.consumer_group);
    pg_add_text(&p, claim->topic);
    pg_add_int(&p, claim->partition);
    pg_add_int(&p, claim->low_watermark);

    PGresult *result =
        pg_query(s->conn, "claim a partition",
                 "INSERT INTO kafka_offsets AS o"
                 " (consumer_group, topic, partition, next_offset, epoch)"
                 " VALUES ($1, $2, $3, $4, 1)"
                 " ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET epoch = o.epoch + 1"
                 " RETURNING next_offset, epoch",
                 &p, &s->fault, err);

    if (result == NULL) {
        return store_outage(err);
    }
    claim->next_offset = pg_int(result, 0, 0);
    claim->epoch = pg_int(result, 0, 1);
    PQclear(result);
    return 0;
}

int store_move(struct store *s, const char *topic, int32_t partition, int64_t epoch, int64_t stored,
               int64_t next, bool *moved, struct err *err)
{
    struct pg_params p = {0};
    int64_t affected;

    if (!store_is_connected(s)) {
        return not_connected(err);
    }
    pg_add_text(&p, s->settings.consumer_group);
    pg_add_text(&p, topic);
    pg_add_int(&p, partition);
    pg_add_int(&p, epoch);
    pg_add_int(&p, stored);
    pg_add_int(&p, next);
    /* A call whose answer was lost may find its own work done. */
    if (pg_execute(s->conn, "move an offset",
                   "UPDATE kafka_offsets SET next_offset = $6 WHERE consumer_group = $1"
                   " AND topic = $2 AND partition = $3 AND epoch = $4 AND next_offset IN ($5, $6)",
                   &p, &affected, &s->fault, err) < 0) {
        return store_outage(err);
    }
    *moved = affected == 1;
    return 0;
}

void store_refuse(struct store_refusals *list, size_t row, const char *reason, const char *detail)
{
    if (list->count == list->size) {
        list->size = list->size == 0 ? 16 : list->size * 2;
        list->items = mem_resize(list->items, list->size, sizeof(*list->items));
    }
    struct batch_refusal *refusal = &list->items[list->count++];

    *refusal = (struct batch_refusal){.row = row};
    snprintf(refusal->reason, sizeof(refusal->reason), "%s", reason);
    snprintf(refusal->detail, sizeof(refusal->detail), "%s", detail);
}

void store_refusals_free(struct store_refusals *list)
{
    free(list->items);
    *list = (struct store_refusals){0};
}

static bool has_dropped_partition(const struct batch *batch)
{
    for (size_t i = 0; i < batch->partitions_count; i++) {
        if (batch->partitions[i].dropped) {
            return true;
        }
    }
    return false;
}

size_t store_live_rows(const struct batch *batch, size_t from, size_t to)
{
    size_t count = 0;

    if (!has_dropped_partition(batch)) { /* mostly; the rows need not be looked at */
        return to - from;
    }
    for (size_t i = from; i < to; i++) {
        count += store_row_is_live(batch, &batch->rows[i]);
    }
    return count;
}

static size_t count_live_letters(const struct batch *batch)
{
    size_t count = 0;

    for (size_t i = 0; i < batch->letters_count; i++) {
        count += store_letter_is_live(batch, &batch->letters[i]);
    }
    return count;
}

static bool has_live_partition(const struct batch *batch)
{
    for (size_t i = 0; i < batch->partitions_count; i++) {
        if (!batch->partitions[i].dropped) {
            return true;
        }
    }
    return false;
}

struct delivery {
    store_deliver_fn *deliver;
    void *context;
};

/* What stands between the fence and COMMIT. */
static int write_contents(struct store *s, struct store_try *t, const struct delivery *delivery,
                          struct err *err)
{
    if (t->live > 0 && store_rows_write(s, t, err) < 0) {
        return -1;
    }
    batch_reject_rows(t->batch, t->refused.items, t->refused.count);
    if (store_state_write(s, t->batch, t->staged, err) < 0) {
        return -1;
    }
    if (count_live_letters(t->batch) == 0) {
        return 0;
    }
    if (delivery->deliver(delivery->context, t->batch, err) < 0) {
        return -1;
    }
    return store_copy_letters(s, t->batch, err);
}

static int write_once(struct store *s, struct store_try *t, const struct delivery *delivery,
                      bool *fenced, uint32_t *lost, size_t *lost_count, struct err *err)
{
    int64_t begun_ns = clock_mono_ns();

    t->again = AGAIN_NO;
    t->live = store_live_rows(t->batch, 0, t->batch->rows_count);
    t->inserted = 0;
    t->refused.count = 0;
    if (store_fence_begin(s, t->batch, fenced, lost, lost_count, err) < 0) {
        return -1;
    }
    if (*fenced) {
        return 0;
    }
    if (write_contents(s, t, delivery, err) < 0) {
        store_rollback(s);
        return -1;
    }
    if (store_commit(s, t->batch, t->inserted, t->live - t->refused.count - t->inserted, err) < 0) {
        return -1;
    }
    metric_observe(s->commit_seconds, (double)(clock_mono_ns() - begun_ns) / (double)NS_PER_SEC);
    return 0;
}

/* Try until it is in, or until nothing is left that would mend it. */
static int write_tries(struct store *s, struct batch *batch, const struct delivery *delivery,
                       bool *fenced, uint32_t *lost, size_t *lost_count, struct err *err)
{
    struct store_try t = {.batch = batch};
    int rc = -1;

    for (int i = 0; i < TRIES_MAX; i++) {
        if (store_days_resolve(s, batch, err) < 0 || store_names_resolve(s, batch, err) < 0 ||
            store_state_resolve(s, batch, err) < 0) {
            break;
        }
        rc = write_once(s, &t, delivery, fenced, lost, lost_count, err);
        if (rc == 0 || t.again == AGAIN_NO) {
            break;
        }
        t.staged = t.staged || t.again == AGAIN_STAGED;
        t.halved = t.halved || t.again == AGAIN_HALVED;
        if (t.again == AGAIN_DAYS) {
            store_days_forget(s);
        }
        store_outage(err); /* should this have been the last try */
    }
    store_refusals_free(&t.refused);
    return rc;
}

int store_write(struct store *s, struct batch *batch, store_deliver_fn *deliver, void *context,
                enum store_outcome *outcome, uint32_t *lost, size_t *lost_count, struct err *err)
{
    struct delivery delivery = {.deliver = deliver, .context = context};
    bool in = false;
    bool fenced = false;

    *lost_count = 0;
    if (!has_live_partition(batch)) {
        store_commit_forget(s);
        *outcome = STORE_DONE;
        return 0;
    }
    if (!store_is_connected(s)) {
        return not_connected(err);
    }
    if (store_commit_look(s, batch, &in, err) < 0) {
        return -1;
    }
    if (!in && write_tries(s, batch, &delivery, &fenced, lost, lost_count, err) < 0) {
        return -1;
    }
    if (fenced) {
        *outcome = STORE_FENCED;
        return 0;
    }
    metric_add(s->rows_total, s->sent.rows);
    metric_add(s->duplicates_total, s->sent.duplicates);
    metric_observe(s->batch_rows, (double)(store_live_rows(batch, 0, batch->rows_count) +
                                           count_live_letters(batch)));
    store_commit_forget(s);
    *outcome = STORE_DONE;
    return 0;
}
