/* What hours of a site come to: the bar, uptime and p95 of its day. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/day.h"

#define HOURS_MAX 4
#define NO_BAR "------------------------"

static const struct {
    const char *name;
    struct day_hour hours[HOURS_MAX];
    const char *cert;
    const char *json; /* bucket i stands for i ms */
} rows[] = {
    {"a site without a check has a bar of nothing",
     {{.histogram = NULL}},
     "",
     "{\"bars\":\"" NO_BAR "\"}"},
    {"an hour before the day and one after it are passed over",
     {{.hour = -1, .down = 1, .histogram = "{}"}, {.hour = 24, .down = 1, .histogram = "{}"}},
     "",
     "{\"bars\":\"" NO_BAR "\"}"},
    {"an hour has the letter of its worst check",
     {{.hour = 0, .up = 9, .degraded = 1, .unknown = 1, .histogram = "{}"},
      {.hour = 1, .up = 9, .degraded = 1, .down = 1, .histogram = "{}"},
      {.hour = 23, .unknown = 1, .histogram = "{}"}},
     "",
     "{\"bars\":\"dx---------------------?\",\"uptime_24h\":0.952380952}"},
    {"locations of an hour are taken together",
     {{.hour = 2, .down = 1, .histogram = "{}"}, {.hour = 2, .up = 3, .histogram = "{}"}},
     "",
     "{\"bars\":\"--x---------------------\",\"uptime_24h\":0.75}"},
    {"what could not be judged is in no share",
     {{.hour = 0, .unknown = 5, .histogram = "{}"}},
     "",
     "{\"bars\":\"?-----------------------\"}"},
    {"p95 is the bucket that 95 % of the responses do not exceed",
     {{.hour = 0,
       .up = 20,
       .lowest_us = 1000,
       .highest_us = 300000,
       .histogram = "{10,18,20,1,30,1}"}},
     "",
     "{\"bars\":\"u-----------------------\",\"uptime_24h\":1,\"p95_ms\":20}"},
    {"histograms of several hours are added",
     {{.hour = 0, .up = 1, .lowest_us = 1000, .highest_us = 2000, .histogram = "{1,1}"},
      {.hour = 1, .up = 99, .lowest_us = 7000, .highest_us = 9000, .histogram = "{7,99}"}},
     "",
     "{\"bars\":\"uu----------------------\",\"uptime_24h\":1,\"p95_ms\":7}"},
    {"p95 is not more than what was measured",
     {{.hour = 0, .up = 1, .lowest_us = 6800, .highest_us = 6800, .histogram = "{7,1}"}},
     "",
     "{\"bars\":\"u-----------------------\",\"uptime_24h\":1,\"p95_ms\":6.8}"},
    {"buckets that there are not are the first and the last",
     {{.hour = 0, .up = 2, .lowest_us = 1, .highest_us = 900000000, .histogram = "{-5,1,99999,1}"}},
     "",
     "{\"bars\":\"u-----------------------\",\"uptime_24h\":1,\"p95_ms\":317}"},
    {"a tally that is cut off counts as far as it goes",
     {{.hour = 0, .up = 2, .lowest_us = 1, .highest_us = 900000000, .histogram = "{5,1,9"}},
     "",
     "{\"bars\":\"u-----------------------\",\"uptime_24h\":1,\"p95_ms\":5}"},
    {"the end of the certificate is shown when it is known",
     {{.histogram = NULL}},
     "2027-01-01T00:00:00Z",
     "{\"bars\":\"" NO_BAR "\",\"cert_not_after\":\"2027-01-01T00:00:00Z\"}"},
};

static void a_day_is_what_its_hours_are(void **state)
{
    double bucket_us[DAY_BUCKETS];

    (void)state;
    for (int i = 0; i < DAY_BUCKETS; i++) {
        bucket_us[i] = 1000.0 * i;
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);
        struct day day;

        print_message("  %s\n", rows[i].name);
        assert_non_null(out);
        day_init(&day);
        for (size_t k = 0; k < HOURS_MAX && rows[i].hours[k].histogram != NULL; k++) {
            day_add(&day, &rows[i].hours[k]);
        }
        day_print(out, &day, bucket_us, rows[i].cert);
        fclose(out);
        assert_string_equal(text, rows[i].json);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_day_is_what_its_hours_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
