/*
 * jsonprint - the text of a cJSON tree.
 */
#ifndef COMMON_JSONPRINT_H
#define COMMON_JSONPRINT_H

#include <cjson/cJSON.h>

/* In one line, terminated; deletes the tree. Never NULL (common/mem); the caller frees. */
char *jsonprint(cJSON *json) __attribute__((returns_nonnull));

#endif
