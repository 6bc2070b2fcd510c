/* The cache beside a model: a plain list that is searched from end to end. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "producer/resolver_cache.h"

static const struct resolver_addresses none;
static const struct resolver_addresses one = {.count = 1, .list = {{.bytes = {192, 0, 2, 1}}}};
static const struct resolver_addresses two = {
    .count = 2,
    .list = {{.bytes = {192, 0, 2, 2}}, {.ipv6 = true, .bytes = {0x20, 1, [15] = 7}}},
};

static void expect(struct resolver_cache *cache, const char *name, enum resolver_family family,
                   int64_t now_ns, const char *reason, const struct resolver_addresses *wanted)
{
    struct resolver_addresses got = {0};
    const char *text = resolver_cache_get(cache, name, family, now_ns, &got);

    if (reason == NULL) {
        assert_null(text);
        return;
    }
    assert_non_null(text);
    assert_string_equal(text, reason);
    assert_int_equal(got.count, wanted->count);
    assert_memory_equal(got.list, wanted->list, wanted->count * sizeof(wanted->list[0]));
}

static void test_answers(void **state)
{
    struct resolver_cache *cache = resolver_cache_new(3);

    (void)state;
    print_message("  an empty cache has nothing\n");
    expect(cache, "a", RESOLVER_ANY, 0, NULL, NULL);

    print_message("  an answer is there until it ends, for its name and family only\n");
    resolver_cache_put(cache, "a", RESOLVER_IPV4, &two, NULL, 100);
    expect(cache, "a", RESOLVER_IPV4, 99, "", &two);
    expect(cache, "a", RESOLVER_ANY, 99, NULL, NULL);
    expect(cache, "b", RESOLVER_IPV4, 99, NULL, NULL);
    expect(cache, "a", RESOLVER_IPV4, 100, NULL, NULL);
    assert_int_equal(resolver_cache_count(cache), 0);

    print_message("  a name without addresses is kept with the reason\n");
    resolver_cache_put(cache, "a", RESOLVER_IPV4, &none, "no such name", 100);
    expect(cache, "a", RESOLVER_IPV4, 99, "no such name", &none);

    print_message("  a new answer takes the place of the old one\n");
    resolver_cache_put(cache, "a", RESOLVER_IPV4, &one, NULL, 200);
    expect(cache, "a", RESOLVER_IPV4, 199, "", &one);
    assert_int_equal(resolver_cache_count(cache), 1);

    print_message("  over the ceiling the one that ends soonest goes\n");
    resolver_cache_put(cache, "b", RESOLVER_IPV4, &one, NULL, 150);
    resolver_cache_put(cache, "c", RESOLVER_IPV4, &one, NULL, 300);
    resolver_cache_put(cache, "d", RESOLVER_IPV4, &one, NULL, 160);
    assert_int_equal(resolver_cache_count(cache), 3);
    expect(cache, "b", RESOLVER_IPV4, 0, NULL, NULL);
    expect(cache, "d", RESOLVER_IPV4, 0, "", &one);
    resolver_cache_free(cache);
    resolver_cache_free(NULL);
}

#define NAMES 400
#define NAMES_MAX 300
#define STEPS 40000

/* 0: not there. */
static size_t soonest(const int64_t ends[NAMES])
{
    size_t first = NAMES;

    for (size_t i = 0; i < NAMES; i++) {
        if (ends[i] != 0 && (first == NAMES || ends[i] < ends[first])) {
            first = i;
        }
    }
    return first;
}

static void test_random_walk(void **state)
{
    struct resolver_cache *cache = resolver_cache_new(NAMES_MAX);
    uint64_t random = UINT64_C(0x9E3779B97F4A7C15);
    int64_t ends[NAMES] = {0};
    int64_t now_ns = 1;
    size_t count = 0;

    (void)state;
    print_message("  what is kept is what a list would keep\n");
    for (int64_t step = 0; step < STEPS; step++) {
        struct resolver_addresses got;
        char name[32];

        random ^= random << 13; /* xorshift64 */
        random ^= random >> 7;
        random ^= random << 17;
        size_t i = random % NAMES;

        snprintf(name, sizeof(name), "n%zu.test", i);
        now_ns += (int64_t)(random >> 32) % 3;
        if ((random >> 40) % 2 == 0) {
            if (ends[i] == 0 && count == NAMES_MAX) {
                ends[soonest(ends)] = 0;
                count--;
            }
            count += ends[i] == 0;
            /* No two end together, so that it is plain which one goes first. */
            ends[i] = (now_ns + (int64_t)(random >> 44) % 4000) * STEPS + step + 1;
            resolver_cache_put(cache, name, RESOLVER_ANY, &one, NULL, ends[i]);
        } else {
            bool there = ends[i] > now_ns * STEPS;
            const char *text = resolver_cache_get(cache, name, RESOLVER_ANY, now_ns * STEPS, &got);

            assert_int_equal(text != NULL, there);
            count -= ends[i] != 0 && !there;
            ends[i] = there ? ends[i] : 0;
        }
        assert_int_equal(resolver_cache_count(cache), count);
    }
    resolver_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_random_walk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
