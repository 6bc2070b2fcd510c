/*
 * libcurl's parser is lenient where a typing error is likelier than intent: it takes
 * "http:///path" for a host called "path", a port of 0, and empty labels in a host. Those are
 * refused here before or after it has parsed.
 */
#include "common/url.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"

#define HOST_BYTES_MAX 253
#define LABEL_BYTES_MAX 63
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define HOST_CHARACTERS LETTERS "0123456789-._"

/* Length of "http://" or "https://" at the start of text, 0 when there is neither. */
static size_t scheme_len(const char *text)
{
    if (strncasecmp(text, "http://", 7) == 0) {
        return 7;
    }
    return strncasecmp(text, "https://", 8) == 0 ? 8 : 0;
}

/* What is wrong before libcurl is asked; NULL when nothing is. */
static const char *fault_in_text(const char *text)
{
    size_t scheme = scheme_len(text);
    const char *end = text + strlen(text);

    if (end - text > URL_BYTES_MAX) {
        return "longer than 2048 bytes";
    }
    for (const char *c = text; c < end; c++) {
        if ((unsigned char)*c <= ' ' || *c == 0x7f) {
            return "holds a space or control character, write it as %XX";
        }
    }
    if (scheme == 0) {
        return "must begin with http:// or https://";
    }
    const char *authority = text + scheme;
    size_t len = strcspn(authority, "/?#");
    const char *at = memchr(authority, '@', len);
    size_t credentials = at == NULL ? 0 : (size_t)(at + 1 - authority);

    if (len == credentials || authority[credentials] == ':') {
        return "has no host";
    }
    if (memchr(authority + credentials, '@', len - credentials) != NULL) {
        return "has two @ before the path, write one in a name or password as %40";
    }
    for (const char *c = authority + credentials; c < authority + len; c++) {
        if ((unsigned char)*c >= 0x80) {
            return "has a host that is not ASCII, write it in punycode (xn--...)";
        }
    }
    return NULL;
}

/* What is wrong with a host as libcurl gives it; NULL when nothing is. */
static const char *fault_in_host(const char *host)
{
    struct in_addr address;
    size_t len = strlen(host);
    const char *last = host; /* the last label */

    if (host[0] == '[') {
        return NULL; /* libcurl has checked the address */
    }
    if (strspn(host, HOST_CHARACTERS) != len) { /* libcurl decodes %XX, also to what is no text */
        return "has a host with a character other than letters, digits, - . and _";
    }
    if (len > HOST_BYTES_MAX) {
        return "has a host longer than 253 bytes";
    }
    for (const char *label = host;;) {
        size_t label_len = strcspn(label, ".");

        if (label_len == 0) {
            return "has a host with an empty label";
        }
        if (label_len > LABEL_BYTES_MAX) {
            return "has a host with a label longer than 63 bytes";
        }
        last = label;
        label += label_len;
        if (label[0] == '\0' || label[1] == '\0') { /* a dot may end it */
            break;
        }
        label++;
    }
    if (strspn(last, "0123456789.") == strlen(last) && inet_pton(AF_INET, host, &address) != 1) {
        return "has a host that ends in a number but is no IPv4 address";
    }
    return NULL;
}

static int get_part(CURLU *handle, CURLUPart part, CURLUcode missing, unsigned flags, char **out,
                    struct err *err)
{
    char *text = NULL;
    CURLUcode code = curl_url_get(handle, part, &text, flags);

    if (code != CURLUE_OK && code != missing) {
        return err_set(err, ERR_INVALID, "url: %s in its user or password",
                       curl_url_strerror(code));
    }
    *out = mem_copy_string(text);
    curl_free(text);
    return 0;
}

/* "[fe80::1]" to "fe80::1". */
static char *without_brackets(const char *host)
{
    size_t len = strlen(host);

    return host[0] == '[' ? mem_copy(host + 1, len - 2) : mem_copy(host, len);
}

static int parse_host(CURLU *handle, struct url *url, struct err *err)
{
    char *host = NULL;
    char *port = NULL;
    const char *fault;

    /* Both are there: libcurl has found a host, and it knows the port of both schemes. */
    (void)curl_url_get(handle, CURLUPART_HOST, &host, 0);
    (void)curl_url_get(handle, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
    url->host = without_brackets(host);
    url->port = (uint16_t)strtoul(port, NULL, 10);
    fault = url->port == 0 ? "has the port 0, want 1..65535" : fault_in_host(host);
    curl_free(host);
    curl_free(port);
    return fault == NULL ? 0 : err_set(err, ERR_INVALID, "url: %s", fault);
}

static int parse_credentials(CURLU *handle, struct url *url, struct err *err)
{
    if (get_part(handle, CURLUPART_USER, CURLUE_NO_USER, CURLU_URLDECODE, &url->user, err) < 0 ||
        get_part(handle, CURLUPART_PASSWORD, CURLUE_NO_PASSWORD, CURLU_URLDECODE, &url->password,
                 err) < 0) {
        return -1;
    }
    if (url->user != NULL && url->user[0] == '\0' && url->password == NULL) {
        free(url->user);
        url->user = NULL;
    }
    return 0;
}

/* The text without user, password and fragment, which are not what is asked of the server. */
static int normalise(CURLU *handle, struct url *url, struct err *err)
{
    char *text = NULL;

    (void)curl_url_set(handle, CURLUPART_USER, NULL, 0);
    (void)curl_url_set(handle, CURLUPART_PASSWORD, NULL, 0);
    (void)curl_url_set(handle, CURLUPART_FRAGMENT, NULL, 0);
    (void)curl_url_get(handle, CURLUPART_URL, &text, CURLU_NO_DEFAULT_PORT);
    url->text = mem_copy_string(text);
    curl_free(text);
    if (strlen(url->text) > URL_BYTES_MAX) {
        return err_set(err, ERR_INVALID, "url: longer than %d bytes when it is encoded",
                       URL_BYTES_MAX);
    }
    return 0;
}

int url_parse(const char *text, struct url *out, struct err *err)
{
    const char *fault = fault_in_text(text);
    struct url url = {.tls = scheme_len(text) == 8};
    int rc = -1;

    if (fault != NULL) {
        return err_set(err, ERR_INVALID, "url: %s", fault);
    }
    CURLU *handle = curl_url();
    CURLUcode code = handle == NULL ? CURLUE_OUT_OF_MEMORY
                                    : curl_url_set(handle, CURLUPART_URL, text, CURLU_URLENCODE);

    if (code != CURLUE_OK) {
        err_set(err, ERR_INVALID, "url: %s", curl_url_strerror(code));
    } else if (parse_host(handle, &url, err) == 0 && parse_credentials(handle, &url, err) == 0 &&
               normalise(handle, &url, err) == 0) {
        *out = url;
        url = (struct url){0};
        rc = 0;
    }
    url_free(&url);
    curl_url_cleanup(handle);
    return rc;
}

void url_free(struct url *url)
{
    free(url->text);
    free(url->host);
    free(url->user);
    free(url->password);
    *url = (struct url){0};
}
