/* Which command the operands name, and which flags it may have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "consumer/command.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
#define WORDS_MAX 4

static const struct {
    const char *name;
    const char *words[WORDS_MAX];
    struct options options;
    const char *refusal; /* in the message; NULL: it is taken */
} cases[] = {
    {"a word that is no command is refused", {"stop"}, {.all = false}, "stop: not a command"},
    {"the first of two words alone is refused", {"dead-letters"}, {.all = false}, "not a command"},
    {"a second word that is none is refused",
     {"offsets", "set"},
     {.all = false},
     "offsets set: not a"},
    {"run takes no operand", {"run", "now"}, {.all = false}, "usage: consumer run"},
    {"seed needs a file", {"seed"}, {.all = false}, "usage: consumer seed FILE"},
    {"seed takes one file", {"seed", "a", "b"}, {.all = false}, "usage: consumer seed FILE"},
    {"show needs an id",
     {"dead-letters", "show"},
     {.all = false},
     "usage: consumer dead-letters show ID"},
    {"run has no --force", {"run"}, {.force = true}, "--force is not one of consumer run"},
    {"no words mean run, with its flags",
     {NULL},
     {.all = true},
     "--all is not one of consumer run"},
    {"copies of topics that are not made are refused",
     {"migrate"},
     {.replication_factor = 3},
     "--replication-factor goes with --topics"},
    {"migrate has no --to", {"migrate"}, {.to = (char *)"latest"}, "--to is not"},
    {"list has no --all", {"dead-letters", "list"}, {.all = true}, "--all is not"},
    {"replay has no --before", {"dead-letters", "replay"}, {.before = 1}, "--before is not"},
    {"reset has no --reason", {"offsets", "reset"}, {.reason = (char *)"json"}, "--reason is not"},
    {"no words mean run", {NULL}, {.all = false}, NULL},
    {"run by its name", {"run"}, {.all = false}, NULL},
    {"migrate with topics", {"migrate"}, {.topics = true, .replication_factor = 3}, NULL},
    {"list with a filter and a page",
     {"dead-letters", "list"},
     {.reason = (char *)"json", .before = 9, .output = 1},
     NULL},
    {"replay of some", {"dead-letters", "replay", "1", "2"}, {.force = true}, NULL},
    {"reset of a topic", {"offsets", "reset"}, {.topic = (char *)"t", .execute = true}, NULL},
};

static void test_find(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct options options = cases[i].options;
        const char *words[WORDS_MAX];
        size_t count = 0;
        struct err err;

        print_message("  %s\n", cases[i].name);
        options.limit = 50;
        while (count < WORDS_MAX && cases[i].words[count] != NULL) {
            words[count] = cases[i].words[count];
            count++;
        }
        const struct command *command = command_find(&options, words, count, &err);

        assert_int_equal(command == NULL, cases[i].refusal != NULL);
        if (command == NULL) {
            assert_int_equal(err.kind, ERR_INVALID);
            assert_non_null(strstr(err.message, cases[i].refusal));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_find)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
