/*
 * mem - memory or the end of the process.
 *
 * What these return is never NULL. A program whose every buffer has a ceiling (docs/limits.md)
 * meets an allocation failure only when the machine itself is out of memory, and then a clean
 * stop and a restart by the supervisor lose less than code paths that were never run before.
 * Nothing is ever sized from input without a ceiling checked first.
 */
#ifndef COMMON_MEM_H
#define COMMON_MEM_H

#include <stddef.h>
#include <stdio.h>

/* `count` objects of `size` bytes, zeroed. The caller frees with free(). */
void *mem_alloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));

/* realloc() with an overflow check; new bytes are not zeroed. */
void *mem_resize(void *old, size_t count, size_t size) __attribute__((returns_nonnull));

/* A terminated copy of `len` bytes; the caller frees. */
char *mem_copy(const char *bytes, size_t len) __attribute__((malloc, returns_nonnull));

/* A copy of a string, NULL for NULL; the caller frees. */
char *mem_copy_string(const char *text) __attribute__((malloc));

/* A stream into memory, which is in *text, terminated, and *len once the caller has closed it; the
 * caller frees that. */
FILE *mem_stream(char **text, size_t *len) __attribute__((returns_nonnull));

/* For a library that found no memory. */
_Noreturn void mem_stop(void);

#endif
