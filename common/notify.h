/*
 * notify - tell the service manager (systemd) that a program serves, ends, and is alive.
 *
 * Without a manager (NOTIFY_SOCKET is not set) every call does nothing, and nothing is said of a
 * manager that does not answer: there is nobody else to tell.
 */
#ifndef COMMON_NOTIFY_H
#define COMMON_NOTIFY_H

#include <stdint.h>

#include "common/admin.h"

void notify_ready(void);
void notify_stopping(void);

/* What `systemctl status` shows, e.g. what the start waits for. One line. */
void notify_status(const char *text);

/* The signs of life that the manager wants (WatchdogSec=). One belongs to one thread. */
struct notify_watchdog {
    int64_t every_ns; /* a quarter of what the manager waits for; 0: it wants none */
    int64_t next_ns;
};

void notify_watchdog_init(struct notify_watchdog *watchdog);

/* To be called once a turn. Says that we live while /healthz would: a program whose loop stands
 * still is silent, and the manager starts it anew. */
void notify_watchdog_turn(struct notify_watchdog *watchdog, const struct admin_health *health,
                          int64_t now_ns);

#endif
