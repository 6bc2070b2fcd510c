#include "common/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *or_stop(void *memory, size_t count, size_t size)
{
    if (memory == NULL) {
        fprintf(stderr, "error out of memory count=%zu size=%zu\n", count, size);
        abort();
    }
    return memory;
}

void *mem_alloc(size_t count, size_t size)
{
    size_t at_least_one = count == 0 ? 1 : count;

    return or_stop(calloc(at_least_one, size), count, size);
}

void *mem_resize(void *old, size_t count, size_t size)
{
    return or_stop(reallocarray(old, count == 0 ? 1 : count, size), count, size);
}

char *mem_copy(const char *bytes, size_t len)
{
    char *copy = mem_alloc(len + 1, 1);

    if (len > 0) {
        memcpy(copy, bytes, len);
    }
    return copy;
}

char *mem_copy_string(const char *text)
{
    return text == NULL ? NULL : mem_copy(text, strlen(text));
}

FILE *mem_stream(char **text, size_t *len)
{
    FILE *stream = open_memstream(text, len);

    if (stream == NULL) {
        mem_stop();
    }
    return stream;
}

void mem_stop(void)
{
    fprintf(stderr, "error out of memory\n");
    abort();
}
