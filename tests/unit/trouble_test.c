/* Trouble on the way to Kafka is said once when it begins and once when it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <string.h>

#include "common/clock.h"
#include "producer/trouble.h"
#include "tests/unit/logged.h"

#define MINUTE_NS (60 * NS_PER_SEC)

static void the_ceiling_is_said_each_time_it_is_crossed(void **state)
{
    static const size_t bytes[] = {0, 100, 101, 5000, 100, 101, 0};
    struct logged l;
    struct trouble t;

    (void)state;
    trouble_init(&t);
    log_begin(&l);
    for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
        const struct trouble_facts facts = {.waiting_bytes = bytes[i], .waiting_bytes_max = 100};

        trouble_settle(&t, &facts, (int64_t)i);
    }
    log_end(&l);
    assert_int_equal(count_of(&l, "take more memory than they should"), 2);
    assert_int_equal(count_of(&l, "bytes=101 bytes_max=100"), 2);
}

static void brokers_are_down_once_and_up_once(void **state)
{
    static const struct {
        bool down, delivered;
    } turns[] = {{false, true}, {true, true},  {true, false}, {false, false}, {true, false},
                 {true, false}, {false, true}, {false, true}, {true, false}};
    struct logged l;
    struct trouble t;

    (void)state;
    trouble_init(&t);
    log_begin(&l);
    for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++) {
        const struct trouble_facts facts = {.brokers_down = turns[i].down,
                                            .delivered = turns[i].delivered};

        trouble_settle(&t, &facts, (int64_t)i);
    }
    log_end(&l);
    assert_int_equal(count_of(&l, "no Kafka broker is reached"), 2);
    assert_int_equal(count_of(&l, "Kafka brokers are reached again"), 1);
}

/* A queue that is full and not full all the time is said once a minute, begin and end. */
static void a_queue_at_its_edge_makes_no_stream_of_lines(void **state)
{
    const struct trouble_facts full = {.pending = 10, .waiting = 3}, empty = {.pending = 7};
    struct logged l;
    struct trouble t;

    (void)state;
    trouble_init(&t);
    log_begin(&l);
    for (int64_t now_ns = 1; now_ns < 2 * MINUTE_NS; now_ns += NS_PER_SEC) {
        trouble_full(&t, &full, now_ns);
        trouble_full(&t, &full, now_ns);
        t.full_events = 3;
        trouble_settle(&t, &full, now_ns); /* still */
        assert_true(t.full);
        trouble_settle(&t, &empty, now_ns + NS_PER_SEC / 2);
        assert_false(t.full);
    }
    log_end(&l);
    assert_int_equal(count_of(&l, "\"Kafka queue is full, checks wait\" queued=7 waiting=3"), 2);
    assert_int_equal(count_of(&l, "held_back=59"), 1);
    assert_int_equal(count_of(&l, "\"Kafka takes events again\" waited=3 seconds=0.5"), 2);
}

static void each_kind_of_failure_names_the_topic_and_its_setting(void **state)
{
    static const struct {
        enum trouble_kind kind;
        const char *says;
    } rows[] = {
        {TROUBLE_DELIVERY, "delivery failed, the events wait and are sent again"},
        {TROUBLE_NO_TOPIC,
         "Kafka has no such topic, its events wait; consumer migrate --topics makes it"},
        {TROUBLE_REQUEST_SIZE, "a request is refused for its size, its events go one by one"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct trouble_topic t;
        struct logged l;

        trouble_topic_init(&t, "checks-success", "KAFKA_TOPIC_SUCCESS");
        log_begin(&l);
        trouble_failed(&t, rows[i].kind, "Because", 4, 1);
        trouble_failed(&t, rows[i].kind, "Because", 5, 2); /* too soon */
        trouble_failed(&t, rows[i].kind, "Because", 6, 1 + MINUTE_NS);
        log_end(&l);
        assert_int_equal(count_of(&l, rows[i].says), 2);
        assert_int_equal(count_of(&l, "topic=checks-success setting=KAFKA_TOPIC_SUCCESS "
                                      "reason=Because waiting="),
                         2);
        assert_int_equal(count_of(&l, "waiting=6 held_back=1"), 1);
    }
}

static void a_producer_that_does_not_start_is_told_from_one_that_failed(void **state)
{
    struct logged l;
    struct trouble t;

    (void)state;
    trouble_init(&t);
    log_begin(&l);
    trouble_restart(&t, true, "fenced", 1, 1);
    trouble_restart(&t, false, "no file", 1, 1 + MINUTE_NS);
    trouble_restart(&t, false, "no file", 1, 2 + MINUTE_NS);
    log_end(&l);
    assert_int_equal(count_of(&l, "failed for good, it is made anew\" reason=fenced"), 1);
    assert_int_equal(count_of(&l, "does not start, it is tried again\" reason=\"no file\""), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ceiling_is_said_each_time_it_is_crossed),
        cmocka_unit_test(brokers_are_down_once_and_up_once),
        cmocka_unit_test(a_queue_at_its_edge_makes_no_stream_of_lines),
        cmocka_unit_test(each_kind_of_failure_names_the_topic_and_its_setting),
        cmocka_unit_test(a_producer_that_does_not_start_is_told_from_one_that_failed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
