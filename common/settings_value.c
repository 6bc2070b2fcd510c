/* The one place where text becomes the value of a setting, whatever source it is from. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/mem.h"
#include "common/settings_private.h"

#define SHOWN_CHARS_MAX 64 /* of a wrong value, in a message */

const char *setting_name_in_file(const struct setting *setting, char out[SETTING_NAME_SIZE])
{
    snprintf(out, SETTING_NAME_SIZE, "%s", setting->name);
    for (char *c = out; *c != '\0'; c++) {
        *c = *c == '-' ? '_' : *c;
    }
    return out;
}

/* "'5x' is", or for a secret words that do not show it. */
static const char *shown(const struct setting *setting, const char *text, char *out, size_t size)
{
    if ((setting->flags & SETTING_SECRET) != 0) {
        snprintf(out, size, "its value is");
    } else {
        snprintf(out, size, "'%.*s' is", SHOWN_CHARS_MAX, text);
    }
    return out;
}

int setting_set_int(void *into, const struct setting *setting, int64_t value, const char *where,
                    struct err *err)
{
    if (value < setting->min || value > setting->max) {
        return err_set(err, ERR_INVALID, "%s: %" PRId64 " is not in %" PRId64 "..%" PRId64, where,
                       value, setting->min, setting->max);
    }
    *(int64_t *)setting_field(into, setting) = value;
    return 0;
}

static int set_int(void *into, const struct setting *setting, const char *text, const char *where,
                   struct err *err)
{
    char quoted[SHOWN_CHARS_MAX + 8];
    bool digits = isdigit((unsigned char)text[text[0] == '-' ? 1 : 0]) != 0;
    char *end;

    errno = 0;
    long long value = strtoll(text, &end, 10);

    if (!digits || *end != '\0' || errno != 0) {
        return err_set(err, ERR_INVALID, "%s: %s not a whole number in %" PRId64 "..%" PRId64,
                       where, shown(setting, text, quoted, sizeof(quoted)), setting->min,
                       setting->max);
    }
    return setting_set_int(into, setting, value, where, err);
}

void setting_set_bool(void *into, const struct setting *setting, bool value)
{
    if (setting->type == SETTING_MAYBE) {
        *(int *)setting_field(into, setting) = value ? MAYBE_YES : MAYBE_NO;
    } else {
        *(bool *)setting_field(into, setting) = value;
    }
}

static int set_bool(void *into, const struct setting *setting, const char *text, const char *where,
                    struct err *err)
{
    static const char *const words[] = {"false", "true", "0", "1", "no", "yes", "off", "on"};
    char quoted[SHOWN_CHARS_MAX + 8];

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            setting_set_bool(into, setting, i % 2 == 1);
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "%s: %s not true or false", where,
                   shown(setting, text, quoted, sizeof(quoted)));
}

static int set_choice(void *into, const struct setting *setting, const char *text,
                      const char *where, struct err *err)
{
    char quoted[SHOWN_CHARS_MAX + 8];
    char all[256] = "";
    size_t used = 0;

    for (int i = 0; setting->choices[i] != NULL; i++) {
        if (strcasecmp(text, setting->choices[i]) == 0) {
            *(int *)setting_field(into, setting) = i;
            return 0;
        }
        if (used < sizeof(all)) {
            used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s", i == 0 ? "" : ", ",
                                     setting->choices[i]);
        }
    }
    return err_set(err, ERR_INVALID, "%s: %s not one of %s", where,
                   shown(setting, text, quoted, sizeof(quoted)), all);
}

int setting_pairs_add(struct setting_pairs *pairs, const struct setting *setting, const char *text,
                      size_t len, const char *where, struct err *err)
{
    while (len > 0 && isspace((unsigned char)text[0])) {
        text++;
        len--;
    }
    const char *equals = memchr(text, '=', len);
    size_t name_len = equals == NULL ? 0 : (size_t)(equals - text);

    if (len == 0) {
        return 0;
    }
    while (name_len > 0 && isspace((unsigned char)text[name_len - 1])) {
        name_len--;
    }
    if (name_len == 0) {
        char entry[SHOWN_CHARS_MAX + 1];
        char quoted[SHOWN_CHARS_MAX + 8];

        snprintf(entry, sizeof(entry), "%.*s", (int)(len < SHOWN_CHARS_MAX ? len : SHOWN_CHARS_MAX),
                 text);
        return err_set(err, ERR_INVALID, "%s: %s not NAME=VALUE", where,
                       shown(setting, entry, quoted, sizeof(quoted)));
    }
    pairs->names = mem_resize(pairs->names, pairs->count + 1, sizeof(*pairs->names));
    pairs->values = mem_resize(pairs->values, pairs->count + 1, sizeof(*pairs->values));
    pairs->names[pairs->count] = mem_copy(text, name_len);
    pairs->values[pairs->count] = mem_copy(equals + 1, len - (size_t)(equals + 1 - text));
    pairs->count++;
    return 0;
}

void setting_pairs_free(struct setting_pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++) {
        free(pairs->names[i]);
        free(pairs->values[i]);
    }
    free(pairs->names);
    free(pairs->values);
    *pairs = (struct setting_pairs){0};
}

static int set_pairs(void *into, const struct setting *setting, const char *text, const char *where,
                     struct err *err)
{
    struct setting_pairs pairs = {0};
    struct setting_pairs *field = setting_field(into, setting);

    for (const char *entry = text; entry != NULL;) {
        const char *end = strchr(entry, ';');
        size_t len = end == NULL ? strlen(entry) : (size_t)(end - entry);

        if (setting_pairs_add(&pairs, setting, entry, len, where, err) < 0) {
            setting_pairs_free(&pairs);
            return -1;
        }
        entry = end == NULL ? NULL : end + 1;
    }
    setting_pairs_free(field);
    *field = pairs;
    return 0;
}

int setting_set_text(void *into, const struct setting *setting, const char *text, const char *where,
                     struct err *err)
{
    char **field = setting_field(into, setting);

    if (strlen(text) > SETTINGS_TEXT_BYTES_MAX) {
        return err_set(err, ERR_INVALID, "%s: longer than %d bytes", where,
                       SETTINGS_TEXT_BYTES_MAX);
    }
    switch (setting->type) {
    case SETTING_INT:
        return set_int(into, setting, text, where, err);
    case SETTING_BOOL:
    case SETTING_MAYBE:
        return set_bool(into, setting, text, where, err);
    case SETTING_CHOICE:
        return set_choice(into, setting, text, where, err);
    case SETTING_PAIRS:
        return set_pairs(into, setting, text, where, err);
    case SETTING_TEXT:
        break;
    }
    if (text[0] == '\0') { /* of a shell's variable that is not set, mostly */
        return err_set(err, ERR_INVALID, "%s: is empty, want %s or leave it out", where,
                       setting->value_name);
    }
    free(*field);
    *field = mem_copy_string(text);
    return 0;
}
