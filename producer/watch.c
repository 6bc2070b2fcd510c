#include "producer/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"

#define OWN_OUTPUT "/proc/self/fd/1" /* opened anew: what is set on it is not the shell's */
#define GIVE_BACK_MS 500 /* a terminal that takes nothing for so long is left as it is */

/* The other screen, without a cursor; and back, with one and no colour. */
static const char taken[] = "\x1b[?1049h\x1b[?25l";
static const char cleared[] = "\x1b[2J";
static const char given_back[] = "\x1b[0m\x1b[?25h\x1b[?1049l";

/* A fault: what they leave on the terminal would hide what is said of them. */
static const int faults[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
static volatile sig_atomic_t fault_fd = -1;

struct watch {
    struct terminal terminal;
    struct latest *latest;
    struct loop *loop;
    int fd, signal_fd;
    sigset_t signals_before;
    bool taken;
    int64_t due_ns;
    char *frame; /* the last one: frame[at..len) is not written yet */
    size_t at, len;
};

static void on_fault(int number)
{
    int saved = errno;

    if (write(fault_fd, given_back, sizeof(given_back) - 1) < 0) {
        /* There is nothing else to try. */
    }
    errno = saved;
    raise(number); /* the default is in force again, once this has returned */
}

static void catch_faults(int fd)
{
    struct sigaction action = {.sa_handler = fd < 0 ? SIG_DFL : on_fault,
                               .sa_flags = (int)SA_RESETHAND};

    fault_fd = fd;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        sigaction(faults[i], &action, NULL);
    }
}

/* --- Writing --- */

/* As much as the terminal takes. */
static int write_on(struct watch *w, struct err *err)
{
    while (w->at < w->len) {
        ssize_t written = write(w->fd, w->frame + w->at, w->len - w->at);

        if (written < 0 && errno == EAGAIN) {
            return 0;
        }
        if (written < 0 && errno != EINTR) {
            return err_set(err, ERR_FATAL, "terminal: %s", strerror(errno));
        }
        w->at += written < 0 ? 0 : (size_t)written;
    }
    return 0;
}

/* All of it, or until the terminal takes no more. A sequence that was cut off ends with this. */
static void write_now(struct watch *w, const char *text, size_t len)
{
    size_t at = 0;
    struct pollfd ready = {.fd = w->fd, .events = POLLOUT};

    while (at < len && poll(&ready, 1, GIVE_BACK_MS) == 1) {
        ssize_t written = write(w->fd, text + at, len - at);

        if (written < 0 && errno != EAGAIN && errno != EINTR) {
            return;
        }
        at += written < 0 ? 0 : (size_t)written;
    }
}

static void forget_frame(struct watch *w)
{
    free(w->frame);
    w->frame = NULL;
    w->at = w->len = 0;
}

/* Of the size that it has, and empty. */
static void take_over(struct watch *w)
{
    forget_frame(w);
    terminal_measure(&w->terminal);
    if (!w->taken) {
        write_now(w, taken, sizeof(taken) - 1);
        w->taken = true;
    }
    write_now(w, cleared, sizeof(cleared) - 1);
    w->due_ns = 0;
}

static void give_back(struct watch *w)
{
    if (w->taken) {
        write_now(w, given_back, sizeof(given_back) - 1);
        w->taken = false;
    }
}

/* --- Signals --- */

/* As the shell expects of Ctrl-Z: all threads stop in here, and go on with the next SIGCONT. */
static void stop_process(struct watch *w)
{
    give_back(w);
    kill(getpid(), SIGSTOP);
    take_over(w);
}

static void on_signal(void *context, int fd, unsigned ready)
{
    struct watch *w = context;
    struct signalfd_siginfo info;

    (void)ready;
    while (read(fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGTSTP) {
            stop_process(w);
        } else if (info.ssi_signo == SIGQUIT) {
            give_back(w);
            pthread_sigmask(SIG_SETMASK, &w->signals_before, NULL);
            raise(SIGQUIT);
        } else {
            take_over(w); /* another size, or stopped from outside and going on */
        }
    }
}

static int watch_signals(struct watch *w, struct err *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGWINCH);
    sigaddset(&set, SIGTSTP);
    sigaddset(&set, SIGCONT);
    sigaddset(&set, SIGQUIT);
    pthread_sigmask(SIG_BLOCK, &set, &w->signals_before);
    w->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (w->signal_fd < 0) {
        return err_set(err, ERR_FATAL, "signalfd: %s", strerror(errno));
    }
    return loop_watch(w->loop, w->signal_fd, LOOP_READ, on_signal, w, err);
}

/* --- What the header promises --- */

struct watch *watch_new(const struct terminal *terminal, struct latest *latest, struct loop *loop,
                        struct err *err)
{
    struct watch *w = mem_alloc(1, sizeof(*w));

    w->terminal = *terminal;
    w->latest = latest;
    w->loop = loop;
    w->signal_fd = -1;
    w->fd = open(OWN_OUTPUT, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (w->fd < 0) {
        err_set(err, ERR_FATAL, "terminal: %s", strerror(errno));
        free(w);
        return NULL;
    }
    if (watch_signals(w, err) < 0) {
        watch_free(w);
        return NULL;
    }
    catch_faults(w->fd);
    take_over(w);
    return w;
}

void watch_free(struct watch *w)
{
    if (w == NULL) {
        return;
    }
    give_back(w);
    if (fault_fd >= 0) {
        catch_faults(-1);
    }
    if (w->signal_fd >= 0) {
        loop_unwatch(w->loop, w->signal_fd);
        close(w->signal_fd);
    }
    pthread_sigmask(SIG_SETMASK, &w->signals_before, NULL);
    close(w->fd);
    forget_frame(w);
    free(w);
}

int64_t watch_next_due_ns(const struct watch *w)
{
    return w->due_ns;
}

int watch_draw(struct watch *w, const struct view_facts *facts, int64_t now_ns, struct err *err)
{
    char *frame = NULL;
    size_t len = 0;

    w->due_ns = now_ns + WATCH_NS;
    if (w->at < w->len) {
        return write_on(w, err); /* a slow terminal gets fewer frames, each of them whole */
    }
    FILE *out = mem_stream(&frame, &len);

    view_draw(&w->terminal, out, w->latest, facts);
    fclose(out);
    if (w->frame != NULL && len == w->len && memcmp(frame, w->frame, len) == 0) {
        free(frame); /* it is there already */
        return 0;
    }
    forget_frame(w);
    w->frame = frame;
    w->len = len;
    return write_on(w, err);
}
