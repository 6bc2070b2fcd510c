/* A lane keeps the order of its events, whatever becomes of each: checked against a plain model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "producer/lane.h"

#define STEPS 20000
#define EVENTS_MAX 64

static struct held *event_new(void)
{
    struct event event;

    event_init(&event);
    snprintf(event.id, sizeof(event.id), "00000000-0000-5000-8000-000000000000");
    event.site_name = "a";
    event.site_url = "http://a/";
    event.location = "here";
    event.observer = "host";
    event.attempt = 1;
    event.interval_s = 5;
    return held_new(&event, NULL);
}

/* One that was read back. */
static struct message event_new_message(void)
{
    struct held *held = event_new();
    struct message message = held->message;

    free(held);
    return message;
}

static void an_empty_lane_offers_nothing(void **state)
{
    struct lane lane;

    (void)state;
    lane_init(&lane);
    assert_null(lane_peek(&lane));
    lane_failed_all(&lane);
    lane_clear(&lane);
    assert_int_equal(lane.count, 0);
}

static void what_failed_goes_before_what_came_after_it(void **state)
{
    struct lane lane;
    struct held *held[4];

    (void)state;
    lane_init(&lane);
    for (size_t i = 0; i < 4; i++) {
        held[i] = event_new();
        lane_append(&lane, held[i]);
    }
    lane_queued(&lane);
    lane_queued(&lane);
    lane_queued(&lane);
    assert_ptr_equal(lane_peek(&lane), held[3]);
    lane_failed(&lane, held[2]);
    lane_failed(&lane, held[0]); /* reports may come in any order */
    assert_ptr_equal(lane_peek(&lane), held[0]);
    lane_queued(&lane);
    assert_ptr_equal(lane_peek(&lane), held[2]); /* 1 is still queued */
    lane_failed_all(&lane);
    assert_ptr_equal(lane_peek(&lane), held[0]);
    assert_int_equal(lane.waiting, 4);
    lane_clear(&lane);
    assert_int_equal(lane.waiting_bytes, 0);
}

static void the_first_that_is_not_saved_is_known_whatever_goes(void **state)
{
    struct lane lane;
    struct held *held[4], *back;

    (void)state;
    lane_init(&lane);
    assert_null(lane.unsaved);
    for (size_t i = 0; i < 4; i++) {
        held[i] = event_new();
        lane_append(&lane, held[i]);
        lane_queued(&lane);
    }
    assert_ptr_equal(lane.unsaved, held[0]);
    lane_remove(&lane, held[0]); /* delivered before it was saved */
    held_free(held[0]);
    assert_ptr_equal(lane.unsaved, held[1]);
    lane_saved(&lane);
    assert_true(held[1]->saved);
    assert_ptr_equal(lane.unsaved, held[2]);
    lane_failed(&lane, held[1]); /* and is saved still */
    assert_ptr_equal(lane.unsaved, held[2]);
    lane_saved(&lane);
    lane_saved(&lane);
    assert_null(lane.unsaved);

    struct message message = event_new_message();

    back = held_restore(&message, 17, &lane);
    assert_true(back->saved && back->seq == 17 && back->owner == &lane && back->bytes > 0);
    lane_append(&lane, back); /* from disk */
    assert_null(lane.unsaved);
    lane_append(&lane, event_new());
    assert_ptr_equal(lane.unsaved, TAILQ_NEXT(back, link));
    lane_clear(&lane);
    assert_null(lane.unsaved);
}

static void one_that_must_be_alone_waits_for_the_others_and_they_for_it(void **state)
{
    struct lane lane;
    struct held *held[3];

    (void)state;
    lane_init(&lane);
    for (size_t i = 0; i < 3; i++) {
        held[i] = event_new();
        lane_append(&lane, held[i]);
    }
    lane_queued(&lane);
    held[1]->alone = true;
    assert_null(lane_peek(&lane)); /* 0 is queued */
    lane_remove(&lane, held[0]);
    held_free(held[0]);
    assert_ptr_equal(lane_peek(&lane), held[1]);
    lane_queued(&lane);
    assert_null(lane_peek(&lane)); /* 1 is queued, alone */
    lane_failed(&lane, held[1]);
    assert_ptr_equal(lane_peek(&lane), held[1]);
    lane_queued(&lane);
    lane_remove(&lane, held[1]);
    held_free(held[1]);
    assert_ptr_equal(lane_peek(&lane), held[2]);
    lane_clear(&lane);
}

/* A linear congruential generator: the same steps in every run. */
static uint32_t next_random(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 16) % below;
}

/* Every step keeps the sums right, and lane_peek is the oldest that waits. */
static void check(const struct lane *lane)
{
    const struct held *held, *oldest = NULL;
    size_t count = 0, waiting = 0, bytes = 0;
    uint64_t number = 0;

    TAILQ_FOREACH(held, &lane->events, link)
    {
        assert_true(held->number > number);
        number = held->number;
        count++;
        if (!held->queued) {
            oldest = oldest == NULL ? held : oldest;
            waiting++;
            bytes += held->bytes;
        }
    }
    assert_int_equal(lane->count, count);
    assert_int_equal(lane->waiting, waiting);
    assert_int_equal(lane->waiting_bytes, bytes);
    assert_ptr_equal(lane->next, oldest);
    assert_ptr_equal(lane_peek(lane), oldest);
}

/* The n-th queued event, or NULL. */
static struct held *queued_at(struct lane *lane, uint32_t n)
{
    struct held *held;

    TAILQ_FOREACH(held, &lane->events, link)
    {
        if (held->queued && n-- == 0) {
            return held;
        }
    }
    return NULL;
}

static void any_sequence_of_steps_keeps_the_order(void **state)
{
    uint32_t seed = 1;
    struct lane lane;

    (void)state;
    lane_init(&lane);
    for (size_t i = 0; i < STEPS; i++) {
        struct held *held =
            queued_at(&lane, next_random(&seed, (uint32_t)(lane.count - lane.waiting) + 1));

        switch (next_random(&seed, 16)) {
        case 0:
            lane_failed_all(&lane);
            break;
        case 1:
        case 2:
        case 3:
            if (held != NULL) {
                lane_failed(&lane, held);
            }
            break;
        case 4:
        case 5:
        case 6:
        case 7:
            if (held != NULL) {
                lane_remove(&lane, held);
                held_free(held);
            }
            break;
        case 8:
        case 9:
        case 10:
        case 11:
            if (lane.count < EVENTS_MAX) {
                lane_append(&lane, event_new());
            }
            break;
        default:
            if (lane_peek(&lane) != NULL) {
                lane_queued(&lane);
            }
            break;
        }
        check(&lane);
    }
    assert_true(lane.number > STEPS / 16); /* it did something */
    lane_clear(&lane);
    check(&lane);
}

static void a_message_is_encoded_for_its_headers(void **state)
{
    static const struct {
        const char *name, *location, *observer, *source;
    } rows[] = {
        {"bytes that are not UTF-8", "\xff", "\x01", "/sitewatch/%FF/%01"},
        {"a path in a name", "a/b", "../c", "/sitewatch/a%2Fb/..%2Fc"},
        {"what ends a URI", "a?b#c", "d e", "/sitewatch/a%3Fb%23c/d%20e"},
        {"plain names", "eu-west_1", "host-1.example~x", "/sitewatch/eu-west_1/host-1.example~x"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct event event;
        struct message message;

        event_init(&event);
        event.site_name = "name";
        event.site_url = "http://a/";
        event.location = rows[i].location;
        event.observer = rows[i].observer;
        event.time_us = 1763712005001999;
        event.attempt = 1;
        event.interval_s = 5;
        snprintf(event.id, sizeof(event.id), "0b0a0908-0706-5504-8302-010000000000");
        event.id[0] = i % 2 == 0 ? '\0' : event.id[0]; /* made when it is empty */
        message_init(&message, &event);
        assert_string_equal(message.source, rows[i].source);
        assert_string_equal(message.key, "name");
        assert_true(event.id[0] == '\0' || strcmp(message.id, event.id) == 0);
        assert_int_equal(strlen(message.id), IDENT_UUID_SIZE - 1);
        assert_non_null(strstr(message.json, message.id));
        assert_string_equal(message.time, "2025-11-21T08:00:05.001Z");
        assert_int_equal(message.json_len, strlen(message.json));
        assert_true(message_bytes(&message) > message.json_len);
        message_clear(&message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_lane_offers_nothing),
        cmocka_unit_test(what_failed_goes_before_what_came_after_it),
        cmocka_unit_test(the_first_that_is_not_saved_is_known_whatever_goes),
        cmocka_unit_test(one_that_must_be_alone_waits_for_the_others_and_they_for_it),
        cmocka_unit_test(any_sequence_of_steps_keeps_the_order),
        cmocka_unit_test(a_message_is_encoded_for_its_headers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
