/*
 * timerlag - how late this machine wakes a thread that does nothing but wait for its timer.
 *
 * Sleeps to an absolute time every 5 ms until SIGTERM, then prints the lateness in microseconds:
 * {"count": N, "p50": N, "p99": N, "p999": N, "max": N}. The load test puts the lag of the
 * producer beside it, as no program can be more punctual than its machine.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#define STEP_NS 5000000
#define BUCKETS 1000000 /* of 1 us; what is later counts in the last */

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static int64_t quantile(const uint64_t *counts, uint64_t total, double q)
{
    uint64_t seen = 0;
    for (int64_t us = 0; us < BUCKETS; us++) {
        seen += counts[us];
        if ((double)seen >= q * (double)total) {
            return us;
        }
    }
    return BUCKETS;
}

int main(void)
{
    static uint64_t counts[BUCKETS];
    uint64_t total = 0;
    struct timespec due;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    clock_gettime(CLOCK_MONOTONIC, &due);
    while (!stop) {
        due.tv_nsec += STEP_NS;
        if (due.tv_nsec >= 1000000000) {
            due.tv_nsec -= 1000000000;
            due.tv_sec++;
        }
        if (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) != 0) {
            continue; /* the signal */
        }
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        int64_t late_us =
            (int64_t)(now.tv_sec - due.tv_sec) * 1000000 + (now.tv_nsec - due.tv_nsec) / 1000;
        counts[late_us < BUCKETS ? late_us : BUCKETS - 1]++;
        total++;
    }
    printf("{\"count\": %llu, \"p50\": %lld, \"p99\": %lld, \"p999\": %lld, \"max\": %lld}\n",
           (unsigned long long)total, (long long)quantile(counts, total, 0.5),
           (long long)quantile(counts, total, 0.99), (long long)quantile(counts, total, 0.999),
           (long long)quantile(counts, total, 1));
    return 0;
}
