/* A line that is cut ends what its connection waits for, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/pgline.h"

/* 0 when the other end is gone, -1 when nothing came. */
static int come(int fd)
{
    char byte;

    return (int)recv(fd, &byte, 1, MSG_DONTWAIT);
}

static void test_a_cut_ends_the_connection_that_is_set(void **state)
{
    struct pgline line;
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    pgline_init(&line);
    pgline_cut(&line); /* there is none: nothing happens */
    pgline_set(&line, ends[0]);
    assert_int_equal(come(ends[0]), -1);
    pgline_cut(&line);
    assert_int_equal(come(ends[0]), 0);
    assert_int_equal(come(ends[1]), 0);
    pgline_free(&line);
    close(ends[0]);
    close(ends[1]);
}

static void test_a_connection_that_is_over_is_not_cut(void **state)
{
    struct pgline line;
    int first[2];
    int second[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, first), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, second), 0);
    pgline_init(&line);
    pgline_set(&line, first[0]);
    pgline_set(&line, second[0]);
    pgline_cut(&line);
    assert_int_equal(come(first[0]), -1);
    assert_int_equal(come(second[0]), 0);
    pgline_set(&line, first[0]);
    pgline_set(&line, -1);
    pgline_cut(&line);
    assert_int_equal(come(first[0]), -1);

    /* Its own duplicate is closed: with the last end of ours the other side sees the end. */
    close(first[0]);
    assert_int_equal(come(first[1]), 0);
    pgline_free(&line);
    close(first[1]);
    close(second[0]);
    close(second[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cut_ends_the_connection_that_is_set),
        cmocka_unit_test(test_a_connection_that_is_over_is_not_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
