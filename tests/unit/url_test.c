#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/url.h"

#define TEXT(literal) ((char *)(uintptr_t)(literal))
#define LABEL_63 "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-123456789"

struct refused {
    const char *name, *text, *message;
};

static const struct refused refused[] = {
    {"nothing", "", "url: must begin with http:// or https://"},
    {"a scheme alone", "http://", "url: has no host"},
    {"no scheme", "example.com", "url: must begin with http:// or https://"},
    {"another scheme", "ftp://example.com/", "url: must begin with http:// or https://"},
    {"a file", "file:///etc/passwd", "url: must begin with http:// or https://"},
    {"one slash", "http:/example.com/", "url: must begin with http:// or https://"},
    {"three slashes", "http:///path", "url: has no host"},
    {"a query for a host", "http://?x", "url: has no host"},
    {"a fragment for a host", "https://#x", "url: has no host"},
    {"a port alone", "http://:80/", "url: has no host"},
    {"credentials alone", "http://user:pass@/", "url: has no host"},
    {"credentials and a port", "http://user@:80/", "url: has no host"},
    {"a space in the host", "http://a b/",
     "url: holds a space or control character, write it as %XX"},
    {"a space in the path", "http://a/b c",
     "url: holds a space or control character, write it as %XX"},
    {"a space at the end", "http://a/ ",
     "url: holds a space or control character, write it as %XX"},
    {"a line end", "http://a/\r\nHost: b",
     "url: holds a space or control character, write it as %XX"},
    {"a DEL", "http://a/\x7f", "url: holds a space or control character, write it as %XX"},
    {"two @", "http://a@b@c/",
     "url: has two @ before the path, write one in a name or password as %40"},
    {"a host that is not ASCII",
     "http://b\xc3\xbc"
     "cher.example/",
     "url: has a host that is not ASCII, write it in punycode (xn--...)"},
    {"a host that is not even UTF-8", "http://b\xff/",
     "url: has a host that is not ASCII, write it in punycode (xn--...)"},
    {"port 0", "http://a:0/", "url: has the port 0, want 1..65535"},
    {"an empty label", "http://a..b/", "url: has a host with an empty label"},
    {"a dot for a host", "http://./", "url: has a host with an empty label"},
    {"a dot before the host", "http://.a/", "url: has a host with an empty label"},
    {"a label of 64 bytes", "http://x" LABEL_63 "/",
     "url: has a host with a label longer than 63 bytes"},
    {"a host of 254 bytes", "http://" LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_63 "/",
     "url: has a host longer than 253 bytes"},
    {"five numbers", "http://1.2.3.4.5/",
     "url: has a host that ends in a number but is no IPv4 address"},
    {"a number over 255", "http://999.1.1.1/",
     "url: has a host that ends in a number but is no IPv4 address"},
    {"a host that decodes to what is not ASCII", "http://8%880/",
     "url: has a host with a character other than letters, digits, - . and _"},
    {"a plus in the host", "http://a+b/", NULL},
    {"a port of six digits", "http://a:100000/", NULL},
    {"a port of letters", "http://a:http/", NULL},
    {"a bracket that stays open", "http://[::1/", NULL},
    {"an IPv6 address with letters", "http://[::g]/", NULL},
    {"a backslash in the host", "http://a\\b/", NULL},
    {"a NUL in the host", "http://a%00/", NULL},
    {"a NUL in the password", "http://u:p%00@a/", NULL},
    {"a line end in the user", "http://u%0d:p@a/", NULL},
};

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct url url = {.port = 7};
        struct err err = {0};
        int rc = url_parse(refused[i].text, &url, &err);

        if (rc != -1 || err.kind != ERR_INVALID || url.port != 7 ||
            strncmp(err.message, "url: ", 5) != 0 || strlen(err.message) < 10 ||
            (refused[i].message != NULL && strcmp(err.message, refused[i].message) != 0)) {
            fail_msg("%s: got %d '%s'", refused[i].name, rc, err.message);
        }
    }
}

static const struct {
    const char *name, *from;
    struct url url;
} taken[] = {
    {"a host alone",
     "http://example.com",
     {TEXT("http://example.com/"), TEXT("example.com"), NULL, NULL, 80, false}},
    {"capital letters in the scheme",
     "HTTPS://Example.com/A?b=C",
     {TEXT("https://Example.com/A?b=C"), TEXT("Example.com"), NULL, NULL, 443, true}},
    {"the default port goes",
     "https://a:443/",
     {TEXT("https://a/"), TEXT("a"), NULL, NULL, 443, true}},
    {"another port stays",
     "http://a:65535/",
     {TEXT("http://a:65535/"), TEXT("a"), NULL, NULL, 65535, false}},
    {"the fragment goes", "http://a/b#c", {TEXT("http://a/b"), TEXT("a"), NULL, NULL, 80, false}},
    {"credentials are decoded and taken out",
     "http://u%40x:p%3aq@a/",
     {TEXT("http://a/"), TEXT("a"), TEXT("u@x"), TEXT("p:q"), 80, false}},
    {"a user alone", "http://u@a/", {TEXT("http://a/"), TEXT("a"), TEXT("u"), NULL, 80, false}},
    {"a password alone",
     "http://:p@a/",
     {TEXT("http://a/"), TEXT("a"), TEXT(""), TEXT("p"), 80, false}},
    {"no credentials before the @",
     "http://@a/",
     {TEXT("http://a/"), TEXT("a"), NULL, NULL, 80, false}},
    {"an @ in the path", "http://a/@b", {TEXT("http://a/@b"), TEXT("a"), NULL, NULL, 80, false}},
    {"dots in the path are resolved",
     "http://a/../b/./c",
     {TEXT("http://a/b/c"), TEXT("a"), NULL, NULL, 80, false}},
    {"bytes that are not ASCII in the path are encoded",
     "http://a/\xc3\xbc",
     {TEXT("http://a/%c3%bc"), TEXT("a"), NULL, NULL, 80, false}},
    {"an IPv6 address",
     "http://[::1]:8080/",
     {TEXT("http://[::1]:8080/"), TEXT("::1"), NULL, NULL, 8080, false}},
    {"an IPv6 address with a zone",
     "http://[fe80::1%25eth0]/",
     {TEXT("http://[fe80::1%25eth0]/"), TEXT("fe80::1"), NULL, NULL, 80, false}},
    {"an IPv4 address as one number",
     "http://2130706433/",
     {TEXT("http://127.0.0.1/"), TEXT("127.0.0.1"), NULL, NULL, 80, false}},
    {"a dot at the end of the host",
     "http://a.b./",
     {TEXT("http://a.b./"), TEXT("a.b."), NULL, NULL, 80, false}},
    {"an underscore in the host",
     "http://a_b.c/",
     {TEXT("http://a_b.c/"), TEXT("a_b.c"), NULL, NULL, 80, false}},
};

static bool same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcasecmp(a, b) == 0;
}

static void takes_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        const struct url *want = &taken[i].url;
        struct url url;
        struct err err = {0};

        if (url_parse(taken[i].from, &url, &err) < 0) {
            fail_msg("%s: %s", taken[i].name, err.message);
        }
        if (!same(url.text, want->text) || !same(url.host, want->host) ||
            !same(url.user, want->user) || !same(url.password, want->password) ||
            url.port != want->port || url.tls != want->tls) {
            fail_msg("%s: got %s host %s user %s password %s port %d", taken[i].name, url.text,
                     url.host, url.user, url.password, url.port);
        }
        url_free(&url);
        assert_null(url.text);
    }
}

static void has_a_ceiling(void **state)
{
    char text[URL_BYTES_MAX + 2] = "http://a/";
    struct url url;
    struct err err;

    (void)state;
    memset(text + 9, 'x', sizeof(text) - 9);
    text[URL_BYTES_MAX + 1] = '\0';
    assert_int_equal(url_parse(text, &url, &err), -1);
    assert_string_equal(err.message, "url: longer than 2048 bytes");
    text[URL_BYTES_MAX] = '\0';
    assert_int_equal(url_parse(text, &url, &err), 0);
    assert_int_equal(strlen(url.text), URL_BYTES_MAX);
    url_free(&url);
    text[URL_BYTES_MAX - 1] = '\xff';
    assert_int_equal(url_parse(text, &url, &err), -1);
    assert_string_equal(err.message, "url: longer than 2048 bytes when it is encoded");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses),
        cmocka_unit_test(takes_apart),
        cmocka_unit_test(has_a_ceiling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
