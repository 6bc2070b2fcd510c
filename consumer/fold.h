/*
 * fold - what a row of checks of one site at one location makes of its state: since when it has
 * its status, how often it failed in a row, and the incidents.
 *
 * Pure: it knows no batch and no SQL. Checks are given in the order of their slots, one a slot.
 * `up` and `degraded` are successes and `down` is a failure; `unknown` says nothing about the
 * site, so that it neither opens nor closes an incident and does not end a row of failures.
 */
#ifndef CONSUMER_FOLD_H
#define CONSUMER_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/event.h"

#define FOLD_NEVER INT64_MIN /* of a slot: there is none */

struct fold_check {
    int64_t slot_us;
    enum check_status status;
    const char *error_type, *error_message; /* NULL: absent; not owned */
};

struct fold_state {
    enum check_status status; /* of the check at last_slot_us */
    int64_t since_us;
    int64_t last_slot_us; /* FOLD_NEVER: nothing was folded, and the rest does not matter */
    int32_t failures;     /* in a row */
    int64_t incident_us;  /* slot that opened the incident that is open, or FOLD_NEVER */
};

struct fold_incident {
    int64_t opened_us;
    int64_t closed_us; /* FOLD_NEVER: it is open */
    int32_t checks;    /* failures in a row, those before it was opened included */
    bool is_new;       /* opened by these checks; else only closed_us and checks are said anew */
    const char *error_type, *error_message; /* of the check that opened it, when is_new */
};

struct fold_incidents {
    struct fold_incident *items;
    size_t count, size;
};

void fold_state_init(struct fold_state *state);

/* Fold the checks into the state; what they do to incidents is put at the end of the list.
 * `failures_max` in a row, at least 1, open one. */
void fold_checks(struct fold_state *state, const struct fold_check *checks, size_t count,
                 int32_t failures_max, struct fold_incidents *incidents);

void fold_incidents_free(struct fold_incidents *incidents);

#endif
