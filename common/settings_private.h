/*
 * settings_private - what the files of the settings module share, and nobody else includes.
 */
#ifndef COMMON_SETTINGS_PRIVATE_H
#define COMMON_SETTINGS_PRIVATE_H

#include "common/settings.h"

#define SETTING_NAME_SIZE 64

/* A field of the caller's struct. */
static inline void *setting_field(void *into, const struct setting *setting)
{
    return (char *)into + setting->offset;
}

/* Set a field from text. `where` begins the message: "flag --seconds". */
int setting_set_text(void *into, const struct setting *setting, const char *text, const char *where,
                     struct err *err) MUST_CHECK;

/* Set an int field, which must be in the setting's range. */
int setting_set_int(void *into, const struct setting *setting, int64_t value, const char *where,
                    struct err *err) MUST_CHECK;

/* Set a bool, or one that may be left out. */
void setting_set_bool(void *into, const struct setting *setting, bool value);

/* Add one "a=b" to pairs. */
int setting_pairs_add(struct setting_pairs *pairs, const struct setting *setting, const char *text,
                      size_t len, const char *where, struct err *err) MUST_CHECK;
void setting_pairs_free(struct setting_pairs *pairs);

/* "batch-rows" as a file writes it: "batch_rows". */
const char *setting_name_in_file(const struct setting *setting, char out[SETTING_NAME_SIZE]);

/* settings_file.c: everything that a libconfig file sets. */
int settings_load_file(void *into, const struct settings_table *table, const char *path,
                       struct err *err) MUST_CHECK;

#endif
