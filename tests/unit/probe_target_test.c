#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "producer/probe_internal.h"

#define LOOPBACK_SCOPE 1 /* of lo, in every network namespace */

static void locations_are_resolved(void **state)
{
    static const struct {
        const char *name, *base, *location;
        const char *url; /* NULL: refused */
        const char *host;
        uint16_t port;
        bool tls;
    } rows[] = {
        {"ftp is not followed", "http://a.test/", "ftp://a.test/x", NULL, NULL, 0, false},
        {"a file is not opened", "http://a.test/", "file:///etc/passwd", NULL, NULL, 0, false},
        {"an unknown scheme is not followed", "http://a.test/", "intent://a.test/", NULL, NULL, 0,
         false},
        {"a port over 65535 is refused", "http://a.test/", "http://b.test:65536/", NULL, NULL, 0,
         false},
        {"a host is needed", "http://a.test/", "http://:80/", NULL, NULL, 0, false},
        {"a control character is refused", "http://a.test/", "http://b.test/\x01", NULL, NULL, 0,
         false},
        {"an escape that makes the host an address makes it one here too", "https://a.test/",
         "//7%33/x", "https://0.0.0.73/x", "0.0.0.73", 443, true},
        {"user and password are dropped", "http://a.test/", "http://u:secret@b.test/x",
         "http://b.test/x", "b.test", 80, false},
        {"also those without a scheme", "https://a.test/", "//u:secret@b.test/x",
         "https://b.test/x", "b.test", 443, true},
        {"a user that looks like a host is none", "http://a.test/", "http://a.test@b.test/",
         "http://b.test/", "b.test", 80, false},
        {"a fragment is dropped", "http://a.test/", "/x#part", "http://a.test/x", "a.test", 80,
         false},
        {"a space is encoded", "http://a.test/", "/a b", "http://a.test/a%20b", "a.test", 80,
         false},
        {"bytes over 127 are encoded", "http://a.test/", "/\xC3\xA4", "http://a.test/%c3%a4",
         "a.test", 80, false},
        {"letters in a host want punycode", "http://a.test/", "http://b\xC3\xBC.test/", NULL, NULL,
         0, false},
        {"a host that is no text is refused", "http://a.test/", "//a\xC5\x9D\xEB/", NULL, NULL, 0,
         false},
        {"punycode is taken", "http://a.test/", "//xn--b-eha.test/", "http://xn--b-eha.test/",
         "xn--b-eha.test", 80, false},
        {"a relative path", "http://a.test/x/y?q=1", "../z", "http://a.test/z", "a.test", 80,
         false},
        {"a query alone", "http://a.test/x", "?q=1", "http://a.test/x?q=1", "a.test", 80, false},
        {"an absolute path keeps the port", "https://a.test:8443/x", "/y", "https://a.test:8443/y",
         "a.test", 8443, true},
        {"an absolute URL does not", "https://a.test:8443/x", "https://a.test/y",
         "https://a.test/y", "a.test", 443, true},
        {"the default port is not shown", "http://a.test/", "https://a.test:443/",
         "https://a.test/", "a.test", 443, true},
        {"an IPv6 address", "http://a.test/", "http://[::1]:81/", "http://[::1]:81/", "::1", 81,
         false},
        {"without a base", NULL, "http://a.test", "http://a.test/", "a.test", 80, false},
        {"relative without a base is refused", NULL, "/x", NULL, NULL, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct target target = {0};
        struct err err;
        int result = target_parse(rows[i].base, rows[i].location, &target, &err);

        print_message("  %s\n", rows[i].name);
        assert_int_equal(result, rows[i].url == NULL ? -1 : 0);
        if (result < 0) {
            assert_int_equal(err.kind, ERR_INVALID);
            assert_null(strstr(err.message, "secret"));
            assert_null(target.url); /* set only on success */
            continue;
        }
        assert_string_equal(target.url, rows[i].url);
        assert_string_equal(target.host, rows[i].host);
        assert_int_equal(target.port, rows[i].port);
        assert_int_equal(target.tls, rows[i].tls);
        target_free(&target);
    }
}

/* With a base libcurl reads the URL in any case. */
static void a_url_read_without_libcurl_reads_as_with_it(void **state)
{
    static const char *const hosts[] = {
        "a.test",     "A.test",     "a",          "1a.test",    "a.1",        "a.test.",
        "127.0.0.1",  "127.1",      "0x7f.1",     "127.0.0.01", "0177.0.0.1", "2130706433",
        "1.2.3.4.5",  "256.1.1.1",  "a..b",       "-a.test",    "a_b.test",   "u@a.test",
        "u:p@a.test", "127.0.0.1.", "a.test%41",  "[::1]",      "[::1%25lo]", "",
        "a.0x7f",     "a.b-",       "xn--b.test", ".test",      "0",          "1e3",
    };
    static const char *const ports[] = {"",     ":",      ":80",    ":443",    ":8080", ":0",
                                        ":080", ":65535", ":65536", ":123456", ":8a",   ":+1"};
    static const char *const paths[] = {
        "",      "/",         "/x",        "/x/../y",  "/./x",   "/x/.", "/..",  "/.x",
        "/x..y", "?q=1",      "/?q=/../x", "/x#f",     "#f",     "/a b", "/%7e", "/x?a=b&c=d@e:f",
        "/x\\y", "/\xC3\xA4", "//x",       "/x;y=1,2", "/X/Y~z", "/[x]", "/x|y", "/\"x\"",
    };
    static const char *const schemes[] = {"http://", "https://", "HTTP://", "http:/", "http:///"};
    CURLU *told = curl_url();

    (void)state;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]) * 12 * 24 * 5; i++) {
        struct target alone = {0}, with_base = {0};
        struct err err;
        char url[128], *said;

        snprintf(url, sizeof(url), "%s%s%s%s", schemes[i % 5], hosts[i / 5 / 24 / 12],
                 ports[i / 5 / 24 % 12], paths[i / 5 % 24]);

        int rc = target_parse(NULL, url, &alone, &err);

        if (target_parse("http://base.test/", url, &with_base, &err) < 0) {
            assert_int_equal(rc, -1);
            continue;
        }
        if (rc < 0) { /* only what needs a base */
            assert_string_equal(with_base.host, "base.test");
        } else if (strcmp(alone.url, with_base.url) != 0 ||
                   strcmp(alone.host, with_base.host) != 0 || alone.port != with_base.port ||
                   alone.tls != with_base.tls) {
            fail_msg("%s: %s is not %s", url, alone.url, with_base.url);
        } else {
            assert_true(target_tell(&alone, told));
            assert_int_equal(curl_url_get(told, CURLUPART_URL, &said, 0), CURLUE_OK);
            assert_string_equal(said, alone.url);
            curl_free(said);
        }
        target_free(&alone);
        target_free(&with_base);
    }
    curl_url_cleanup(told);
}

/* A handle is told one target after the other: nothing of the one before may stay. */
static void libcurl_is_told_what_the_url_says(void **state)
{
    static const struct {
        const char *name, *base, *location;
        bool by_parts;
    } rows[] = {
        {"a port, then none", NULL, "http://a.test:8080/x/y", true},
        {"another scheme", NULL, "https://a.test/", true},
        {"a query, which libcurl reads", NULL, "http://b.test:81/x?q=1", false},
        {"none after it", NULL, "http://b.test:81/x", true},
        {"a zone, which libcurl reads", NULL, "http://[fe80::1%25lo]:8080/z", false},
        {"none after it", NULL, "http://127.0.0.1/z", true},
        {"an escape in the path, which libcurl reads", NULL, "http://127.0.0.1/%7e", false},
        {"another path", NULL, "http://127.0.0.1/X/Y~z;p=1,2@$'()*!:+", true},
        {"the largest port", NULL, "https://127.0.0.1:65535/", true},
        {"the other scheme's port", NULL, "http://a.test:443/", true},
        {"a port that needs not be said", NULL, "http://a.test:80/", false},
        {"a Location, which libcurl has read", "http://a.test/x?q", "//u:p@c.test/y#f", false},
        {"a path that looks like a URL", NULL, "https://a.test/http://b.test/", true},
    };
    CURLU *told = curl_url();

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        static const CURLUPart parts[] = {CURLUPART_URL,      CURLUPART_SCHEME,  CURLUPART_USER,
                                          CURLUPART_PASSWORD, CURLUPART_OPTIONS, CURLUPART_HOST,
                                          CURLUPART_ZONEID,   CURLUPART_PORT,    CURLUPART_PATH,
                                          CURLUPART_QUERY,    CURLUPART_FRAGMENT};
        CURLU *read = curl_url();
        struct target target;
        struct err err;

        print_message("  %s\n", rows[i].name);
        assert_int_equal(target_parse(rows[i].base, rows[i].location, &target, &err), 0);
        assert_int_equal(target.path != NULL, rows[i].by_parts);
        assert_true(target_tell(&target, told));
        assert_int_equal(curl_url_set(read, CURLUPART_URL, target.url, 0), CURLUE_OK);
        for (size_t j = 0; j < sizeof(parts) / sizeof(parts[0]); j++) {
            char *is = NULL, *should = NULL;

            assert_int_equal(curl_url_get(told, parts[j], &is, 0),
                             curl_url_get(read, parts[j], &should, 0));
            assert_string_equal(is == NULL ? "" : is, should == NULL ? "" : should);
            curl_free(is);
            curl_free(should);
        }
        target_free(&target);
        curl_url_cleanup(read);
    }
    curl_url_cleanup(told);
}

static void a_url_too_long_is_refused(void **state)
{
    char *location = malloc(2 * PROBE_URL_BYTES_MAX);
    struct target target;
    struct err err;

    (void)state;
    memset(location, 'x', 2 * PROBE_URL_BYTES_MAX);
    memcpy(location, "http://a.test/", 14);
    location[PROBE_URL_BYTES_MAX + 1] = '\0';
    assert_int_equal(target_parse(NULL, location, &target, &err), -1);
    assert_string_equal(err.message, "longer than 8192 bytes");
    location[PROBE_URL_BYTES_MAX] = '\0';
    assert_int_equal(target_parse(NULL, location, &target, &err), 0);
    target_free(&target);
    free(location);
}

static void origins_are_told_apart(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"http://a.test/", "https://a.test/", false},
        {"http://a.test/", "http://a.test:81/", false},
        {"http://a.test/", "http://b.test/", false},
        {"http://a.test/", "http://a.test.b/", false},
        {"http://a.test/", "http://a.test:80/x", true},
        {"http://a.test/", "http://A.Test/", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct target a, b;
        struct err err;

        assert_int_equal(target_parse(NULL, rows[i].a, &a, &err), 0);
        assert_int_equal(target_parse(NULL, rows[i].b, &b, &err), 0);
        assert_int_equal(target_same_origin(&a, &b), rows[i].same);
        target_free(&a);
        target_free(&b);
    }
}

static void zones_are_interfaces(void **state)
{
    static const struct {
        const char *name, *base, *location, *url;
        unsigned scope;
    } rows[] = {
        {"no zone", NULL, "http://[fe80::1]/", "http://[fe80::1]/", 0},
        {"an interface by its name", NULL, "http://[fe80::1%25lo]/x", "http://[fe80::1%25lo]/x",
         LOOPBACK_SCOPE},
        {"whose % is not written as %25", NULL, "http://[fe80::1%lo]/", "http://[fe80::1%25lo]/",
         LOOPBACK_SCOPE},
        {"a path keeps the zone", "http://[fe80::1%25lo]/x", "/y", "http://[fe80::1%25lo]/y",
         LOOPBACK_SCOPE},
        {"by its number", NULL, "http://[fe80::1%2517]/", "http://[fe80::1%2517]/", 17},
        {"one that is not there", NULL, "http://[fe80::1%25nothing]/",
         "http://[fe80::1%25nothing]/", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct target target = {0};
        struct err err;

        print_message("  %s\n", rows[i].name);
        assert_int_equal(target_parse(rows[i].base, rows[i].location, &target, &err), 0);
        assert_string_equal(target.url, rows[i].url);
        assert_string_equal(target.host, "fe80::1");
        assert_int_equal(target.scope, rows[i].scope);
        target_free(&target);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locations_are_resolved),
        cmocka_unit_test(zones_are_interfaces),
        cmocka_unit_test(a_url_read_without_libcurl_reads_as_with_it),
        cmocka_unit_test(libcurl_is_told_what_the_url_says),
        cmocka_unit_test(a_url_too_long_is_refused),
        cmocka_unit_test(origins_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
