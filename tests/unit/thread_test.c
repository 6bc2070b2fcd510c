/* Threads of ours have a name and leave signals to the main thread, but for their own faults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "common/thread.h"

struct seen {
    sigset_t blocked;
};

static void *look(void *context)
{
    struct seen *seen = context;

    pthread_sigmask(SIG_SETMASK, NULL, &seen->blocked);
    return NULL;
}

static void *wait_for_lock(void *lock)
{
    pthread_mutex_lock(lock);
    pthread_mutex_unlock(lock);
    return NULL;
}

static void test_one_that_cannot_be_made_is_named(void **state)
{
    pthread_attr_t before;
    pthread_attr_t huge;
    pthread_t thread;
    struct err err;

    (void)state;
    assert_int_equal(pthread_getattr_default_np(&before), 0);
    assert_int_equal(pthread_attr_init(&huge), 0);
    assert_int_equal(pthread_attr_setstacksize(&huge, (size_t)1 << 50), 0); /* no room for that */
    assert_int_equal(pthread_setattr_default_np(&huge), 0);

    int rc = thread_start(&thread, "store", look, NULL, &err);

    assert_int_equal(pthread_setattr_default_np(&before), 0);
    pthread_attr_destroy(&huge);
    pthread_attr_destroy(&before);
    assert_int_equal(rc, -1);
    assert_int_equal(err.kind, ERR_FATAL);
    assert_string_equal(err.message, "thread of the store: Resource temporarily unavailable");
}

static const struct {
    const char *name;
    int signal;
    bool blocked;
} signals[] = {
    {"the end is asked of the main thread", SIGTERM, true},
    {"a reload is asked of the main thread", SIGHUP, true},
    {"a size of the terminal is told to the main thread", SIGWINCH, true},
    {"a fault of the thread reaches its handler", SIGSEGV, false},
    {"so does a broken mapping", SIGBUS, false},
    {"and a failed assertion", SIGABRT, false},
};

static void test_signals_are_left_to_the_main_thread(void **state)
{
    sigset_t before;
    sigset_t after;
    struct seen seen;
    pthread_t thread;
    struct err err;

    (void)state;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(thread_start(&thread, "looks", look, &seen, &err), 0);
    pthread_join(thread, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        print_message("  %s\n", signals[i].name);
        assert_int_equal(sigismember(&seen.blocked, signals[i].signal), signals[i].blocked);
        assert_int_equal(sigismember(&after, signals[i].signal),
                         sigismember(&before, signals[i].signal));
    }
}

static void test_a_long_name_is_cut(void **state)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    char shown[THREAD_NAME_BYTES_MAX + 1];
    pthread_t thread;
    struct err err;

    (void)state;
    pthread_mutex_lock(&lock); /* it is asked for its name while it runs */
    assert_int_equal(thread_start(&thread, "0123456789abcdefgh", wait_for_lock, &lock, &err), 0);
    assert_int_equal(pthread_getname_np(thread, shown, sizeof(shown)), 0);
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);
    assert_string_equal(shown, "0123456789abcde");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_that_cannot_be_made_is_named),
        cmocka_unit_test(test_signals_are_left_to_the_main_thread),
        cmocka_unit_test(test_a_long_name_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
