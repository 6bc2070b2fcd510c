/* Where an operator's --to is in a log, and which topics will do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "consumer/offsets.h"
#include "consumer/topics.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
#define REFUSED (-1)

static const struct {
    const char *name, *to;
    int64_t low, high, offset;
} targets[] = {
    {"an empty text is no place", "", 0, 10, REFUSED},
    {"a negative number is no place", "-1", 0, 10, REFUSED},
    {"a sign is not taken", "+1", 0, 10, REFUSED},
    {"a space before is not taken", " 1", 0, 10, REFUSED},
    {"letters after the number are not taken", "1x", 0, 10, REFUSED},
    {"a number beyond 63 bits is no place", "9223372036854775808", 0, INT64_MAX, REFUSED},
    {"a word in another case is no place", "Latest", 0, 10, REFUSED},
    {"an offset before the log is refused", "4", 5, 10, REFUSED},
    {"an offset after the end is refused", "11", 5, 10, REFUSED},
    {"the first offset of the log is taken", "5", 5, 10, 5},
    {"the end of the log is taken", "10", 5, 10, 10},
    {"the highest offset is taken", "9223372036854775807", 0, INT64_MAX, INT64_MAX},
    {"earliest is where the log begins", "earliest", 5, 10, 5},
    {"latest is one past the last", "latest", 5, 10, 10},
    {"an empty log has one place", "earliest", 7, 7, 7},
};

static void test_target(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(targets); i++) {
        int64_t offset = REFUSED;
        struct err err;

        print_message("  %s\n", targets[i].name);
        assert_int_equal(
            offsets_target(targets[i].to, targets[i].low, targets[i].high, &offset, &err),
            targets[i].offset == REFUSED ? -1 : 0);
        assert_int_equal(offset, targets[i].offset);
    }
}

static void test_only_sites_is_compacted(void **state)
{
    (void)state;
    assert_null(topics_judge(true, true));
    assert_null(topics_judge(false, false));
    assert_non_null(topics_judge(false, true));
    assert_non_null(topics_judge(true, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_target),
        cmocka_unit_test(test_only_sites_is_compacted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
