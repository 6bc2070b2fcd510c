/* A wakeup is readable from a ring until it is taken, however often it was rung. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/wakeup.h"

static bool is_readable(int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};

    return poll(&ready, 1, 0) == 1;
}

static void test_no_descriptor_is_left(void **state)
{
    struct rlimit before;
    struct rlimit none;
    struct err err;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);

    int fd = wakeup_open(&err);

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(fd, -1);
    assert_int_equal(err.kind, ERR_FATAL);
    assert_string_equal(err.message, "eventfd: Too many open files");
}

static void test_a_full_counter_neither_blocks_nor_ends_who_rings(void **state)
{
    struct err err;
    int fd = wakeup_open(&err);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(eventfd_write(fd, UINT64_MAX - 1), 0);
    wakeup_ring(fd);
    assert_true(is_readable(fd));
    assert_true(wakeup_take(fd));
    assert_false(is_readable(fd));
    close(fd);
}

static void test_many_rings_wake_once(void **state)
{
    struct err err;
    int fd = wakeup_open(&err);

    (void)state;
    assert_true(fd >= 0);
    assert_false(is_readable(fd));
    assert_false(wakeup_take(fd));
    for (int round = 0; round < 2; round++) {
        wakeup_ring(fd);
        wakeup_ring(fd);
        assert_true(is_readable(fd));
        assert_true(wakeup_take(fd));
        assert_false(wakeup_take(fd));
        assert_false(is_readable(fd));
    }
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_descriptor_is_left),
        cmocka_unit_test(test_a_full_counter_neither_blocks_nor_ends_who_rings),
        cmocka_unit_test(test_many_rings_wake_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
