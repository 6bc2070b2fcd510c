#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/targets.h"

/* The tests run from the root of the repository. */
#define BAD "tests/targets/bad/"
#define GOOD "tests/targets/good/"
#define MESSAGE_SIZE 1024

/* A file of BAD and the one line that it is answered with; BAD is left out of the line. */
static const struct {
    const char *file, *message;
} bad[] = {
    {"array_of_two_types", "array_of_two_types.conf:1: mismatched element type in array: all "
                           "values between [ and ] must be of one type"},
    {"bearer_and_username",
     "bearer_and_username.conf:1: bearer_token: not with username, keep one of them"},
    {"body_with_get", "body_with_get.conf:1: body: not with method GET, use POST or PUT"},
    {"ca_file_missing",
     "ca_file_missing.conf:1: ca_file: /nowhere/ca.pem: No such file or directory"},
    {"cert_without_key", "cert_without_key.conf:1: cert_file: needs key_file"},
    {"credentials_twice", "credentials_twice.conf:1: url: holds a user, and username or password "
                          "is given too; keep one"},
    {"defaults_has_a_name",
     "defaults_has_a_name.conf:3: name: is each site's own, take it out of defaults"},
    {"defaults_is_a_list",
     "defaults_is_a_list.conf:1: defaults: want a group { }, this is a list ( )"},
    {"defaults_unknown_key",
     "defaults_unknown_key.conf:1: no such option: timeout (did you mean timeout_ms?)"},
    {"duplicate_key", "duplicate_key.conf:5: duplicate setting name: keep one of the two"},
    {"duplicate_name", "duplicate_name.conf:4: the name shop is taken by the site at "
                       "duplicate_name.conf:2, give one of them another"},
    {"duplicate_targets", "duplicate_targets.conf:2: duplicate setting name: keep one of the two"},
    {"duplicate_url", "duplicate_url.conf:3: the name https://example.com/ is taken by the site at "
                      "duplicate_url.conf:2, give one of them another"},
    {"empty", "empty.conf:1: has no targets, want targets = ( { url = \"...\"; } );"},
    {"header_line_end", "header_line_end.conf:1: headers: A has a control character in its value"},
    {"header_of_ours", "header_of_ours.conf:1: headers: Content-Length is made from the request "
                       "itself, leave it out"},
    {"header_without_colon",
     "header_without_colon.conf:1: headers: 'Accept' is not \"Name: value\""},
    {"headers_as_text",
     "headers_as_text.conf:1: headers: want a list of texts: [ \"...\", \"...\" ]"},
    {"headers_with_a_number",
     "headers_with_a_number.conf:1: headers: want a list of texts, one of them is a whole number"},
    {"http_version_fraction",
     "http_version_fraction.conf:1: http_version: want any, 1.1 or 2, in quotes"},
    {"include_directory",
     "include_directory.conf:2: cannot open include file parts: is not a regular file"},
    {"include_itself",
     "include_itself.conf:2: @include goes too deep (does a file include itself?)"},
    {"include_missing", "include_missing.conf:2: cannot open include file no_such_file.conf: No "
                        "such file or directory"},
    {"include_mixed",
     "include_mixed.conf:4: give all @include files by absolute names, or all by relative ones"},
    {"include_without_name",
     "include_without_name.conf:2: @include wants the name of a file: @include \"FILE\""},
    {"included_duplicate", "parts/same.inc:2: the name https://example.com/ is taken by the site "
                           "at included_duplicate.conf:2, give one of them another"},
    {"included_fault", "parts/fault.inc:3: seconds: 0 is not in 1..86400"},
    {"ip_version_5", "ip_version_5.conf:1: ip_version: '5' is not any, 4 or 6"},
    {"method_small_letters",
     "method_small_letters.conf:1: method: 'post' is not upper-case letters, such as GET or POST"},
    {"comma_too_many", "comma_too_many.conf:2: syntax error: look here and on the line before "
                       "for a missing ; , = or bracket, or a , too many"},
    {"missing_bracket", "missing_bracket.conf:3: syntax error: look here and on the line before "
                        "for a missing ; , = or bracket, or a , too many"},
    {"missing_equals", "missing_equals.conf:4: syntax error: look here and on the line before for "
                       "a missing ; , = or bracket, or a , too many"},
    {"name_not_utf8", "name_not_utf8.conf:1: name: not UTF-8 at byte 3, save it as UTF-8"},
    {"no_site", "no_site.conf:1: targets: is empty, want one site or more"},
    {"byte_order_mark", "byte_order_mark.conf:1: a byte order mark, save it as UTF-8 without one"},
    {"nul_byte", "nul_byte.conf:1: a NUL byte, want a text file"},
    {"nul_escape", "nul_escape.conf:1: \\x00 in a string: a NUL cannot be in a value, take it out"},
    {"open_comment",
     "open_comment.conf:1: a comment that starts here has no end, close it with */"},
    {"open_string", "open_string.conf:2: a string that starts here has no end, close it with a \""},
    {"option_is_a_group",
     "option_is_a_group.conf:1: headers: want a list of texts: [ \"...\", \"...\" ]"},
    {"password_twice",
     "password_twice.conf:5: password_file: password is given too, keep one of them"},
    {"password_without_username", "password_without_username.conf:1: password: needs username"},
    {"pattern", "pattern.conf:2: pattern: missing closing parenthesis at offset 5"},
    {"pattern_backspace",
     "pattern_backspace.conf:1: pattern: holds a backspace: \\b, where a word ends, is written "
     "\\\\b in a file and in JSON"},
    {"pattern_absent",
     "pattern_absent.conf:1: pattern_absent: missing closing parenthesis at offset 1"},
    {"resolve_to_a_name", "resolve_to_a_name.conf:1: resolve_to: 'localhost' is not a numeric "
                          "address, such as 192.0.2.1 or 2001:db8::1"},
    {"seconds_33_bits",
     "seconds_33_bits.conf:2: the number 4294967301 is too large; end it with an L (64 bits)"},
    {"seconds_65_bits", "seconds_65_bits.conf:1: the number 18446744073709551621L is too large"},
    {"seconds_fraction",
     "seconds_fraction.conf:1: seconds: want a whole number in 1..86400, without quotes"},
    {"seconds_negative", "seconds_negative.conf:1: seconds: -30 is not in 1..86400"},
    {"seconds_text",
     "seconds_text.conf:1: seconds: want a whole number in 1..86400, without quotes"},
    {"seconds_too_many", "seconds_too_many.conf:1: seconds: 86401 is not in 1..86400"},
    {"seconds_zero", "seconds_zero.conf:2: seconds: 0 is not in 1..86400"},
    {"site_is_a_text",
     "site_is_a_text.conf:1: targets: want groups { url = \"...\"; }, this is a string"},
    {"status_backwards",
     "status_backwards.conf:1: status: the range 299-200 ends before it begins"},
    {"status_words", "status_words.conf:1: status: 'ok' is not a list of codes and ranges in "
                     "100..999, such as 200-299,301"},
    {"targets_is_a_group",
     "targets_is_a_group.conf:1: targets: want a list ( { url = \"...\"; } ), this is a group { }"},
    {"timeout_over_interval", "timeout_over_interval.conf:2: timeout_ms: 5001 is more than the "
                              "interval of 5 s; lower it or raise seconds"},
    {"unknown_key", "unknown_key.conf:4: no such option: secnds (did you mean seconds?)"},
    {"unknown_key_like_nothing", "unknown_key_like_nothing.conf:1: no such option: colour "
                                 "(sitewatch-targets(5) lists the options)"},
    {"unknown_top_level",
     "unknown_top_level.conf:1: no such entry: target (did you mean targets?)"},
    {"unknown_top_level_like_nothing", "unknown_top_level_like_nothing.conf:2: no such entry: "
                                       "version (a targets file has targets and defaults)"},
    {"url_empty", "url_empty.conf:1: url: is empty"},
    {"url_is_a_number", "url_is_a_number.conf:1: url: want a text in quotes"},
    {"url_line_end",
     "url_line_end.conf:1: url: holds a space or control character, write it as %XX"},
    {"url_missing", "url_missing.conf:3: url: is missing, give each site one"},
    {"url_other_scheme", "url_other_scheme.conf:1: url: must begin with http:// or https://"},
    {"url_without_host", "url_without_host.conf:1: url: has no host"},
    {"url_without_scheme", "url_without_scheme.conf:1: url: must begin with http:// or https://"},
    {"verify_tls_as_number",
     "verify_tls_as_number.conf:1: verify_tls: want true or false, without quotes"},
};

#define BAD_COUNT (sizeof(bad) / sizeof(bad[0]))

/* Take each BAD out of a message. */
static void shorten(const char *message, char out[MESSAGE_SIZE])
{
    size_t used = 0;

    while (*message != '\0' && used < MESSAGE_SIZE - 1) {
        if (strncmp(message, BAD, strlen(BAD)) == 0) {
            message += strlen(BAD);
        } else {
            out[used++] = *message++;
        }
    }
    out[used] = '\0';
}

static void refuses_bad_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < BAD_COUNT; i++) {
        struct targets targets = {.count = 7};
        struct err err = {0};
        char path[256];
        char message[MESSAGE_SIZE];

        snprintf(path, sizeof(path), BAD "%s.conf", bad[i].file);
        int rc = targets_load(path, NULL, &targets, &err);

        shorten(err.message, message);
        if (rc != -1 || targets.count != 7 || err.kind != ERR_INVALID ||
            strcmp(message, bad[i].message) != 0) {
            fail_msg("%s: got %d '%s'", bad[i].file, rc, err.message);
        }
        if (strstr(err.message, "hunter2") != NULL) {
            fail_msg("%s: a secret in '%s'", bad[i].file, err.message);
        }
    }
}

static void each_bad_file_has_a_row(void **state)
{
    DIR *dir = opendir(BAD);
    struct dirent *entry;
    size_t files = 0;

    (void)state;
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        size_t len = strlen(entry->d_name);
        bool there = false;

        if (len < 5 || strcmp(entry->d_name + len - 5, ".conf") != 0) {
            continue;
        }
        files++;
        for (size_t i = 0; !there && i < BAD_COUNT; i++) {
            there =
                strlen(bad[i].file) == len - 5 && strncmp(bad[i].file, entry->d_name, len - 5) == 0;
        }
        if (!there) {
            fail_msg("%s has no row", entry->d_name);
        }
    }
    closedir(dir);
    assert_int_equal(files, BAD_COUNT);
}

static void load(const char *path, struct targets *targets)
{
    struct err err = {0};

    if (targets_load(path, NULL, targets, &err) < 0) {
        fail_msg("%s", err.message);
    }
}

static void a_missing_file_and_a_folder(void **state)
{
    struct targets targets;
    struct err err;

    (void)state;
    assert_int_equal(targets_load("/nowhere/sites.conf", NULL, &targets, &err), -1);
    assert_string_equal(err.message, "/nowhere/sites.conf: No such file or directory");
    assert_int_equal(targets_load(BAD, NULL, &targets, &err), -1);
    assert_string_equal(err.message, BAD ": is not a regular file");
}

static void one_site_has_the_defaults(void **state)
{
    struct targets targets;

    (void)state;
    load(GOOD "one.conf", &targets);
    assert_int_equal(targets.count, 1);
    assert_string_equal(targets.sites[0].name, "https://example.com/");
    assert_int_equal(targets.sites[0].seconds, 60);
    assert_int_equal(targets.sites[0].timeout_ms, 10000);
    assert_true(targets.sites[0].enabled);
    targets_free(&targets);
    assert_null(targets.sites);
}

static void every_site_starts_from_the_defaults_group(void **state)
{
    struct targets targets;

    (void)state;
    load(GOOD "defaults.conf", &targets);
    assert_int_equal(targets.count, 3);
    assert_int_equal(targets.sites[0].seconds, 30);
    assert_string_equal(targets.sites[0].pattern, "ok");
    assert_string_equal(targets.sites[0].tags[1], "eu");
    assert_int_equal(targets.sites[1].seconds, 5);
    assert_null(targets.sites[1].pattern);
    assert_null(targets.sites[1].headers);
    assert_string_equal(targets.sites[1].tags[0], "us");
    assert_null(targets.sites[1].tags[1]);
    assert_string_equal(targets.sites[2].name, "v(\\d+)");
    assert_string_equal(targets.sites[2].pattern, "v(\\d+)");
    assert_string_equal(targets.sites[2].username, "user");
    assert_string_equal(targets.sites[2].password, "pa:ss");
    assert_string_equal(targets.sites[2].url, "https://example.net/v");
    targets_free(&targets);
}

static void every_option_can_be_set(void **state)
{
    struct targets targets;
    const struct site *site;

    (void)state;
    load(GOOD "every_option.conf", &targets);
    site = &targets.sites[0];
    assert_int_equal(targets.count, 2);
    assert_string_equal(site->name, "Ladenkasse \xc3\xbc");
    assert_int_equal(site->seconds, 86400);
    assert_string_equal(site->body, "a=b\n");
    assert_true(status_set_has(&site->status, 301));
    assert_false(status_set_has(&site->status, 302));
    assert_int_equal(site->timeout_ms, 5000);
    assert_int_equal(site->max_body_bytes, 67108864);
    assert_int_equal(site->ip_version, SITE_IP_4);
    assert_int_equal(site->http_version, SITE_HTTP_2);
    assert_int_equal(site->min_tls, SITE_TLS_1_3);
    assert_string_equal(site->username, "hunter2");
    assert_string_equal(site->password, "hunter2");
    assert_false(site->verify_tls);
    assert_false(site->enabled);
    site = &targets.sites[1];
    assert_string_equal(site->bearer_token, "hunter2");
    assert_true(status_set_has(&site->status, 204));
    assert_false(status_set_has(&site->status, 200));
    assert_int_equal(site->ip_version, SITE_IP_6);
    assert_int_equal(site->http_version, SITE_HTTP_1_1);
    targets_free(&targets);
}

static void included_sites_stand_in_their_place(void **state)
{
    struct targets targets;

    (void)state;
    load(GOOD "include.conf", &targets);
    assert_int_equal(targets.count, 3);
    assert_string_equal(targets.sites[0].name, "https://example.com/first");
    assert_int_equal(targets.sites[0].seconds, 7);
    assert_string_equal(targets.sites[1].name, "https://example.com/second");
    assert_int_equal(targets.sites[1].seconds, 9);
    assert_string_equal(targets.sites[2].name, "https://example.com/last");
    targets_free(&targets);
}

/* A file of `count` sites, in a temporary folder. */
static char *write_sites(const char *head, size_t count)
{
    char *path = strdup("/tmp/targets_test.XXXXXX");
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");

    assert_non_null(file);
    fputs(head, file);
    for (size_t i = 0; i < count; i++) {
        fprintf(file, "%s{url=\"http://a/%zu\";}\n", i == 0 ? "" : ",", i);
    }
    fputs(");\n", file);
    fclose(file);
    return path;
}

static void an_include_may_be_absolute(void **state)
{
    char *part = write_sites("targets = (", 2);
    char head[256];
    struct targets targets;

    (void)state;
    snprintf(head, sizeof(head), "@include \"%s\"\n#", part);
    char *path = write_sites(head, 0);

    load(path, &targets);
    assert_int_equal(targets.count, 2);
    targets_free(&targets);
    unlink(path);
    unlink(part);
    free(path);
    free(part);
}

static void a_file_in_the_working_folder_is_found(void **state)
{
    char *path = write_sites("targets = (", 1);
    char *here = getcwd(NULL, 0);
    struct targets targets;

    (void)state;
    assert_non_null(here);
    assert_int_equal(chdir("/tmp"), 0);
    load(path + strlen("/tmp/"), &targets);
    assert_int_equal(chdir(here), 0);
    assert_int_equal(targets.count, 1);
    targets_free(&targets);
    unlink(path);
    free(path);
    free(here);
}

static double seconds_to_load(size_t count)
{
    char *path = write_sites("targets = (", count);
    struct targets targets;
    int64_t start_ns = clock_read_ns(CLOCK_THREAD_CPUTIME_ID);

    load(path, &targets);
    assert_int_equal(targets.count, count);

    double took_s = (double)(clock_read_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns) / 1e9;

    targets_free(&targets);
    unlink(path);
    free(path);
    return took_s;
}

/* Twenty times the sites may take sixty times as long, which leaves room for a busy machine;
 * where each site looks at all others it is four hundred times. */
static void loading_is_linear_in_the_number_of_sites(void **state)
{
    (void)state;
    double few_s = seconds_to_load(1000);
    double many_s = seconds_to_load(20000);

    if (many_s > 60 * few_s + 0.1) {
        fail_msg("1000 sites %f s, 20000 sites %f s", few_s, many_s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_bad_files),
        cmocka_unit_test(each_bad_file_has_a_row),
        cmocka_unit_test(a_missing_file_and_a_folder),
        cmocka_unit_test(one_site_has_the_defaults),
        cmocka_unit_test(every_site_starts_from_the_defaults_group),
        cmocka_unit_test(every_option_can_be_set),
        cmocka_unit_test(included_sites_stand_in_their_place),
        cmocka_unit_test(an_include_may_be_absolute),
        cmocka_unit_test(a_file_in_the_working_folder_is_found),
        cmocka_unit_test(loading_is_linear_in_the_number_of_sites),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
