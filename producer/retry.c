#include "producer/retry.h"

#include <assert.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"

void retries_init(struct retries *r)
{
    *r = (struct retries){0};
    alarms_init(&r->alarms, 0);
}

void retries_clear(struct retries *r)
{
    assert(r->count == 0);
    alarms_free(&r->alarms);
}

struct retry *retry_new(struct member *member, const struct event *event)
{
    struct retry *retry = mem_alloc(1, sizeof(*retry));

    retry->member = member;
    retry->event = *event;
    retry->event.final_url = retry->final_url = mem_copy_string(event->final_url);
    retry->event.error_message = retry->message = mem_copy_string(event->error_message);
    retry->event.peer = retry->peer = mem_copy_string(event->peer);
    if (event->answers_json != NULL) {
        retry->answers = mem_copy(event->answers_json, event->answers_json_len);
        retry->event.answers_json = retry->answers;
    }
    member_begin_check(member);
    return retry;
}

void retries_add(struct retries *r, struct retry *retry, int64_t due_ns)
{
    retry->next = retry->member->retry;
    retry->member->retry = retry;
    r->count++;
    alarm_set(&r->alarms, &retry->alarm, due_ns);
}

int64_t retries_next_due_ns(const struct retries *r)
{
    return alarms_next_due_ns(&r->alarms);
}

static struct retry *take(struct retries *r, struct retry *retry)
{
    struct retry **link = &retry->member->retry;

    while (*link != retry) {
        link = &(*link)->next;
    }
    *link = retry->next;
    alarm_clear(&r->alarms, &retry->alarm);
    r->count--;
    return retry;
}

struct retry *retries_take_due(struct retries *r, int64_t now_ns)
{
    struct alarm *alarm = alarms_take_due(&r->alarms, now_ns);

    return alarm == NULL
               ? NULL
               : take(r, (struct retry *)(void *)((char *)alarm - offsetof(struct retry, alarm)));
}

struct retry *retries_take_any(struct retries *r)
{
    return retries_take_due(r, TIME_NEVER);
}

struct retry *retries_take_of(struct retries *r, const struct member *member)
{
    return member->retry == NULL ? NULL : take(r, member->retry);
}

void retry_free(struct retry *retry)
{
    member_end_check(retry->member);
    free(retry->final_url);
    free(retry->message);
    free(retry->answers);
    free(retry->peer);
    free(retry);
}
