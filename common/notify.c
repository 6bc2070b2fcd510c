#include "common/notify.h"

#include <systemd/sd-daemon.h>

#include "common/clock.h"

#define SIGNS_PER_WAIT 4

void notify_ready(void)
{
    (void)sd_notify(0, "READY=1\nSTATUS=");
}

void notify_stopping(void)
{
    (void)sd_notify(0, "STOPPING=1");
}

void notify_status(const char *text)
{
    (void)sd_notifyf(0, "STATUS=%s", text);
}

void notify_watchdog_init(struct notify_watchdog *watchdog)
{
    uint64_t wait_us = 0;

    *watchdog = (struct notify_watchdog){0};
    if (sd_watchdog_enabled(0, &wait_us) > 0 && wait_us <= (uint64_t)INT64_MAX / NS_PER_US) {
        watchdog->every_ns = (int64_t)wait_us * NS_PER_US / SIGNS_PER_WAIT;
    }
}

void notify_watchdog_turn(struct notify_watchdog *watchdog, const struct admin_health *health,
                          int64_t now_ns)
{
    if (watchdog->every_ns == 0 || now_ns < watchdog->next_ns ||
        now_ns - atomic_load(&health->beat_ns) > ADMIN_STALL_NS) {
        return;
    }
    watchdog->next_ns = now_ns + watchdog->every_ns;
    (void)sd_notify(0, "WATCHDOG=1");
}
