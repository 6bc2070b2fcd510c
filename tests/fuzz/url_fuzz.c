/* What url_parse takes, it takes again in its normal form, with the same parts and no user. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mem_copy((const char *)data, size);
    struct url url, again;
    struct err err;

    if (url_parse(text, &url, &err) == 0) {
        assert(strlen(url.text) <= URL_BYTES_MAX && url.host[0] != '\0' && url.port > 0);
        if (url_parse(url.text, &again, &err) == 0) {
            assert(strcmp(url.text, again.text) == 0 && strcmp(url.host, again.host) == 0);
            assert(url.port == again.port && url.tls == again.tls);
            assert(again.user == NULL && again.password == NULL);
            url_free(&again);
        } else {
            abort();
        }
        url_free(&url);
    }
    free(text);
    return 0;
}
