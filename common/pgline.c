#include "common/pgline.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

void pgline_init(struct pgline *line)
{
    pthread_mutex_init(&line->mutex, NULL);
    line->fd = -1;
}

void pgline_free(struct pgline *line)
{
    pgline_set(line, -1);
    pthread_mutex_destroy(&line->mutex);
}

void pgline_set(struct pgline *line, int socket)
{
    int fd = socket < 0 ? -1 : fcntl(socket, F_DUPFD_CLOEXEC, 0);

    pthread_mutex_lock(&line->mutex);
    if (line->fd >= 0) {
        close(line->fd);
    }
    line->fd = fd;
    pthread_mutex_unlock(&line->mutex);
}

void pgline_cut(struct pgline *line)
{
    pthread_mutex_lock(&line->mutex);
    if (line->fd >= 0) {
        shutdown(line->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&line->mutex);
}
