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

int target_parse(const char *base, const char *location, struct target *out, struct err *err)
{
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

void target_copy(struct target *to, const struct target *from)
{
    *to = *from;
    to->url = mem_copy_string(from->url);
    to->host = mem_copy_string(from->host);
}

void target_free(struct target *target)
{
    free(target->url);
    free(target->host);
    *target = (struct target){0};
}

bool target_same_origin(const struct target *a, const struct target *b)
{
    return a->tls == b->tls && a->port == b->port && strcasecmp(a->host, b->host) == 0;
}
