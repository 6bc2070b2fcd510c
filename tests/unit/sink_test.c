/* Events on the standard output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "producer/sink.h"

static void fill(struct event *e)
{
    event_init(e);
    e->site_name = "shop\x1b[2J";
    e->site_url = "http://127.0.0.1/";
    e->location = "local";
    e->observer = "host";
    e->attempt = 1;
    e->final = true;
    e->interval_s = 5;
    e->status = CHECK_DOWN;
    e->error = ERROR_STATUS;
    e->error_phase = PHASE_CHECK;
    e->error_message = "status 500\r\n is not in 200-399";
    e->http_status = 500;
    e->http_version = "1.1";
    e->timing.total_us = 12345;
}

static void test_json_is_one_line_each(void **state)
{
    struct event e;
    struct err err;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    fill(&e);
    assert_int_equal(sink_print_json(out, &e, &err), 0);
    assert_int_equal(sink_print_json(out, &e, &err), 0);
    fclose(out);
    assert_int_equal(text[0], '{');
    assert_ptr_equal(strchr(text, '\n'), text + len / 2 - 1);
    free(text);
}

static void test_a_closed_output_is_an_error(void **state)
{
    struct event e;
    struct err err;
    FILE *out = fopen("/dev/full", "w");

    (void)state;
    fill(&e);
    assert_int_equal(sink_print_json(out, &e, &err), -1);
    assert_int_equal(err.kind, ERR_FATAL);
    fclose(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_is_one_line_each),
        cmocka_unit_test(test_a_closed_output_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
