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

/* Record a failure: err_set(err, ERR_INVALID, "port %d", port). Always -1, so that
 * `return err_set(...)` reads well; macros, so that an analyzer sees the -1 as well. */
#define err_set(err, kind, ...) (err_fill((err), (kind), __VA_ARGS__), err_failed())

/* Put "<context>: " before the message, e.g. the file and line. Always -1. */
#define err_context(err, ...) (err_prepend((err), __VA_ARGS__), err_failed())

static inline int err_failed(void)
{
    return -1;
}

void err_fill(struct err *err, enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
void err_prepend(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
