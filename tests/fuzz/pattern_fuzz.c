/*
 * The first line is the pattern, the rest the body. Whatever they are: an answer is JSON and valid
 * UTF-8 without a NUL, within its ceilings, and the verdict is the same without answers.
 */
#include <assert.h>
#include <cjson/cJSON.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/pattern.h"
#include "common/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_answers(const struct answers *answers)
{
    cJSON *json = cJSON_ParseWithLength(answers->json, answers->json_len);
    const cJSON *match;
    size_t bytes = 0;

    assert(cJSON_IsArray(json) && (size_t)cJSON_GetArraySize(json) == answers->count);
    assert(answers->count > 0 && answers->count <= PATTERN_ANSWERS_MAX);
    assert(utf8_valid_prefix(answers->json, answers->json_len) == answers->json_len);
    cJSON_ArrayForEach (match, json) {
        const cJSON *group;

        cJSON_ArrayForEach (group, match) {
            assert(cJSON_IsString(group) || cJSON_IsNull(group));
            bytes += cJSON_IsString(group) ? strlen(group->valuestring) : 0;
        }
    }
    assert(bytes <= PATTERN_ANSWER_BYTES_MAX);
    cJSON_Delete(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line_end = size == 0 ? NULL : memchr(data, '\n', size);
    size_t pattern_len = line_end == NULL ? size : (size_t)(line_end - data);
    const char *body = (const char *)data + pattern_len + (line_end == NULL ? 0 : 1);
    size_t len = size - (size_t)(body - (const char *)data);
    char *text = mem_copy((const char *)data, pattern_len);
    struct err err;
    struct pattern *p = pattern_new(text, &err);
    struct answers answers;

    assert((p == NULL) == (pattern_check(text, &err) < 0));
    if (p != NULL) {
        enum pattern_result result = pattern_search(p, body, len, &answers);

        assert((result == PATTERN_MATCHED) == (answers.json != NULL));
        if (result == PATTERN_MATCHED) {
            check_answers(&answers);
        }
        answers_free(&answers);
        /* A search that is near its limit may end on either side of it. */
        enum pattern_result again = pattern_search(p, body, len, NULL);

        assert(result == again || result == PATTERN_LIMIT || again == PATTERN_LIMIT);
        pattern_free(p);
    }
    free(text);
    return 0;
}
