/* The table never looks into a session: what it is put with tells one from another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "producer/tls_sessions.h"
#include "tests/unit/series.h"
#include "tests/unit/tls_key.h"

#define KEPT "\nsitewatch_tls_sessions "
#define EVICTED "\nsitewatch_tls_sessions_evicted_total "

struct stand {
    struct metrics *metrics;
    struct tls_sessions *sessions;
};

static struct stand make(void)
{
    struct stand s = {.metrics = metrics_new()};

    s.sessions = tls_sessions_new(s.metrics);
    return s;
}

static void end(struct stand *s)
{
    tls_sessions_free(s->sessions);
    assert_int_equal(series_value(s->metrics, KEPT), 0);
    metrics_free(s->metrics);
}

static void put(struct stand *s, const unsigned char *key, int64_t not_after_s)
{
    tls_sessions_put(
        s->sessions, key,
        &(struct tls_resumable){.session = SSL_SESSION_new(), .not_after_s = not_after_s});
}

/* What was put there, or 0. */
static int64_t take(struct stand *s, const unsigned char *key)
{
    struct tls_resumable found;

    if (!tls_sessions_take(s->sessions, key, &found)) {
        return 0;
    }
    SSL_SESSION_free(found.session);
    return found.not_after_s;
}

static void test_a_session_is_given_once(void **state)
{
    struct stand s = make();

    (void)state;
    assert_int_equal(take(&s, key_of(1)), 0);
    put(&s, key_of(1), 7);
    assert_int_equal(series_value(s.metrics, KEPT), 1);
    assert_int_equal(take(&s, key_of(1)), 7);
    assert_int_equal(take(&s, key_of(1)), 0);
    assert_int_equal(series_value(s.metrics, KEPT), 0);
    end(&s);
}

static void test_every_byte_of_a_key_counts(void **state)
{
    struct stand s = make();
    unsigned char key[TLS_MEMO_KEY_BYTES];

    (void)state;
    put(&s, key_of(1), 7);
    for (size_t i = 0; i < sizeof(key); i++) {
        memcpy(key, key_of(1), sizeof(key));
        key[i] ^= 1;
        assert_int_equal(take(&s, key), 0);
    }
    assert_int_equal(take(&s, key_of(1)), 7);
    end(&s);
}

static void test_a_newer_one_takes_the_place_of_its_key(void **state)
{
    struct stand s = make();

    (void)state;
    put(&s, key_of(1), 7);
    put(&s, key_of(1), 8);
    assert_int_equal(series_value(s.metrics, KEPT), 1);
    assert_int_equal(series_value(s.metrics, EVICTED), 0);
    assert_int_equal(take(&s, key_of(1)), 8);
    end(&s);
}

static void test_a_full_table_gives_up_the_oldest_and_counts_it(void **state)
{
    struct stand s = make();

    (void)state;
    for (uint32_t i = 0; i < TLS_SESSIONS_MAX + 10; i++) {
        put(&s, key_of(i), i + 1);
    }
    assert_int_equal(series_value(s.metrics, KEPT), TLS_SESSIONS_MAX);
    assert_int_equal(series_value(s.metrics, EVICTED), 10);
    for (uint32_t i = 0; i < TLS_SESSIONS_MAX + 10; i++) {
        assert_int_equal(take(&s, key_of(i)), i < 10 ? 0 : i + 1);
    }
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_session_is_given_once),
        cmocka_unit_test(test_every_byte_of_a_key_counts),
        cmocka_unit_test(test_a_newer_one_takes_the_place_of_its_key),
        cmocka_unit_test(test_a_full_table_gives_up_the_oldest_and_counts_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
