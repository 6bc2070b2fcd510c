/* Before the first newline a path, after it a JSON text. A path that parses is shown as one that
 * parses to the same; a text that we take for JSON is JSON for cJSON, and what we find in it is. */
#include <assert.h>
#include <cjson/cJSON.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsonpath.h"
#include "common/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void is_json(const char *json, size_t len)
{
    char *text = mem_copy(json, len);
    const char *end = NULL;
    cJSON *tree = cJSON_ParseWithOpts(text, &end, 1);

    /* It has no word for a NUL in a string, and ends there. */
    assert(tree != NULL || strstr(text, "\\u") != NULL);
    cJSON_Delete(tree);
    free(text);
}

static void shown_as_it_parses(const struct jsonpath *path)
{
    char shown[4 * JSONPATH_BYTES_MAX], again_shown[4 * JSONPATH_BYTES_MAX];
    struct jsonpath again;
    struct err err;

    jsonpath_text(path, path->count, shown, sizeof(shown));
    if (strlen(shown) > JSONPATH_BYTES_MAX) {
        return; /* its quotes made it longer than a path may be */
    }
    if (jsonpath_parse(shown, &again, &err) < 0) {
        abort();
    }
    assert(again.count == path->count);
    jsonpath_text(&again, again.count, again_shown, sizeof(again_shown));
    assert(strcmp(shown, again_shown) == 0);
    jsonpath_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *newline = size == 0 ? NULL : memchr(text, '\n', size);
    size_t path_len = newline == NULL ? size : (size_t)(newline - text);
    char *path_text = mem_copy(text, path_len);
    const char *json = newline == NULL ? "{\"a\":[1]}" : newline + 1;
    size_t len = newline == NULL ? strlen(json) : size - path_len - 1;
    struct jsonpath_match match;
    struct jsonpath path;
    struct err err;

    if (jsonpath_parse(path_text, &path, &err) == 0) {
        shown_as_it_parses(&path);
        jsonpath_find(&path, json, len, &match);
        if (match.outcome == JSONPATH_FOUND || match.outcome == JSONPATH_MISSING) {
            is_json(json, len);
        }
        assert(match.outcome != JSONPATH_MISSING || match.steps < path.count);
        if (match.outcome == JSONPATH_FOUND) {
            assert(match.text >= json && match.text + match.len <= json + len && match.len > 0);
            is_json(match.text, match.len);
            jsonpath_value_is(&match, path_text);
        }
        jsonpath_free(&path);
    }
    free(path_text);
    return 0;
}
