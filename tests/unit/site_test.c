#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/site.h"
#include "common/textfile.h"

/* The tests run from the root of the repository. */
#define READABLE "tests/unit/site_test.c"
#define PAGE_BYTES_MAX (1024 * 1024)
#define LARGE_BYTES (SITE_BODY_BYTES_MAX + 2)

#define T(literal)                                                                                 \
    {                                                                                              \
        .type = SITE_VALUE_TEXT, .text = (literal)                                                 \
    }
#define I(number)                                                                                  \
    {                                                                                              \
        .type = SITE_VALUE_INT, .integer = (number)                                                \
    }
#define B(truth)                                                                                   \
    {                                                                                              \
        .type = SITE_VALUE_BOOL, .boolean = (truth)                                                \
    }
#define L(...)                                                                                     \
    {                                                                                              \
        .type = SITE_VALUE_LIST, .list = (const char *const[])                                     \
        {                                                                                          \
            __VA_ARGS__, NULL                                                                      \
        }                                                                                          \
    }
#define EMPTY_LIST                                                                                 \
    {                                                                                              \
        .type = SITE_VALUE_LIST, .list = (const char *const[])                                     \
        {                                                                                          \
            NULL                                                                                   \
        }                                                                                          \
    }
#define OTHER                                                                                      \
    {                                                                                              \
        .type = SITE_VALUE_OTHER                                                                   \
    }

static char large[LARGE_BYTES]; /* 'x's; each test that needs it puts the end */
static char secret_path[] = "/tmp/site_test.XXXXXX";

struct refused {
    const char *name, *option;
    struct site_value value;
    const char *message; /* NULL: only that it begins with the option */
};

static const struct refused refused[] = {
    {"a misspelt option", "secnds", I(5), "no such option: secnds (did you mean seconds?)"},
    {"an option that is like none", "zzzzzz", I(5),
     "no such option: zzzzzz (sitewatch-targets(5) lists the options)"},
    {"an option without a name", "", I(5),
     "no such option:  (sitewatch-targets(5) lists the options)"},
    {"an option in capitals", "URL", T("http://a/"),
     "no such option: URL (sitewatch-targets(5) lists the options)"},
    {"an empty url", "url", T(""), "url: is empty"},
    {"a url without a host", "url", T("http://"), "url: has no host"},
    {"a url that is a list", "url", L("http://a/"), "url: want a text in quotes"},
    {"an empty name", "name", T(""), "name: is empty"},
    {"a name with a line end", "name", T("a\nb"),
     "name: holds a control character (byte 1 is 0x0a)"},
    {"a name with a DEL", "name", T("a\x7f"), "name: holds a control character (byte 1 is 0x7f)"},
    {"a name that begins with a space", "name", T(" a"), "name: begins or ends with a space"},
    {"a name that ends with a space", "name", T("a "), "name: begins or ends with a space"},
    {"a name that is not UTF-8", "name", T("a\xc3"), "name: not UTF-8 at byte 1, save it as UTF-8"},
    {"no seconds", "seconds", I(0), "seconds: 0 is not in 1..86400"},
    {"negative seconds", "seconds", I(-1), "seconds: -1 is not in 1..86400"},
    {"seconds of more than a day", "seconds", I(86401), "seconds: 86401 is not in 1..86400"},
    {"seconds that are 5 in 32 bits", "seconds", I(INT64_C(4294967301)),
     "seconds: 4294967301 is not in 1..86400"},
    {"the least number", "seconds", I(INT64_MIN), NULL},
    {"seconds as a text", "seconds", T("5"),
     "seconds: want a whole number in 1..86400, without quotes"},
    {"seconds as a bool", "seconds", B(true), NULL},
    {"seconds with a fraction", "seconds", OTHER, NULL},
    {"a pattern that is open", "pattern", T("a(b"),
     "pattern: missing closing parenthesis at offset 3"},
    {"a header pattern that is open", "header_pattern", T("a(b"),
     "header_pattern: missing closing parenthesis at offset 3"},
    {"a path of JSON without its dollar", "json_path", T("a.b"),
     "json_path: expected $ at offset 0"},
    {"a pattern that must be absent and is open", "pattern_absent", T("a(b"),
     "pattern_absent: missing closing parenthesis at offset 3"},
    {"a method in small letters", "method", T("get"),
     "method: 'get' is not upper-case letters, such as GET or POST"},
    {"a method with a line end", "method", T("GET\r\n"), NULL},
    {"a method for proxies", "method", T("CONNECT"),
     "method: CONNECT is for proxies, want GET, HEAD, POST, ..."},
    {"a method of 33 letters", "method", T("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG"),
     "method: longer than 32 bytes"},
    {"headers as one text", "headers", T("A: b"),
     "headers: want a list of texts: [ \"...\", \"...\" ]"},
    {"a header without a colon", "headers", L("A: b", "C"), "headers: 'C' is not \"Name: value\""},
    {"a header without a name", "headers", L(": b"), "headers: '' is not \"Name: value\""},
    {"a header with a space in its name", "headers", L("A b: c"),
     "headers: 'A b' is not \"Name: value\""},
    {"a header with a space before its colon", "headers", L("A : c"),
     "headers: 'A ' is not \"Name: value\""},
    {"a header without a value", "headers", L("A: "), "headers: A has no value"},
    {"a header with a line end", "headers", L("A: b\r\nC: d"),
     "headers: A has a control character in its value"},
    {"a header with a DEL", "headers", L("A: \x7f"),
     "headers: A has a control character in its value"},
    {"a header of ours", "headers", L("content-LENGTH: 5"),
     "headers: Content-Length is made from the request itself, leave it out"},
    {"another header of ours", "headers", L("Transfer-Encoding: chunked"), NULL},
    {"a third header of ours", "headers", L("Connection: close"), NULL},
    {"an empty header", "headers", L(""), "headers: an empty text, leave it out"},
    {"33 headers", "headers",
     L("A: 0", "A: 1", "A: 2", "A: 3", "A: 4", "A: 5", "A: 6", "A: 7", "A: 8", "A: 9", "A: 10",
       "A: 11", "A: 12", "A: 13", "A: 14", "A: 15", "A: 16", "A: 17", "A: 18", "A: 19", "A: 20",
       "A: 21", "A: 22", "A: 23", "A: 24", "A: 25", "A: 26", "A: 27", "A: 28", "A: 29", "A: 30",
       "A: 31", "A: 32"),
     "headers: more than 32 of them"},
    {"status that is empty", "status", T(""),
     "status: '' is not a list of codes and ranges in 100..999, such as 200-299,301"},
    {"status of two digits", "status", T("99"), NULL},
    {"status of four digits", "status", T("1000"), NULL},
    {"status of very many digits", "status", T("99999999999999999999999"), NULL},
    {"status without an end", "status", T("200-"), NULL},
    {"status without a beginning", "status", T("-299"), NULL},
    {"status that ends with a comma", "status", T("200,"), NULL},
    {"status with two commas", "status", T("200,,301"), NULL},
    {"status with two dashes", "status", T("200-299-301"), NULL},
    {"status with letters", "status", T("2xx"), NULL},
    {"status backwards", "status", T("299-200"), "status: the range 299-200 ends before it begins"},
    {"status of 17 ranges", "status",
     T("100,101,102,103,104,105,106,107,108,109,110,111,112,113,114,115,116"),
     "status: has more than 16 ranges"},
    {"status as a number that is none", "status", I(5), NULL},
    {"status as a bool", "status", B(true), "status: want a text in quotes"},
    {"a timeout of nothing", "timeout_ms", I(0), "timeout_ms: 0 is not in 1..86400000"},
    {"slow before it began", "slow_ms", I(-1), "slow_ms: -1 is not in 0..86400000"},
    {"21 redirects", "max_redirects", I(21), "max_redirects: 21 is not in 0..20"},
    {"a body of nothing", "max_body_bytes", I(0), "max_body_bytes: 0 is not in 1..67108864"},
    {"a body of more than 64 MiB", "max_body_bytes", I(67108865), NULL},
    {"a bool as a number", "verify_tls", I(0), "verify_tls: want true or false, without quotes"},
    {"a bool as a text", "enabled", T("true"), "enabled: want true or false, without quotes"},
    {"an IP version that is none", "ip_version", T("5"), "ip_version: '5' is not any, 4 or 6"},
    {"an IP version that is none, as a number", "ip_version", I(46), NULL},
    {"an HTTP version that is none", "http_version", T("3"),
     "http_version: '3' is not any, 1.1 or 2"},
    {"an HTTP version with a fraction", "http_version", OTHER,
     "http_version: want any, 1.1 or 2, in quotes"},
    {"a TLS version that is none", "min_tls", T("1.1"), "min_tls: '1.1' is not any, 1.2 or 1.3"},
    {"a file that is missing", "ca_file", T("/nowhere/ca.pem"),
     "ca_file: /nowhere/ca.pem: No such file or directory"},
    {"a file that is a folder", "cert_file", T("/tmp"), "cert_file: /tmp: Is a directory"},
    {"a key that is missing", "key_file", T("/nowhere/key.pem"), NULL},
    {"cert_days of eleven years", "cert_days", I(4000), "cert_days: 4000 is not in 0..3650"},
    {"a user name with a colon", "username", T("a:b"),
     "username: holds a ':', which ends a user name (RFC 7617)"},
    {"a user name with a line end", "username", T("a\r"), NULL},
    {"a password with a NUL's neighbour", "password", T("hunter\x01"),
     "password: holds a control character (byte 6 is 0x01)"},
    {"a token with its scheme", "bearer_token", T("Bearer hunter2"),
     "bearer_token: holds a space; give the token alone, without \"Bearer\""},
    {"a token with a line end", "bearer_token", T("hunter2\r\nX:y"), NULL},
    {"a secret's file that is missing", "password_file", T("/nowhere/secret"),
     "password_file: /nowhere/secret: No such file or directory"},
    {"a secret's file that is a number", "password_file", I(1),
     "password_file: want a text in quotes"},
    {"a secret's file without a name", "password_file", T(""), NULL},
    {"a name to resolve to", "resolve_to", T("localhost"),
     "resolve_to: 'localhost' is not a numeric address, such as 192.0.2.1 or 2001:db8::1"},
    {"a proxy of another kind", "proxy", T("ftp://a:1"),
     "proxy: must begin with http://, https://, socks5:// or socks5h://"},
    {"a proxy without a port", "proxy", T("http://u:hunter2@a"), "proxy: has no port"},
    {"an address with a port", "resolve_to", T("192.0.2.1:80"), NULL},
    {"an address in brackets", "resolve_to", T("[::1]"), NULL},
    {"no failure opens an incident", "failures", I(0), "failures: 0 is not in 1..1000"},
    {"failures of more than a thousand", "failures", I(1001), "failures: 1001 is not in 1..1000"},
    {"no location agrees", "quorum", I(0), "quorum: 0 is not in 1..100"},
    {"a tag of 65 bytes", "tags",
     L("12345678901234567890123456789012345678901234567890123456789012345"),
     "tags: longer than 64 bytes"},
    {"17 tags", "tags",
     L("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q"),
     "tags: more than 16 of them"},
    {"tags as a number", "tags", I(1), NULL},
};

static void refuses_a_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        const struct refused *row = &refused[i];
        struct site site, fresh;
        struct err err = {0};

        site_init(&site);
        site_init(&fresh);
        int rc = site_set(&site, row->option, &row->value, &err);
        bool as_told = row->message == NULL
                           ? strncmp(err.message, row->option, strlen(row->option)) == 0 &&
                                 err.message[strlen(row->option)] == ':'
                           : strcmp(err.message, row->message) == 0;

        if (rc != -1 || err.kind != ERR_INVALID || !as_told || !site_equal(&site, &fresh)) {
            fail_msg("%s: got %d '%s'", row->name, rc, err.message);
        }
        if (strstr(err.message, "hunter") != NULL) {
            fail_msg("%s: a secret in '%s'", row->name, err.message);
        }
        site_free(&site);
    }
}

static void set(struct site *site, const char *option, const struct site_value *value)
{
    struct err err = {0};

    if (site_set(site, option, value, &err) < 0) {
        fail_msg("%s", err.message);
    }
}

static void set_text(struct site *site, const char *option, const char *text)
{
    set(site, option, &(struct site_value)T(text));
}

static void set_int(struct site *site, const char *option, int64_t value)
{
    set(site, option, &(struct site_value)I(value));
}

static void finish(struct site *site)
{
    struct err err = {0};

    if (site_finish(site, &err) < 0) {
        fail_msg("%s", err.message);
    }
}

static void start(struct site *site)
{
    site_init(site);
    set_text(site, "url", "http://a/");
}

static void texts_have_ceilings(void **state)
{
    static const struct {
        const char *option;
        size_t bytes_max;
    } rows[] = {{"name", SITE_NAME_BYTES_MAX},
                {"body", SITE_BODY_BYTES_MAX},
                {"pattern", 4096},
                {"password", 4096},
                {"username", 4096},
                {"tags", 64}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *list[] = {large, NULL};
        bool tags = strcmp(rows[i].option, "tags") == 0;
        struct site_value value = {
            .type = tags ? SITE_VALUE_LIST : SITE_VALUE_TEXT, .text = large, .list = list};
        struct site site;
        struct err err = {0};
        char message[64];

        memset(large, 'x', LARGE_BYTES);
        large[rows[i].bytes_max] = '\0';
        start(&site);
        set(&site, rows[i].option, &value);
        large[rows[i].bytes_max] = 'x';
        large[rows[i].bytes_max + 1] = '\0';
        assert_int_equal(site_set(&site, rows[i].option, &value, &err), -1);
        snprintf(message, sizeof(message), "%s: longer than %zu bytes", rows[i].option,
                 rows[i].bytes_max);
        assert_string_equal(err.message, message);
        site_free(&site);
    }
}

static void empty_takes_away(void **state)
{
    struct site site, fresh;

    (void)state;
    site_init(&site);
    site_init(&fresh);
    set_text(&site, "pattern", "a");
    set_text(&site, "password", "b");
    set_text(&site, "ca_file", READABLE);
    set(&site, "tags", &(struct site_value)L("a"));
    assert_false(site_equal(&site, &fresh));
    set_text(&site, "pattern", "");
    set_text(&site, "password", "");
    set_text(&site, "ca_file", "");
    set(&site, "tags", &(struct site_value)EMPTY_LIST);
    assert_true(site_equal(&site, &fresh));
    site_free(&site);
}

static void status_codes(void **state)
{
    static const struct {
        const char *text;
        int in, out;
    } rows[] = {{"200", 200, 201},
                {"100-999", 100, 99},
                {"100-999", 999, 1000},
                {"200-299,301", 301, 300},
                {" 200 - 299 , 301 ", 299, 302},
                {"404,200", 404, 0}};
    struct site site;

    (void)state;
    site_init(&site);
    assert_true(status_set_has(&site.status, 200));
    assert_true(status_set_has(&site.status, 399));
    assert_false(status_set_has(&site.status, 400));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        set_text(&site, "status", rows[i].text);
        if (!status_set_has(&site.status, rows[i].in) ||
            status_set_has(&site.status, rows[i].out)) {
            fail_msg("%s", rows[i].text);
        }
    }
    set_int(&site, "status", 204);
    assert_true(status_set_has(&site.status, 204));
    assert_false(status_set_has(&site.status, 200));
    site_free(&site);
}

static void numbers_may_stand_for_versions(void **state)
{
    struct site site;

    (void)state;
    site_init(&site);
    set_int(&site, "ip_version", 6);
    assert_int_equal(site.ip_version, SITE_IP_6);
    set_text(&site, "ip_version", "ANY");
    assert_int_equal(site.ip_version, SITE_IP_ANY);
    set_int(&site, "http_version", 2);
    assert_int_equal(site.http_version, SITE_HTTP_2);
    set_text(&site, "http_version", "1.1");
    assert_int_equal(site.http_version, SITE_HTTP_1_1);
    set_text(&site, "min_tls", "1.2");
    assert_int_equal(site.min_tls, SITE_TLS_1_2);
    site_free(&site);
}

static void write_secret(const char *text, size_t len)
{
    FILE *file = fopen(secret_path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    fclose(file);
}

static void secrets_from_files(void **state)
{
    static const struct {
        const char *name, *text;
        size_t len;
        const char *value, *message;
    } rows[] = {
        {"a newline is taken off", "hunter2\n", 8, "hunter2", NULL},
        {"an empty file", "", 0, NULL, "is empty"},
        {"a newline alone", "\n", 1, NULL, "is empty"},
        {"two lines", "hunter\n2\n", 9, NULL, "holds a control character (byte 6 is 0x0a)"},
        {"a NUL", "hunter\0", 7, NULL, "holds a NUL byte, want one line of text"},
        {"bytes that are not UTF-8", "hunter\xff", 7, NULL,
         "not UTF-8 at byte 6, save it as UTF-8"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct site site;
        struct err err = {0};
        char message[256];

        site_init(&site);
        write_secret(rows[i].text, rows[i].len);
        int rc = site_set(&site, "password_file", &(struct site_value)T(secret_path), &err);

        snprintf(message, sizeof(message), "password_file: %s: %s", secret_path, rows[i].message);
        if (rows[i].value != NULL ? rc != 0 || strcmp(site.password, rows[i].value) != 0
                                  : rc != -1 || strcmp(err.message, message) != 0) {
            fail_msg("%s: got %d '%s'", rows[i].name, rc, err.message);
        }
        site_free(&site);
    }
}

struct between {
    const char *name;
    const char *options[6]; /* pairs of option and text */
    int64_t seconds, timeout_ms;
    const char *message;
};

static const struct between between[] = {
    {"a timeout longer than the interval",
     {NULL},
     5,
     5001,
     "timeout_ms: 5001 is more than the interval of 5 s; lower it or raise seconds"},
    {"a body with GET",
     {"body", "x", "method", "GET"},
     0,
     0,
     "body: not with method GET, use POST or PUT"},
    {"a body with HEAD",
     {"body", "x", "method", "HEAD"},
     0,
     0,
     "body: not with method HEAD, use POST or PUT"},
    {"a certificate without a key", {"cert_file", READABLE}, 0, 0, "cert_file: needs key_file"},
    {"a key without a certificate", {"key_file", READABLE}, 0, 0, "key_file: needs cert_file"},
    {"a value of JSON without a path", {"json_value", "1"}, 0, 0, "json_value: needs json_path"},
    {"a password without a user", {"password", "hunter2"}, 0, 0, "password: needs username"},
    {"a password in the url without a user",
     {"url", "http://:hunter2@a/"},
     0,
     0,
     "password: needs username"},
    {"a token and a user",
     {"bearer_token", "hunter2", "username", "u"},
     0,
     0,
     "bearer_token: not with username, keep one of them"},
    {"a token and a user in the url",
     {"bearer_token", "x", "url", "http://u:hunter2@a/"},
     0,
     0,
     "bearer_token: not with username, keep one of them"},
    {"two users",
     {"username", "u", "url", "http://u:hunter2@a/"},
     0,
     0,
     "url: holds a user, and username or password is given too; keep one"},
    {"two passwords",
     {"password", "p", "url", "http://u:hunter2@a/"},
     0,
     0,
     "url: holds a user, and username or password is given too; keep one"},
    {"a colon in the url's user",
     {"url", "http://u%3ax:hunter2@a/"},
     0,
     0,
     "username: holds a ':', which ends a user name (RFC 7617)"},
    {"a proxy and an address",
     {"proxy", "http://a:1", "resolve_to", "192.0.2.1"},
     0,
     0,
     "proxy: not with resolve_to, keep one of them"},
    {"an IPv4 address where IPv6 is wanted",
     {"resolve_to", "192.0.2.1", "ip_version", "6"},
     0,
     0,
     "resolve_to: 192.0.2.1 is not of ip_version 6"},
    {"an IPv6 address where IPv4 is wanted",
     {"resolve_to", "::1", "ip_version", "4"},
     0,
     0,
     "resolve_to: ::1 is not of ip_version 4"},
};

static void refuses_what_does_not_go_together(void **state)
{
    struct site none;
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(between) / sizeof(between[0]); i++) {
        const struct between *row = &between[i];
        struct site site;

        start(&site);
        for (size_t j = 0; j + 1 < 6 && row->options[j] != NULL; j += 2) {
            set_text(&site, row->options[j], row->options[j + 1]);
        }
        if (row->seconds > 0) {
            set_int(&site, "seconds", row->seconds);
            set_int(&site, "timeout_ms", row->timeout_ms);
        }
        int rc = site_finish(&site, &err);

        if (rc != -1 || err.kind != ERR_INVALID || strcmp(err.message, row->message) != 0) {
            fail_msg("%s: got %d '%s'", row->name, rc, err.message);
        }
        site_free(&site);
    }
    site_init(&none);
    assert_int_equal(site_finish(&none, &err), -1);
    assert_string_equal(err.message, "url: is missing, give each site one");
    site_free(&none);
}

static void all_attempts_fit_in_the_interval(void **state)
{
    static const struct {
        const char *name;
        int64_t seconds, retries, retry_seconds, timeout_ms; /* 0: not given */
        int32_t expected_ms;                                 /* 0: refused */
        const char *message;
    } rows[] = {
        {"a millisecond too long", 5, 1, 1, 2001, 0,
         "retries: 2 attempts of 2001 ms and 1 waits of 1 s take 5002 ms, more than the interval "
         "of 5 s; lower retries, retry_seconds or timeout_ms, or raise seconds"},
        {"waits that fill the interval", 5, 5, 1, 0, 0,
         "retries: 6 attempts of 1 ms and 5 waits of 1 s take 5006 ms, more than the interval of "
         "5 s; lower retries, retry_seconds or timeout_ms, or raise seconds"},
        {"the longest there can be", 86400, 5, 86400, 86400000, 0,
         "retries: 6 attempts of 86400000 ms and 5 waits of 86400 s take 950400000 ms, more than "
         "the interval of 86400 s; lower retries, retry_seconds or timeout_ms, or raise seconds"},
        {"just so", 5, 1, 1, 2000, 2000, NULL},
        {"the time that is left for each", 10, 2, 2, 0, 2000, NULL},
        {"more than enough", 60, 2, 5, 0, 10000, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct site site;
        struct err err;

        print_message("  %s\n", rows[i].name);
        start(&site);
        set_int(&site, "seconds", rows[i].seconds);
        set_int(&site, "retries", rows[i].retries);
        set_int(&site, "retry_seconds", rows[i].retry_seconds);
        if (rows[i].timeout_ms > 0) {
            set_int(&site, "timeout_ms", rows[i].timeout_ms);
        }
        assert_int_equal(site_finish(&site, &err), rows[i].expected_ms == 0 ? -1 : 0);
        if (rows[i].expected_ms == 0) {
            assert_string_equal(err.message, rows[i].message);
        } else {
            assert_int_equal(site.timeout_ms, rows[i].expected_ms);
        }
        site_free(&site);
    }
}

static void a_site_put_together_by_hand_is_checked(void **state)
{
    struct site site;
    struct err err;

    (void)state;
    site_init(&site);
    site.url = strdup("gopher://a/");
    assert_int_equal(site_finish(&site, &err), -1);
    assert_string_equal(err.message, "url: must begin with http:// or https://");
    site_free(&site);
}

static void what_follows_from_other_options(void **state)
{
    struct site site;

    (void)state;
    start(&site);
    set_text(&site, "url", "HTTPS://u:p%40w@example.com:443/a/../b#c");
    set_int(&site, "seconds", 5);
    finish(&site);
    assert_string_equal(site.url, "https://example.com/b");
    assert_string_equal(site.name, "https://example.com/b");
    assert_string_equal(site.username, "u");
    assert_string_equal(site.password, "p@w");
    assert_int_equal(site.timeout_ms, 5000);
    finish(&site); /* once more changes nothing */
    assert_string_equal(site.password, "p@w");
    site_free(&site);
    start(&site);
    set_text(&site, "url", "http://u@a/");
    set_int(&site, "seconds", 11);
    set_text(&site, "name", "b");
    set_text(&site, "body", "x");
    set_text(&site, "method", "PATCH");
    set_text(&site, "cert_file", READABLE);
    set_text(&site, "key_file", READABLE);
    set_text(&site, "resolve_to", "::1");
    set_text(&site, "ip_version", "6");
    finish(&site);
    assert_string_equal(site.name, "b");
    assert_null(site.password);
    assert_int_equal(site.timeout_ms, 10000);
    site_free(&site);
}

/* One value other than the default for each option. */
static const struct {
    const char *option;
    struct site_value value;
} changes[] = {
    {"url", T("http://b/")},
    {"name", T("n")},
    {"seconds", I(7)},
    {"pattern", T("p")},
    {"pattern_absent", T("p")},
    {"header_pattern", T("p")},
    {"json_path", T("$.a[0]")},
    {"json_value", T("1")},
    {"method", T("PUT")},
    {"headers", L("A: b", "X-Api-Key: hunter2", "COOKIE: hunter2", "Authorization: hunter2")},
    {"body", T("\"x\n")},
    {"status", T("200-299,301")},
    {"timeout_ms", I(500)},
    {"retries", I(2)},
    {"retry_seconds", I(2)},
    {"slow_ms", I(400)},
    {"follow_redirects", B(false)},
    {"max_redirects", I(0)},
    {"max_body_bytes", I(1)},
    {"ip_version", T("4")},
    {"http_version", T("2")},
    {"verify_tls", B(false)},
    {"ca_file", T(READABLE)},
    {"cert_file", T(READABLE)},
    {"key_file", T(READABLE)},
    {"min_tls", T("1.3")},
    {"cert_days", I(14)},
    {"username", T("u")},
    {"username_file", T(READABLE)},
    {"password", T("hunter2")},
    {"password_file", T(READABLE)},
    {"bearer_token", T("hunter2")},
    {"bearer_token_file", T(READABLE)},
    {"resolve_to", T("192.0.2.1")},
    {"proxy", T("http://u:hunter2@a:1")},
    {"allow_private", B(false)},
    {"reuse_connection", B(true)},
    {"tls_resume", B(true)},
    {"failures", I(3)},
    {"quorum", I(2)},
    {"enabled", B(false)},
    {"tags", L("t", "u")},
};

static bool is_file_twin(const char *option)
{
    size_t len = strlen(option);

    return strncmp(option, "ca_", 3) != 0 && strncmp(option, "cert_", 5) != 0 &&
           strncmp(option, "key_", 4) != 0 && len > 5 && strcmp(option + len - 5, "_file") == 0;
}

static void every_option_is_compared_and_copied(void **state)
{
    size_t count = 0;

    (void)state;
    for (; site_option_doc(count) != NULL; count++) {
        const char *option = changes[count].option;
        struct site a, b;

        assert_string_equal(option, site_option_doc(count)->name);
        if (is_file_twin(option)) {
            continue;
        }
        start(&a);
        start(&b);
        set(&b, option, &changes[count].value);
        if (site_equal(&a, &b) || site_equal(&b, &a)) {
            fail_msg("%s is not compared", option);
        }
        site_free(&a);
        site_copy(&a, &b);
        if (!site_equal(&a, &b)) {
            fail_msg("%s is not copied", option);
        }
        site_free(&b); /* and the copy owns its own */
        start(&b);
        set(&b, option, &changes[count].value);
        assert_true(site_equal(&a, &b));
        b.id = 5;
        assert_false(site_equal(&a, &b));
        site_free(&a);
        site_free(&b);
    }
    assert_int_equal(count, sizeof(changes) / sizeof(changes[0]));
}

static void lists_and_codes_of_other_lengths_differ(void **state)
{
    struct site a, b;

    (void)state;
    start(&a);
    start(&b);
    set(&a, "tags", &(struct site_value)L("x", "y"));
    set(&b, "tags", &(struct site_value)L("x"));
    assert_false(site_equal(&a, &b));
    assert_false(site_equal(&b, &a));
    set(&b, "tags", &(struct site_value)L("x", "z"));
    assert_false(site_equal(&a, &b));
    set(&b, "tags", &(struct site_value)L("x", "y"));
    assert_true(site_equal(&a, &b));
    set_text(&a, "status", "200-299");
    set_text(&b, "status", "200-298");
    assert_false(site_equal(&a, &b));
    set_text(&b, "status", "201-299");
    assert_false(site_equal(&a, &b));
    site_free(&a);
    site_free(&b);
}

static void a_proxy_takes_things_out_of_our_hands(void **state)
{
    static const struct {
        const char *option;
        bool value;
        const char *message;
    } rows[] = {
        {"allow_private", false, "proxy: not with allow_private = false"},
        {"reuse_connection", true, "proxy: not with reuse_connection"},
    };
    struct site site;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        start(&site);
        set_text(&site, "proxy", "socks5://u:hunter2@a:1");
        set(&site, rows[i].option,
            &(struct site_value){.type = SITE_VALUE_BOOL, .boolean = rows[i].value});
        assert_int_equal(site_finish(&site, &err), -1);
        assert_non_null(strstr(err.message, rows[i].message));
        site_free(&site);
    }
    start(&site);
    set_text(&site, "proxy", "socks5://u:hunter2@a:1");
    finish(&site);

    char *json = site_config_json(&site);

    assert_null(strstr(json, "hunter2"));
    free(json);
    site_free(&site);
}

static void config_names_what_differs(void **state)
{
    struct site site;
    char *json;

    (void)state;
    start(&site);
    finish(&site);
    json = site_config_json(&site);
    assert_string_equal(json, "{\"url\":\"http://a/\"}");
    free(json);
    site_free(&site);
    start(&site);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        if (!is_file_twin(changes[i].option) && strcmp(changes[i].option, "bearer_token") != 0 &&
            strcmp(changes[i].option, "proxy") != 0) { /* these two not with others */
            set(&site, changes[i].option, &changes[i].value);
        }
    }
    finish(&site);
    json = site_config_json(&site);
    assert_string_equal(
        json,
        "{\"url\":\"http://b/\",\"name\":\"n\",\"seconds\":7,\"pattern\":\"p\","
        "\"pattern_absent\":\"p\",\"header_pattern\":\"p\",\"json_path\":\"$.a[0]\",\"json_value\":"
        "\"1\",\"method\":\"PUT\",\"headers\":[\"A: b\"],\"body\":\"\\\"x\\n\","
        "\"status\":\"200-299,301\",\"timeout_ms\":500,\"retries\":2,\"retry_seconds\":2,\"slow_"
        "ms\":400,"
        "\"follow_redirects\":false,\"max_redirects\":0,\"max_body_bytes\":1,"
        "\"ip_version\":\"4\",\"http_version\":\"2\",\"verify_tls\":false,"
        "\"ca_file\":\"" READABLE "\",\"cert_file\":\"" READABLE "\",\"key_file\":\"" READABLE
        "\",\"min_tls\":\"1.3\",\"cert_days\":14,\"username\":\"u\",\"resolve_to\":\"192.0.2.1\","
        "\"allow_private\":false,\"reuse_connection\":true,\"tls_resume\":true,\"failures\":3,"
        "\"quorum\":2,\"enabled\":"
        "false,"
        "\"tags\":[\"t\",\"u\"]}");
    free(json);
    site_free(&site);
}

static char *read_page(const char *path)
{
    char *text;
    size_t len;
    struct err err = {0};

    if (textfile_read(path, PAGE_BYTES_MAX, &text, &len, &err) < 0) {
        fail_msg("%s", err.message);
        return NULL;
    }
    return text;
}

static void the_pages_say_the_same(void **state)
{
    char *page = read_page("docs/sites.md");
    char *manual = read_page("man/sitewatch-targets.5");

    (void)state;
    for (size_t i = 0; site_option_doc(i) != NULL; i++) {
        const struct site_option_doc *doc = site_option_doc(i);
        char row[1024];

        snprintf(row, sizeof(row), "\n| `%s` | %s | %s | %s |\n", doc->name, doc->value,
                 doc->fallback, doc->help);
        if (strstr(page, row) == NULL) {
            fail_msg("docs/sites.md lacks:%s", row);
        }
        snprintf(row, sizeof(row), "\n.It Cm %s\n%c%s.\nValue: %s.\nDefault: %s.\n", doc->name,
                 toupper((unsigned char)doc->help[0]), doc->help + 1, doc->value, doc->fallback);
        if (strstr(manual, row) == NULL) {
            fail_msg("man/sitewatch-targets.5 lacks:%s", row);
        }
    }
    free(page);
    free(manual);
}

static int make_secret(void **state)
{
    int fd = mkstemp(secret_path);

    (void)state;
    return fd < 0 ? -1 : close(fd);
}

static int remove_secret(void **state)
{
    (void)state;
    return unlink(secret_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_a_value),
        cmocka_unit_test(texts_have_ceilings),
        cmocka_unit_test(empty_takes_away),
        cmocka_unit_test(status_codes),
        cmocka_unit_test(numbers_may_stand_for_versions),
        cmocka_unit_test(secrets_from_files),
        cmocka_unit_test(refuses_what_does_not_go_together),
        cmocka_unit_test(all_attempts_fit_in_the_interval),
        cmocka_unit_test(a_site_put_together_by_hand_is_checked),
        cmocka_unit_test(what_follows_from_other_options),
        cmocka_unit_test(every_option_is_compared_and_copied),
        cmocka_unit_test(lists_and_codes_of_other_lengths_differ),
        cmocka_unit_test(a_proxy_takes_things_out_of_our_hands),
        cmocka_unit_test(config_names_what_differs),
        cmocka_unit_test(the_pages_say_the_same),
    };

    return cmocka_run_group_tests(tests, make_secret, remove_secret);
}
