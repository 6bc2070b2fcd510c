/* Whether our own network is up: asked when checks fail, and answered by addresses of loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/listen.h"
#include "producer/selfprobe.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define WAIT_MS 60000

static const struct resolver_settings resolver = {
    .timeout_ms = 1000, .tries = 1, .ttl_min_s = 1, .ttl_max_s = 1, .negative_ttl_s = 1};

/* --- Addresses --- */

static const struct {
    const char *what, *text, *message; /* NULL: it is right */
} addresses[] = {
    {"nothing", "", "probe-self: there is no address"},
    {"only commas", " , ,", "probe-self: there is no address"},
    {"no port", "example.com", "probe-self: \"example.com\": there is no \":port\""},
    {"a port of 0", "example.com:0", "probe-self: \"example.com:0\": "},
    {"a port that is none", "example.com:http", "probe-self: \"example.com:http\": "},
    {"a wrong one after a right one", "10.0.0.1:53,:80", "probe-self: \":80\": "},
    {"another scheme", "ftp://example.com/", "probe-self: \"ftp://example.com/\": "},
    {"too many", "a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1",
     "probe-self: more than 16 addresses"},
    {"an address", "192.0.2.1:53", NULL},
    {"IPv6, a name and a URL, with spaces", "[::1]:53, example.com:443 https://example.com/x",
     NULL},
    {"a comma at the end", "a:1,", NULL},
};

static void test_addresses_are_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(addresses); i++) {
        struct err err;
        int rc = selfprobe_check(addresses[i].text, &err);

        print_message("  %s\n", addresses[i].what);
        assert_int_equal(rc, addresses[i].message == NULL ? 0 : -1);
        if (rc < 0) {
            assert_int_equal(err.kind, ERR_INVALID);
            assert_memory_equal(err.message, addresses[i].message, strlen(addresses[i].message));
        }
    }
}

/* --- Answers --- */

struct stand {
    struct metrics *metrics;
    struct selfprobe *self;
    int fd;
};

static void stand_begin(struct stand *stand, const char *text)
{
    struct err err;

    stand->metrics = metrics_new();
    stand->self = selfprobe_new(text, &resolver, stand->metrics, &err);
    assert_non_null(stand->self);
    stand->fd = eventfd(0, EFD_CLOEXEC);
    selfprobe_attach(stand->self, stand->fd);
}

static void stand_end(struct stand *stand)
{
    selfprobe_detach(stand->self, stand->fd);
    selfprobe_free(stand->self);
    close(stand->fd);
    metrics_free(stand->metrics);
}

static void wait_for_ring(const struct stand *stand)
{
    struct pollfd ready = {.fd = stand->fd, .events = POLLIN};
    eventfd_t ignored;

    assert_int_equal(poll(&ready, 1, WAIT_MS), 1);
    eventfd_read(stand->fd, &ignored);
}

static uint64_t times(const struct stand *stand, const char *labels)
{
    return metric_value(metrics_counter(stand->metrics, "sitewatch_self_probes", "", labels));
}

static bool shows_down(const struct stand *stand)
{
    size_t len;
    char *text = metrics_render(stand->metrics, METRICS_OPENMETRICS, &len);
    bool down = strstr(text, "\nsitewatch_local_network_down 1\n") != NULL;

    free(text);
    return down;
}

/* A port of loopback with nobody behind it, as text; *fd keeps it from others. */
static void closed_port(char text[32], int *fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(*fd, (struct sockaddr *)&address, len), 0);
    getsockname(*fd, (struct sockaddr *)&address, &len);
    snprintf(text, 32, "127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
}

static int open_port(char text[32])
{
    struct err err;
    int fd = listen_open("127.0.0.1:0", 8, &err);

    assert_true(fd >= 0);
    snprintf(text, 32, "127.0.0.1:%u", (unsigned)listen_port(fd));
    return fd;
}

static void test_what_was_reached_meanwhile_answers_at_once(void **state)
{
    struct stand stand;
    char text[32];
    int fd;
    int64_t now_ns = clock_mono_ns();

    (void)state;
    closed_port(text, &fd);
    stand_begin(&stand, text);
    selfprobe_reached(stand.self, now_ns);
    assert_int_equal(selfprobe_ask(stand.self, now_ns - NS_PER_SEC), SELFPROBE_UP);
    assert_int_equal(selfprobe_ask(stand.self, now_ns + PROBE_SELF_GRACE_MS * NS_PER_MS),
                     SELFPROBE_UP);
    assert_int_equal(times(&stand, "result=\"failed\""), 0);
    assert_int_equal(selfprobe_ask(stand.self, now_ns + PROBE_SELF_GRACE_MS * NS_PER_MS + 1),
                     SELFPROBE_ASKED);
    wait_for_ring(&stand);
    assert_int_equal(times(&stand, "result=\"failed\""), 1);
    stand_end(&stand);
    close(fd);
}

static void test_an_address_that_answers_means_that_we_are_up(void **state)
{
    struct stand stand;
    char closed[32], open[32], both[96];
    int closed_fd, open_fd = open_port(open);
    int64_t began_ns = clock_mono_ns();

    (void)state;
    closed_port(closed, &closed_fd);
    snprintf(both, sizeof(both), "%s,http://%s/path", closed, open);
    stand_begin(&stand, both);
    assert_int_equal(selfprobe_ask(stand.self, began_ns), SELFPROBE_ASKED);
    wait_for_ring(&stand);
    assert_int_equal(selfprobe_ask(stand.self, began_ns), SELFPROBE_UP);
    assert_int_equal(times(&stand, "result=\"reached\""), 1);
    assert_false(shows_down(&stand));
    stand_end(&stand);
    close(closed_fd);
    close(open_fd);
}

static void test_we_are_down_until_an_address_answers(void **state)
{
    struct stand stand;
    char text[32];
    int fd;
    int64_t began_ns = clock_mono_ns();

    (void)state;
    closed_port(text, &fd);
    stand_begin(&stand, text);
    assert_int_equal(selfprobe_ask(stand.self, began_ns), SELFPROBE_ASKED);
    wait_for_ring(&stand);
    assert_int_equal(selfprobe_ask(stand.self, began_ns), SELFPROBE_DOWN);
    assert_int_equal(selfprobe_ask(stand.self, clock_mono_ns()), SELFPROBE_DOWN);
    assert_true(shows_down(&stand));
    assert_int_equal(listen(fd, 8), 0);
    while (shows_down(&stand)) { /* it is tried again by itself */
        wait_for_ring(&stand);
    }
    assert_int_equal(selfprobe_ask(stand.self, began_ns), SELFPROBE_DOWN); /* it was, then */
    assert_int_equal(selfprobe_ask(stand.self, clock_mono_ns()), SELFPROBE_UP);
    stand_end(&stand);
    close(fd);
}

static void test_a_check_that_gets_through_ends_it(void **state)
{
    struct stand stand;
    char text[32];
    int fd;

    (void)state;
    closed_port(text, &fd);
    stand_begin(&stand, text);
    assert_int_equal(selfprobe_ask(stand.self, clock_mono_ns()), SELFPROBE_ASKED);
    wait_for_ring(&stand);
    assert_true(shows_down(&stand));
    selfprobe_reached(stand.self, clock_mono_ns());
    assert_false(shows_down(&stand));
    assert_int_equal(selfprobe_ask(stand.self, clock_mono_ns()), SELFPROBE_UP);
    stand_end(&stand);
    close(fd);
}

static void test_a_name_that_is_not_found_is_not_reached(void **state)
{
    struct stand stand;

    (void)state;
    stand_begin(&stand, "nowhere.invalid:80");
    assert_int_equal(selfprobe_ask(stand.self, clock_mono_ns()), SELFPROBE_ASKED);
    wait_for_ring(&stand);
    assert_int_equal(selfprobe_ask(stand.self, clock_mono_ns()), SELFPROBE_DOWN);
    stand_end(&stand);
}

static void test_it_can_be_ended_while_it_tries(void **state)
{
    struct stand stand;

    (void)state;
    stand_begin(&stand, "127.0.0.1:1,nowhere.invalid:1");
    assert_int_equal(selfprobe_ask(stand.self, clock_mono_ns()), SELFPROBE_ASKED);
    stand_end(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_are_checked),
        cmocka_unit_test(test_what_was_reached_meanwhile_answers_at_once),
        cmocka_unit_test(test_an_address_that_answers_means_that_we_are_up),
        cmocka_unit_test(test_we_are_down_until_an_address_answers),
        cmocka_unit_test(test_a_check_that_gets_through_ends_it),
        cmocka_unit_test(test_a_name_that_is_not_found_is_not_reached),
        cmocka_unit_test(test_it_can_be_ended_while_it_tries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
