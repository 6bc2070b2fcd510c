/*
 * limit - what rawprobe and curlprobe share: their options, the pace of their checks, the tally.
 *
 * They are the limits that the producer is measured against: they check, match a pattern and
 * count, and emit nothing. Site number n is http(s)://127.0.0.(1 + n mod ADDRESSES):PORT/t/n, as
 * in the sites file that bench/probe writes for the others. They run until SIGTERM, and then print
 * {"checks": N, "good": N} of all they made.
 */
#ifndef BENCH_LIMIT_H
#define BENCH_LIMIT_H

#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include <pcre2.h>

#define LIMIT_IN_FLIGHT_MAX 20000
#define LIMIT_BODY_MAX 16384

struct limit {
    const char *pattern;
    const char *ca_file; /* https, verified with these authorities; NULL: http */
    unsigned port;
    unsigned via_port; /* not 0: a blackbox_exporter on 127.0.0.1 that is asked to check */
    unsigned sites;
    unsigned addresses; /* 127.0.0.1 and following */
    unsigned in_flight;
    double rate; /* checks a second that are offered; 0: as many as fit */
    bool reuse;
    bool resume;

    double started_s;
    uint64_t starts, checks, good;
    pcre2_code *code;
    pcre2_match_data *match;
};

static volatile sig_atomic_t limit_stop;

static inline void limit_on_signal(int number)
{
    (void)number;
    limit_stop = 1;
}

static inline double limit_now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline int limit_usage(const char *program)
{
    fprintf(stderr,
            "usage: %s -p PORT -m PATTERN [-n SITES] [-d ADDRESSES] [-r RATE] \n"
            "       [-c IN-FLIGHT] [-k] [-a CA-FILE [-z]] [-v BLACKBOX-PORT]\n"
            "  -r  checks a second; 0, the default: as many as fit\n"
            "  -k  keep connections for the next check\n"
            "  -a  https, verified (curlprobe)    -z  resume TLS sessions (curlprobe)\n"
            "  -v  ask the blackbox_exporter there to check (rawprobe)\n",
            program);
    return -1;
}

/* Returns -1 after a word on stderr when the options make no sense. */
static inline int limit_read(struct limit *limit, int argc, char **argv)
{
    int option;

    *limit = (struct limit){.sites = 1000, .addresses = 1, .in_flight = 100};
    while ((option = getopt(argc, argv, "p:m:n:d:r:c:ka:zv:")) != -1) {
        const char *value = optarg == NULL ? "" : optarg;
        unsigned number = (unsigned)strtoul(value, NULL, 10);
        switch (option) {
        case 'p':
            limit->port = number;
            break;
        case 'm':
            limit->pattern = value;
            break;
        case 'n':
            limit->sites = number;
            break;
        case 'd':
            limit->addresses = number;
            break;
        case 'r':
            limit->rate = strtod(value, NULL);
            break;
        case 'c':
            limit->in_flight = number;
            break;
        case 'k':
            limit->reuse = true;
            break;
        case 'a':
            limit->ca_file = value;
            break;
        case 'z':
            limit->resume = true;
            break;
        case 'v':
            limit->via_port = number;
            break;
        default:
            return limit_usage(argv[0]);
        }
    }
    if (optind != argc || limit->port == 0 || limit->pattern == NULL || limit->sites == 0 ||
        limit->addresses == 0 || limit->addresses > 250 || limit->in_flight == 0 ||
        limit->in_flight > LIMIT_IN_FLIGHT_MAX) {
        return limit_usage(argv[0]);
    }
    return 0;
}

/* Compile the pattern, take signals, raise the descriptor limit, and start the clock. */
static inline int limit_start(struct limit *limit)
{
    int error;
    PCRE2_SIZE offset;
    struct rlimit files = {LIMIT_IN_FLIGHT_MAX + 100, LIMIT_IN_FLIGHT_MAX + 100};
    struct sigaction action = {.sa_handler = limit_on_signal};

    limit->code =
        pcre2_compile((PCRE2_SPTR)limit->pattern, PCRE2_ZERO_TERMINATED, 0, &error, &offset, NULL);
    if (limit->code == NULL || pcre2_jit_compile(limit->code, PCRE2_JIT_COMPLETE) != 0) {
        fprintf(stderr, "the pattern is not valid\n");
        return -1;
    }
    limit->match = pcre2_match_data_create_from_pattern(limit->code, NULL);
    setrlimit(RLIMIT_NOFILE, &files);
    sigaction(SIGTERM, &action, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    limit->started_s = limit_now_s();
    return 0;
}

/* Whether the next check is due. `wait_ms` is set to how long it is until then when it is not. */
static inline bool limit_due(const struct limit *limit, int *wait_ms)
{
    if (limit->rate <= 0) {
        return true;
    }
    double due_s = limit->started_s + (double)limit->starts / limit->rate;
    double early_s = due_s - limit_now_s();
    if (early_s <= 0) {
        return true;
    }
    *wait_ms = early_s < 0.001 ? 1 : (int)(early_s * 1000);
    return false;
}

static inline void limit_count(struct limit *limit, bool answered, const char *body, size_t len)
{
    limit->checks++;
    limit->good +=
        answered && pcre2_match(limit->code, (PCRE2_SPTR)body, len, 0, 0, limit->match, NULL) > 0;
}

static inline void limit_report(struct limit *limit)
{
    printf("{\"checks\": %llu, \"good\": %llu}\n", (unsigned long long)limit->checks,
           (unsigned long long)limit->good);
    pcre2_match_data_free(limit->match);
    pcre2_code_free(limit->code);
}

#endif
