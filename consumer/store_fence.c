/*
 * A batch and the offsets it moves are one transaction, and its first statements are the fence: an
 * UPDATE of each partition's row that finds it only under our claim and where we left it. A row
 * that is not found is a partition that is not ours any more.
 *
 * Every consumer takes the rows in the order of (topic, partition), so that two never wait for
 * each other in a circle.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "consumer/store_internal.h"

#define FENCE "fence"

const char *const store_commit_outcomes[COMMIT_OUTCOMES] = {
    [COMMIT_STORED] = "stored",
    [COMMIT_LOST] = "lost",
    [COMMIT_TAKEN] = "taken",
};

int store_fence_prepare(struct store *s, struct err *err)
{
    PGresult *result = PQprepare(s->conn, FENCE,
                                 "UPDATE kafka_offsets SET next_offset = $6"
                                 " WHERE consumer_group = $1 AND topic = $2 AND partition = $3"
                                 " AND epoch = $4 AND next_offset = $5",
                                 0, NULL);
    int rc = pg_expect(s->conn, result, PGRES_COMMAND_OK, "prepare the fence", &s->fault, err);

    PQclear(result);
    return rc;
}

void store_rollback(struct store *s)
{
    if (s->conn == NULL || PQtransactionStatus(s->conn) == PQTRANS_IDLE) {
        return;
    }
    PGresult *result = PQexec(s->conn, "ROLLBACK");

    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        store_disconnect(s); /* the server rolls back what a lost connection left */
    }
    PQclear(result);
}

static int compare_partitions(const void *left, const void *right, void *context)
{
    const struct batch *batch = context;
    const struct batch_partition *a = &batch->partitions[*(const uint32_t *)left];
    const struct batch_partition *b = &batch->partitions[*(const uint32_t *)right];
    int order = strcmp(a->topic, b->topic);

    if (order != 0) {
        return order;
    }
    return (a->partition > b->partition) - (a->partition < b->partition);
}

/* Indexes of the partitions that are not dropped, in order. The caller frees. */
static uint32_t *live_partitions(const struct batch *batch, size_t *count)
{
    uint32_t *order = mem_alloc(batch->partitions_count, sizeof(*order));

    *count = 0;
    for (size_t i = 0; i < batch->partitions_count; i++) {
        if (!batch->partitions[i].dropped) {
            order[(*count)++] = (uint32_t)i;
        }
    }
    qsort_r(order, *count, sizeof(*order), compare_partitions, (void *)(uintptr_t)batch);
    return order;
}

static bool send_fence(struct store *s, const struct batch *batch, const uint32_t *order,
                       size_t count)
{
    bool sent = PQenterPipelineMode(s->conn) == 1 &&
                PQsendQueryParams(s->conn, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", 0,
                                  NULL, NULL, NULL, NULL, 0) == 1;

    for (size_t i = 0; sent && i < count; i++) {
        const struct batch_partition *partition = &batch->partitions[order[i]];
        struct pg_params p = {0};

        pg_add_text(&p, s->settings.consumer_group);
        pg_add_text(&p, partition->topic);
        pg_add_int(&p, partition->partition);
        pg_add_int(&p, partition->epoch);
        pg_add_int(&p, partition->stored);
        pg_add_int(&p, partition->next);
        sent = PQsendQueryPrepared(s->conn, FENCE, p.count, p.values, p.lengths, p.formats, 0) == 1;
    }
    return sent && PQpipelineSync(s->conn) == 1;
}

/* The result of one statement of the pipeline and the NULL that ends it. */
static PGresult *take_result(PGconn *conn)
{
    PGresult *result = PQgetResult(conn);

    if (result != NULL) {
        PQclear(PQgetResult(conn));
    }
    return result;
}

static int read_fence(struct store *s, const uint32_t *order, size_t count, uint32_t *lost,
                      size_t *lost_count, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < count + 1; i++) {
        PGresult *result = take_result(s->conn);

        if (rc == 0) { /* the first failure says why, those after it only that */
            rc = pg_expect(s->conn, result, PGRES_COMMAND_OK, "fence", &s->fault, err);
        }
        if (rc == 0 && i > 0 && pg_affected(result) == 0) {
            lost[(*lost_count)++] = order[i - 1];
        }
        PQclear(result);
    }
    PGresult *sync = PQgetResult(s->conn);

    if (rc == 0 && PQresultStatus(sync) != PGRES_PIPELINE_SYNC) {
        rc = err_set(err, ERR_RETRY, "fence: the connection was lost");
    }
    PQclear(sync);
    return rc;
}

int store_fence_begin(struct store *s, const struct batch *batch, bool *fenced, uint32_t *lost,
                      size_t *lost_count, struct err *err)
{
    size_t count;
    uint32_t *order = live_partitions(batch, &count);
    int rc = -1;

    *lost_count = 0;
    if (!send_fence(s, batch, order, count)) {
        err_set(err, ERR_RETRY, "fence: %s", PQerrorMessage(s->conn));
        store_disconnect(s);
    } else {
        rc = read_fence(s, order, count, lost, lost_count, err);
        if (PQexitPipelineMode(s->conn) != 1) {
            store_disconnect(s);
        }
    }
    free(order);
    *fenced = rc == 0 && *lost_count > 0;
    if (rc < 0 || *fenced) {
        store_rollback(s);
    }
    return rc < 0 ? store_outage(err) : 0;
}

void store_commit_forget(struct store *s)
{
    for (size_t i = 0; i < s->sent.count; i++) {
        free(s->sent.partitions[i].topic);
    }
    free(s->sent.partitions);
    s->sent = (struct sent_commit){0};
}

static void note_commit(struct store *s, const struct batch *batch, uint64_t rows,
                        uint64_t duplicates)
{
    size_t count;
    uint32_t *order = live_partitions(batch, &count);

    store_commit_forget(s);
    s->sent.partitions = mem_alloc(count, sizeof(*s->sent.partitions));
    for (size_t i = 0; i < count; i++) {
        const struct batch_partition *p = &batch->partitions[order[i]];

        s->sent.partitions[i] = (struct sent_partition){
            .topic = mem_copy_string(p->topic),
            .partition = p->partition,
            .epoch = p->epoch,
            .stored = p->stored,
            .next = p->next,
        };
    }
    s->sent.count = count;
    s->sent.rows = rows;
    s->sent.duplicates = duplicates;
    free(order);
}

int store_commit(struct store *s, const struct batch *batch, uint64_t rows, uint64_t duplicates,
                 struct err *err)
{
    note_commit(s, batch, rows, duplicates);

    PGresult *result = PQexec(s->conn, "COMMIT");
    int rc = pg_expect(s->conn, result, PGRES_COMMAND_OK, "COMMIT", &s->fault, err);

    if (rc == 0 && strcmp(PQcmdStatus(result), "COMMIT") != 0) {
        rc = err_set(err, ERR_RETRY, "COMMIT: the server answered %s", PQcmdStatus(result));
    }
    PQclear(result);
    return rc < 0 ? store_outage(err) : 0;
}

static bool was_sent(const struct sent_commit *sent, const struct batch_partition *p)
{
    for (size_t i = 0; i < sent->count; i++) {
        const struct sent_partition *q = &sent->partitions[i];

        if (q->partition == p->partition && q->epoch == p->epoch && q->stored == p->stored &&
            q->next == p->next && strcmp(q->topic, p->topic) == 0) {
            return true;
        }
    }
    return false;
}

/* What is left of the batch was all in the transaction that was sent. */
static bool is_sent_batch(const struct store *s, const struct batch *batch)
{
    for (size_t i = 0; i < batch->partitions_count; i++) {
        if (!batch->partitions[i].dropped && !was_sent(&s->sent, &batch->partitions[i])) {
            return false;
        }
    }
    return s->sent.count > 0;
}

/* What a partition's row says about the COMMIT. The lock waits for one that still runs. */
static int look_at(struct store *s, const struct sent_partition *p, bool *tells, bool *in,
                   struct err *err)
{
    struct pg_params params = {0};

    pg_add_text(&params, s->settings.consumer_group);
    pg_add_text(&params, p->topic);
    pg_add_int(&params, p->partition);

    PGresult *result = pg_query(s->conn, "look into a COMMIT",
                                "SELECT epoch, next_offset FROM kafka_offsets"
                                " WHERE consumer_group = $1 AND topic = $2 AND partition = $3"
                                " FOR UPDATE",
                                &params, &s->fault, err);

    if (result == NULL) {
        return store_outage(err);
    }
    /* Under our claim nobody else moved it. Under another's claim it may have been moved by our
     * COMMIT or by the new owner, who then read the same messages: that row tells nothing. */
    *tells = PQntuples(result) == 1 && pg_int(result, 0, 0) == p->epoch && p->next != p->stored;
    *in = *tells && pg_int(result, 0, 1) == p->next;
    PQclear(result);
    return 0;
}

/* Say it, and return it. */
static bool judge_commit(const struct store *s, bool tells, bool in)
{
    enum commit_outcome outcome = !tells ? COMMIT_TAKEN : in ? COMMIT_STORED : COMMIT_LOST;

    metric_add(s->commits_in_doubt[outcome], 1);
    log_write(LOG_INFO, "looked up a COMMIT that was not answered",
              LOG_S("outcome", store_commit_outcomes[outcome]));
    return in;
}

int store_commit_look(struct store *s, const struct batch *batch, bool *in, struct err *err)
{
    bool tells = false;

    *in = false;
    if (!is_sent_batch(s, batch)) {
        store_commit_forget(s);
        return 0;
    }
    /* The transaction was one: any partition that can tell, tells for all, also for one that
     * another claimed since. */
    for (size_t i = 0; i < s->sent.count && !tells; i++) {
        if (look_at(s, &s->sent.partitions[i], &tells, in, err) < 0) {
            return -1;
        }
    }
    if (!judge_commit(s, tells, *in)) {
        store_commit_forget(s);
    }
    return 0;
}
