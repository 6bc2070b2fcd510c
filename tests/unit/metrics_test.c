/* Metrics are counted exactly, and shown in text that a strict reader of OpenMetrics takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/metrics.h"

#define FAMILIES_MAX 32
#define NAME_SIZE 128

static const double bounds[] = {0.001, 1, 2.5};

/* --- A small strict reader: fails the test at what the specification does not allow. --- */

struct reader {
    char seen[FAMILIES_MAX][NAME_SIZE];
    size_t seen_count, samples;
    char name[NAME_SIZE], type[512];
    bool has_help, has_eof;
    double last_le, last_bucket;
    char last_labels[512];
};

static bool begins(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static void read_head(struct reader *r, const char *line)
{
    char keyword[NAME_SIZE], name[NAME_SIZE], rest[512];

    assert_int_equal(sscanf(line, "# %127s %127s %511[^\n]", keyword, name, rest), 3);
    if (strcmp(name, r->name) != 0) {
        for (size_t i = 0; i < r->seen_count; i++) {
            assert_string_not_equal(r->seen[i], name); /* families are contiguous */
        }
        assert_true(r->seen_count < FAMILIES_MAX);
        snprintf(r->seen[r->seen_count++], NAME_SIZE, "%s", name);
        snprintf(r->name, NAME_SIZE, "%s", name);
        r->type[0] = '\0';
        r->has_help = false;
    }
    if (strcmp(keyword, "TYPE") == 0) {
        assert_string_equal(r->type, "");
        snprintf(r->type, sizeof(r->type), "%s", rest);
    } else if (strcmp(keyword, "UNIT") == 0) {
        size_t len = strlen(name), unit_len = strlen(rest);

        assert_true(len > unit_len + 1 && name[len - unit_len - 1] == '_');
        assert_string_equal(name + len - unit_len, rest);
    } else {
        assert_string_equal(keyword, "HELP");
        assert_false(r->has_help);
        r->has_help = true;
    }
}

/* The value of label le, and the labels without it. */
static double read_le(const char *labels, char rest[512])
{
    const char *le = strstr(labels, "le=\"");

    assert_non_null(le);
    snprintf(rest, 512, "%.*s", (int)(le - labels), labels);
    le += strlen("le=\"");
    if (begins(le, "+Inf\"")) {
        return INFINITY;
    }
    assert_true(strcspn(le, ".e") < strcspn(le, "\"")); /* a float, not "1" */
    return strtod(le, NULL);
}

static void read_histogram(struct reader *r, const char *suffix, const char *labels, double value)
{
    char rest[512];

    if (strcmp(suffix, "_bucket") == 0) {
        double le = read_le(labels, rest);

        if (strcmp(rest, r->last_labels) == 0 && !isinf(r->last_le)) {
            assert_true(le > r->last_le);
            assert_true(value >= r->last_bucket);
        }
        snprintf(r->last_labels, sizeof(r->last_labels), "%s", rest);
        r->last_le = le;
        r->last_bucket = value;
    } else if (strcmp(suffix, "_count") == 0) {
        assert_true(isinf(r->last_le));
        assert_true(value == r->last_bucket);
    } else {
        assert_string_equal(suffix, "_sum");
    }
}

static void read_sample(struct reader *r, const char *line)
{
    size_t name_len = strcspn(line, "{ ");
    size_t family_len = strlen(r->name);
    char labels[512] = "", suffix[NAME_SIZE];
    const char *rest = line + name_len;
    char *end;

    assert_true(begins(line, r->name));
    assert_true(r->has_help);
    snprintf(suffix, sizeof(suffix), "%.*s", (int)(name_len - family_len), line + family_len);
    if (*rest == '{') {
        const char *close = strchr(rest, '}');

        assert_non_null(close);
        snprintf(labels, sizeof(labels), "%.*s", (int)(close - rest - 1), rest + 1);
        rest = close + 1;
    }
    assert_int_equal(*rest, ' ');

    double value = strtod(rest + 1, &end);

    assert_true(end > rest + 1 && *end == '\0');
    r->samples++;
    if (strcmp(r->type, "counter") == 0) {
        assert_string_equal(suffix, "_total");
    } else if (strcmp(r->type, "gauge") == 0) {
        assert_string_equal(suffix, "");
    } else {
        assert_string_equal(r->type, "histogram");
        read_histogram(r, suffix, labels, value);
    }
}

static struct reader read_all(const struct metrics *m)
{
    struct reader r = {0};
    size_t len;
    char *text = metrics_render(m, METRICS_OPENMETRICS, &len);
    char *rest = text;
    char *line;

    assert_int_equal(strlen(text), len);
    assert_int_equal(text[len - 1], '\n');
    while ((line = strsep(&rest, "\n")) != NULL && rest != NULL) {
        assert_false(r.has_eof);
        assert_string_not_equal(line, "");
        if (strcmp(line, "# EOF") == 0) {
            r.has_eof = true;
        } else if (line[0] == '#') {
            read_head(&r, line);
        } else {
            read_sample(&r, line);
        }
    }
    assert_true(r.has_eof);
    free(text);
    return r;
}

/* --- Tests --- */

static void expect_format(const struct metrics *m, enum metrics_format format, const char *expected)
{
    size_t len;
    char *text = metrics_render(m, format, &len);

    assert_string_equal(text, expected);
    assert_int_equal(len, strlen(expected));
    free(text);
}

static void expect_text(const struct metrics *m, const char *expected)
{
    expect_format(m, METRICS_OPENMETRICS, expected);
}

static void nothing_registered_is_a_valid_exposition(void **state)
{
    struct metrics *m = metrics_new();

    (void)state;
    expect_text(m, "# EOF\n");
    metrics_free(m);
    metrics_free(NULL);
}

static void every_type_is_shown_as_the_specification_says(void **state)
{
    struct metrics *m = metrics_new();
    struct metric *c = metrics_counter(m, "a", "Counts.", NULL);
    struct metric *g = metrics_gauge(m, "b_bytes", "Level.", "x=\"1\",y=\"2\"");
    struct metric *h = metrics_histogram(m, "c_seconds", "Times.", NULL, bounds, 3);

    (void)state;
    metric_add(c, 3);
    metric_add(c, UINT64_C(18446744073709551612)); /* up to what 64 bits hold */
    metric_set(g, INT64_MIN + 1);
    metric_change(g, 2);
    metric_change(g, -3);
    metric_observe(h, 0.001); /* a bound is in its own bucket */
    metric_observe(h, 0.5);
    metric_observe(h, 2.25);
    metric_observe(h, 1e300);
    expect_text(m, "# TYPE a counter\n# HELP a Counts.\na_total 18446744073709551615\n"
                   "# TYPE b_bytes gauge\n# UNIT b_bytes bytes\n# HELP b_bytes Level.\n"
                   "b_bytes{x=\"1\",y=\"2\"} -9223372036854775808\n"
                   "# TYPE c_seconds histogram\n# UNIT c_seconds seconds\n"
                   "# HELP c_seconds Times.\n"
                   "c_seconds_bucket{le=\"0.001\"} 1\nc_seconds_bucket{le=\"1.0\"} 2\n"
                   "c_seconds_bucket{le=\"2.5\"} 3\nc_seconds_bucket{le=\"+Inf\"} 4\n"
                   "c_seconds_count 4\nc_seconds_sum 1e+300\n# EOF\n");
    assert_int_equal(metric_value(c), UINT64_MAX);
    metrics_free(m);
}

static void the_text_format_names_a_counter_in_full_and_has_no_units(void **state)
{
    struct metrics *m = metrics_new();

    (void)state;
    expect_format(m, METRICS_TEXT, "");
    metric_add(metrics_counter(m, "a", "Counts.", "x=\"1\""), 3);
    metric_set(metrics_gauge(m, "b_bytes", "Level.", NULL), 2);
    expect_format(m, METRICS_TEXT,
                  "# TYPE a_total counter\n# HELP a_total Counts.\na_total{x=\"1\"} 3\n"
                  "# TYPE b_bytes gauge\n# HELP b_bytes Level.\nb_bytes 2\n");
    metrics_free(m);
}

static void the_format_is_what_the_client_accepts(void **state)
{
    static const struct {
        const char *name, *accept;
        enum metrics_format format;
    } rows[] = {
        {"no header", NULL, METRICS_OPENMETRICS},
        {"an empty one", "", METRICS_OPENMETRICS},
        {"anything", "*/*", METRICS_OPENMETRICS},
        {"text", "text/plain", METRICS_TEXT},
        {"text of a version, or anything", "Text/Plain;version=0.0.4;q=0.5,*/*;q=0.1",
         METRICS_TEXT},
        {"both, as Prometheus does",
         "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
         METRICS_OPENMETRICS},
        {"something else", "application/json", METRICS_OPENMETRICS},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (metrics_format_of(rows[i].accept) != rows[i].format) {
            fail_msg("%s", rows[i].name);
        }
    }
}

static void a_sum_is_a_float_of_the_shortest_digits(void **state)
{
    static const struct {
        const char *name;
        double values[3];
        const char *sum;
    } rows[] = {
        {"below zero counts as zero", {-5, -0.0, 0}, "s_sum 0.0\n"},
        {"what is no number counts as zero", {NAN, 1, 0}, "s_sum 1.0\n"},
        {"an infinite one stays infinite", {INFINITY, 1, 0}, "s_sum +Inf\n"},
        {"no rounding noise of a decimal", {0.1, 0, 0}, "s_sum 0.1\n"},
        {"all digits where they are needed", {0.1, 0.2, 0}, "s_sum 0.30000000000000004\n"},
        {"a small one has an exponent", {0.00001, 0, 0}, "s_sum 1e-05\n"},
        {"a whole one is a float too", {100, 23, 0}, "s_sum 123.0\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct metrics *m = metrics_new();
        struct metric *h = metrics_histogram(m, "s", "Sum.", NULL, bounds, 3);
        size_t len;

        for (size_t j = 0; j < 3; j++) {
            metric_observe(h, rows[i].values[j]);
        }

        char *text = metrics_render(m, METRICS_OPENMETRICS, &len);

        if (strstr(text, rows[i].sum) == NULL || strstr(text, "s_count 3\n") == NULL) {
            fail_msg("%s: %s", rows[i].name, text);
        }
        free(text);
        metrics_free(m);
    }
}

static void help_cannot_start_a_line_of_its_own(void **state)
{
    struct metrics *m = metrics_new();

    (void)state;
    metrics_gauge(m, "g", "a \"b\" \\ c\nd", NULL);
    expect_text(m, "# TYPE g gauge\n# HELP g a \\\"b\\\" \\\\ c\\nd\ng 0\n# EOF\n");
    /* Which knows no escaped quotes. */
    expect_format(m, METRICS_TEXT, "# TYPE g gauge\n# HELP g a \"b\" \\\\ c\\nd\ng 0\n");
    metrics_free(m);
}

static void the_same_name_and_labels_are_one_series(void **state)
{
    struct metrics *m = metrics_new();
    struct metric *h = metrics_histogram(m, "h", "H.", "a=\"1\"", bounds, 3);

    (void)state;
    assert_ptr_equal(h, metrics_histogram(m, "h", "H.", "a=\"1\"", bounds, 3));
    assert_ptr_not_equal(h, metrics_histogram(m, "h", "H.", "a=\"2\"", bounds, 3));
    assert_ptr_equal(metrics_counter(m, "c", "C.", NULL), metrics_counter(m, "c", "D.", NULL));
    assert_int_equal(read_all(m).samples, 2 * 6 + 1);
    metrics_free(m);
}

static void families_stay_together_whatever_the_order(void **state)
{
    static const char *const names[] = {"one", "two_seconds", "three_bytes"};
    char labels[3][32];
    struct metrics *m = metrics_new();

    (void)state;
    for (int i = 0; i < 3; i++) {
        snprintf(labels[i], sizeof(labels[i]), "n=\"%d\"", i);
        metric_add(metrics_counter(m, names[0], "One.", labels[i]), (uint64_t)i);
        metric_observe(metrics_histogram(m, names[1], "Two.", labels[i], metrics_seconds_bounds,
                                         metrics_seconds_bounds_count),
                       i);
        metric_set(metrics_gauge(m, names[2], "Three.", labels[i]), -i);
    }

    struct reader r = read_all(m);

    assert_int_equal(r.seen_count, 3);
    assert_int_equal(r.samples, 3 * (1 + (metrics_seconds_bounds_count + 1 + 2) + 1));
    metrics_free(m);
}

static void seconds_bounds_ascend_from_a_millisecond_to_a_minute(void **state)
{
    (void)state;
    assert_true(metrics_seconds_bounds[0] == 0.001);
    assert_true(metrics_seconds_bounds[metrics_seconds_bounds_count - 1] == 60);
    for (size_t i = 1; i < metrics_seconds_bounds_count; i++) {
        assert_true(metrics_seconds_bounds[i - 1] < metrics_seconds_bounds[i]);
    }
}

#define THREADS 4
#define ROUNDS 20000

struct shared {
    struct metric *counter, *histogram;
};

static void *count(void *context)
{
    struct shared *shared = context;

    for (int i = 0; i < ROUNDS; i++) {
        metric_add(shared->counter, 1);
        metric_observe(shared->histogram, 0.5);
    }
    return NULL;
}

static void threads_lose_no_count_while_another_reads(void **state)
{
    struct metrics *m = metrics_new();
    struct shared shared = {metrics_counter(m, "c", "C.", NULL),
                            metrics_histogram(m, "h", "H.", NULL, bounds, 3)};
    pthread_t threads[THREADS];
    size_t len;

    (void)state;
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count, &shared), 0);
    }
    while (metric_value(shared.counter) < THREADS * ROUNDS / 2) {
        read_all(m); /* consistent at any moment */
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }

    char *text = metrics_render(m, METRICS_OPENMETRICS, &len);

    assert_non_null(strstr(text, "c_total 80000\n"));
    assert_non_null(strstr(text, "h_bucket{le=\"0.001\"} 0\n"));
    assert_non_null(strstr(text, "h_count 80000\n"));
    assert_non_null(strstr(text, "h_sum 40000.0\n"));
    free(text);
    metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_registered_is_a_valid_exposition),
        cmocka_unit_test(every_type_is_shown_as_the_specification_says),
        cmocka_unit_test(the_text_format_names_a_counter_in_full_and_has_no_units),
        cmocka_unit_test(the_format_is_what_the_client_accepts),
        cmocka_unit_test(a_sum_is_a_float_of_the_shortest_digits),
        cmocka_unit_test(help_cannot_start_a_line_of_its_own),
        cmocka_unit_test(the_same_name_and_labels_are_one_series),
        cmocka_unit_test(families_stay_together_whatever_the_order),
        cmocka_unit_test(seconds_bounds_ascend_from_a_millisecond_to_a_minute),
        cmocka_unit_test(threads_lose_no_count_while_another_reads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
