/*
 * doubt - checks that reached nothing, and so may have failed by our own network's fault: kept,
 * each with its event, until producer/selfprobe knows.
 *
 * It decides whose fault a check is, and nothing more: what is made of that is the poller's, which
 * owns it. One loop's; without a selfprobe nothing is in doubt.
 */
#ifndef PRODUCER_DOUBT_H
#define PRODUCER_DOUBT_H

#include <stdint.h>

#include "common/err.h"
#include "common/event.h"
#include "producer/loop.h"
#include "producer/retry.h"
#include "producer/selfprobe.h"

struct doubts {
    struct selfprobe *self; /* NULL: none */
    struct loop *loop;
    int fd;                     /* rung when more is known */
    struct retry *first, **end; /* oldest first, by their `next` */
    char message[512];          /* of the event that was judged last */
};

enum doubt {
    DOUBT_NONE,  /* the event says the truth */
    DOUBT_OURS,  /* it was our network: the event is `unknown` now, its message lives until the next
                  */
    DOUBT_KEEPS, /* it is not known yet: to be kept, and judged again when on_more is called */
};

void doubts_init(struct doubts *d, struct selfprobe *self, struct loop *loop);
/* on_more(context) is called, from the loop, when those that are kept are to be judged again. */
int doubts_watch(struct doubts *d, loop_ready_fn *on_more, void *context,
                 struct err *err) MUST_CHECK;
/* Frees those that are kept, too. */
void doubts_clear(struct doubts *d);

/* Of a check that began at began_ns and has ended at now_ns. */
enum doubt doubts_judge(struct doubts *d, struct event *event, int64_t began_ns, int64_t now_ns);

/* Takes it over. */
void doubts_keep(struct doubts *d, struct retry *retry);

/* All of them, by their `next`; NULL when there is none. The caller owns them. */
struct retry *doubts_take(struct doubts *d);

#endif
