/*
 * broker - a Kafka broker for the demo: librdkafka's mock cluster, served to other processes.
 *
 *     broker [--port-file FILE]
 *
 * It listens on a free port of 127.0.0.1 and says which: "bootstrap=127.0.0.1:PORT" on stdout, or
 * "127.0.0.1:PORT" in FILE, which appears only when the topics are there. Messages are held in
 * memory, the newest 5 MB or 100,000 of each partition. It ends on SIGTERM and SIGINT, and with
 * its parent.
 */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "common/err.h"

#define TOPIC_PARTITIONS 4

static const char *const topics[] = {"checks-success", "checks-failure", "checks-dead-letter"};

/* The cluster outlives this function and goes with its handle. */
static rd_kafka_mock_cluster_t *cluster_new(rd_kafka_t *handle, struct err *err)
{
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(handle, 1);

    if (!cluster) {
        err_set(err, ERR_FATAL, "cannot start the mock cluster");
        return NULL;
    }
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        rd_kafka_resp_err_t code =
            rd_kafka_mock_topic_create(cluster, topics[i], TOPIC_PARTITIONS, 1);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            err_set(err, ERR_FATAL, "cannot make topic %s: %s", topics[i], rd_kafka_err2str(code));
            rd_kafka_mock_cluster_destroy(cluster);
            return NULL;
        }
    }
    return cluster;
}

/* Under another name first, so that whoever waits for the file never reads half of it. */
static int port_file_write(const char *path, const char *bootstrap, struct err *err)
{
    char draft[4096];
    FILE *file;
    int length = snprintf(draft, sizeof draft, "%s.new", path);

    if (length < 0 || (size_t)length >= sizeof draft) {
        return err_set(err, ERR_INVALID, "--port-file: the name is too long");
    }
    file = fopen(draft, "we");
    if (!file) {
        return err_set(err, ERR_FATAL, "cannot write %s: %m", draft);
    }
    int written = fprintf(file, "%s\n", bootstrap);
    if (fclose(file) != 0 || written < 0) {
        return err_set(err, ERR_FATAL, "cannot write %s: %m", draft);
    }
    if (rename(draft, path) != 0) {
        return err_set(err, ERR_FATAL, "cannot rename %s to %s: %m", draft, path);
    }
    return 0;
}

/* Serve until a signal of the set comes. */
static int serve(rd_kafka_t *handle, const char *port_file, const sigset_t *signals,
                 struct err *err)
{
    rd_kafka_mock_cluster_t *cluster = cluster_new(handle, err);
    const char *bootstrap;
    int got;
    int result = 0;

    if (!cluster) {
        return -1;
    }
    bootstrap = rd_kafka_mock_cluster_bootstraps(cluster);
    if (port_file) {
        result = port_file_write(port_file, bootstrap, err);
    } else {
        printf("bootstrap=%s\n", bootstrap);
        fflush(stdout);
    }
    if (result == 0) {
        sigwait(signals, &got);
    }
    rd_kafka_mock_cluster_destroy(cluster);
    return result;
}

int main(int argc, char **argv)
{
    struct err err;
    char reason[256];
    sigset_t signals;
    const char *port_file = NULL;

    if (argc == 3 && strcmp(argv[1], "--port-file") == 0) {
        port_file = argv[2];
    } else if (argc != 1) {
        fprintf(stderr, "usage: broker [--port-file FILE]\n");
        return 2;
    }

    /* Blocked before librdkafka starts a thread, so that only sigwait gets them. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);

    /* The handle has no brokers of its own to talk to; warnings about that help nobody. */
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "3", NULL, 0);
    rd_kafka_t *handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    if (!handle) {
        rd_kafka_conf_destroy(conf);
        fprintf(stderr, "broker: %s\n", reason);
        return 1;
    }
    int result = serve(handle, port_file, &signals, &err);
    rd_kafka_destroy(handle);
    if (result != 0) {
        fprintf(stderr, "broker: %s\n", err.message);
        return 1;
    }
    return 0;
}
