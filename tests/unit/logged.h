/*
 * logged - what the code under test logs between log_begin and log_end.
 */
#ifndef TESTS_UNIT_LOGGED_H
#define TESTS_UNIT_LOGGED_H

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct logged {
    int file, saved;
    char text[8192];
};

static inline void log_begin(struct logged *l)
{
    l->file = memfd_create("log", MFD_CLOEXEC);
    l->saved = dup(STDERR_FILENO);
    assert_true(l->file >= 0 && l->saved >= 0);
    fflush(stderr);
    dup2(l->file, STDERR_FILENO);
}

static inline void log_end(struct logged *l)
{
    ssize_t len;

    dup2(l->saved, STDERR_FILENO);
    close(l->saved);
    len = pread(l->file, l->text, sizeof(l->text) - 1, 0);
    assert_true(len >= 0);
    l->text[len] = '\0';
    close(l->file);
}

static inline size_t count_of(const struct logged *l, const char *part)
{
    size_t count = 0;

    for (const char *at = strstr(l->text, part); at != NULL; at = strstr(at + 1, part)) {
        count++;
    }
    return count;
}

#endif
