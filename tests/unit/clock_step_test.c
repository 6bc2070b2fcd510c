/*
 * Nobody sets the clock of the machine for a test: timerfd's calls and read() are ours here, and a
 * step is an eventfd that becomes readable.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "producer/clock_step.h"
#include "tests/unit/logged.h"

static struct {
    int fd;            /* in place of the timer's */
    int create_errno;  /* 0: it can be made */
    int settime_errno; /* 0: it can be armed */
    int read_errno;    /* of the next read; 0: it expired */
    int armed;         /* how often */
    int flags;         /* of the last arming */
    int steps;         /* that were told */
    struct loop *loop;
} stand;

int timerfd_create(int clock, int flags)
{
    assert_int_equal(clock, CLOCK_REALTIME);
    assert_int_equal(flags, TFD_NONBLOCK | TFD_CLOEXEC);
    if (stand.create_errno != 0) {
        errno = stand.create_errno;
        return -1;
    }
    stand.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return stand.fd;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *new_value,
                    struct itimerspec *old_value)
{
    assert_int_equal(fd, stand.fd);
    assert_true(new_value->it_value.tv_sec > 0);
    assert_null(old_value);
    stand.flags = flags;
    stand.armed++;
    errno = stand.settime_errno;
    return stand.settime_errno == 0 ? 0 : -1;
}

ssize_t read(int fd, void *buffer, size_t size)
{
    ssize_t len = syscall(SYS_read, fd, buffer, size);

    if (fd == stand.fd && stand.read_errno != 0) {
        errno = stand.read_errno;
        return -1;
    }
    return len;
}

static void on_step(void *context)
{
    assert_ptr_equal(context, &stand);
    stand.steps++;
}

static struct clock_step *stand_up(void)
{
    struct err err;

    stand.create_errno = stand.settime_errno = 0;
    stand.read_errno = ECANCELED;
    stand.armed = stand.steps = 0;
    stand.loop = loop_new(&err);
    assert_non_null(stand.loop);

    struct clock_step *c = clock_step_new(stand.loop, on_step, &stand, &err);

    assert_non_null(c);
    return c;
}

static void turn(void)
{
    struct err err;

    eventfd_write(stand.fd, 1);
    assert_int_equal(loop_turn(stand.loop, clock_mono_ns() + NS_PER_MS, &err), 0);
}

static void each_step_is_told(void **state)
{
    struct clock_step *c = stand_up();

    (void)state;
    assert_int_equal(stand.armed, 1);
    assert_int_equal(stand.flags, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET);
    for (int i = 1; i <= 2; i++) {
        turn();
        assert_int_equal(stand.steps, i);
        assert_int_equal(stand.armed, i + 1);
    }
    clock_step_free(c);
    loop_free(stand.loop);
}

static void a_timer_that_expires_is_no_step(void **state)
{
    struct clock_step *c = stand_up();

    (void)state;
    stand.read_errno = 0;
    turn();
    assert_int_equal(stand.steps, 0);
    assert_int_equal(stand.armed, 2);
    clock_step_free(c);
    loop_free(stand.loop);
}

/* timerfd_settime says ECANCELED too when the clock was stepped before it was called. */
static void a_step_before_it_is_armed_anew_is_no_failure(void **state)
{
    struct clock_step *c = stand_up();

    (void)state;
    stand.settime_errno = ECANCELED;
    turn();
    turn();
    assert_int_equal(stand.steps, 2);
    clock_step_free(c);
    loop_free(stand.loop);
}

static void it_is_told_once_that_steps_are_not_seen(void **state)
{
    struct clock_step *c = stand_up();
    struct logged logged;

    (void)state;
    stand.settime_errno = EMFILE;
    log_begin(&logged);
    turn();
    turn();
    log_end(&logged);
    assert_int_equal(stand.steps, 1);
    assert_int_equal(count_of(&logged, "steps of the wall clock are not seen any more"), 1);
    clock_step_free(c);
    loop_free(stand.loop);
}

static void what_cannot_be_made_is_told(void **state)
{
    struct err err;

    (void)state;
    stand.loop = loop_new(&err);
    assert_non_null(stand.loop);
    stand.create_errno = EMFILE;
    assert_null(clock_step_new(stand.loop, on_step, &stand, &err));
    assert_string_equal(err.message, "timerfd_create: Too many open files");
    stand.create_errno = 0;
    stand.settime_errno = EINVAL;
    assert_null(clock_step_new(stand.loop, on_step, &stand, &err));
    assert_string_equal(err.message, "timerfd_settime: Invalid argument");
    loop_free(stand.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_step_is_told),
        cmocka_unit_test(a_timer_that_expires_is_no_step),
        cmocka_unit_test(a_step_before_it_is_armed_anew_is_no_failure),
        cmocka_unit_test(it_is_told_once_that_steps_are_not_seen),
        cmocka_unit_test(what_cannot_be_made_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
