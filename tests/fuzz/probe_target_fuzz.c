/* Whatever a site puts into Location: what comes out is http or https, has no user and password,
 * and means the same when it is read again. */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "producer/probe_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *location = mem_copy((const char *)data, size);
    struct target first, second;
    struct err err;

    if (target_parse("https://site.test:8443/a/b?c", location, &first, &err) == 0) {
        size_t scheme_len = strlen(first.tls ? "https://" : "http://");
        const char *authority = first.url + scheme_len;

        if (strncmp(first.url, first.tls ? "https://" : "http://", scheme_len) != 0 ||
            memchr(authority, '@', strcspn(authority, "/?")) != NULL || first.host[0] == '\0' ||
            strlen(first.url) > PROBE_URL_BYTES_MAX) {
            abort();
        }
        if (target_parse(NULL, first.url, &second, &err) == 0) {
            if (!target_same_origin(&first, &second)) {
                abort();
            }
            target_free(&second);
        }
        target_free(&first);
    }
    free(location);
    return 0;
}
