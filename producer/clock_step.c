#include "producer/clock_step.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"

struct clock_step {
    struct loop *loop;
    void (*on_step)(void *context);
    void *context;
    int fd; /* readable when the clock was stepped */
};

static int arm(const struct clock_step *c, struct err *err)
{
    struct itimerspec far_away = {.it_value.tv_sec = INT32_MAX};

    if (timerfd_settime(c->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far_away, NULL) < 0 &&
        errno != ECANCELED) {
        return err_set(err, ERR_FATAL, "timerfd_settime: %s", strerror(errno));
    }
    return 0;
}

static void on_ready(void *context, int fd, unsigned ready)
{
    struct clock_step *c = context;
    struct err err;
    uint64_t expired;

    (void)ready;
    if (read(fd, &expired, sizeof(expired)) < 0 && errno == ECANCELED) {
        c->on_step(c->context);
    }
    if (arm(c, &err) < 0) {
        log_write(LOG_ERROR, "steps of the wall clock are not seen any more",
                  LOG_S("reason", err.message));
        loop_unwatch(c->loop, fd);
    }
}

struct clock_step *clock_step_new(struct loop *loop, void (*on_step)(void *context), void *context,
                                  struct err *err)
{
    struct clock_step *c = mem_alloc(1, sizeof(*c));

    c->loop = loop;
    c->on_step = on_step;
    c->context = context;
    c->fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (c->fd < 0) {
        err_set(err, ERR_FATAL, "timerfd_create: %s", strerror(errno));
        free(c);
        return NULL;
    }
    if (arm(c, err) < 0 || loop_watch(loop, c->fd, LOOP_READ, on_ready, c, err) < 0) {
        close(c->fd);
        free(c);
        return NULL;
    }
    return c;
}

void clock_step_free(struct clock_step *c)
{
    if (c != NULL) {
        loop_unwatch(c->loop, c->fd);
        close(c->fd);
        free(c);
    }
}
