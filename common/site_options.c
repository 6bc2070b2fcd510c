/* The table of a site's options, and how a value is put into a field by it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/jsonpath.h"
#include "common/mem.h"
#include "common/pattern.h"
#include "common/site_private.h"
#include "common/suggest.h"
#include "common/textfile.h"
#include "common/url.h"
#include "common/utf8.h"

#define SHOWN_CHARS_MAX 64
#define PATH_BYTES_MAX 4096
#define CREDENTIAL_BYTES_MAX 4096
#define FIELD(field) .offset = offsetof(struct site, field)

static const char *const ip_versions[] = {"any", "4", "6", NULL};
static const char *const http_versions[] = {"any", "1.1", "2", NULL};
static const char *const tls_versions[] = {"any", "1.2", "1.3", NULL};

/* In the order of the manual. One row an option, and nothing about options anywhere else. */
static const struct site_option options[] = {
    {{"url", "text", "required",
      "what is fetched: http or https, up to 2048 bytes; a user and "
      "password in it become username and password"},
     .kind = OPTION_TEXT,
     .flags = OPTION_REQUIRED,
     FIELD(url),
     .max = URL_BYTES_MAX,
     .check = site_check_url},
    {{"name", "text", "the url without user and password",
      "what the site is called in events, rows and logs; unique, up to 2048 bytes"},
     .kind = OPTION_TEXT,
     .flags = OPTION_REQUIRED,
     FIELD(name),
     .max = SITE_NAME_BYTES_MAX,
     .check = site_check_name},
    {{"seconds", "1..86400", "60", "interval between two checks"},
     .kind = OPTION_INT,
     FIELD(seconds),
     .min = 1,
     .max = SITE_SECONDS_MAX},
    {{"pattern", "text", "none",
      "a regular expression (PCRE2) that the body must match; its matches and groups are stored"},
     .kind = OPTION_TEXT,
     FIELD(pattern),
     .max = PATTERN_BYTES_MAX,
     .check = site_check_pattern},
    {{"pattern_absent", "text", "none", "a regular expression that the body must not match"},
     .kind = OPTION_TEXT,
     FIELD(pattern_absent),
     .max = PATTERN_BYTES_MAX,
     .check = site_check_pattern},
    {{"header_pattern", "text", "none",
      "a regular expression that the lines of the response's headers must match"},
     .kind = OPTION_TEXT,
     FIELD(header_pattern),
     .max = PATTERN_BYTES_MAX,
     .check = site_check_pattern},
    {{"json_path", "text", "none",
      "the body must be JSON and hold a value there, such as $.a.b[0] or $[\"quoted name\"]"},
     .kind = OPTION_TEXT,
     FIELD(json_path),
     .max = JSONPATH_BYTES_MAX,
     .check = site_check_json_path},
    {{"json_value", "text", "none",
      "what the value at json_path must be, up to 4096 bytes: a text, or a number, true, false or "
      "null as it stands in the body"},
     .kind = OPTION_TEXT,
     FIELD(json_value),
     .max = SITE_JSON_VALUE_BYTES_MAX},
    {{"method", "text", "GET, or POST when there is a body", "the request's method, in capitals"},
     .kind = OPTION_TEXT,
     FIELD(method),
     .max = 32,
     .check = site_check_method},
    {{"headers", "list of texts", "none",
      "headers to send, each \"Name: value\"; up to 32 of up to 4096 bytes"},
     .kind = OPTION_LIST,
     FIELD(headers),
     .min = 1,
     .max = SITE_HEADER_BYTES_MAX,
     .count_max = SITE_HEADERS_MAX,
     .check = site_check_header},
    {{"body", "text", "none", "body to send, up to 65536 bytes; not with GET or HEAD"},
     .kind = OPTION_TEXT,
     FIELD(body),
     .max = SITE_BODY_BYTES_MAX},
    {{"status", "text", "200-399",
      "response codes that are up: codes and ranges in 100..999, up to 16 of them"},
     .kind = OPTION_STATUS,
     FIELD(status)},
    {{"timeout_ms", "1..86400000", "10000, or less so that all attempts fit in the interval",
      "a check that takes longer is down; at most the interval"},
     .kind = OPTION_INT,
     FIELD(timeout_ms),
     .min = 1,
     .max = SITE_SECONDS_MAX * 1000},
    {{"retries", "0..5", "0",
      "a check that finds the site down is made so many times again before that counts"},
     .kind = OPTION_INT,
     FIELD(retries),
     .max = SITE_RETRIES_MAX},
    {{"retry_seconds", "1..86400", "1", "wait before each of these retries"},
     .kind = OPTION_INT,
     FIELD(retry_seconds),
     .min = 1,
     .max = SITE_SECONDS_MAX},
    {{"slow_ms", "0..86400000", "0", "a check that takes longer is degraded; 0: none is"},
     .kind = OPTION_INT,
     FIELD(slow_ms),
     .max = SITE_SECONDS_MAX * 1000},
    {{"follow_redirects", "bool", "true", "fetch what a redirect points to"},
     .kind = OPTION_BOOL,
     FIELD(follow_redirects)},
    {{"max_redirects", "0..20", "5", "a check with more redirects is down"},
     .kind = OPTION_INT,
     FIELD(max_redirects),
     .max = 20},
    {{"max_body_bytes", "1..67108864", "1048576", "a check with a longer body is down"},
     .kind = OPTION_SIZE,
     FIELD(max_body_bytes),
     .min = 1,
     .max = SITE_RESPONSE_BYTES_MAX},
    {{"ip_version", "any, 4 or 6", "any", "which addresses of the host are tried"},
     .kind = OPTION_CHOICE,
     FIELD(ip_version),
     .choices = ip_versions},
    {{"http_version", "any, 1.1 or 2", "any", "which HTTP is spoken"},
     .kind = OPTION_CHOICE,
     FIELD(http_version),
     .choices = http_versions},
    {{"verify_tls", "bool", "true", "check the certificate's chain and name"},
     .kind = OPTION_BOOL,
     FIELD(verify_tls)},
    {{"ca_file", "path", "the system's authorities", "certificates to trust for this site (PEM)"},
     .kind = OPTION_TEXT,
     FIELD(ca_file),
     .max = PATH_BYTES_MAX,
     .check = site_check_readable},
    {{"cert_file", "path", "none", "client certificate (PEM); needs key_file"},
     .kind = OPTION_TEXT,
     FIELD(cert_file),
     .max = PATH_BYTES_MAX,
     .check = site_check_readable},
    {{"key_file", "path", "none", "key of the client certificate (PEM); needs cert_file"},
     .kind = OPTION_TEXT,
     FIELD(key_file),
     .max = PATH_BYTES_MAX,
     .check = site_check_readable},
    {{"min_tls", "any, 1.2 or 1.3", "any", "lowest version of TLS; any: the library's default"},
     .kind = OPTION_CHOICE,
     FIELD(min_tls),
     .choices = tls_versions},
    {{"cert_days", "0..3650", "0", "a certificate that ends in fewer days is degraded; 0: none is"},
     .kind = OPTION_INT,
     FIELD(cert_days),
     .max = 3650},
    {{"username", "text", "none", "user name for basic authentication"},
     .kind = OPTION_TEXT,
     FIELD(username),
     .max = CREDENTIAL_BYTES_MAX,
     .check = site_check_username},
    {{"username_file", "path", "none", "a file that holds username"},
     .kind = OPTION_FROM_FILE,
     FIELD(username),
     .max = CREDENTIAL_BYTES_MAX,
     .check = site_check_username},
    {{"password", "text", "none", "password for basic authentication; needs username"},
     .kind = OPTION_TEXT,
     .flags = OPTION_SECRET,
     FIELD(password),
     .max = CREDENTIAL_BYTES_MAX,
     .check = site_check_line},
    {{"password_file", "path", "none", "a file that holds password"},
     .kind = OPTION_FROM_FILE,
     .flags = OPTION_SECRET,
     FIELD(password),
     .max = CREDENTIAL_BYTES_MAX,
     .check = site_check_line},
    {{"bearer_token", "text", "none", "token for bearer authentication; not with username"},
     .kind = OPTION_TEXT,
     .flags = OPTION_SECRET,
     FIELD(bearer_token),
     .max = CREDENTIAL_BYTES_MAX,
     .check = site_check_token},
    {{"bearer_token_file", "path", "none", "a file that holds bearer_token"},
     .kind = OPTION_FROM_FILE,
     .flags = OPTION_SECRET,
     FIELD(bearer_token),
     .max = CREDENTIAL_BYTES_MAX,
     .check = site_check_token},
    {{"resolve_to", "address", "none",
      "connect to this numeric address and ask no resolver for the host"},
     .kind = OPTION_TEXT,
     FIELD(resolve_to),
     .max = 64,
     .check = site_check_address},
    {{"proxy", "text", "none",
      "fetch the site through this proxy: http, https, socks5 or socks5h, as "
      "\"http://user:password@host:port\"; not with resolve_to, reuse_connection or "
      "allow_private = false"},
     .kind = OPTION_TEXT,
     .flags = OPTION_SECRET,
     FIELD(proxy),
     .max = URL_BYTES_MAX,
     .check = site_check_proxy},
    {{"allow_private", "bool", "true",
      "false: the site may not lead to an address that is not public, such as 127.0.0.1 or "
      "10.1.2.3"},
     .kind = OPTION_BOOL,
     FIELD(allow_private)},
    {{"reuse_connection", "bool", "false",
      "keep the connection for the next check; DNS, connect and TLS are then not measured"},
     .kind = OPTION_BOOL,
     FIELD(reuse_connection)},
    {{"tls_resume", "bool", "false",
      "resume the TLS session of the last check, when its certificates are valid still; the full "
      "handshake is then not measured"},
     .kind = OPTION_BOOL,
     FIELD(tls_resume)},
    {{"failures", "1..1000", "1", "checks that fail in a row before an incident opens"},
     .kind = OPTION_INT,
     FIELD(failures),
     .min = 1,
     .max = SITE_FAILURES_MAX},
    {{"quorum", "1..100", "1", "locations that must find the site down before it counts as down"},
     .kind = OPTION_INT,
     FIELD(quorum),
     .min = 1,
     .max = SITE_QUORUM_MAX},
    {{"enabled", "bool", "true", "false: the site is not checked"},
     .kind = OPTION_BOOL,
     FIELD(enabled)},
    {{"tags", "list of texts", "none", "words to group sites by; up to 16 of up to 64 bytes"},
     .kind = OPTION_LIST,
     FIELD(tags),
     .min = 1,
     .max = SITE_TAG_BYTES_MAX,
     .count_max = SITE_TAGS_MAX,
     .check = site_check_name},
};

const struct site_option *site_option(size_t i)
{
    return i < sizeof(options) / sizeof(options[0]) ? &options[i] : NULL;
}

const struct site_option_doc *site_option_doc(size_t i)
{
    const struct site_option *option = site_option(i);

    return option == NULL ? NULL : &option->doc;
}

static int no_such_option(const char *name, struct err *err)
{
    struct suggest suggest = suggest_start(name);

    for (size_t i = 0; site_option(i) != NULL; i++) {
        suggest_offer(&suggest, site_option(i)->doc.name);
    }
    if (suggest.best != NULL) {
        return err_set(err, ERR_INVALID, "no such option: %.*s (did you mean %s?)", SHOWN_CHARS_MAX,
                       name, suggest.best);
    }
    return err_set(err, ERR_INVALID,
                   "no such option: %.*s (sitewatch-targets(5) lists the options)", SHOWN_CHARS_MAX,
                   name);
}

static const struct site_option *find_option(const char *name)
{
    for (size_t i = 0; site_option(i) != NULL; i++) {
        if (strcmp(site_option(i)->doc.name, name) == 0) {
            return site_option(i);
        }
    }
    return NULL;
}

/* The rules that all texts share, then the option's own. */
static int check_text(const struct site_option *option, const char *text, struct err *err)
{
    size_t len = strlen(text);
    size_t valid = utf8_valid_prefix(text, len);

    if (len < (size_t)option->min) {
        return err_set(err, ERR_INVALID, "an empty text, leave it out");
    }
    if (len > (size_t)option->max) {
        return err_set(err, ERR_INVALID, "longer than %" PRId64 " bytes", option->max);
    }
    if (valid != len) {
        return err_set(err, ERR_INVALID, "not UTF-8 at byte %zu, save it as UTF-8", valid);
    }
    return option->check == NULL ? 0 : option->check(text, err);
}

static int set_text(struct site *site, const struct site_option *option, const char *text,
                    struct err *err)
{
    char **field = site_field(site, option);

    if (text[0] == '\0' && (option->flags & OPTION_REQUIRED) != 0) {
        return err_set(err, ERR_INVALID, "is empty");
    }
    if (text[0] != '\0' && check_text(option, text, err) < 0) {
        return -1;
    }
    free(*field);
    *field = text[0] == '\0' ? NULL : mem_copy_string(text);
    return 0;
}

static int set_from_file(struct site *site, const struct site_option *option, const char *path,
                         struct err *err)
{
    char *text;

    if (textfile_read_value(path, (size_t)option->max, &text, err) < 0) {
        return -1;
    }
    int rc =
        text[0] == '\0' ? err_set(err, ERR_INVALID, "is empty") : set_text(site, option, text, err);

    free(text);
    return rc < 0 ? err_context(err, "%s", path) : 0;
}

static int set_list(struct site *site, const struct site_option *option, const char *const *list,
                    struct err *err)
{
    site_strings *field = site_field(site, option);
    size_t count = 0;

    for (; list[count] != NULL; count++) {
        if (count == option->count_max) {
            return err_set(err, ERR_INVALID, "more than %zu of them", option->count_max);
        }
        if (check_text(option, list[count], err) < 0) {
            return -1;
        }
    }
    site_strings_free(*field);
    *field = NULL;
    if (count > 0) {
        *field = mem_alloc(count + 1, sizeof(**field));
        for (size_t i = 0; i < count; i++) {
            (*field)[i] = mem_copy_string(list[i]);
        }
    }
    return 0;
}

static int set_choice(struct site *site, const struct site_option *option, const char *text,
                      struct err *err)
{
    for (unsigned i = 0; option->choices[i] != NULL; i++) {
        if (strcasecmp(text, option->choices[i]) == 0) {
            *(unsigned *)site_field(site, option) = i;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "'%.*s' is not %s", SHOWN_CHARS_MAX, text, option->doc.value);
}

static int set_int(struct site *site, const struct site_option *option, int64_t value,
                   struct err *err)
{
    if (value < option->min || value > option->max) {
        return err_set(err, ERR_INVALID, "%" PRId64 " is not in %" PRId64 "..%" PRId64, value,
                       option->min, option->max);
    }
    if (option->kind == OPTION_SIZE) {
        *(int64_t *)site_field(site, option) = value;
    } else {
        *(int32_t *)site_field(site, option) = (int32_t)value;
    }
    return 0;
}

static int wrong_type(const struct site_option *option, struct err *err)
{
    switch (option->kind) {
    case OPTION_BOOL:
        return err_set(err, ERR_INVALID, "want true or false, without quotes");
    case OPTION_INT:
    case OPTION_SIZE:
        return err_set(err, ERR_INVALID,
                       "want a whole number in %" PRId64 "..%" PRId64 ", without quotes",
                       option->min, option->max);
    case OPTION_LIST:
        return err_set(err, ERR_INVALID, "want a list of texts: [ \"...\", \"...\" ]");
    case OPTION_CHOICE:
        return err_set(err, ERR_INVALID, "want %s, in quotes", option->doc.value);
    default:
        return err_set(err, ERR_INVALID, "want a text in quotes");
    }
}

static int set_value(struct site *site, const struct site_option *option,
                     const struct site_value *value, struct err *err)
{
    char number[24];
    const char *text = value->type == SITE_VALUE_TEXT ? value->text : NULL;

    /* 4, 2 and 200 may stand without quotes where a text like them is asked for. */
    if (value->type == SITE_VALUE_INT &&
        (option->kind == OPTION_CHOICE || option->kind == OPTION_STATUS)) {
        snprintf(number, sizeof(number), "%" PRId64, value->integer);
        text = number;
    }
    switch (option->kind) {
    case OPTION_TEXT:
        return text == NULL ? wrong_type(option, err) : set_text(site, option, text, err);
    case OPTION_FROM_FILE:
        return text == NULL ? wrong_type(option, err) : set_from_file(site, option, text, err);
    case OPTION_CHOICE:
        return text == NULL ? wrong_type(option, err) : set_choice(site, option, text, err);
    case OPTION_STATUS:
        return text == NULL ? wrong_type(option, err)
                            : status_set_parse(text, site_field(site, option), err);
    case OPTION_LIST:
        return value->type != SITE_VALUE_LIST ? wrong_type(option, err)
                                              : set_list(site, option, value->list, err);
    case OPTION_INT:
    case OPTION_SIZE:
        return value->type != SITE_VALUE_INT ? wrong_type(option, err)
                                             : set_int(site, option, value->integer, err);
    case OPTION_BOOL:
        break;
    }
    if (value->type != SITE_VALUE_BOOL) {
        return wrong_type(option, err);
    }
    *(bool *)site_field(site, option) = value->boolean;
    return 0;
}

int site_set(struct site *site, const char *option, const struct site_value *value, struct err *err)
{
    const struct site_option *row = find_option(option);

    if (row == NULL) {
        return no_such_option(option, err);
    }
    return set_value(site, row, value, err) < 0 ? err_context(err, "%s", option) : 0;
}
