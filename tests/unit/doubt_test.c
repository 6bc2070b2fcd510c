/* Which failures may be our own network's fault, and what becomes of their events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/eventfd.h>

#include "common/clock.h"
#include "producer/doubt.h"

#define WAIT_MS 60000

/* Nothing answers at port 1 of a name that does not exist. */
static const char nowhere[] = "nowhere.invalid:1";

static const struct {
    enum error_type error;
    bool may_be_ours;
} errors[] = {
    {ERROR_NONE, false},
    {ERROR_URL, false},
    {ERROR_DNS_NOT_FOUND, true},
    {ERROR_DNS_TIMEOUT, true},
    {ERROR_DNS_FAILURE, true},
    {ERROR_CONNECT_REFUSED, true},
    {ERROR_CONNECT_TIMEOUT, true},
    {ERROR_CONNECT_FAILURE, true},
    {ERROR_TLS_EXPIRED, false},
    {ERROR_TLS_FAILURE, false},
    {ERROR_TIMEOUT, true},
    {ERROR_EMPTY_REPLY, false},
    {ERROR_READ_FAILURE, false},
    {ERROR_STATUS, false},
    {ERROR_BLOCKED_ADDRESS, false},
    {ERROR_PROXY, true},
    {ERROR_LOCAL_NETWORK, false}, /* it is, and that is said already */
    {ERROR_LOCAL_RESOURCES, false},
};

struct stand {
    struct metrics *metrics;
    struct loop *loop;
    struct selfprobe *self;
    struct doubts doubts;
};

static void on_more(void *context, int fd, unsigned ready)
{
    (void)context;
    (void)fd;
    (void)ready;
}

static void stand_begin(struct stand *s, bool with_self)
{
    const struct resolver_settings resolver = {.timeout_ms = 1000, .tries = 1};
    struct err err;

    s->metrics = metrics_new();
    s->loop = loop_new(&err);
    s->self = with_self ? selfprobe_new(nowhere, &resolver, s->metrics, &err) : NULL;
    assert_true(s->self != NULL || !with_self);
    doubts_init(&s->doubts, s->self, s->loop);
    assert_int_equal(doubts_watch(&s->doubts, on_more, s, &err), 0);
}

static void stand_end(struct stand *s)
{
    doubts_clear(&s->doubts);
    selfprobe_free(s->self);
    loop_free(s->loop);
    metrics_free(s->metrics);
}

static enum doubt judge_it(struct stand *s, struct event *event, enum error_type error)
{
    int64_t now_ns = clock_mono_ns();

    event_init(event);
    event->error = error;
    event->status = error_type_status(error);
    event->error_message = error == ERROR_NONE ? NULL : "192.0.2.1 port 80: words";
    return doubts_judge(&s->doubts, event, now_ns - NS_PER_MS, now_ns);
}

static void test_without_addresses_nothing_is_in_doubt(void **state)
{
    struct stand s;
    struct event event;

    (void)state;
    stand_begin(&s, false);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        assert_int_equal(judge_it(&s, &event, errors[i].error), DOUBT_NONE);
    }
    stand_end(&s);
}

static void test_what_reached_nothing_is_kept_and_then_unknown(void **state)
{
    struct stand s;
    struct event event;
    struct pollfd rung;
    eventfd_t ignored;

    (void)state;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        bool doubted = errors[i].may_be_ours;

        print_message("  %s\n", error_type_name(errors[i].error));
        stand_begin(&s, true);
        assert_int_equal(judge_it(&s, &event, errors[i].error), doubted ? DOUBT_KEEPS : DOUBT_NONE);
        assert_int_equal(event.error, errors[i].error);
        if (doubted) {
            rung = (struct pollfd){.fd = s.doubts.fd, .events = POLLIN};
            assert_int_equal(poll(&rung, 1, WAIT_MS), 1);
            eventfd_read(s.doubts.fd, &ignored);
            assert_int_equal(judge_it(&s, &event, errors[i].error), DOUBT_OURS);
            assert_int_equal(event.status, CHECK_UNKNOWN);
            assert_int_equal(event.error, ERROR_LOCAL_NETWORK);
            assert_string_equal(event.error_message,
                                "our own network is down; 192.0.2.1 port 80: words");
        }
        stand_end(&s);
    }
}

static void test_a_check_that_reached_its_host_speaks_for_the_others(void **state)
{
    struct stand s;
    struct event event;
    int64_t now_ns = clock_mono_ns();

    (void)state;
    stand_begin(&s, true);
    event_init(&event);
    event.error = ERROR_STATUS;
    event.peer = "192.0.2.1";
    assert_int_equal(doubts_judge(&s.doubts, &event, now_ns - NS_PER_MS, now_ns), DOUBT_NONE);
    assert_int_equal(judge_it(&s, &event, ERROR_CONNECT_REFUSED), DOUBT_NONE);
    stand_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_addresses_nothing_is_in_doubt),
        cmocka_unit_test(test_what_reached_nothing_is_kept_and_then_unknown),
        cmocka_unit_test(test_a_check_that_reached_its_host_speaks_for_the_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
