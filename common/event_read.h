/*
 * event_read - read one member of an event's JSON into a struct event. For event_decode alone.
 *
 * Each reader refuses what is of another type or out of its field's range, with a message that
 * begins with the member's path. Texts are copied to where the reader has room, and terminated.
 */
#ifndef COMMON_EVENT_READ_H
#define COMMON_EVENT_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/event.h"
#include "common/jsontext.h"

struct event_reader {
    struct event *event;
    char *room;         /* for a text and its end more; a JSON text's own length is enough */
    const char *prefix; /* of the object that is being read: "", "site." */
    struct err *err;
};

/* What is known of a member. */
struct event_field {
    const char *name;
    size_t name_len;
    const char *quoted; /* the same between quotes, with its colon */
    int (*read)(struct event_reader *r, const struct event_field *field,
                const struct jsontext_value *value);
    size_t offset;                      /* in struct event */
    int64_t min;                        /* of an integer */
    int64_t max;                        /* of an integer, or of a text's bytes */
    const struct event_object *members; /* of an object */
    bool required;
};

struct event_object {
    const char *prefix; /* its name and a dot */
    const struct event_field *fields;
    size_t count; /* at most 32 */
};

/* Refuse the member: what is wrong with it, in words. Returns -1. */
int event_read_fail(struct event_reader *r, const struct event_field *field, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

int event_read_text(struct event_reader *r, const struct event_field *field,
                    const struct jsontext_value *value);
int event_read_uuid(struct event_reader *r, const struct event_field *field,
                    const struct jsontext_value *value);
int event_read_address(struct event_reader *r, const struct event_field *field,
                       const struct jsontext_value *value);
int event_read_int64(struct event_reader *r, const struct event_field *field,
                     const struct jsontext_value *value);
int event_read_int32(struct event_reader *r, const struct event_field *field,
                     const struct jsontext_value *value);
int event_read_bool(struct event_reader *r, const struct event_field *field,
                    const struct jsontext_value *value);
int event_read_time(struct event_reader *r, const struct event_field *field,
                    const struct jsontext_value *value);
int event_read_slot(struct event_reader *r, const struct event_field *field,
                    const struct jsontext_value *value);
int event_read_not_after(struct event_reader *r, const struct event_field *field,
                         const struct jsontext_value *value);
int event_read_status(struct event_reader *r, const struct event_field *field,
                      const struct jsontext_value *value);
int event_read_error_type(struct event_reader *r, const struct event_field *field,
                          const struct jsontext_value *value);
int event_read_phase(struct event_reader *r, const struct event_field *field,
                     const struct jsontext_value *value);

/* The number alone, not put into the event. */
int event_read_integer(struct event_reader *r, const struct event_field *field,
                       const struct jsontext_value *value, int64_t *integer);

#endif
