#include "common/thread.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static void fill_foreign_signals(sigset_t *set)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};

    sigfillset(set);
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        sigdelset(set, own[i]);
    }
}

int thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *context,
                 struct err *err)
{
    char shown[THREAD_NAME_BYTES_MAX + 1];
    sigset_t foreign;
    sigset_t before;
    pthread_t made;

    /* The thread inherits the mask: blocked after it runs would be too late for a signal. */
    fill_foreign_signals(&foreign);
    pthread_sigmask(SIG_BLOCK, &foreign, &before);

    int code = pthread_create(&made, NULL, run, context);

    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0) {
        return err_set(err, ERR_FATAL, "thread of the %s: %s", name, strerror(code));
    }
    snprintf(shown, sizeof(shown), "%s", name);
    pthread_setname_np(made, shown);
    *thread = made;
    return 0;
}
