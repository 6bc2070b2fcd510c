/* The series of sites are those of the sites that were judged, and their labels hold any name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/site.h"
#include "producer/sitemetrics.h"

struct stand {
    struct metrics *metrics;
    struct latest *latest;
    struct sitemetrics *sitemetrics;
};

static void open_stand(struct stand *s, const char *location)
{
    struct latest_settings settings = {.parts = 1, .sites_max = 100000};

    s->metrics = metrics_new();
    s->latest = latest_new(&settings, s->metrics);
    s->sitemetrics = sitemetrics_new(s->latest, location, s->metrics);
}

static void close_stand(struct stand *s)
{
    sitemetrics_free(s->sitemetrics);
    latest_free(s->latest);
    metrics_free(s->metrics);
}

/* From the first family of the sites on. */
static char *text_of(struct stand *s, enum metrics_format format)
{
    size_t len;
    char *whole = metrics_render(s->metrics, format, &len);
    char *text = mem_copy_string(strstr(whole, "# TYPE probe_success gauge\n"));

    assert_non_null(text);
    assert_int_equal(len, strlen(whole));
    free(whole);
    return text;
}

static struct event event_of(const char *name, enum check_status status)
{
    struct event event;

    event_init(&event);
    event.site_name = name;
    event.status = status;
    event.timing.total_us = 0;
    return event;
}

static void every_family_has_its_head_and_the_sites_that_have_it(void **state)
{
    static const char *const wanted[] = {
        "# TYPE probe_success gauge",
        "# HELP probe_success Whether the last check found the site up or degraded",
        "probe_success{site=\"plain\",location=\"home\"} 0",
        "probe_success{site=\"tls\",location=\"home\"} 1",
        "# TYPE probe_duration_seconds gauge",
        "# UNIT probe_duration_seconds seconds",
        "# HELP probe_duration_seconds Time of the last check, all hops",
        "probe_duration_seconds{site=\"plain\",location=\"home\"} 10.000001",
        "probe_duration_seconds{site=\"tls\",location=\"home\"} 0.004321",
        "# TYPE probe_http_duration_seconds gauge",
        "# UNIT probe_http_duration_seconds seconds",
        "# HELP probe_http_duration_seconds Time of the last check by phase, all hops",
        "probe_http_duration_seconds{phase=\"resolve\",site=\"tls\",location=\"home\"} 0.000001",
        "probe_http_duration_seconds{phase=\"connect\",site=\"tls\",location=\"home\"} 0.000020",
        "probe_http_duration_seconds{phase=\"tls\",site=\"tls\",location=\"home\"} 0.000300",
        "probe_http_duration_seconds{phase=\"processing\",site=\"tls\",location=\"home\"} 0.004000",
        "probe_http_duration_seconds{phase=\"transfer\",site=\"tls\",location=\"home\"} 0.000000",
        "# TYPE probe_http_status_code gauge",
        "# HELP probe_http_status_code Status code of the last check, 0 without a response",
        "probe_http_status_code{site=\"plain\",location=\"home\"} 0",
        "probe_http_status_code{site=\"tls\",location=\"home\"} 200",
        "# TYPE probe_ssl_earliest_cert_expiry gauge",
        "# HELP probe_ssl_earliest_cert_expiry End of the certificate in seconds since the epoch",
        "probe_ssl_earliest_cert_expiry{site=\"tls\",location=\"home\"} 4102444800",
        "# EOF",
    };
    struct event plain = event_of("plain", CHECK_DOWN), tls = event_of("tls", CHECK_DEGRADED);
    struct event unknown = event_of("unknown", CHECK_UNKNOWN);
    struct stand s;

    (void)state;
    open_stand(&s, "home");
    plain.timing.total_us = 10000001;
    tls.http_status = 200;
    tls.cert_not_after_s = INT64_C(4102444800);
    tls.timing = (struct event_timing){.dns_us = 1,
                                       .connect_us = 20,
                                       .tls_us = 300,
                                       .wait_us = 4000,
                                       .transfer_us = 0,
                                       .total_us = 4321};
    latest_put(s.latest, 0, LATEST_NONE, &plain);
    latest_put(s.latest, 0, LATEST_NONE, &unknown);
    latest_put(s.latest, 0, LATEST_NONE, &tls);

    char *text = text_of(&s, METRICS_OPENMETRICS);
    char *rest = text;

    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        assert_string_equal(strsep(&rest, "\n"), wanted[i]);
    }
    assert_string_equal(rest, "");
    free(text);
    close_stand(&s);
}

static void a_label_holds_any_name_and_place(void **state)
{
    static const struct {
        const char *name, *site, *location, *line;
    } rows[] = {
        {"a quote cannot end the label", "a\"} 1\n", "l",
         "probe_success{site=\"a\\\"} 1\\n\",location=\"l\"} 1\n"},
        {"a backslash at the end", "a\\", "l\\",
         "probe_success{site=\"a\\\\\",location=\"l\\\\\"} 1\n"},
        {"other control bytes stay", "a\x1b\r\x01", "l",
         "probe_success{site=\"a\x1b\r\x01\",location=\"l\"} 1\n"},
        {"UTF-8 stays",
         "b\xC3\xBC"
         "cher",
         "K\xC3\xB6ln",
         "probe_success{site=\"b\xC3\xBC"
         "cher\",location=\"K\xC3\xB6ln\"} 1\n"},
        {"a location that is not UTF-8 is as in events", "a", "\xff",
         "probe_success{site=\"a\",location=\"\xEF\xBF\xBD\"} 1\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct event event = event_of(rows[i].site, CHECK_UP);
        struct stand s;

        open_stand(&s, rows[i].location);
        latest_put(s.latest, 0, LATEST_NONE, &event);

        char *text = text_of(&s, METRICS_OPENMETRICS);

        if (strstr(text, rows[i].line) == NULL) {
            fail_msg("%s: %s", rows[i].name, text);
        }
        free(text);
        close_stand(&s);
    }
}

static void sites_that_left_have_no_series(void **state)
{
    struct event first = event_of("first", CHECK_UP), other = event_of("other", CHECK_UP);
    struct stand s;

    (void)state;
    open_stand(&s, "l");

    uint32_t place = latest_put(s.latest, 0, LATEST_NONE, &first);

    latest_put(s.latest, 0, LATEST_NONE, &other);
    latest_remove(s.latest, 0, place);

    char *text = text_of(&s, METRICS_TEXT);

    assert_null(strstr(text, "first"));
    assert_non_null(strstr(text, "probe_success{site=\"other\",location=\"l\"} 1\n"));
    assert_null(strstr(text, "# EOF")); /* of OpenMetrics alone */
    free(text);
    close_stand(&s);
}

static size_t count_of(const char *text, const char *what)
{
    size_t count = 0;

    for (const char *at = text; (at = strstr(at, what)) != NULL; at++) {
        count++;
    }
    return count;
}

static void the_longest_names_of_all_quotes_fit(void **state)
{
    char *name = mem_alloc(SITE_NAME_BYTES_MAX + 1, 1);
    char location[2 * EVENT_LOCATION_BYTES_MAX];
    struct stand s;

    (void)state;
    memset(location, '"', sizeof(location));
    location[sizeof(location) - 1] = '\0';
    open_stand(&s, location);
    memset(name, '"', SITE_NAME_BYTES_MAX);
    for (int i = 0; i < 26; i++) {
        struct event event = event_of(name, CHECK_UP);

        name[0] = (char)('a' + i);
        event.timing = (struct event_timing){1, 2, 3, 4, 5, 6};
        event.cert_not_after_s = 1;
        latest_put(s.latest, 0, LATEST_NONE, &event);
    }

    char *text = text_of(&s, METRICS_OPENMETRICS);

    assert_int_equal(count_of(text, "{site="), 26 * 4);
    assert_int_equal(count_of(text, ",site="), 26 * 5);
    assert_int_equal(count_of(text, "# TYPE "), 5);
    free(text);
    free(name);
    close_stand(&s);
}

/* As the admin endpoint does: pieces of any size, and many sites. */
static void pieces_make_the_same_text(void **state)
{
    static const size_t sizes[] = {1, 7, 4096, 100000};
    char name[32];
    struct stand s;

    (void)state;
    open_stand(&s, "l");
    for (int i = 0; i < 1500; i++) {
        snprintf(name, sizeof(name), "site %d", i);

        struct event event = event_of(name, i % 2 == 0 ? CHECK_UP : CHECK_DOWN);

        latest_put(s.latest, 0, LATEST_NONE, &event);
    }
    size_t len;
    char *whole = metrics_render(s.metrics, METRICS_OPENMETRICS, &len);

    assert_int_equal(count_of(whole, "probe_success{"), 1500);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct metrics_reading *r = metrics_read_begin(s.metrics, METRICS_OPENMETRICS);
        char *text = mem_alloc(len + sizes[i], 1);
        size_t at = 0;
        size_t got;

        while ((got = metrics_read(r, text + at, sizes[i])) > 0) {
            assert_true(got <= sizes[i]);
            at += got;
            assert_true(at <= len);
        }
        assert_int_equal(metrics_read(r, text, sizes[i]), 0);
        assert_int_equal(at, len);
        assert_memory_equal(text, whole, len);
        metrics_read_end(r);
        free(text);
    }
    free(whole);
    /* A client that goes away in the middle. */
    struct metrics_reading *r = metrics_read_begin(s.metrics, METRICS_OPENMETRICS);
    char some[4096];

    for (int i = 0; i < 10; i++) {
        assert_true(metrics_read(r, some, sizeof(some)) > 0);
    }
    metrics_read_end(r);
    metrics_read_end(NULL);
    close_stand(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_has_its_head_and_the_sites_that_have_it),
        cmocka_unit_test(a_label_holds_any_name_and_place),
        cmocka_unit_test(sites_that_left_have_no_series),
        cmocka_unit_test(the_longest_names_of_all_quotes_fit),
        cmocka_unit_test(pieces_make_the_same_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
