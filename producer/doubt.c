#include "producer/doubt.h"

#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "common/wakeup.h"

void doubts_init(struct doubts *d, struct selfprobe *self, struct loop *loop)
{
    *d = (struct doubts){.self = self, .loop = loop, .fd = -1};
    d->end = &d->first;
}

int doubts_watch(struct doubts *d, loop_ready_fn *on_more, void *context, struct err *err)
{
    if (d->self == NULL) {
        return 0;
    }
    d->fd = wakeup_open(err);
    if (d->fd < 0) {
        return -1;
    }
    selfprobe_attach(d->self, d->fd);
    return loop_watch(d->loop, d->fd, LOOP_READ, on_more, context, err);
}

void doubts_clear(struct doubts *d)
{
    struct retry *retry = d->first;

    if (d->fd >= 0) {
        selfprobe_detach(d->self, d->fd);
        loop_unwatch(d->loop, d->fd);
        close(d->fd);
    }
    while (retry != NULL) {
        struct retry *next = retry->next;

        retry_free(retry);
        retry = next;
    }
}

/* What a network that is cut off can look like: nothing came from the host. */
static bool may_be_ours(enum error_type error)
{
    switch (error) {
    case ERROR_DNS_NOT_FOUND:
    case ERROR_DNS_TIMEOUT:
    case ERROR_DNS_FAILURE:
    case ERROR_CONNECT_REFUSED:
    case ERROR_CONNECT_TIMEOUT:
    case ERROR_CONNECT_FAILURE:
    case ERROR_TIMEOUT:
    case ERROR_PROXY:
        return true;
    default:
        return false;
    }
}

enum doubt doubts_judge(struct doubts *d, struct event *event, int64_t began_ns, int64_t now_ns)
{
    if (d->self == NULL) {
        return DOUBT_NONE;
    }
    if (!may_be_ours(event->error)) {
        if (event->peer != NULL) {
            selfprobe_reached(d->self, now_ns);
        }
        return DOUBT_NONE;
    }
    switch (selfprobe_ask(d->self, began_ns)) {
    case SELFPROBE_ASKED:
        return DOUBT_KEEPS;
    case SELFPROBE_DOWN:
        snprintf(d->message, sizeof(d->message), "our own network is down; %s",
                 event->error_message == NULL ? "" : event->error_message);
        event->status = CHECK_UNKNOWN;
        event->error = ERROR_LOCAL_NETWORK;
        event->error_message = d->message;
        return DOUBT_OURS;
    case SELFPROBE_UP:
        break;
    }
    return DOUBT_NONE;
}

void doubts_keep(struct doubts *d, struct retry *retry)
{
    retry->next = NULL;
    *d->end = retry;
    d->end = &retry->next;
}

struct retry *doubts_take(struct doubts *d)
{
    struct retry *all = d->first;

    d->first = NULL;
    d->end = &d->first;
    return all;
}
