/* One pass over a JSON text, which looks for one value and sees that all the rest is JSON. */
#include <string.h>

#include "common/jsonpath.h"
#include "common/jsontext.h"
#include "common/utf8.h"

#define OFF_PATH SIZE_MAX /* in place of the number of steps that lead to a value */

struct finder {
    const struct jsonpath *path;
    struct jsontext text;
    size_t reached; /* the most steps that led to a value */
    const char *found;
    size_t found_len;
};

static bool find_value(struct finder *f, size_t steps);

/* The step that would lead from a value on to the one that is looked for; NULL: none does. */
static const struct jsonpath_step *next_step(const struct finder *f, size_t steps)
{
    return steps == OFF_PATH || steps == f->path->count ? NULL : &f->path->steps[steps];
}

static bool find_in_array(struct finder *f, size_t steps)
{
    const struct jsonpath_step *step = next_step(f, steps);
    bool more;

    if (!jsontext_open(&f->text, &more)) {
        return false;
    }
    for (uint32_t index = 0; more; index++) {
        bool leads = step != NULL && step->name == NULL && step->index == index;

        if (!find_value(f, leads ? steps + 1 : OFF_PATH) || !jsontext_next(&f->text, ']', &more)) {
            return false;
        }
    }
    return true;
}

static bool find_in_object(struct finder *f, size_t steps)
{
    const struct jsonpath_step *step = next_step(f, steps);
    struct jsontext_value name;
    bool more;

    if (!jsontext_open(&f->text, &more)) {
        return false;
    }
    while (more) {
        if (!jsontext_name(&f->text, &name)) {
            return false;
        }
        bool leads = step != NULL && step->name != NULL &&
                     jsontext_equal(&name, step->name, strlen(step->name));

        if (!find_value(f, leads ? steps + 1 : OFF_PATH) || !jsontext_next(&f->text, '}', &more)) {
            return false;
        }
        if (leads) {
            step = NULL; /* another member of this name is not meant */
        }
    }
    return true;
}

/* What no step leads into is passed over. */
static bool find_inside(struct finder *f, size_t steps)
{
    struct jsontext_value passed;

    if (next_step(f, steps) != NULL && f->text.at < f->text.end) {
        if (*f->text.at == '[') {
            return find_in_array(f, steps);
        }
        if (*f->text.at == '{') {
            return find_in_object(f, steps);
        }
    }
    return jsontext_value(&f->text, &passed);
}

/* steps: how many of the path's lead to it, or OFF_PATH. */
static bool find_value(struct finder *f, size_t steps)
{
    jsontext_spaces(&f->text);

    const char *first = f->text.at;

    if (steps != OFF_PATH && steps > f->reached) {
        f->reached = steps;
    }
    if (!find_inside(f, steps)) {
        return false;
    }
    if (steps == f->path->count) {
        f->found = first;
        f->found_len = (size_t)(f->text.at - first);
    }
    return true;
}

void jsonpath_find(const struct jsonpath *path, const char *text, size_t len,
                   struct jsonpath_match *match)
{
    size_t valid = utf8_valid_prefix(text, len);
    struct finder f = {.path = path, .text = jsontext_begin(text, valid)};

    if (valid >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        f.text.at += 3;
    }
    *match = (struct jsonpath_match){.outcome = JSONPATH_NOT_JSON};

    bool good = find_value(&f, 0);

    if (good) {
        jsontext_spaces(&f.text);
    }
    match->offset = (size_t)(f.text.at - text);
    match->steps = f.reached;
    if (f.text.too_deep) {
        match->outcome = JSONPATH_TOO_DEEP;
    } else if (good && match->offset == len) {
        match->outcome = f.found == NULL ? JSONPATH_MISSING : JSONPATH_FOUND;
        match->text = f.found;
        match->len = f.found_len;
    }
}

bool jsonpath_value_is(const struct jsonpath_match *match, const char *wanted)
{
    struct jsontext t = jsontext_begin(match->text, match->len);
    struct jsontext_value value;

    if (!jsontext_value(&t, &value) || value.kind == JSONTEXT_ARRAY ||
        value.kind == JSONTEXT_OBJECT) {
        return false;
    }
    return jsontext_equal(&value, wanted, strlen(wanted));
}
