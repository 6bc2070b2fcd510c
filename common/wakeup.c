#include "common/wakeup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

int wakeup_open(struct err *err)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    return fd < 0 ? err_set(err, ERR_FATAL, "eventfd: %s", strerror(errno)) : fd;
}

void wakeup_ring(int fd)
{
    /* EAGAIN: the counter is full, so that it is readable already. */
    if (eventfd_write(fd, 1) < 0 && errno != EAGAIN) {
        abort(); /* not an eventfd: our own fault */
    }
}

bool wakeup_take(int fd)
{
    eventfd_t rings;

    if (eventfd_read(fd, &rings) == 0) {
        return true;
    }
    if (errno != EAGAIN) {
        abort(); /* not an eventfd: our own fault */
    }
    return false;
}
