/* Descriptors are eventfds and pipes: what is ready is decided by the test, never by time. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/clock.h"
#include "producer/loop.h"

#define MANY 300 /* more than one turn of the loop fetches, and more than its table begins with */

struct seen {
    struct loop *loop;
    int calls;
    int last_fd;
    unsigned last_ready;
    int other_fd; /* what the handler acts on */
    void (*act)(struct seen *seen);
    struct seen *other; /* a newcomer */
    struct seen *peer;  /* the handler of other_fd */
};

static int new_loop(void **state)
{
    struct err err;

    *state = loop_new(&err);
    return *state == NULL ? -1 : 0;
}

static int free_loop(void **state)
{
    loop_free(*state);
    return 0;
}

static int ready_fd(void)
{
    int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

    assert_true(fd >= 0);
    return fd;
}

static void on_ready(void *context, int fd, unsigned ready)
{
    struct seen *seen = context;

    seen->calls++;
    seen->last_fd = fd;
    seen->last_ready = ready;
    if (seen->act != NULL) {
        seen->act(seen);
    }
}

static void watch(struct loop *l, int fd, unsigned events, struct seen *seen)
{
    struct err err;

    seen->loop = l;
    assert_int_equal(loop_watch(l, fd, events, on_ready, seen, &err), 0);
}

static void turn(struct loop *l)
{
    struct err err;

    assert_int_equal(loop_turn(l, 0, &err), 0);
}

/* --- What is ready --- */

static const struct {
    const char *name;
    unsigned events;
    bool input;     /* something can be read */
    bool hang_up;   /* the other end is closed */
    bool half_shut; /* the other end has ended its sending side */
    unsigned expect;
} readies[] = {
    {"a hang-up is told although nothing is watched for", 0, false, true, false, LOOP_FAIL},
    {"nothing watched for and nothing wrong is no call", 0, true, false, false, 0},
    {"no input is no call", LOOP_READ, false, false, false, 0},
    {"input is told to a reader", LOOP_READ, true, false, false, LOOP_READ},
    {"room is told to a writer", LOOP_WRITE, false, false, false, LOOP_WRITE},
    {"input is not told to a writer", LOOP_WRITE, true, false, false, LOOP_WRITE},
    {"both are told in one call", LOOP_READ | LOOP_WRITE, true, false, false,
     LOOP_READ | LOOP_WRITE},
    {"the end of input is input", LOOP_READ, false, false, true, LOOP_READ},
    {"the end of input does not wake a writer for that", LOOP_WRITE, false, false, true,
     LOOP_WRITE},
    {"the end of input does not wake one who waits for nothing", 0, false, false, true, 0},
    {"a hang-up is also the end of input", LOOP_READ, false, true, false, LOOP_READ | LOOP_FAIL},
};

static void test_ready(void **state)
{
    for (size_t i = 0; i < sizeof(readies) / sizeof(readies[0]); i++) {
        struct seen seen = {0};
        int pair[2];

        print_message("  %s\n", readies[i].name);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        watch(*state, pair[0], readies[i].events, &seen);
        if (readies[i].input) {
            assert_int_equal(write(pair[1], "x", 1), 1);
        }
        if (readies[i].half_shut) {
            assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
        }
        if (readies[i].hang_up) {
            close(pair[1]);
        }
        turn(*state);
        assert_int_equal(seen.calls, readies[i].expect != 0);
        if (seen.calls > 0) {
            assert_int_equal(seen.last_fd, pair[0]);
            assert_int_equal(seen.last_ready, readies[i].expect);
        }
        loop_unwatch(*state, pair[0]);
        close(pair[0]);
        if (!readies[i].hang_up) {
            close(pair[1]);
        }
    }
}

static void test_many(void **state)
{
    static struct seen seen[MANY];
    int fds[MANY];

    memset(seen, 0, sizeof(seen));
    for (size_t i = 0; i < MANY; i++) {
        fds[i] = ready_fd();
        watch(*state, fds[i], LOOP_READ, &seen[i]);
    }
    turn(*state);
    turn(*state); /* the rest; epoll hands out its ready list in rotation */
    for (size_t i = 0; i < MANY; i++) {
        assert_in_range(seen[i].calls, 1, 2);
        assert_int_equal(seen[i].last_fd, fds[i]);
        loop_unwatch(*state, fds[i]);
        close(fds[i]);
    }
}

/* --- What a handler does to the others of its turn --- */

/* The other one is taken from the loop, and its call, when it comes later in the turn, with it. */
static void act_unwatch(struct seen *seen)
{
    loop_unwatch(seen->loop, seen->other_fd);
}

/* The other one's number is closed and in use again, with input, by somebody else. */
static void act_reuse(struct seen *seen)
{
    loop_unwatch(seen->loop, seen->other_fd);
    close(seen->other_fd);
    assert_int_equal(ready_fd(), seen->other_fd);
    watch(seen->loop, seen->other_fd, LOOP_READ, seen->other);
}

/* The other one now waits for what is not there. */
static void act_change(struct seen *seen)
{
    watch(seen->loop, seen->other_fd, 0, seen->other);
}

/* The other one's own handler now waits for nothing. */
static void act_narrow(struct seen *seen)
{
    watch(seen->loop, seen->other_fd, 0, seen->peer);
}

/* The table of descriptors moves while its handler runs. */
static void act_grow(struct seen *seen)
{
    int high = fcntl(seen->last_fd, F_DUPFD_CLOEXEC, 200);

    assert_true(high >= 200);
    watch(seen->loop, high, 0, seen);
    loop_unwatch(seen->loop, high);
    close(high);
}

static const struct {
    const char *name;
    void (*act)(struct seen *seen);
    int calls;     /* of both handlers in the first turn */
    int newcomer;  /* calls of the handler that act_reuse or act_change put in, then */
    int next_turn; /* calls of that handler by the end of the second turn */
} acts[] = {
    {"an event fetched for one who was unwatched is dropped", act_unwatch, 1, 0, 0},
    {"an event fetched for a closed descriptor does not reach its successor", act_reuse, 1, 0, 1},
    {"an event does not reach a handler that was put in meanwhile", act_change, 1, 0, 0},
    {"an event that is not waited for any more is dropped", act_narrow, 1, 0, 0},
    {"a table that moves during a call harms nobody", act_grow, 2, 0, 0},
};

static void test_acts(void **state)
{
    for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
        int fds[2] = {ready_fd(), ready_fd()};
        struct seen newcomer = {0};
        struct seen seen[2] = {
            {.other_fd = fds[1], .act = acts[i].act, .other = &newcomer, .peer = &seen[1]},
            {.other_fd = fds[0], .act = acts[i].act, .other = &newcomer, .peer = &seen[0]},
        };

        print_message("  %s\n", acts[i].name);
        watch(*state, fds[0], LOOP_READ, &seen[0]);
        watch(*state, fds[1], LOOP_READ, &seen[1]);
        turn(*state);
        assert_int_equal(seen[0].calls + seen[1].calls, acts[i].calls);
        assert_int_equal(newcomer.calls, acts[i].newcomer);
        seen[0].act = NULL;
        seen[1].act = NULL;
        turn(*state);
        assert_int_equal(newcomer.calls, acts[i].next_turn);
        for (size_t k = 0; k < 2; k++) {
            loop_unwatch(*state, fds[k]);
            close(fds[k]);
        }
    }
}

static void act_unwatch_self(struct seen *seen)
{
    loop_unwatch(seen->loop, seen->last_fd);
}

static void test_watching(void **state)
{
    struct seen first = {0};
    struct seen second = {0};
    int fd = ready_fd();

    print_message("  a descriptor that is watched twice has the later handler\n");
    watch(*state, fd, LOOP_READ, &first);
    watch(*state, fd, LOOP_READ, &second);
    turn(*state);
    assert_int_equal(first.calls, 0);
    assert_int_equal(second.calls, 1);

    print_message("  a handler may unwatch itself, and is called no more\n");
    second.act = act_unwatch_self;
    turn(*state);
    turn(*state);
    assert_int_equal(second.calls, 2);

    print_message("  a number closed without unwatch and used again can be watched\n");
    watch(*state, fd, LOOP_READ, &first);
    close(fd);
    assert_int_equal(ready_fd(), fd);
    watch(*state, fd, LOOP_READ, &first);
    turn(*state);
    assert_int_equal(first.calls, 1);

    print_message("  unwatching what is closed, unknown or no descriptor is harmless\n");
    close(fd);
    loop_unwatch(*state, fd);
    loop_unwatch(*state, fd);
    loop_unwatch(*state, 100000);
    loop_unwatch(*state, -1);
    turn(*state);
    assert_int_equal(first.calls, 1);
}

static void test_resting(void **state)
{
    struct seen first = {0};
    struct seen second = {0};
    int fd = ready_fd();

    print_message("  a descriptor that rests is told to nobody\n");
    watch(*state, fd, LOOP_READ, &first);
    loop_rest(*state, fd);
    turn(*state);
    turn(*state); /* it is out of epoll by now, else this would be busy */
    assert_int_equal(first.calls, 0);

    print_message("  it is watched again, for the same or for something else\n");
    watch(*state, fd, LOOP_READ, &first);
    turn(*state);
    assert_int_equal(first.calls, 1);
    loop_rest(*state, fd);
    watch(*state, fd, LOOP_READ, &second);
    turn(*state);
    assert_int_equal(second.calls, 1);
    loop_rest(*state, fd);
    watch(*state, fd, LOOP_WRITE, &first);
    turn(*state);
    assert_int_equal(first.calls, 2);
    assert_int_equal(first.last_ready, LOOP_WRITE);
    assert_int_equal(second.calls, 1);

    print_message("  a number that was closed while it rested can be watched\n");
    loop_rest(*state, fd);
    loop_forget(*state, fd);
    close(fd);
    assert_int_equal(ready_fd(), fd);
    watch(*state, fd, LOOP_WRITE, &first);
    turn(*state);
    assert_int_equal(first.calls, 3);

    print_message("  one that rests can be unwatched\n");
    loop_rest(*state, fd);
    loop_unwatch(*state, fd);
    turn(*state);
    watch(*state, fd, LOOP_READ, &second);
    turn(*state);
    assert_int_equal(second.calls, 2);

    print_message("  resting and forgetting what is unknown or no descriptor is harmless\n");
    loop_unwatch(*state, fd);
    close(fd);
    loop_rest(*state, fd);
    loop_forget(*state, fd);
    loop_rest(*state, -1);
    loop_forget(*state, 100000);
    turn(*state);
    assert_int_equal(first.calls, 3);
}

/* --- Time --- */

static void on_alarm(int number)
{
    (void)number;
}

static void test_waiting(void **state)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval often = {.it_value.tv_usec = 1000, .it_interval.tv_usec = 1000};
    struct itimerval never = {0};
    struct seen seen = {0};
    struct err err;
    int fd = ready_fd();

    print_message("  a turn does not end before its time when nothing is ready\n");
    int64_t until_ns = clock_mono_ns() + NS_PER_MS / 2;

    assert_int_equal(loop_turn(*state, until_ns, &err), 0);
    assert_true(clock_mono_ns() >= until_ns);

    print_message("  a signal ends a turn, which is no failure\n");
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    assert_int_equal(loop_turn(*state, clock_mono_ns() + 3600 * NS_PER_SEC, &err), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);

    print_message("  a turn without a limit ends when something is ready\n");
    watch(*state, fd, LOOP_READ, &seen);
    assert_int_equal(loop_turn(*state, TIME_NEVER, &err), 0);
    assert_int_equal(seen.calls, 1);
    loop_unwatch(*state, fd);
    close(fd);
}

/* --- What fails --- */

static void test_failures(void **state)
{
    struct rlimit limit;
    struct rlimit none = {0};
    struct seen seen = {0};
    struct err err;

    (void)state;
    print_message("  no epoll without descriptors\n");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none.rlim_max = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct loop *l = loop_new(&err);

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_null(l);
    assert_int_equal(err.kind, ERR_FATAL);
    loop_free(l);

    print_message("  what is no open descriptor cannot be watched\n");
    int epoll_fd = dup(STDERR_FILENO); /* the number that the loop will have */

    close(epoll_fd);
    l = loop_new(&err);
    assert_non_null(l);
    assert_int_equal(loop_watch(l, -1, LOOP_READ, on_ready, &seen, &err), -1);
    assert_int_equal(err.kind, ERR_FATAL);
    assert_string_equal(err.message, "epoll_ctl of descriptor -1: Bad file descriptor");
    assert_int_equal(loop_watch(l, 100000, LOOP_READ, on_ready, &seen, &err), -1);

    print_message("  a turn of a loop whose descriptor is gone fails\n");
    close(epoll_fd);
    assert_int_equal(loop_turn(l, 0, &err), -1);
    assert_int_equal(err.kind, ERR_FATAL);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ready, new_loop, free_loop),
        cmocka_unit_test_setup_teardown(test_many, new_loop, free_loop),
        cmocka_unit_test_setup_teardown(test_acts, new_loop, free_loop),
        cmocka_unit_test_setup_teardown(test_watching, new_loop, free_loop),
        cmocka_unit_test_setup_teardown(test_resting, new_loop, free_loop),
        cmocka_unit_test_setup_teardown(test_waiting, new_loop, free_loop),
        cmocka_unit_test(test_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
