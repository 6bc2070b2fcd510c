/* The rules for the text of one option each. What holds between options is in site_finish. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/jsonpath.h"
#include "common/mem.h"
#include "common/pattern.h"
#include "common/proxy.h"
#include "common/site_private.h"
#include "common/url.h"

#define SHOWN_CHARS_MAX 64
#define STATUS_MIN 100
#define STATUS_MAX 999
#define STATUS_TEXT_MAX 8 /* "200-299," */

/* No control characters: the text goes into a header, a log line or a terminal. */
int site_check_line(const char *text, struct err *err)
{
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            return err_set(err, ERR_INVALID, "holds a control character (byte %zu is 0x%02x)",
                           (size_t)(c - text), (unsigned)(unsigned char)*c);
        }
    }
    return 0;
}

int site_check_name(const char *text, struct err *err)
{
    if (isspace((unsigned char)text[0]) || isspace((unsigned char)text[strlen(text) - 1])) {
        return err_set(err, ERR_INVALID, "begins or ends with a space");
    }
    return site_check_line(text, err);
}

/* Another module's message without the word it begins with; ours is put before it. */
static int without_prefix(struct err *err, const char *prefix)
{
    struct err cause = *err;
    size_t len = strlen(prefix);
    bool there = strncmp(cause.message, prefix, len) == 0;

    return err_set(err, cause.kind, "%s", cause.message + (there ? len : 0));
}

int site_check_url(const char *text, struct err *err)
{
    struct url url;

    if (url_parse(text, &url, err) < 0) {
        return without_prefix(err, "url: ");
    }
    url_free(&url);
    return 0;
}

int site_check_proxy(const char *text, struct err *err)
{
    struct proxy proxy;

    if (proxy_parse(text, &proxy, err) < 0) {
        return without_prefix(err, "url: ");
    }
    proxy_free(&proxy);
    return 0;
}

int site_check_pattern(const char *text, struct err *err)
{
    /* PCRE2 takes the character for itself, which no text has; some versions of libconfig, and
     * JSON, make it of a \b with one backslash. */
    if (strchr(text, '\b') != NULL) {
        return err_set(
            err, ERR_INVALID,
            "holds a backspace: \\b, where a word ends, is written \\\\b in a file and in "
            "JSON");
    }
    return pattern_check(text, err) < 0 ? without_prefix(err, "pattern: ") : 0;
}

int site_check_json_path(const char *text, struct err *err)
{
    struct jsonpath path;

    if (jsonpath_parse(text, &path, err) < 0) {
        return -1;
    }
    jsonpath_free(&path);
    return 0;
}

int site_check_method(const char *text, struct err *err)
{
    if (strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != strlen(text)) {
        return err_set(err, ERR_INVALID, "'%.*s' is not upper-case letters, such as GET or POST",
                       SHOWN_CHARS_MAX, text);
    }
    if (strcmp(text, "CONNECT") == 0) {
        return err_set(err, ERR_INVALID, "CONNECT is for proxies, want GET, HEAD, POST, ...");
    }
    return 0;
}

/* Length of an RFC 9110 token at the start of text. */
static size_t token_len(const char *text)
{
    size_t len = 0;

    while (isalnum((unsigned char)text[len]) ||
           (text[len] != '\0' && strchr("!#$%&'*+-.^_`|~", text[len]) != NULL)) {
        len++;
    }
    return len;
}

int site_check_header(const char *text, struct err *err)
{
    static const char *const ours[] = {"Content-Length", "Transfer-Encoding", "Connection"};
    size_t name_len = token_len(text);
    const char *value = text + name_len + 1;

    if (name_len == 0 || text[name_len] != ':') {
        return err_set(err, ERR_INVALID, "'%.*s' is not \"Name: value\"",
                       (int)strcspn(text, ":\r\n") < SHOWN_CHARS_MAX ? (int)strcspn(text, ":\r\n")
                                                                     : SHOWN_CHARS_MAX,
                       text);
    }
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (strlen(ours[i]) == name_len && strncasecmp(text, ours[i], name_len) == 0) {
            return err_set(err, ERR_INVALID, "%s is made from the request itself, leave it out",
                           ours[i]);
        }
    }
    if (value[strspn(value, " \t")] == '\0') {
        return err_set(err, ERR_INVALID, "%.*s has no value", (int)name_len, text);
    }
    for (const char *c = value; *c != '\0'; c++) {
        if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f) {
            return err_set(err, ERR_INVALID, "%.*s has a control character in its value",
                           (int)name_len, text);
        }
    }
    return 0;
}

int site_check_readable(const char *text, struct err *err)
{
    struct stat about;

    if (access(text, R_OK) < 0) {
        return err_set(err, ERR_INVALID, "%s: %s", text, strerror(errno));
    }
    if (stat(text, &about) == 0 && S_ISDIR(about.st_mode)) {
        return err_set(err, ERR_INVALID, "%s: %s", text, strerror(EISDIR));
    }
    return 0;
}

int site_check_username(const char *text, struct err *err)
{
    if (strchr(text, ':') != NULL) {
        return err_set(err, ERR_INVALID, "holds a ':', which ends a user name (RFC 7617)");
    }
    return site_check_line(text, err);
}

int site_check_token(const char *text, struct err *err)
{
    if (strchr(text, ' ') != NULL) {
        return err_set(err, ERR_INVALID, "holds a space; give the token alone, without \"Bearer\"");
    }
    return site_check_line(text, err);
}

int site_check_address(const char *text, struct err *err)
{
    unsigned char address[sizeof(struct in6_addr)];

    if (inet_pton(AF_INET, text, address) != 1 && inet_pton(AF_INET6, text, address) != 1) {
        return err_set(err, ERR_INVALID,
                       "'%.*s' is not a numeric address, such as 192.0.2.1 or "
                       "2001:db8::1",
                       SHOWN_CHARS_MAX, text);
    }
    return 0;
}

/* Reads "299" and moves on; 0 when there is no such code. */
static int read_code(const char **text)
{
    const char *c = *text;
    int code = 0;

    for (; isdigit((unsigned char)*c) && code <= STATUS_MAX; c++) {
        code = 10 * code + (*c - '0');
    }
    *text = c;
    return code >= STATUS_MIN && code <= STATUS_MAX ? code : 0;
}

static const char *skip_spaces(const char *text)
{
    return text + strspn(text, " ");
}

int status_set_parse(const char *text, struct status_set *out, struct err *err)
{
    struct status_set set = {0};

    for (const char *c = text;; c++) {
        c = skip_spaces(c);
        int first = read_code(&c);
        int last = first;

        c = skip_spaces(c);
        if (*c == '-') {
            c = skip_spaces(c + 1);
            last = read_code(&c);
            c = skip_spaces(c);
        }
        if (first == 0 || last == 0 || (*c != ',' && *c != '\0')) {
            return err_set(err, ERR_INVALID,
                           "'%.*s' is not a list of codes and ranges in %d..%d, such as "
                           "200-299,301",
                           SHOWN_CHARS_MAX, text, STATUS_MIN, STATUS_MAX);
        }
        if (first > last) {
            return err_set(err, ERR_INVALID, "the range %d-%d ends before it begins", first, last);
        }
        if (set.count == SITE_STATUS_RANGES_MAX) {
            return err_set(err, ERR_INVALID, "has more than %d ranges", SITE_STATUS_RANGES_MAX);
        }
        set.ranges[set.count].first = (uint16_t)first;
        set.ranges[set.count].last = (uint16_t)last;
        set.count++;
        if (*c == '\0') {
            break;
        }
    }
    *out = set;
    return 0;
}

char *status_set_text(const struct status_set *set)
{
    char text[SITE_STATUS_RANGES_MAX * STATUS_TEXT_MAX + 1] = "";
    size_t used = 0;

    for (size_t i = 0; i < set->count; i++) {
        uint16_t first = set->ranges[i].first;
        uint16_t last = set->ranges[i].last;

        used +=
            (size_t)snprintf(text + used, sizeof(text) - used, "%s%u", i == 0 ? "" : ",", first);
        if (last != first) {
            used += (size_t)snprintf(text + used, sizeof(text) - used, "-%u", last);
        }
    }
    return mem_copy_string(text);
}

bool status_set_has(const struct status_set *set, int code)
{
    for (size_t i = 0; i < set->count; i++) {
        if (code >= set->ranges[i].first && code <= set->ranges[i].last) {
            return true;
        }
    }
    return false;
}
