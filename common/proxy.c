#include "common/proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/url.h"

static const char *const schemes[] = {
    [PROXY_HTTP] = "http",
    [PROXY_HTTPS] = "https",
    [PROXY_SOCKS5] = "socks5",
    [PROXY_SOCKS5H] = "socks5h",
};

const char *proxy_scheme(enum proxy_kind kind)
{
    return schemes[kind];
}

static bool find_kind(const char *text, enum proxy_kind *kind)
{
    size_t len = strcspn(text, ":");

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (strlen(schemes[i]) == len && strncasecmp(text, schemes[i], len) == 0) {
            *kind = (enum proxy_kind)i;
            return strncmp(text + len, "://", 3) == 0;
        }
    }
    return false;
}

/* What is wrong with all after the scheme; NULL when nothing is. */
static const char *fault_in_rest(const char *rest)
{
    const char *at = strrchr(rest, '@');
    const char *host = at == NULL ? rest : at + 1;
    const char *bracket = strchr(host, ']');
    const char *path = strchr(host, '/');

    if (strpbrk(host, "?#") != NULL || (path != NULL && path[1] != '\0')) {
        return "has a path or a query, and a proxy has none";
    }
    return strchr(bracket == NULL ? host : bracket, ':') == NULL ? "has no port" : NULL;
}

int proxy_parse(const char *text, struct proxy *out, struct err *err)
{
    enum proxy_kind kind;
    struct url url;

    if (!find_kind(text, &kind)) {
        return err_set(err, ERR_INVALID,
                       "must begin with http://, https://, socks5:// or socks5h://");
    }
    const char *rest = strstr(text, "://") + 3;
    const char *fault = fault_in_rest(rest);

    if (fault != NULL) {
        return err_set(err, ERR_INVALID, "%s", fault);
    }
    /* Beyond the scheme it is as a site's URL, with the same rules. */
    size_t size = strlen("http://") + strlen(rest) + 1;
    char *as_http = mem_alloc(size, 1);

    snprintf(as_http, size, "http://%s", rest);

    int rc = url_parse(as_http, &url, err);

    free(as_http);
    if (rc < 0) {
        return -1;
    }
    *out = (struct proxy){.kind = kind,
                          .host = mem_copy_string(url.host),
                          .user = mem_copy_string(url.user),
                          .password = mem_copy_string(url.password),
                          .port = url.port};
    url_free(&url);
    return 0;
}

void proxy_free(struct proxy *proxy)
{
    free(proxy->host);
    free(proxy->user);
    free(proxy->password);
    *proxy = (struct proxy){0};
}
