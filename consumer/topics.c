#include "consumer/topics.h"

#include <string.h>

#include "common/broker.h"

#define TOPICS_COUNT 4

struct wanted {
    const char *setting;
    struct broker_topic topic;
};

struct wanted_list {
    struct wanted all[TOPICS_COUNT];
};

static struct wanted_list wanted_list(const struct topics_settings *s)
{
    const int32_t checks = TOPICS_CHECKS_PARTITIONS;

    return (struct wanted_list){{
        {"kafka-topic-success", {s->success, checks, s->replicas, false}},
        {"kafka-topic-failure", {s->failure, checks, s->replicas, false}},
        {"kafka-topic-dead-letter", {s->dead_letter, 1, s->replicas, false}},
        {"kafka-topic-sites", {s->sites, TOPICS_SITES_PARTITIONS, s->replicas, true}},
    }};
}

const char *topics_judge(bool compacted, bool should_be)
{
    if (should_be && !compacted) {
        return "is not compacted (cleanup.policy), and would forget sites with time";
    }
    if (!should_be && compacted) {
        return "is compacted (cleanup.policy), and would lose all but the latest message of a site";
    }
    return NULL;
}

static int check_names(const struct wanted *wanted, struct err *err)
{
    for (size_t i = 0; i < TOPICS_COUNT; i++) {
        if (kafka_topic_check(wanted[i].topic.name, wanted[i].setting, err) < 0) {
            return -1;
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(wanted[i].topic.name, wanted[k].topic.name) == 0) {
                return err_set(err, ERR_INVALID, "%s and %s are the same topic, %s",
                               wanted[k].setting, wanted[i].setting, wanted[i].topic.name);
            }
        }
    }
    return 0;
}

static int check_existing(struct broker *b, const struct broker_topic *topic, int32_t partitions,
                          FILE *out, struct err *err)
{
    bool compacted;

    if (broker_is_compacted(b, topic->name, &compacted, err) < 0) {
        return -1;
    }
    const char *wrong = topics_judge(compacted, topic->compacted);

    if (wrong != NULL) {
        return err_set(err, ERR_FATAL, "%s: %s", topic->name, wrong);
    }
    fprintf(out, "%s: exists, partitions: %d%s", topic->name, partitions,
            compacted ? ", compacted" : "");
    if (partitions != topic->partitions) {
        fprintf(out, " (a new one has %d)", topic->partitions);
    }
    fputc('\n', out);
    return 0;
}

static int ensure(struct broker *b, const struct broker_topic *topic, FILE *out, struct err *err)
{
    int32_t partitions;
    bool made = false;

    if (broker_partitions(b, topic->name, &partitions, err) < 0 ||
        (partitions == 0 && broker_make_topic(b, topic, &made, err) < 0)) {
        return -1;
    }
    if (made) {
        fprintf(out, "%s: made, partitions: %d%s\n", topic->name, topic->partitions,
                topic->compacted ? ", compacted" : "");
        return 0;
    }
    /* Another may have made it in between. */
    if (partitions == 0 && broker_partitions(b, topic->name, &partitions, err) < 0) {
        return -1;
    }
    return check_existing(b, topic, partitions, out, err);
}

int topics_check(const struct topics_settings *s, struct err *err)
{
    const struct wanted_list wanted = wanted_list(s);

    return check_names(wanted.all, err);
}

int topics_ensure(const struct topics_settings *s, FILE *out, struct err *err)
{
    const struct wanted_list wanted = wanted_list(s);
    size_t failed = 0;

    if (check_names(wanted.all, err) < 0) {
        return -1;
    }
    struct broker *b = broker_new(s->kafka, "sitewatch-topics", BROKER_TIMEOUT_MS, err);

    if (b == NULL) {
        return -1;
    }
    for (size_t i = 0; i < TOPICS_COUNT; i++) {
        struct err why;

        if (ensure(b, &wanted.all[i].topic, out, &why) == 0) {
            continue;
        }
        if (why.kind == ERR_RETRY) { /* the next would wait as long for the same broker */
            broker_free(b);
            *err = why;
            return -1;
        }
        fprintf(out, "%s\n", why.message);
        failed++;
    }
    broker_free(b);
    return failed == 0 ? 0
                       : err_set(err, ERR_FATAL, "%zu of %d topics are not as they must be", failed,
                                 TOPICS_COUNT);
}
