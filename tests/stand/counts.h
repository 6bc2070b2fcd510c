/*
 * counts - how often each path was asked for, and that as JSON.
 *
 * Open addressing that doubles; nothing is ever removed. For one thread.
 */
#ifndef TESTS_STAND_COUNTS_H
#define TESTS_STAND_COUNTS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

struct count {
    char *path; /* NULL: free */
    uint64_t asked;
};

struct counts {
    struct count *slots;
    size_t size; /* a power of 2, or 0 at first */
    size_t used;
};

static inline struct count *counts_find(const struct counts *counts, const char *path)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (const char *p = path; *p != '\0'; p++) {
        hash = (hash ^ (unsigned char)*p) * UINT64_C(1099511628211);
    }
    size_t i = (size_t)(hash ^ hash >> 32) & (counts->size - 1);
    while (counts->slots[i].path != NULL && strcmp(counts->slots[i].path, path) != 0) {
        i = (i + 1) & (counts->size - 1);
    }
    return &counts->slots[i];
}

static inline void counts_add(struct counts *counts, const char *path)
{
    if (counts->used * 2 >= counts->size) {
        struct counts bigger = {.size = counts->size == 0 ? 1024 : counts->size * 2};
        bigger.slots = mem_alloc(bigger.size, sizeof(*bigger.slots));
        bigger.used = counts->used;
        for (size_t i = 0; i < counts->size; i++) {
            if (counts->slots[i].path != NULL) {
                *counts_find(&bigger, counts->slots[i].path) = counts->slots[i];
            }
        }
        free(counts->slots);
        *counts = bigger;
    }
    struct count *count = counts_find(counts, path);
    if (count->path == NULL) {
        count->path = mem_copy_string(path);
        counts->used++;
    }
    count->asked++;
}

/* The caller frees. Bytes that JSON has no place for are written as \u00XX. */
static inline char *counts_json(const struct counts *counts)
{
    char *json = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&json, &len);
    if (out == NULL) {
        abort();
    }
    const char *comma = "";
    fputc('{', out);
    for (size_t i = 0; i < counts->size; i++) {
        if (counts->slots[i].path == NULL) {
            continue;
        }
        fprintf(out, "%s\"", comma);
        for (const char *p = counts->slots[i].path; *p != '\0'; p++) {
            unsigned char c = (unsigned char)*p;
            if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\') {
                fprintf(out, "\\u%04x", c);
            } else {
                fputc(c, out);
            }
        }
        fprintf(out, "\": %llu", (unsigned long long)counts->slots[i].asked);
        comma = ", ";
    }
    fputs("}\n", out);
    fclose(out);
    return json;
}

#endif
