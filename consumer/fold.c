#include "consumer/fold.h"

#include <stdlib.h>

#include "common/mem.h"

void fold_state_init(struct fold_state *state)
{
    *state = (struct fold_state){
        .status = CHECK_UNKNOWN,
        .since_us = FOLD_NEVER,
        .last_slot_us = FOLD_NEVER,
        .incident_us = FOLD_NEVER,
    };
}

void fold_incidents_free(struct fold_incidents *incidents)
{
    free(incidents->items);
    *incidents = (struct fold_incidents){0};
}

static struct fold_incident *append(struct fold_incidents *list, int64_t opened_us)
{
    if (list->count == list->size) {
        list->size = list->size == 0 ? 16 : list->size * 2;
        list->items = mem_resize(list->items, list->size, sizeof(*list->items));
    }
    struct fold_incident *incident = &list->items[list->count++];

    *incident = (struct fold_incident){.opened_us = opened_us, .closed_us = FOLD_NEVER};
    return incident;
}

static void fail(struct fold_state *state, const struct fold_check *check, int32_t failures_max,
                 struct fold_incidents *list, struct fold_incident **current)
{
    state->failures++;
    if (state->incident_us == FOLD_NEVER && state->failures >= failures_max) {
        state->incident_us = check->slot_us;
        *current = append(list, check->slot_us);
        (*current)->is_new = true;
        (*current)->error_type = check->error_type;
        (*current)->error_message = check->error_message;
    } else if (state->incident_us != FOLD_NEVER && *current == NULL) {
        *current = append(list, state->incident_us);
    }
    if (*current != NULL) {
        (*current)->checks = state->failures;
    }
}

static void succeed(struct fold_state *state, const struct fold_check *check,
                    struct fold_incidents *list, struct fold_incident **current)
{
    if (state->incident_us != FOLD_NEVER) {
        if (*current == NULL) {
            *current = append(list, state->incident_us);
            (*current)->checks = state->failures;
        }
        (*current)->closed_us = check->slot_us;
        *current = NULL;
    }
    state->incident_us = FOLD_NEVER;
    state->failures = 0;
}

void fold_checks(struct fold_state *state, const struct fold_check *checks, size_t count,
                 int32_t failures_max, struct fold_incidents *incidents)
{
    struct fold_incident *current = NULL; /* the open one, once these checks touched it */

    for (size_t i = 0; i < count; i++) {
        const struct fold_check *check = &checks[i];

        if (check->status == CHECK_DOWN) {
            fail(state, check, failures_max, incidents, &current);
        } else if (check->status != CHECK_UNKNOWN) {
            succeed(state, check, incidents, &current);
        }
        if (state->last_slot_us == FOLD_NEVER || state->status != check->status) {
            state->since_us = check->slot_us;
        }
        state->status = check->status;
        state->last_slot_us = check->slot_us;
    }
}
