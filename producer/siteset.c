#include "producer/siteset.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

struct siteset {
    struct member *by_name;
};

struct siteset *siteset_new(void)
{
    return mem_alloc(1, sizeof(struct siteset));
}

static void member_free(struct member *m)
{
    pattern_free(m->patterns.present);
    pattern_free(m->patterns.absent);
    pattern_free(m->patterns.header);
    if (m->patterns.json != NULL) {
        jsonpath_free(m->patterns.json);
        free(m->patterns.json);
    }
    site_free(&m->site);
    free(m);
}

void siteset_free(struct siteset *s)
{
    struct member *m;
    struct member *next;

    if (s == NULL) {
        return;
    }
    HASH_ITER (hh, s->by_name, m, next) {
        HASH_DELETE(hh, s->by_name, m);
        member_free(m);
    }
    free(s);
}

size_t siteset_count(const struct siteset *s)
{
    return HASH_COUNT(s->by_name);
}

struct member *siteset_find(const struct siteset *s, const char *name)
{
    struct member *m;

    HASH_FIND_STR(s->by_name, name, m);
    return m;
}

static struct pattern *compile(const char *text)
{
    struct err err;
    struct pattern *p = text == NULL ? NULL : pattern_new(text, &err);

    assert(text == NULL || p != NULL); /* site_finish compiled it before */
    return p;
}

static struct jsonpath *parse_path(const char *text)
{
    struct err err;

    if (text == NULL) {
        return NULL;
    }
    struct jsonpath *path = mem_alloc(1, sizeof(*path));
    int rc = jsonpath_parse(text, path, &err);

    assert(rc == 0); /* site_set parsed it before */
    (void)rc;
    return path;
}

struct member *siteset_add(struct siteset *s, struct site *site)
{
    struct member *m = mem_alloc(1, sizeof(*m));

    assert(siteset_find(s, site->name) == NULL);
    m->site = *site;
    *site = (struct site){0};
    m->patterns.present = compile(m->site.pattern);
    m->patterns.absent = compile(m->site.pattern_absent);
    m->patterns.header = compile(m->site.header_pattern);
    m->patterns.json = parse_path(m->site.json_path);
    HASH_ADD_KEYPTR(hh, s->by_name, m->site.name, strlen(m->site.name), m);
    return m;
}

void siteset_remove(struct siteset *s, struct member *member)
{
    HASH_DELETE(hh, s->by_name, member);
    member->gone = true;
    if (member->in_flight == 0) {
        member_free(member);
    }
}

void siteset_begin_check(struct member *member)
{
    member->in_flight++;
}

void siteset_end_check(struct member *member)
{
    assert(member->in_flight > 0);
    member->in_flight--;
    if (member->gone && member->in_flight == 0) {
        member_free(member);
    }
}

struct member *siteset_next(const struct siteset *s, const struct member *after)
{
    return after == NULL ? s->by_name : after->hh.next;
}
