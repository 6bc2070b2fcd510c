/* --health: which programs are well, and where nothing can be asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/admin.h"
#include "common/clock.h"
#include "common/health.h"

static void a_program_is_asked_where_it_listens(void **state)
{
    static const struct {
        const char *name, *listen, *ask; /* ask: printf's %u is the port */
    } rows[] = {
        {"loopback", "127.0.0.1:0", "127.0.0.1:%u"},
        {"all addresses", "0.0.0.0:0", "0.0.0.0:%u"},
        {"all addresses, in short", "0.0.0.0:0", ":%u"},
        {"a name", "127.0.0.1:0", "localhost:%u"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct metrics *m = metrics_new();
        struct admin_health health = {0};
        struct err err;
        struct admin *admin = admin_new(rows[i].listen, m, &health, &err);
        const char *percent = strchr(rows[i].ask, '%');
        char address[64];

        assert_non_null(admin);
        snprintf(address, sizeof(address), "%.*s%u", (int)(percent - rows[i].ask), rows[i].ask,
                 admin_port(admin));
        if (health_ask(address, false, &err) != 0) {
            fail_msg("%s: %s", rows[i].name, err.message);
        }
        atomic_store(&health.beat_ns, clock_mono_ns() - 2 * ADMIN_STALL_NS);
        assert_int_equal(health_ask(address, false, &err), -1);
        assert_int_equal(err.kind, ERR_FATAL);
        assert_non_null(strstr(err.message, "/healthz: status 503"));
        assert_int_equal(health_ask(address, true, &err), -1); /* it speaks no TLS */
        admin_free(admin);
        metrics_free(m);
        assert_int_equal(health_ask(address, false, &err), -1);
        assert_int_equal(err.kind, ERR_FATAL);
    }
}

static void where_nothing_can_be_asked_is_a_wrong_setting(void **state)
{
    static const char *const rows[] = {"off", "", "127.0.0.1:0", ":0", "[::]:0"};
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(health_ask(rows[i], false, &err), -1);
        assert_int_equal(err.kind, ERR_INVALID);
        assert_non_null(strstr(err.message, "--listen"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_is_asked_where_it_listens),
        cmocka_unit_test(where_nothing_can_be_asked_is_a_wrong_setting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
