#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "producer/probe_internal.h"

/* A part of the URL, owned by the caller; NULL and *err on failure. */
static char *part_get(CURLU *handle, CURLUPart part, unsigned flags, struct err *err)
{
    char *text = NULL;
    CURLUcode code = curl_url_get(handle, part, &text, flags);

    if (code != CURLUE_OK) {
        err_set(err, ERR_INVALID, "%s", curl_url_strerror(code));
        return NULL;
    }
    char *copy = mem_copy_string(text); /* so that all of a target is freed by free() */

    curl_free(text);
    return copy;
}

static int scheme_read(CURLU *handle, bool *tls, struct err *err)
{
    char *scheme = part_get(handle, CURLUPART_SCHEME, 0, err);

    if (scheme == NULL) {
        return -1;
    }
    *tls = strcmp(scheme, "https") == 0;
    if (!*tls && strcmp(scheme, "http") != 0) {
        err_set(err, ERR_INVALID, "%s is neither http nor https", scheme);
        free(scheme);
        return -1;
    }
    free(scheme);
    return 0;
}

/* Brackets are the URL's way to write an IPv6 address, not a part of it. */
static void brackets_remove(char *host)
{
    size_t len = strlen(host);

    if (host[0] == '[' && len > 2) {
        memmove(host, host + 1, len - 2);
        host[len - 2] = '\0';
    }
}

/* libcurl makes punycode of other letters in a UTF-8 locale only, and we depend on no locale. */
static bool is_ascii(const char *text)
{
    while (*text != '\0' && (unsigned char)*text < 0x80) {
        text++;
    }
    return *text == '\0';
}

/*
 * The URL without what is not ours to follow or show: whom a Location logs in as, and the fragment.
 * It is read again as it was written: an escape in the host becomes a letter by the first reading,
 * and "7%33" is an address by the second. What libcurl will connect to is what we resolve and
 * judge.
 */
static int url_settle(CURLU *handle, struct target *target, struct err *err)
{
    curl_url_set(handle, CURLUPART_USER, NULL, 0);
    curl_url_set(handle, CURLUPART_PASSWORD, NULL, 0);
    curl_url_set(handle, CURLUPART_OPTIONS, NULL, 0);
    curl_url_set(handle, CURLUPART_FRAGMENT, NULL, 0);

    char *once = part_get(handle, CURLUPART_URL, CURLU_NO_DEFAULT_PORT, err);

    if (once == NULL) {
        return -1;
    }
    CURLUcode code = curl_url_set(handle, CURLUPART_URL, once, 0);

    free(once);
    if (code != CURLUE_OK) {
        return err_set(err, ERR_INVALID, "%s", curl_url_strerror(code));
    }
    target->url = part_get(handle, CURLUPART_URL, CURLU_NO_DEFAULT_PORT, err);
    return target->url == NULL ? -1 : 0;
}

/* An interface that is not there now has no number: the kernel refuses the address then. */
static unsigned scope_read(CURLU *handle)
{
    char *zone = NULL;
    unsigned scope = 0;

    if (curl_url_get(handle, CURLUPART_ZONEID, &zone, 0) == CURLUE_OK) {
        size_t digits = strspn(zone, "0123456789");

        scope = zone[digits] == '\0' ? (unsigned)strtoul(zone, NULL, 10) : if_nametoindex(zone);
        curl_free(zone);
    }
    return scope;
}

static int parts_read(CURLU *handle, struct target *target, struct err *err)
{
    if (scheme_read(handle, &target->tls, err) < 0 || url_settle(handle, target, err) < 0) {
        return -1;
    }
    target->host = part_get(handle, CURLUPART_HOST, 0, err);

    char *port = part_get(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT, err);

    if (target->host == NULL || port == NULL) {
        free(port);
        return -1;
    }
    target->port = (uint16_t)strtoul(port, NULL, 10);
    target->scope = scope_read(handle);
    free(port);
    brackets_remove(target->host);
    if (!is_ascii(target->host)) {
        return err_set(err, ERR_INVALID, "the host is not in ASCII");
    }
    if (strlen(target->url) > PROBE_URL_BYTES_MAX) {
        return err_set(err, ERR_INVALID, "longer than %d bytes", PROBE_URL_BYTES_MAX);
    }
    return 0;
}

/* --- Without libcurl --- */

#define HOST_BYTES_MAX 253

/* By comparison: strspn makes a table of so many bytes for each call. */
static bool may_be_in_host(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

static bool may_be_in_path(char c)
{
    return may_be_in_host(c) || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("/_~?=&:@!$'()*+,;", c) != NULL);
}

static size_t span(const char *text, bool (*may_be_in)(char))
{
    size_t len = 0;

    while (may_be_in(text[len])) {
        len++;
    }
    return len;
}

/* Digits at *at, not the port that the scheme has anyway; moves *at behind them. */
static bool port_read(const char **at, uint16_t usual, uint16_t *port)
{
    unsigned long value = 0;
    size_t digits = strspn(*at, "0123456789");

    if (digits == 0 || digits > 5 || **at == '0') {
        return false;
    }
    for (size_t i = 0; i < digits; i++) {
        value = value * 10 + (unsigned long)((*at)[i] - '0');
    }
    *at += digits;
    *port = (uint16_t)value;
    return value <= UINT16_MAX && value != usual;
}

/* A name whose last label begins with a letter, or an address as everybody writes it: libcurl
 * makes addresses of "0x7f.1" and "127.1" too. */
static bool host_is_settled(const char *host)
{
    const char *dot = strrchr(host, '.');
    const char *last = dot == NULL ? host : dot + 1;
    struct in_addr address;

    return (*last >= 'a' && *last <= 'z') || inet_pton(AF_INET, host, &address) == 1;
}

/*
 * A URL that libcurl would give back as it stands: to ask it for that takes ten times as long, and
 * most sites have one. False: not one of those, ask libcurl.
 */
static bool settled_parse(const char *url, struct target *out)
{
    bool tls = strncmp(url, "https://", 8) == 0;
    const char *host = url + (tls ? 8 : 7);
    char name[HOST_BYTES_MAX + 1];
    uint16_t port = tls ? 443 : 80;

    if (!tls && strncmp(url, "http://", 7) != 0) {
        return false;
    }
    size_t host_len = span(host, may_be_in_host);
    const char *at = host + host_len;

    if (host_len == 0 || host_len > HOST_BYTES_MAX) {
        return false;
    }
    memcpy(name, host, host_len);
    name[host_len] = '\0';
    if (!host_is_settled(name)) {
        return false;
    }
    if (*at == ':') {
        at++;
        if (!port_read(&at, port, &port)) {
            return false;
        }
    }
    size_t path_len = span(at, may_be_in_path);

    if (*at != '/' || at[path_len] != '\0' || strstr(at, "/.") != NULL ||
        (size_t)(at - url) + path_len > PROBE_URL_BYTES_MAX) {
        return false;
    }
    *out = (struct target){
        .url = mem_copy_string(url), .host = mem_copy_string(name), .port = port, .tls = tls};
    out->path = strchr(at, '?') == NULL ? out->url + (at - url) : NULL;
    return true;
}

int target_parse(const char *base, const char *location, struct target *out, struct err *err)
{
    if (base == NULL && settled_parse(location, out)) {
        return 0;
    }

    struct target target = {0};
    CURLU *handle = curl_url();
    int result = -1;

    if (handle == NULL) {
        return err_set(err, ERR_INVALID, "out of memory");
    }
    CURLUcode code = base == NULL ? CURLUE_OK : curl_url_set(handle, CURLUPART_URL, base, 0);

    if (code == CURLUE_OK) {
        /* Sites put spaces and bytes over 127 into Location; browsers encode them. */
        code = curl_url_set(handle, CURLUPART_URL, location,
                            CURLU_URLENCODE | CURLU_NON_SUPPORT_SCHEME);
    }
    if (code != CURLUE_OK) {
        err_set(err, ERR_INVALID, "%s", curl_url_strerror(code));
    } else {
        result = parts_read(handle, &target, err);
    }
    curl_url_cleanup(handle);
    if (result < 0) {
        target_free(&target);
        return -1;
    }
    *out = target;
    return 0;
}

void target_free(struct target *target)
{
    free(target->url);
    free(target->host);
    *target = (struct target){0};
}

bool target_tell(const struct target *target, CURLU *handle)
{
    char port[sizeof("65535")] = "";

    if (target->path == NULL) {
        return curl_url_set(handle, CURLUPART_URL, target->url, 0) == CURLUE_OK;
    }
    const char *at =
        target->url + strlen(target->tls ? "https://" : "http://") + strlen(target->host);

    if (at != target->path) { /* past the colon */
        memcpy(port, at + 1, (size_t)(target->path - at) - 1);
    }
    return curl_url_set(handle, CURLUPART_SCHEME, target->tls ? "https" : "http", 0) == CURLUE_OK &&
           curl_url_set(handle, CURLUPART_HOST, target->host, 0) == CURLUE_OK &&
           curl_url_set(handle, CURLUPART_PORT, port[0] == '\0' ? NULL : port, 0) == CURLUE_OK &&
           curl_url_set(handle, CURLUPART_PATH, target->path, 0) == CURLUE_OK &&
           curl_url_set(handle, CURLUPART_QUERY, NULL, 0) == CURLUE_OK;
}

bool target_same_origin(const struct target *a, const struct target *b)
{
    return a->tls == b->tls && a->port == b->port && a->scope == b->scope &&
           strcasecmp(a->host, b->host) == 0;
}
