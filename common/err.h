/*
 * err - why an operation failed: a kind for the program, a sentence for a person.
 *
 * Every function that can fail returns 0 or -1 and takes `struct err *err` last. It fills *err
 * exactly when it returns -1. The kind drives control flow, the text never does. Nobody logs and
 * returns: whoever decides what to do about the failure is the one that logs it.
 */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

enum err_kind {
    ERR_INVALID, /* the input is wrong: skip it or refuse it, trying again cannot help */
    ERR_RETRY,   /* the world is wrong: back off and try again */
    ERR_FATAL,   /* we are wrong or misconfigured: stop the process */
};

struct err {
    enum err_kind kind;
    char message[512]; /* always terminated, one line; a longer message is cut */
};

/* Record a failure. Always returns -1, so that `return err_set(...)` reads well. */
int err_set(struct err *err, enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Put "<context>: " before the message, e.g. the file and line. Always returns -1. */
int err_context(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
