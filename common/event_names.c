/* The names of what an event says in words, and back. */
#include "common/event.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const status_names[] = {
    [CHECK_UP] = "up",
    [CHECK_DEGRADED] = "degraded",
    [CHECK_DOWN] = "down",
    [CHECK_UNKNOWN] = "unknown",
};

static const struct {
    const char *name;
    enum check_status status;
} error_types[] = {[ERROR_NONE] = {"", CHECK_UP},
#define X(id, text, brings) [ERROR_##id] = {text, brings},
                   ERROR_TYPES(X)
#undef X
};

static const char *const phase_names[] = {
    [PHASE_NONE] = "",       [PHASE_DNS] = "dns",   [PHASE_CONNECT] = "connect",
    [PHASE_TLS] = "tls",     [PHASE_WAIT] = "wait", [PHASE_TRANSFER] = "transfer",
    [PHASE_CHECK] = "check",
};

static const char *const fault_names[] = {
    [EVENT_FAULT_TOO_LARGE] = "too_large", [EVENT_FAULT_TEXT] = "text",
    [EVENT_FAULT_JSON] = "json",           [EVENT_FAULT_SCHEMA] = "schema",
    [EVENT_FAULT_FIELD] = "field",
};

const char *check_status_name(enum check_status status)
{
    return status_names[status];
}

const char *error_type_name(enum error_type type)
{
    return error_types[type].name;
}

enum check_status error_type_status(enum error_type type)
{
    return error_types[type].status;
}

const char *check_phase_name(enum check_phase phase)
{
    return phase_names[phase];
}

const char *event_fault_name(enum event_fault fault)
{
    return fault_names[fault];
}

bool check_status_find(const char *name, enum check_status *status)
{
    for (size_t i = 0; i < COUNT(status_names); i++) {
        if (strcmp(name, status_names[i]) == 0) {
            *status = (enum check_status)i;
            return true;
        }
    }
    return false;
}

/* The entry for none has no name: "" is not one of the list. */
bool error_type_find(const char *name, enum error_type *type)
{
    for (size_t i = ERROR_NONE + 1; i < COUNT(error_types); i++) {
        if (strcmp(name, error_types[i].name) == 0) {
            *type = (enum error_type)i;
            return true;
        }
    }
    return false;
}

bool check_phase_find(const char *name, enum check_phase *phase)
{
    for (size_t i = PHASE_NONE + 1; i < COUNT(phase_names); i++) {
        if (strcmp(name, phase_names[i]) == 0) {
            *phase = (enum check_phase)i;
            return true;
        }
    }
    return false;
}
