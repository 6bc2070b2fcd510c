/* What a request says: its method, its headers, and who asks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "producer/probe_internal.h"

bool slist_append(struct curl_slist **list, const char *text)
{
    struct curl_slist *longer = curl_slist_append(*list, text);

    if (longer == NULL) {
        return false;
    }
    *list = longer;
    return true;
}

/* --- The headers that most requests have --- */

/* All that this libcurl can decode, as Accept-Encoding has it. */
static void encodings_put(char *out, size_t size)
{
    static const struct {
        int feature;
        const char *names;
    } rows[] = {
        {CURL_VERSION_LIBZ, "deflate, gzip"},
        {CURL_VERSION_BROTLI, "br"},
        {CURL_VERSION_ZSTD, "zstd"},
    };
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if ((curl_version_info(CURLVERSION_NOW)->features & rows[i].feature) != 0) {
            len +=
                (size_t)snprintf(out + len, size - len, "%s%s", len > 0 ? ", " : "", rows[i].names);
        }
    }
}

static bool append_both(struct curl_slist **list, const char *start, const char *rest)
{
    size_t size = strlen(start) + strlen(rest) + 1;
    char *line = mem_alloc(size, 1);

    snprintf(line, size, "%s%s", start, rest);

    bool ok = slist_append(list, line);

    free(line);
    return ok;
}

/* Written once: from its options for them libcurl makes the two lines anew for each transfer. */
static bool append_always(const struct probe *p, struct curl_slist **list)
{
    return append_both(list, "User-Agent: ", p->settings.user_agent) &&
           append_both(list, "Accept-Encoding: ", p->encodings);
}

bool request_prepare(struct probe *p)
{
    encodings_put(p->encodings, sizeof(p->encodings));
    /* The server closes first then, and no TIME_WAIT stays with us. HTTP/2 has no such header,
     * and libcurl leaves it out there. */
    return append_always(p, &p->kept_headers) && append_always(p, &p->fresh_headers) &&
           slist_append(&p->fresh_headers, "Connection: close");
}

void request_unprepare(struct probe *p)
{
    curl_slist_free_all(p->kept_headers);
    curl_slist_free_all(p->fresh_headers);
}

/* --- Those of a site --- */

/* Its name is that of `other`, which is a name or a line too. */
static bool header_is(const char *header, const char *other)
{
    size_t len = strcspn(other, ":");

    return strncasecmp(header, other, len) == 0 && header[len] == ':';
}

static bool site_has_header(const struct site *site, const char *other)
{
    for (char **header = site->headers; header != NULL && *header != NULL; header++) {
        if (header_is(*header, other)) {
            return true;
        }
    }
    return false;
}

/* Its name speaks of a secret, or it is only meant for the site's own host. */
static bool header_is_private(const char *header)
{
    static const char *const words[] = {
        "auth", "cookie", "token", "secret", "key", "password", "session", "credential",
    };
    size_t name_len = strcspn(header, ":");

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t len = strlen(words[i]);

        for (size_t at = 0; at + len <= name_len; at++) {
            if (strncasecmp(header + at, words[i], len) == 0) {
                return true;
            }
        }
    }
    return header_is(header, "Host");
}

/* libcurl takes "Name:" for "leave it out"; "Name;" is its way to send it empty. */
static bool append_site_header(struct curl_slist **list, const char *header)
{
    size_t name_len = strcspn(header, ":");

    if (header[name_len] != ':' || header[name_len + 1 + strspn(header + name_len + 1, " \t")]) {
        return slist_append(list, header);
    }
    char *empty = mem_copy(header, name_len + 1);

    empty[name_len] = ';';

    bool ok = slist_append(list, empty);

    free(empty);
    return ok;
}

static bool append_site_headers(struct slot *slot, bool at_home)
{
    bool ok = true;

    for (char **header = slot->site->headers; header != NULL && *header != NULL; header++) {
        bool of_body = strncasecmp(*header, "Content-", strlen("Content-")) == 0;

        if ((at_home || !header_is_private(*header)) && (slot->send_body || !of_body)) {
            ok = append_site_header(&slot->headers, *header) && ok;
        }
    }
    return ok;
}

static bool append_usual_headers(struct slot *slot, const struct curl_slist *usual)
{
    bool ok = true;

    for (; usual != NULL; usual = usual->next) {
        ok = (site_has_header(slot->site, usual->data) ||
              slist_append(&slot->headers, usual->data)) &&
             ok;
    }
    return ok;
}

static bool set_headers(struct slot *slot, bool at_home)
{
    const struct site *site = slot->site;
    struct curl_slist *usual =
        site->reuse_connection ? slot->probe->kept_headers : slot->probe->fresh_headers;
    bool ok = true;

    if (slot->headers == NULL && site->headers == NULL && site->bearer_token == NULL &&
        !slot->send_body) {
        return SET(CURLOPT_HTTPHEADER, usual);
    }
    ok = append_site_headers(slot, at_home) && append_usual_headers(slot, usual);
    if (slot->send_body) {
        ok = slist_append(&slot->headers, "Expect:") && ok; /* no second round trip before a body */
    }
    if (at_home && site->bearer_token != NULL) {
        ok = append_both(&slot->headers, "Authorization: Bearer ", site->bearer_token) && ok;
    }
    return SET(CURLOPT_HTTPHEADER, slot->headers);
}

/* --- The request --- */

static bool set_method(struct slot *slot)
{
    const char *body = slot->send_body ? slot->site->body : NULL;
    const char *method = slot->method;
    bool ok = true;

    if (strcmp(method, "HEAD") == 0) {
        return SET(CURLOPT_NOBODY, 1L);
    }
    /* These are expected to say that their body is empty (RFC 9110, 8.6). */
    if (body == NULL && (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
                         strcmp(method, "PATCH") == 0)) {
        body = "";
        ok = slist_append(&slot->headers, "Content-Type:");
    }
    if (body != NULL) {
        SET(CURLOPT_POSTFIELDSIZE, (long)strlen(body));
        SET(CURLOPT_POSTFIELDS, body);
    }
    if (strcmp(method, body == NULL ? "GET" : "POST") != 0) {
        SET(CURLOPT_CUSTOMREQUEST, method);
    }
    return ok;
}

bool request_set(struct slot *slot)
{
    const struct site *site = slot->site;
    bool at_home = target_same_origin(&slot->home, &slot->target);
    bool ok = set_method(slot);

    ok = set_headers(slot, at_home) && ok;
    /* Of a CURLOPT_URL libcurl writes its own form each time, which nobody reads. */
    ok = target_tell(&slot->target, slot->url) && ok;
    SET(CURLOPT_CURLU, slot->url);
    SET(CURLOPT_HTTP_VERSION, site->http_version == SITE_HTTP_1_1 ? (long)CURL_HTTP_VERSION_1_1
                                                                  : (long)CURL_HTTP_VERSION_2TLS);
    if (at_home && site->username != NULL) {
        SET(CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        SET(CURLOPT_USERNAME, site->username);
        SET(CURLOPT_PASSWORD, site->password == NULL ? "" : site->password);
    }
    return ok;
}
