#include "producer/sitepool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define uthash_malloc(size) mem_alloc(1, (size))
#include <uthash.h>

#define TEXT(field) offsetof(struct site, field)

/* One text, by which it is found, and what was made of it. */
struct shared {
    char *text;
    site_strings list; /* whose texts it holds, each with a line feed */
    struct pattern *pattern;
    struct jsonpath *path;
    uint32_t uses;
    UT_hash_handle hh; /* by text */
};

struct sitepool {
    struct shared *texts, *lists, *paths;
    struct shared **patterns; /* a part's */
    size_t part_count;
};

static const size_t plain_texts[] = {
    TEXT(json_value), TEXT(method),   TEXT(body),     TEXT(ca_file),      TEXT(cert_file),
    TEXT(key_file),   TEXT(username), TEXT(password), TEXT(bearer_token), TEXT(resolve_to),
};
static const size_t lists[] = {TEXT(headers), TEXT(tags)};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char **text_field(struct site *site, size_t offset)
{
    return (char **)(void *)((char *)site + offset);
}

static site_strings *list_field(struct site *site, size_t offset)
{
    return (site_strings *)(void *)((char *)site + offset);
}

/* --- One of them --- */

static struct shared *find(struct shared *all, const char *text)
{
    struct shared *shared;

    HASH_FIND_STR(all, text, shared);
    return shared;
}

/* Takes the text over. */
static struct shared *share(struct shared **all, char *text)
{
    struct shared *shared = find(*all, text);

    if (shared != NULL) {
        free(text);
    } else {
        shared = mem_alloc(1, sizeof(*shared));
        shared->text = text;
        HASH_ADD_KEYPTR(hh, *all, shared->text, strlen(shared->text), shared);
    }
    shared->uses++;
    return shared;
}

static void release(struct shared **all, struct shared *shared)
{
    assert(shared != NULL && shared->uses > 0);
    if (--shared->uses > 0) {
        return;
    }
    HASH_DELETE(hh, *all, shared);
    for (size_t i = 0; shared->list != NULL && shared->list[i] != NULL; i++) {
        free(shared->list[i]);
    }
    free(shared->list);
    pattern_free(shared->pattern);
    if (shared->path != NULL) {
        jsonpath_free(shared->path);
        free(shared->path);
    }
    free(shared->text);
    free(shared);
}

/* --- Texts --- */

static struct shared *share_text(struct shared **all, char **field)
{
    if (*field == NULL) {
        return NULL;
    }
    struct shared *shared = share(all, *field);

    *field = shared->text;
    return shared;
}

static void release_text(struct shared **all, char **field)
{
    if (*field != NULL) {
        release(all, find(*all, *field));
        *field = NULL;
    }
}

/* --- Lists --- */

static char *joined(char *const *list)
{
    size_t size = 1;
    size_t used = 0;

    for (size_t i = 0; list[i] != NULL; i++) {
        size += strlen(list[i]) + 1;
    }
    char *text = mem_alloc(size, 1);

    for (size_t i = 0; list[i] != NULL; i++) {
        size_t len = strlen(list[i]);

        memcpy(text + used, list[i], len);
        text[used + len] = '\n'; /* no option's text has one */
        used += len + 1;
    }
    return text;
}

static void share_list(struct shared **all, site_strings *field)
{
    if (*field == NULL) {
        return;
    }
    struct shared *shared = share(all, joined(*field));

    if (shared->list == NULL) {
        shared->list = *field;
        return;
    }
    for (size_t i = 0; (*field)[i] != NULL; i++) {
        free((*field)[i]);
    }
    free(*field);
    *field = shared->list;
}

static void release_list(struct shared **all, site_strings *field)
{
    if (*field != NULL) {
        char *text = joined(*field);

        release(all, find(*all, text));
        free(text);
        *field = NULL;
    }
}

/* --- What is compiled --- */

static struct pattern *share_pattern(struct shared **all, char **field)
{
    struct shared *shared = share_text(all, field);
    struct err err;

    if (shared == NULL) {
        return NULL;
    }
    if (shared->pattern == NULL) {
        shared->pattern = pattern_new(shared->text, &err);
    }
    assert(shared->pattern != NULL); /* site_set compiled it before */
    return shared->pattern;
}

static struct jsonpath *share_path(struct shared **all, char **field)
{
    struct shared *shared = share_text(all, field);
    struct err err;

    if (shared != NULL && shared->path == NULL) {
        shared->path = mem_alloc(1, sizeof(*shared->path));
        int rc = jsonpath_parse(shared->text, shared->path, &err);

        assert(rc == 0); /* site_set parsed it before */
        (void)rc;
    }
    return shared == NULL ? NULL : shared->path;
}

/* --- What the header promises --- */

struct sitepool *sitepool_new(size_t parts)
{
    struct sitepool *pool = mem_alloc(1, sizeof(*pool));

    pool->part_count = parts;
    pool->patterns = mem_alloc(parts, sizeof(pool->patterns[0]));
    return pool;
}

void sitepool_free(struct sitepool *pool)
{
    assert(pool->texts == NULL && pool->lists == NULL && pool->paths == NULL);
    free(pool->patterns);
    free(pool);
}

void sitepool_share(struct sitepool *pool, size_t part, struct site *site,
                    struct judge_patterns *patterns)
{
    struct shared **own = &pool->patterns[part];

    assert(part < pool->part_count);
    for (size_t i = 0; i < COUNT(plain_texts); i++) {
        share_text(&pool->texts, text_field(site, plain_texts[i]));
    }
    for (size_t i = 0; i < COUNT(lists); i++) {
        share_list(&pool->lists, list_field(site, lists[i]));
    }
    *patterns = (struct judge_patterns){
        .present = share_pattern(own, &site->pattern),
        .absent = share_pattern(own, &site->pattern_absent),
        .header = share_pattern(own, &site->header_pattern),
        .json = share_path(&pool->paths, &site->json_path),
    };
}

void sitepool_release(struct sitepool *pool, size_t part, struct site *site)
{
    struct shared **own = &pool->patterns[part];

    for (size_t i = 0; i < COUNT(plain_texts); i++) {
        release_text(&pool->texts, text_field(site, plain_texts[i]));
    }
    for (size_t i = 0; i < COUNT(lists); i++) {
        release_list(&pool->lists, list_field(site, lists[i]));
    }
    release_text(own, &site->pattern);
    release_text(own, &site->pattern_absent);
    release_text(own, &site->header_pattern);
    release_text(&pool->paths, &site->json_path);
}
