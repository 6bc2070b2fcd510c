/* What an errand's owner and its thread may rely on. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "consumer/errand.h"

#define ERRANDS 1000

/* One that is done when its owner says so, by a byte in a pipe. */
struct gate {
    int fds[2];
    int count; /* of errands done; nothing but the errand's hand-over guards it */
};

static void pass_gate(void *context)
{
    struct gate *gate = context;
    char byte;

    if (read(gate->fds[0], &byte, 1) == 1) {
        gate->count++;
    }
}

static void open_gate(struct gate *gate)
{
    assert_int_equal(write(gate->fds[1], "", 1), 1);
}

static struct errand *start(struct gate *gate)
{
    struct err err = {.message = ""};
    struct errand *e = errand_new(&err);

    assert_non_null(e);
    assert_int_equal(pipe(gate->fds), 0);
    assert_true(errand_wait(e, 0)); /* nothing was begun */
    return e;
}

static void stop(struct errand *e, struct gate *gate)
{
    errand_free(e);
    close(gate->fds[0]);
    close(gate->fds[1]);
}

static void test_owner_goes_on_meanwhile(void **state)
{
    struct gate gate = {0};
    struct errand *e = start(&gate);

    (void)state;
    errand_begin(e, pass_gate, &gate);
    assert_false(errand_wait(e, 0)); /* a time that is over */
    open_gate(&gate);
    assert_true(errand_wait(e, TIME_NEVER));
    assert_int_equal(gate.count, 1);
    stop(e, &gate);
}

static void test_one_after_the_other(void **state)
{
    struct gate gate = {0};
    struct errand *e = start(&gate);

    (void)state;
    for (int i = 0; i < ERRANDS; i++) {
        errand_begin(e, pass_gate, &gate);
        open_gate(&gate);
        assert_true(errand_wait(e, TIME_NEVER));
        assert_int_equal(gate.count, i + 1);
    }
    stop(e, &gate);
}

static void test_what_was_begun_is_done_before_the_end(void **state)
{
    struct gate gate = {0};
    struct errand *e = start(&gate);

    (void)state;
    open_gate(&gate);
    errand_begin(e, pass_gate, &gate);
    stop(e, &gate);
    assert_int_equal(gate.count, 1);
    errand_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_owner_goes_on_meanwhile),
        cmocka_unit_test(test_one_after_the_other),
        cmocka_unit_test(test_what_was_begun_is_done_before_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
