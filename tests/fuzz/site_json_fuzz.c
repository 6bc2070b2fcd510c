/* Whatever the bytes: no crash. What is taken is JSON to another parser too, and what the database
 * would keep of it is taken again. */
#include <assert.h>
#include <cjson/cJSON.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/site_json.h"

static void assert_comes_back(const struct site *site)
{
    char *config = site_config_json(site);
    size_t size = strlen(config) + 64;
    char *text = mem_alloc(size, 1);
    struct site back;
    struct err err;
    int64_t version;

    snprintf(text, size, "{\"schema\":1,\"id\":7,\"version\":1%s%s", config[1] == '}' ? "" : ",",
             config + 1);
    /* Without its secrets: it may need one, and only what is said of that is looked at. */
    if (site_json_read(text, strlen(text), NULL, &back, &version, &err) == 0) {
        assert(strcmp(site->url, back.url) == 0 && strcmp(site->name, back.name) == 0);
        assert(site->seconds == back.seconds && site->timeout_ms == back.timeout_ms);
        site_free(&back);
    }
    free(text);
    free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct site site;
    struct err err;
    int64_t version;

    if (memmem(input, size, "_file", 5) != NULL) {
        return 0; /* those options read files of the machine */
    }
    if (site_json_read((const char *)input, size, NULL, &site, &version, &err) < 0) {
        assert(err.kind == ERR_INVALID && err.message[0] != '\0');
        return 0;
    }
    cJSON *parsed = cJSON_ParseWithLength((const char *)input, size);

    assert(parsed != NULL && site.id > 0 && version > 0);
    cJSON_Delete(parsed);
    assert_comes_back(&site);
    site_free(&site);
    return 0;
}
