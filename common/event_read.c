#include "common/event_read.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/timestamp.h"
#include "common/utf8.h"

int event_read_fail(struct event_reader *r, const struct event_field *field, const char *fmt, ...)
{
    char what[160];
    va_list args;

    va_start(args, fmt);
    vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);
    return err_set(r->err, ERR_INVALID, "%s%s: %s", r->prefix, field->name, what);
}

static void *target(struct event_reader *r, const struct event_field *field)
{
    return (char *)r->event + field->offset;
}

static bool is_text(struct event_reader *r, const struct event_field *field,
                    const struct jsontext_value *value)
{
    if (value->kind != JSONTEXT_STRING) {
        event_read_fail(r, field, "not a string");
        return false;
    }
    if (value->len == 0) { /* an escape is a character at least */
        event_read_fail(r, field, "empty");
        return false;
    }
    return true;
}

/* The text of a value, its length in *len; or NULL, and the error is set. */
static const char *text_of(struct event_reader *r, const struct event_field *field,
                           const struct jsontext_value *value, size_t *len)
{
    char *text = r->room;

    if (!is_text(r, field, value)) {
        return NULL;
    }
    *len = jsontext_copy(value, text);
    text[*len] = '\0';
    r->room += *len + 1;
    return text;
}

/* The same for a text that is not kept: without its end, and in the JSON where it can be. */
static const char *passing_text_of(struct event_reader *r, const struct event_field *field,
                                   const struct jsontext_value *value, size_t *len)
{
    if (!is_text(r, field, value)) {
        return NULL;
    }
    if (value->escapes) {
        *len = jsontext_copy(value, r->room);
        return r->room;
    }
    *len = value->len;
    return value->first;
}

int event_read_text(struct event_reader *r, const struct event_field *field,
                    const struct jsontext_value *value)
{
    size_t len;
    const char *text = text_of(r, field, value, &len);

    if (text == NULL) {
        return -1;
    }
    if (len > (size_t)field->max) {
        return event_read_fail(r, field, "%zu bytes, at most %d", len, (int)field->max);
    }
    *(const char **)target(r, field) = text;
    return 0;
}

int event_read_uuid(struct event_reader *r, const struct event_field *field,
                    const struct jsontext_value *value)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    size_t len;
    const char *text = passing_text_of(r, field, value, &len);

    if (text == NULL) {
        return -1;
    }

    bool good = len == sizeof(form) - 1;

    for (size_t i = 0; good && i < len; i++) {
        bool hex = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');

        good = form[i] == '-' ? text[i] == '-' : hex;
    }
    if (!good) {
        return event_read_fail(r, field, "not a UUID in lower case");
    }

    char *id = target(r, field);

    memcpy(id, text, len);
    id[len] = '\0';
    return 0;
}

int event_read_address(struct event_reader *r, const struct event_field *field,
                       const struct jsontext_value *value)
{
    unsigned char address[sizeof(struct in6_addr)];
    size_t len;
    const char *text = text_of(r, field, value, &len);

    if (text == NULL) {
        return -1;
    }
    if (inet_pton(AF_INET, text, address) != 1 && inet_pton(AF_INET6, text, address) != 1) {
        return event_read_fail(r, field, "not a numeric address");
    }
    *(const char **)target(r, field) = text;
    return 0;
}

static double number_of(struct event_reader *r, const struct jsontext_value *value)
{
    memcpy(r->room, value->first, value->len); /* strtod wants its end marked */
    r->room[value->len] = '\0';
    return strtod(r->room, NULL);
}

int event_read_integer(struct event_reader *r, const struct event_field *field,
                       const struct jsontext_value *value, int64_t *integer)
{
    if (value->kind != JSONTEXT_NUMBER) {
        return event_read_fail(r, field, "not a number");
    }
    if (value->whole && value->integer >= field->min && value->integer <= field->max) {
        *integer = value->integer;
        return 0;
    }

    double number = number_of(r, value);

    if (!(number >= (double)field->min && number <= (double)field->max)) {
        return event_read_fail(r, field, "%.16g is not in %lld..%lld", number,
                               (long long)field->min, (long long)field->max);
    }
    if (number != trunc(number)) {
        return event_read_fail(r, field, "%.16g is not a whole number", number);
    }
    *integer = (int64_t)number;
    return 0;
}

int event_read_int64(struct event_reader *r, const struct event_field *field,
                     const struct jsontext_value *value)
{
    return event_read_integer(r, field, value, target(r, field));
}

int event_read_int32(struct event_reader *r, const struct event_field *field,
                     const struct jsontext_value *value)
{
    int64_t integer = 0;

    if (event_read_integer(r, field, value, &integer) < 0) {
        return -1;
    }
    *(int32_t *)target(r, field) = (int32_t)integer;
    return 0;
}

int event_read_bool(struct event_reader *r, const struct event_field *field,
                    const struct jsontext_value *value)
{
    if (value->kind != JSONTEXT_TRUE && value->kind != JSONTEXT_FALSE) {
        return event_read_fail(r, field, "not true or false");
    }
    *(bool *)target(r, field) = value->kind == JSONTEXT_TRUE;
    return 0;
}

static int time_of(struct event_reader *r, const struct event_field *field,
                   const struct jsontext_value *value, int64_t *unix_us)
{
    size_t len;
    const char *text = passing_text_of(r, field, value, &len);

    if (text == NULL) {
        return -1;
    }
    if (timestamp_parse_us(text, len, unix_us, r->err) < 0) {
        return err_context(r->err, "%s%s", r->prefix, field->name);
    }
    return 0;
}

int event_read_time(struct event_reader *r, const struct event_field *field,
                    const struct jsontext_value *value)
{
    return time_of(r, field, value, target(r, field));
}

/* A slot is a whole millisecond: the id is made of it. */
int event_read_slot(struct event_reader *r, const struct event_field *field,
                    const struct jsontext_value *value)
{
    int64_t unix_us;

    if (time_of(r, field, value, &unix_us) < 0) {
        return -1;
    }
    r->event->slot_us = unix_us - unix_us % 1000;
    return 0;
}

int event_read_not_after(struct event_reader *r, const struct event_field *field,
                         const struct jsontext_value *value)
{
    int64_t unix_us;

    if (time_of(r, field, value, &unix_us) < 0) {
        return -1;
    }
    r->event->cert_not_after_s = unix_us / 1000000;
    return 0;
}

/* The text may be long and a stranger's: enough of it is shown to know it again. */
static int fail_choice(struct event_reader *r, const struct event_field *field, const char *text)
{
    char shown[33];

    utf8_clean(text, strlen(text), shown, sizeof(shown), NULL);
    return event_read_fail(r, field, "\"%s\" is not one of the list", shown);
}

int event_read_status(struct event_reader *r, const struct event_field *field,
                      const struct jsontext_value *value)
{
    size_t len;
    const char *text = text_of(r, field, value, &len);

    if (text == NULL) {
        return -1;
    }
    return check_status_find(text, &r->event->status) ? 0 : fail_choice(r, field, text);
}

int event_read_error_type(struct event_reader *r, const struct event_field *field,
                          const struct jsontext_value *value)
{
    size_t len;
    const char *text = text_of(r, field, value, &len);

    if (text == NULL) {
        return -1;
    }
    return error_type_find(text, &r->event->error) ? 0 : fail_choice(r, field, text);
}

int event_read_phase(struct event_reader *r, const struct event_field *field,
                     const struct jsontext_value *value)
{
    size_t len;
    const char *text = text_of(r, field, value, &len);

    if (text == NULL) {
        return -1;
    }
    return check_phase_find(text, &r->event->error_phase) ? 0 : fail_choice(r, field, text);
}
