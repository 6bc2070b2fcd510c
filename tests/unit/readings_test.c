/* What is read of a program's /metrics, whatever stands there and in whatever pieces it comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/readings.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))

static void read_in_pieces(const char *text, size_t piece, struct readings *out)
{
    struct readings_reader reader;
    size_t len = strlen(text);

    readings_begin(&reader, out);
    for (size_t at = 0; at < len; at += piece) {
        readings_take(&reader, text + at, len - at < piece ? len - at : piece);
    }
}

static void lines_that_are_no_samples_of_ours_are_passed_over(void **state)
{
    static const struct {
        const char *name, *text;
        double lag; /* below 0: there is none */
    } rows[] = {
        {"a sample", "sitewatch_consumer_lag 7\n", 7},
        {"several series are added up",
         "sitewatch_consumer_lag{worker=\"0\"} 7\nsitewatch_consumer_lag{worker=\"1\"} 5\n", 12},
        {"a time after the value", "sitewatch_consumer_lag 7 1763712000\n", 7},
        {"an exemplar after it", "sitewatch_consumer_lag 7 # {a=\"b\"} 1\n", 7},
        {"a label with everything in it", "sitewatch_consumer_lag{a=\"} 9\\\" \\\\\",b=\"{\"} 7\n",
         7},
        {"a longer name", "sitewatch_consumer_lags 7\n", -1},
        {"a shorter name", "sitewatch_consumer_la 7\n", -1},
        {"a comment", "# sitewatch_consumer_lag 7\n", -1},
        {"no value", "sitewatch_consumer_lag \n", -1},
        {"no value and no blank", "sitewatch_consumer_lag\n", -1},
        {"a value that is no number", "sitewatch_consumer_lag 7x\n", -1},
        {"NaN", "sitewatch_consumer_lag NaN\n", -1},
        {"labels without an end", "sitewatch_consumer_lag{a=\"b\" 7\n", -1},
        {"a quote without an end", "sitewatch_consumer_lag{a=\"b} 7\n", -1},
        {"a quote that ends in a backslash", "sitewatch_consumer_lag{a=\"\\\n", -1},
        {"a line without an end", "sitewatch_consumer_lag 7", -1},
        {"what follows the end", "# EOF\nsitewatch_consumer_lag 7\n", -1},
        {"what follows the series of sites", "probe_success 1\nsitewatch_consumer_lag 7\n", -1},
        {"an empty line, then a sample", "\n\nsitewatch_consumer_lag 7\n", 7},
        {"nothing", "", -1},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        print_message("  %s\n", rows[i].name);
        for (size_t piece = 1; piece < 64; piece += 7) {
            struct readings r;

            read_in_pieces(rows[i].text, piece, &r);
            assert_int_equal(r.has[READING_LAG], rows[i].lag >= 0);
            assert_true(rows[i].lag < 0 || fabs(r.values[READING_LAG] - rows[i].lag) < 1e-9);
        }
    }
}

static void a_line_that_is_too_long_is_passed_over_whole(void **state)
{
    char text[READINGS_LINE_BYTES_MAX + 64];
    struct readings r;

    (void)state;
    memset(text, 'x', sizeof(text));
    /* Its end looks like a sample where the line would be cut. */
    memcpy(text + READINGS_LINE_BYTES_MAX - 1, "sitewatch_consumer_lag 7\n", 26);
    read_in_pieces(text, 100, &r);
    assert_false(r.has[READING_LAG]);
    memcpy(text + READINGS_LINE_BYTES_MAX - 1, "\nsitewatch_consumer_lag 7\n", 27);
    read_in_pieces(text, 100, &r);
    assert_true(r.has[READING_LAG]);
}

static void a_series_is_chosen_by_its_label(void **state)
{
    static const struct {
        const char *name, *text;
        double read, reading;
    } rows[] = {
        {"each by its own",
         "sitewatch_shards{state=\"read\"} 3\nsitewatch_shards{state=\"reading\"} 2\n", 3, 2},
        {"among others", "sitewatch_shards{a=\"state\",state=\"read\",z=\"\"} 3\n", 3, 0},
        {"not by the end of a name", "sitewatch_shards{xstate=\"read\"} 3\n", 0, 0},
        {"not by what stands in a value", "sitewatch_shards{a=\"state=\\\"read\\\"\"} 3\n", 0, 0},
        {"not without it", "sitewatch_shards 3\n", 0, 0},
        {"not without a value", "sitewatch_shards{state=} 3\n", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct readings r;

        print_message("  %s\n", rows[i].name);
        read_in_pieces(rows[i].text, 5, &r);
        assert_true(fabs(r.values[READING_SHARDS_READ] - rows[i].read) < 1e-9);
        assert_true(fabs(r.values[READING_SHARDS_READING] - rows[i].reading) < 1e-9);
    }
}

#define BUCKET(le, count) "sitewatch_schedule_lag_seconds_bucket{le=\"" le "\"} " count "\n"

static void a_quantile_is_of_what_came_in_between(void **state)
{
    static const char earlier[] = BUCKET("0.001", "0") BUCKET("0.1", "90") BUCKET("+Inf", "100");
    static const struct {
        const char *name, *before, *now;
        double wanted;
    } rows[] = {
        {"nothing was counted", earlier, earlier, -1},
        {"there is no histogram", "", "", -1},
        {"since the start", "", earlier, INFINITY},
        {"all below the first bound", earlier,
         BUCKET("0.001", "50") BUCKET("0.1", "140") BUCKET("+Inf", "150"), 0.001},
        {"one of 100 above a bound is allowed", earlier,
         BUCKET("0.001", "0") BUCKET("0.1", "189") BUCKET("+Inf", "200"), 0.1},
        {"two are not", earlier, BUCKET("0.001", "0") BUCKET("0.1", "188") BUCKET("+Inf", "200"),
         INFINITY},
        {"a program that was started anew", earlier,
         BUCKET("0.001", "10") BUCKET("0.1", "10") BUCKET("+Inf", "10"), 0.001},
        {"bounds in any order", earlier,
         BUCKET("+Inf", "150") BUCKET("0.1", "140") BUCKET("0.001", "50"), 0.001},
        {"other bounds than before", earlier, BUCKET("5", "10") BUCKET("+Inf", "10"), 5},
        {"a bound that is none", "", BUCKET("x", "1"), -1},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct readings before, now;

        print_message("  %s\n", rows[i].name);
        read_in_pieces(rows[i].before, 1000, &before);
        read_in_pieces(rows[i].now, 1000, &now);
        double got = readings_quantile(&now, &before, 0.99);

        assert_true(got == rows[i].wanted || fabs(got - rows[i].wanted) < 1e-9);
    }
}

static void a_counter_that_went_down_began_anew(void **state)
{
    struct readings before, now;

    (void)state;
    read_in_pieces("sitewatch_rows_total 100\n", 1000, &before);
    read_in_pieces("sitewatch_rows_total 130\n", 1000, &now);
    assert_true(fabs(readings_rise(&now, &before, READING_ROWS) - 30) < 1e-9);
    assert_true(fabs(readings_rise(&before, &now, READING_ROWS) - 100) < 1e-9);
}

static void bounds_have_a_ceiling(void **state)
{
    char line[128];
    struct readings r;
    struct readings_reader reader;

    (void)state;
    readings_begin(&reader, &r);
    for (int i = 0; i < 2 * READINGS_BOUNDS_MAX; i++) {
        int len =
            snprintf(line, sizeof(line), "sitewatch_schedule_lag_seconds_bucket{le=\"%d\"} 1\n", i);

        readings_take(&reader, line, (size_t)len);
    }
    assert_int_equal(r.bounds_count, READINGS_BOUNDS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_that_are_no_samples_of_ours_are_passed_over),
        cmocka_unit_test(a_line_that_is_too_long_is_passed_over_whole),
        cmocka_unit_test(a_series_is_chosen_by_its_label),
        cmocka_unit_test(a_quantile_is_of_what_came_in_between),
        cmocka_unit_test(a_counter_that_went_down_began_anew),
        cmocka_unit_test(bounds_have_a_ceiling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
