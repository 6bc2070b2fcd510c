#include "consumer/offsets.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/broker.h"
#include "common/mem.h"
#include "common/pg.h"

#define NOT_STORED (-1)

struct move {
    int32_t partition;
    int64_t low, high;
    int64_t before; /* NOT_STORED: the partition was never claimed */
    int64_t after;
    char *holder; /* NULL: nobody */
};

struct plan {
    struct move *moves;
    size_t count;
};

/* A number of digits alone; -1 when it is not. */
static int64_t parse_number(const char *text)
{
    char *end;

    if (text[0] < '0' || text[0] > '9') {
        return -1;
    }
    errno = 0;

    long long value = strtoll(text, &end, 10);

    return errno != 0 || *end != '\0' ? -1 : value;
}

int offsets_target(const char *to, int64_t low, int64_t high, int64_t *offset, struct err *err)
{
    if (strcmp(to, "earliest") == 0) {
        *offset = low;
        return 0;
    }
    if (strcmp(to, "latest") == 0) {
        *offset = high;
        return 0;
    }
    int64_t wanted = parse_number(to);

    if (wanted < 0) {
        return err_set(err, ERR_INVALID, "--to %s: not earliest, latest or an offset", to);
    }
    if (wanted < low || wanted > high) {
        return err_set(err, ERR_INVALID, "--to %s: the log is from %" PRId64 " to %" PRId64, to,
                       low, high);
    }
    *offset = wanted;
    return 0;
}

static void plan_free(struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        free(plan->moves[i].holder);
    }
    free(plan->moves);
}

/* --- What Kafka says --- */

static int choose_partitions(struct broker *b, const struct offsets_settings *s, int32_t *first,
                             int32_t *count, int32_t *all, struct err *err)
{
    int64_t one = s->partition == NULL ? 0 : parse_number(s->partition);

    if (broker_partitions(b, s->topic, all, err) < 0) {
        return -1;
    }
    if (*all == 0) {
        return err_set(err, ERR_FATAL, "there is no topic %s", s->topic);
    }
    if (one < 0 || one >= *all) {
        return err_set(err, ERR_INVALID, "--partition %s: %s has 0 to %d", s->partition, s->topic,
                       *all - 1);
    }
    *first = (int32_t)one;
    *count = s->partition == NULL ? *all : 1;
    return 0;
}

static int ask_kafka(struct broker *b, const struct offsets_settings *s, struct plan *plan,
                     struct err *err)
{
    int32_t first;
    int32_t count;
    int32_t all;

    if (choose_partitions(b, s, &first, &count, &all, err) < 0) {
        return -1;
    }
    char **holders = mem_alloc((size_t)all, sizeof(*holders));
    int rc = broker_holders(b, s->group, s->topic, holders, (size_t)all, err);

    plan->moves = mem_alloc((size_t)count, sizeof(*plan->moves));
    for (int32_t i = 0; rc == 0 && i < count; i++) {
        struct move *move = &plan->moves[plan->count++];

        move->partition = first + i;
        move->holder = mem_copy_string(holders[move->partition]);
        rc = broker_watermarks(b, s->topic, move->partition, &move->low, &move->high, err);
        if (rc == 0 && offsets_target(s->to, move->low, move->high, &move->after, err) < 0) {
            rc = err_context(err, "%s [%d]", s->topic, move->partition);
        }
    }
    for (int32_t i = 0; i < all; i++) {
        free(holders[i]);
    }
    free(holders);
    return rc;
}

/* --- What Postgres says, and is told --- */

/* FOR UPDATE waits for a batch that is being committed. */
static int read_stored(PGconn *conn, const struct offsets_settings *s, struct move *move,
                       struct err *err)
{
    static const char sql[] = "SELECT next_offset FROM kafka_offsets WHERE consumer_group = $1"
                              " AND topic = $2 AND partition = $3 FOR UPDATE";
    struct pg_params p = {0};

    pg_add_text(&p, s->group);
    pg_add_text(&p, s->topic);
    pg_add_int(&p, move->partition);

    PGresult *result = pg_query(conn, "read the stored offset", sql, &p, NULL, err);

    if (result == NULL) {
        return -1;
    }
    move->before = PQntuples(result) == 0 ? NOT_STORED : pg_int(result, 0, 0);
    PQclear(result);
    return 0;
}

static int store_move(PGconn *conn, const struct offsets_settings *s, const struct move *move,
                      struct err *err)
{
    static const char sql[] =
        "INSERT INTO kafka_offsets AS o (consumer_group, topic, partition, next_offset, epoch)"
        " VALUES ($1, $2, $3, $4, 1) ON CONFLICT (consumer_group, topic, partition)"
        " DO UPDATE SET next_offset = excluded.next_offset, epoch = o.epoch + 1";
    struct pg_params p = {0};

    pg_add_text(&p, s->group);
    pg_add_text(&p, s->topic);
    pg_add_int(&p, move->partition);
    pg_add_int(&p, move->after);
    return pg_execute(conn, "move the stored offset", sql, &p, NULL, NULL, err);
}

/* In the order of partitions, as every batch takes them: two never wait for each other. The
 * connection is closed after a failure, and the transaction with it. */
static int ask_postgres(PGconn *conn, const struct offsets_settings *s, struct plan *plan,
                        bool execute, struct err *err)
{
    if (pg_run(conn, "BEGIN", err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < plan->count; i++) {
        if (read_stored(conn, s, &plan->moves[i], err) < 0 ||
            (execute && store_move(conn, s, &plan->moves[i], err) < 0)) {
            return -1;
        }
    }
    return pg_run(conn, execute ? "COMMIT" : "ROLLBACK", err);
}

/* --- The command --- */

static void print_plan(FILE *out, const char *topic, const struct plan *plan)
{
    fprintf(out, "%-24s %9s %12s %12s %12s %12s  %s\n", "TOPIC", "PARTITION", "STORED", "NEW",
            "LOW", "HIGH", "HELD BY");
    for (size_t i = 0; i < plan->count; i++) {
        const struct move *m = &plan->moves[i];
        char before[24] = "-";

        if (m->before != NOT_STORED) {
            snprintf(before, sizeof(before), "%" PRId64, m->before);
        }
        fprintf(out, "%-24s %9d %12s %12" PRId64 " %12" PRId64 " %12" PRId64 "  %s\n", topic,
                m->partition, before, m->after, m->low, m->high,
                m->holder == NULL ? "-" : m->holder);
    }
}

static size_t held_count(const struct plan *plan)
{
    size_t count = 0;

    for (size_t i = 0; i < plan->count; i++) {
        count += plan->moves[i].holder != NULL;
    }
    return count;
}

static int reset(PGconn *conn, struct broker *b, const struct offsets_settings *s,
                 struct plan *plan, FILE *out, struct err *err)
{
    if (ask_kafka(b, s, plan, err) < 0) {
        return -1;
    }
    size_t held = held_count(plan);
    bool refused = s->execute && held > 0 && !s->force;

    if (ask_postgres(conn, s, plan, s->execute && !refused, err) < 0) {
        return -1;
    }
    print_plan(out, s->topic, plan);
    if (refused) {
        return err_set(err, ERR_FATAL,
                       "%zu of these partitions are held by consumers of %s: stop them, or give "
                       "--force; nothing was changed",
                       held, s->group);
    }
    fprintf(out, s->execute ? "moved\n" : "nothing was changed; --execute does it\n");
    return 0;
}

int offsets_reset(const struct offsets_settings *s, FILE *out, struct err *err)
{
    struct plan plan = {0};
    int rc = -1;

    if (s->topic == NULL || s->to == NULL) {
        return err_set(err, ERR_INVALID, "offsets reset needs --topic and --to");
    }
    PGconn *conn = pg_connect(s->dsn, NULL, err);
    struct broker *b =
        conn == NULL ? NULL : broker_new(s->kafka, "sitewatch-offsets", BROKER_TIMEOUT_MS, err);

    if (b != NULL) {
        rc = reset(conn, b, s, &plan, out, err);
    }
    plan_free(&plan);
    broker_free(b);
    PQfinish(conn);
    return rc;
}
