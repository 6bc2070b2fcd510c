/* The service manager is a socket of ours, in the abstract namespace. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/notify.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))

static int manager;

static int listen_as_manager(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t len = sizeof(sa_family_t); /* the kernel names it */

    (void)state;
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (manager < 0 || bind(manager, (struct sockaddr *)&address, len) < 0) {
        return -1;
    }
    len = sizeof(address);
    if (getsockname(manager, (struct sockaddr *)&address, &len) < 0) {
        return -1;
    }
    size_t name_len = len - offsetof(struct sockaddr_un, sun_path);

    address.sun_path[0] = '@';
    address.sun_path[name_len] = '\0';
    return setenv("NOTIFY_SOCKET", address.sun_path, 1);
}

static int stop_listening(void **state)
{
    (void)state;
    close(manager);
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return unsetenv("NOTIFY_SOCKET");
}

/* What the manager was told since the last call; "" for nothing. */
static const char *told(void)
{
    static char text[256];
    ssize_t len = recv(manager, text, sizeof(text) - 1, 0);

    text[len < 0 ? 0 : len] = '\0';
    return text;
}

static void the_manager_is_told(void **state)
{
    (void)state;
    notify_status("waiting for Postgres: no %s");
    assert_string_equal(told(), "STATUS=waiting for Postgres: no %s");
    notify_ready();
    assert_string_equal(told(), "READY=1\nSTATUS=");
    notify_stopping();
    assert_string_equal(told(), "STOPPING=1");
    assert_string_equal(told(), "");
}

static void without_a_manager_nothing_happens(void **state)
{
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    notify_ready();
    notify_status("x");
    notify_stopping();
    assert_string_equal(told(), "");
}

static void a_manager_that_is_gone_is_no_failure(void **state)
{
    (void)state;
    setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
    notify_ready();
    assert_string_equal(told(), "");
}

static const struct {
    const char *name;
    const char *usec;
    const char *pid; /* NULL: ours is meant */
    int64_t every_ns;
} watchdogs[] = {
    {"text that is no number", "soon", NULL, 0},
    {"no time at all", "0", NULL, 0},
    {"more than a clock holds", "18446744073709551614", NULL, 0},
    {"the signs of another process", "4000000", "1", 0},
    {"none is wanted", NULL, NULL, 0},
    {"four signs in the time", "4000000", NULL, NS_PER_SEC},
};

static void signs_are_sent_as_often_as_the_manager_wants(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(watchdogs); i++) {
        struct notify_watchdog watchdog;
        struct admin_health health = {.beat_ns = 1};

        print_message("  %s\n", watchdogs[i].name);
        unsetenv("WATCHDOG_USEC");
        unsetenv("WATCHDOG_PID");
        if (watchdogs[i].usec != NULL) {
            setenv("WATCHDOG_USEC", watchdogs[i].usec, 1);
        }
        if (watchdogs[i].pid != NULL) {
            setenv("WATCHDOG_PID", watchdogs[i].pid, 1);
        }
        notify_watchdog_init(&watchdog);
        assert_int_equal(watchdog.every_ns, watchdogs[i].every_ns);
        notify_watchdog_turn(&watchdog, &health, 1);
        assert_string_equal(told(), watchdogs[i].every_ns == 0 ? "" : "WATCHDOG=1");
    }
}

static void a_loop_that_stands_still_is_silent(void **state)
{
    static const struct {
        const char *name;
        int64_t now_ns, beat_ns;
        bool told;
    } turns[] = {
        {"the first turn", NS_PER_SEC, NS_PER_SEC, true},
        {"too soon for another sign", 2 * NS_PER_SEC - 1, NS_PER_SEC, false},
        {"when the next is due", 2 * NS_PER_SEC, NS_PER_SEC, true},
        {"at the limit of a stall", NS_PER_SEC + ADMIN_STALL_NS, NS_PER_SEC, true},
        {"a stall", 2 * NS_PER_SEC + ADMIN_STALL_NS + 1, 2 * NS_PER_SEC, false},
        {"it goes on", 2 * NS_PER_SEC + ADMIN_STALL_NS + 2, 2 * NS_PER_SEC + 2, true},
    };
    struct notify_watchdog watchdog;
    struct admin_health health = {0};

    (void)state;
    setenv("WATCHDOG_USEC", "4000000", 1);
    notify_watchdog_init(&watchdog);
    for (size_t i = 0; i < ROWS(turns); i++) {
        print_message("  %s\n", turns[i].name);
        atomic_store(&health.beat_ns, turns[i].beat_ns);
        notify_watchdog_turn(&watchdog, &health, turns[i].now_ns);
        assert_string_equal(told(), turns[i].told ? "WATCHDOG=1" : "");
    }
}

#define WITH_MANAGER(test) cmocka_unit_test_setup_teardown(test, listen_as_manager, stop_listening)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MANAGER(the_manager_is_told),
        WITH_MANAGER(without_a_manager_nothing_happens),
        WITH_MANAGER(a_manager_that_is_gone_is_no_failure),
        WITH_MANAGER(signs_are_sent_as_often_as_the_manager_wants),
        WITH_MANAGER(a_loop_that_stands_still_is_silent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
