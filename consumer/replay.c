#include "consumer/replay.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "consumer/deadletter.h"
#include "consumer/letterscan.h"

#define SEND_TIMEOUT_MS 30000

enum fate {
    FATE_NONE,    /* not sent */
    FATE_WAITING, /* sent, not acknowledged */
    FATE_SENT,
    FATE_REFUSED,
};

struct replay {
    const struct replay_settings *settings;
    FILE *out;
    struct replay_counts *counts;
    PGconn *conn;
    rd_kafka_t *producer;
    struct letters portion;
    enum fate *fates; /* of the portion's letters */
    size_t waiting;
    bool failed; /* Kafka did not take one that it should have */
    struct err failure;
};

static void refuse(struct replay *r, size_t index, const char *why)
{
    r->fates[index] = FATE_REFUSED;
    r->counts->refused++;
    fprintf(r->out, "%" PRId64 ": not replayed: %s\n", r->portion.all[index].id, why);
}

/* --- To Kafka --- */

/* What the topic will never take is a letter's own fault, all else the broker's. */
static bool is_refusal(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
           code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
           code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
           code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_INVALID_RECORD;
}

static void judge(struct replay *r, size_t index, rd_kafka_resp_err_t code)
{
    const struct letter *l = &r->portion.all[index];
    char why[512];

    snprintf(why, sizeof(why), "topic %s: %s", l->topic, rd_kafka_err2str(code));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        r->fates[index] = FATE_SENT;
        r->counts->replayed++;
    } else if (is_refusal(code)) {
        refuse(r, index, why);
    } else {
        r->fates[index] = FATE_NONE;
        err_fill(&r->failure, ERR_RETRY, "%s", why);
        r->failed = true;
    }
}

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct replay *r = opaque;

    (void)rk;
    r->waiting--;
    judge(r, (size_t)((enum fate *)message->_private - r->fates), message->err);
}

/* Hand over one message; when the local queue is full, give the broker time to take some. */
static void send_one(struct replay *r, size_t index, const void *payload, size_t len)
{
    const struct letter *l = &r->portion.all[index];
    int64_t deadline_ns = clock_mono_ns() + SEND_TIMEOUT_MS * NS_PER_MS;
    rd_kafka_resp_err_t code;

    for (;;) {
        r->fates[index] = FATE_WAITING;
        code = rd_kafka_producev(
            r->producer, RD_KAFKA_V_TOPIC(l->topic), RD_KAFKA_V_KEY((void *)l->key, l->key_len),
            RD_KAFKA_V_VALUE((void *)payload, len), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_OPAQUE(&r->fates[index]), RD_KAFKA_V_END);
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL || clock_mono_ns() > deadline_ns) {
            break;
        }
        rd_kafka_poll(r->producer, 100);
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        r->waiting++;
    } else {
        judge(r, index, code);
    }
}

/* --- A portion --- */

static bool is_whole(const struct letter *l)
{
    return l->payload_bytes == (int64_t)l->payload_len;
}

static int on_found(void *context, const struct letter *letter, const rd_kafka_message_t *message,
                    struct err *err)
{
    struct replay *r = context;

    send_one(r, (size_t)(letter - r->portion.all), message->payload, message->len);
    if (r->failed) {
        *err = r->failure;
    }
    return r->failed ? -1 : 0;
}

/* Those that are longer than what the table keeps come from the dead-letter topic. */
static int send_long(struct replay *r, struct err *err)
{
    const struct letter **wanted = mem_alloc(r->portion.count, sizeof(*wanted));
    size_t count = 0;
    int rc = 0;

    for (size_t i = 0; i < r->portion.count; i++) {
        const struct letter *l = &r->portion.all[i];

        if (is_whole(l)) {
            continue;
        }
        if (l->in_topic) {
            wanted[count++] = l;
        } else {
            refuse(r, i,
                   "the table has its first 64 KiB only, and the dead-letter topic refused "
                   "it");
        }
    }
    if (count > 0) {
        rc = letterscan_run(r->settings->kafka, r->settings->topic_dead_letter, wanted, count,
                            on_found, r, err);
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        size_t index = (size_t)(wanted[i] - r->portion.all);

        if (r->fates[index] == FATE_NONE) {
            refuse(r, index,
                   "the table has its first 64 KiB only, and the dead-letter topic has "
                   "it no more");
        }
    }
    free(wanted);
    return rc;
}

static int send_portion(struct replay *r, struct err *err)
{
    r->fates = mem_alloc(r->portion.count, sizeof(*r->fates));
    for (size_t i = 0; !r->failed && i < r->portion.count; i++) {
        if (is_whole(&r->portion.all[i])) {
            send_one(r, i, r->portion.all[i].payload, r->portion.all[i].payload_len);
        }
    }
    int rc = r->failed ? -1 : send_long(r, err);

    /* Every report comes, after the timeout of its message at the latest; also after a failure, as
     * what was acknowledged is to be marked. */
    while (r->waiting > 0) {
        rd_kafka_poll(r->producer, 100);
    }
    if (r->failed) {
        *err = r->failure;
        rc = -1;
    }
    return rc;
}

static int mark_portion(struct replay *r, struct err *err)
{
    int64_t *ids = mem_alloc(r->portion.count, sizeof(*ids));
    size_t count = 0;

    for (size_t i = 0; i < r->portion.count; i++) {
        if (r->fates[i] == FATE_SENT) {
            ids[count++] = r->portion.all[i].id;
        }
    }
    int rc = count == 0 ? 0 : letters_mark_replayed(r->conn, ids, count, err);

    free(ids);
    return rc == 0 ? pg_run(r->conn, "COMMIT", err) : -1;
}

/* *after moves over what was looked at; *more is false when nothing was left. */
static int replay_portion(struct replay *r, int64_t last, int64_t *after, bool *more,
                          struct err *err)
{
    struct err mark_err;

    if (pg_run(r->conn, "BEGIN", err) < 0 ||
        letters_portion(r->conn, &r->settings->choice, *after, last, &r->portion, err) < 0) {
        return -1;
    }
    *more = r->portion.count > 0;

    int rc = send_portion(r, err);

    if (mark_portion(r, &mark_err) < 0 && rc == 0) {
        *err = mark_err;
        rc = -1;
    }
    if (*more) {
        *after = r->portion.all[r->portion.count - 1].id;
    }
    free(r->fates);
    r->fates = NULL;
    letters_free(&r->portion);
    return rc;
}

/* Of the letters that were named, those that no portion will have. */
static int say_left_out(struct replay *r, struct err *err)
{
    const struct letters_choice *choice = &r->settings->choice;

    for (size_t i = 0; i < choice->ids_count; i++) {
        struct letters found = {0};

        if (letters_get(r->conn, choice->ids[i], &found, err) < 0) {
            return -1;
        }
        if (found.count == 0) {
            fprintf(r->out, "%" PRId64 ": not replayed: there is none\n", choice->ids[i]);
            r->counts->refused++;
        } else if (found.all[0].replayed[0] != '\0' && !choice->again) {
            fprintf(r->out, "%" PRId64 ": replayed before, %s; --force does it again\n",
                    choice->ids[i], found.all[0].replayed);
        }
        letters_free(&found);
    }
    return 0;
}

static int replay_all(struct replay *r, struct err *err)
{
    int64_t last;
    int64_t after = 0;
    bool more = true;

    if (letters_last(r->conn, &last, err) < 0 || say_left_out(r, err) < 0) {
        return -1;
    }
    while (more) {
        if (replay_portion(r, last, &after, &more, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int replay_run(const struct replay_settings *settings, FILE *out, struct replay_counts *counts,
               struct err *err)
{
    struct replay r = {.settings = settings, .out = out, .counts = counts};
    int rc = -1;

    *counts = (struct replay_counts){0};
    if (letters_filter_check(&settings->choice.filter, err) < 0) {
        return -1;
    }
    r.conn = pg_connect(settings->dsn, NULL, err);
    if (r.conn == NULL) {
        return -1;
    }
    r.producer =
        deadletter_client(settings->kafka, "sitewatch-consumer-replay", on_report, &r, err);
    if (r.producer != NULL) {
        rc = replay_all(&r, err);
        rd_kafka_destroy(r.producer);
    }
    PQfinish(r.conn);
    return rc;
}
