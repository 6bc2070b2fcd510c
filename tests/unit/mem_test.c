#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/jsonprint.h"
#include "common/mem.h"

static void test_memory_is_zeroed(void **state)
{
    char *memory = mem_alloc(100, 3);

    (void)state;
    for (size_t i = 0; i < 300; i++) {
        assert_int_equal(memory[i], 0);
    }
    free(memory);
}

static void test_nothing_is_memory_too(void **state)
{
    char *none = mem_alloc(0, 8);
    char *less = mem_resize(mem_alloc(4, 1), 0, 8);

    (void)state;
    assert_non_null(none);
    assert_non_null(less);
    free(none);
    free(less);
}

static void test_resize_keeps_what_was_there(void **state)
{
    char *memory = mem_resize(NULL, 2, 1);

    (void)state;
    memcpy(memory, "ab", 2);
    memory = mem_resize(memory, 100000, 1);
    assert_memory_equal(memory, "ab", 2);
    free(memory);
}

static void test_copies_are_terminated(void **state)
{
    char *empty = mem_copy(NULL, 0);
    char *bytes = mem_copy("a\0bc", 3);
    char *text = mem_copy_string("text");

    (void)state;
    assert_memory_equal(empty, "", 1);
    assert_memory_equal(bytes, "a\0b", 4);
    assert_string_equal(text, "text");
    assert_null(mem_copy_string(NULL));
    free(empty);
    free(bytes);
    free(text);
}

static void test_a_stream_gives_its_text_when_it_is_closed(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *stream = mem_stream(&text, &len);

    (void)state;
    fprintf(stream, "%d sites", 42);
    fputc('\0', stream);
    fclose(stream);
    assert_int_equal(len, 9);
    assert_memory_equal(text, "42 sites\0", 10);
    free(text);
}

/* How a child ends that does it. */
static int end_of(void (*body)(void))
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = {0, 0};

        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        body();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void ask_for_too_much(void)
{
    free(mem_resize(NULL, SIZE_MAX / 2, 4)); /* would be small if the product overflowed */
}

static void test_too_much_is_the_end(void **state)
{
    int status = end_of(ask_for_too_much);

    (void)state;
    /* By abort(), or by a sanitizer that sees the overflow first. */
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void *no_memory(size_t size)
{
    (void)size;
    return NULL;
}

static void print_without_memory(void)
{
    cJSON *json = cJSON_CreateString("text");

    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = no_memory, .free_fn = free});
    free(jsonprint(json));
}

static void test_no_memory_for_a_text_is_the_end(void **state)
{
    int status = end_of(print_without_memory);

    (void)state;
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_is_zeroed),
        cmocka_unit_test(test_nothing_is_memory_too),
        cmocka_unit_test(test_resize_keeps_what_was_there),
        cmocka_unit_test(test_copies_are_terminated),
        cmocka_unit_test(test_a_stream_gives_its_text_when_it_is_closed),
        cmocka_unit_test(test_too_much_is_the_end),
        cmocka_unit_test(test_no_memory_for_a_text_is_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
