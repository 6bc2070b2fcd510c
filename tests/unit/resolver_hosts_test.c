#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/clock.h"
#include "producer/resolver_hosts.h"
#include "tests/unit/address_texts.h"
#include "tests/unit/logged.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
#define NOW (INT64_C(5000) * NS_PER_SEC)

static char path[] = "/tmp/sitewatch-hosts-XXXXXX";

static void write_file(const char *text, size_t len)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static const char *find(struct resolver_hosts *h, const char *name, enum resolver_family family,
                        int64_t now_ns)
{
    struct resolver_addresses found;
    bool any = resolver_hosts_find(h, name, family, now_ns, &found);

    assert_int_equal(any, found.count > 0);
    return address_texts(&found);
}

static const struct {
    const char *name;
    const char *file;
    const char *host;
    enum resolver_family family;
    const char *addresses;
} cases[] = {
    {"an empty file", "", "a.test", RESOLVER_ANY, ""},
    {"an address without a name", "192.0.2.1\n", "192.0.2.1", RESOLVER_ANY, ""},
    {"a name without an address", "a.test b.test\n", "b.test", RESOLVER_ANY, ""},
    {"an address that is none", "192.0.2.256 a.test\n", "a.test", RESOLVER_ANY, ""},
    {"an address with a zone", "fe80::1%lo a.test\n", "a.test", RESOLVER_ANY, ""},
    {"a comment", "#192.0.2.1 a.test\n", "a.test", RESOLVER_ANY, ""},
    {"a comment behind a name", "192.0.2.1 b.test#a.test\n", "a.test", RESOLVER_ANY, ""},
    {"a name that is no host name", "192.0.2.1 a/b a.test\n", "a/b", RESOLVER_ANY, ""},
    {"a bad name takes no other with it", "192.0.2.1 a/b a.test\n", "a.test", RESOLVER_ANY,
     "192.0.2.1"},
    {"a bad line takes no other with it", "x y\n192.0.2.1 a.test\n", "a.test", RESOLVER_ANY,
     "192.0.2.1"},
    {"part of a name", "192.0.2.1 a.test\n", "a.tes", RESOLVER_ANY, ""},
    {"no line end after the last", "192.0.2.1 a.test", "a.test", RESOLVER_ANY, "192.0.2.1"},
    {"spaces and tabs in front and between", " \t192.0.2.1\t  a.test \n", "a.test", RESOLVER_ANY,
     "192.0.2.1"},
    {"line ends of another system", "192.0.2.1 a.test\r\n192.0.2.2 b.test\r\n", "b.test",
     RESOLVER_ANY, "192.0.2.2"},
    {"an alias", "192.0.2.1 a.test b.test\n", "b.test", RESOLVER_ANY, "192.0.2.1"},
    {"capital letters and a last dot", "192.0.2.1 A.Test.\n", "a.test", RESOLVER_ANY, "192.0.2.1"},
    {"lines of one name add up", "192.0.2.2 a.test\n192.0.2.1 a.test\n2001:db8::1 a.test\n",
     "a.test", RESOLVER_ANY, "192.0.2.2 192.0.2.1 2001:db8::1"},
    {"the family that is asked for", "192.0.2.1 a.test\n2001:db8::1 a.test\n", "a.test",
     RESOLVER_IPV6, "2001:db8::1"},
    {"not the other one", "192.0.2.1 a.test\n", "a.test", RESOLVER_IPV6, ""},
};

static void names_are_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        print_message("  %s\n", cases[i].name);
        write_file(cases[i].file, strlen(cases[i].file));

        struct resolver_hosts *h = resolver_hosts_new(path);

        assert_string_equal(find(h, cases[i].host, cases[i].family, NOW), cases[i].addresses);
        resolver_hosts_free(h);
    }
}

static void a_name_has_so_many_addresses_at_the_most(void **state)
{
    char text[(RESOLVER_ADDRESSES_MAX + 1) * 24];
    size_t len = 0;
    struct resolver_addresses found;

    (void)state;
    for (int i = 0; i <= RESOLVER_ADDRESSES_MAX; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "192.0.2.%d a.test\n", i);
    }
    write_file(text, len);

    struct resolver_hosts *h = resolver_hosts_new(path);

    assert_true(resolver_hosts_find(h, "a.test", RESOLVER_ANY, NOW, &found));
    assert_int_equal(found.count, RESOLVER_ADDRESSES_MAX);
    resolver_hosts_free(h);
}

static void a_changed_file_counts_a_second_later(void **state)
{
    struct resolver_hosts *h;

    (void)state;
    unlink(path);
    h = resolver_hosts_new(path);
    assert_string_equal(find(h, "a.test", RESOLVER_ANY, NOW), "");
    write_file("192.0.2.1 a.test\n", 17);
    assert_string_equal(find(h, "a.test", RESOLVER_ANY, NOW + NS_PER_SEC - 1), "");
    assert_string_equal(find(h, "a.test", RESOLVER_ANY, NOW + NS_PER_SEC), "192.0.2.1");
    write_file("192.0.2.22 a.test\n", 18);
    assert_string_equal(find(h, "a.test", RESOLVER_ANY, NOW + 2 * NS_PER_SEC - 1), "192.0.2.1");
    assert_string_equal(find(h, "a.test", RESOLVER_ANY, NOW + 2 * NS_PER_SEC), "192.0.2.22");
    unlink(path);
    assert_string_equal(find(h, "a.test", RESOLVER_ANY, NOW + 3 * NS_PER_SEC), "");
    resolver_hosts_free(h);
    write_file("", 0);
}

static void what_is_too_long_is_left_out_and_told(void **state)
{
    static const char last[] = "192.0.2.1 last.test\n";
    char *text = malloc(RESOLVER_HOSTS_BYTES_MAX + 1);
    struct resolver_hosts *h;
    struct logged logged;

    (void)state;
    assert_non_null(text);
    memset(text, '#', RESOLVER_HOSTS_BYTES_MAX + 1);
    memcpy(text, "192.0.2.7 first.test\n", 21);
    /* The last line ends with the last byte that is read, then with one too many. */
    for (size_t over = 0; over < 2; over++) {
        size_t len = RESOLVER_HOSTS_BYTES_MAX + over;

        text[len - sizeof(last)] = '\n';
        memcpy(text + len - (sizeof(last) - 1), last, sizeof(last) - 1);
        write_file(text, len);
        h = resolver_hosts_new(path);
        log_begin(&logged);
        assert_string_equal(find(h, "first.test", RESOLVER_ANY, NOW), "192.0.2.7");
        log_end(&logged);
        assert_string_equal(find(h, "last.test", RESOLVER_ANY, NOW), over == 0 ? "192.0.2.1" : "");
        assert_int_equal(count_of(&logged, "longer than 16 MiB"), over);
        resolver_hosts_free(h);
    }
    free(text);
}

static void a_file_that_cannot_be_read_is_told_once(void **state)
{
    struct resolver_hosts *h = resolver_hosts_new("/");
    struct logged logged;

    (void)state;
    log_begin(&logged);
    assert_string_equal(find(h, "a.test", RESOLVER_ANY, NOW), "");
    assert_string_equal(find(h, "a.test", RESOLVER_ANY, NOW + NS_PER_SEC), "");
    log_end(&logged);
    assert_int_equal(count_of(&logged, "cannot read the whole hosts file"), 1);
    assert_int_equal(count_of(&logged, "Is a directory"), 1);
    resolver_hosts_free(h);
}

static void without_a_descriptor_it_counts_as_it_was(void **state)
{
    struct resolver_hosts *h = resolver_hosts_new(path);
    struct rlimit before, none;

    (void)state;
    write_file("192.0.2.1 a.test\n", 17);
    assert_string_equal(find(h, "a.test", RESOLVER_ANY, NOW), "192.0.2.1");
    write_file("192.0.2.22 a.test\n", 18);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_string_equal(find(h, "a.test", RESOLVER_ANY, NOW + NS_PER_SEC), "192.0.2.1");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_string_equal(find(h, "a.test", RESOLVER_ANY, NOW + 2 * NS_PER_SEC), "192.0.2.22");
    resolver_hosts_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found),
        cmocka_unit_test(a_name_has_so_many_addresses_at_the_most),
        cmocka_unit_test(a_changed_file_counts_a_second_later),
        cmocka_unit_test(what_is_too_long_is_left_out_and_told),
        cmocka_unit_test(a_file_that_cannot_be_read_is_told_once),
        cmocka_unit_test(without_a_descriptor_it_counts_as_it_was),
    };
    int fd = mkstemp(path);

    if (fd < 0) {
        perror(path);
        return 1;
    }
    close(fd);

    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    unlink(path);
    return failed;
}
