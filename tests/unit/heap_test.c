#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/mem.h"
#include "producer/heap.h"

/* A sanitizer keeps what was freed, to see whether it is used. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_WATCHED true
#else
#define IS_WATCHED false
#endif

static size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    size_t pages;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*u %zu", &pages), 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void what_was_freed_is_given_back(void **state)
{
    enum { BLOCKS = 32768, BLOCK_BYTES = 1024 };
    char **blocks = mem_alloc(BLOCKS, sizeof(blocks[0]));

    (void)state;
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = mem_alloc(BLOCK_BYTES, 1);
        memset(blocks[i], 1, BLOCK_BYTES);
    }
    size_t before = resident_bytes();

    for (size_t i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
    free(blocks);
    heap_give_back();
    assert_true(IS_WATCHED || resident_bytes() < before - BLOCKS * BLOCK_BYTES / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_freed_is_given_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
