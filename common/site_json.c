#include "common/site_json.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsontext.h"
#include "common/mem.h"
#include "common/site_secrets.h"
#include "common/utf8.h"

#define LIST_MAX (SITE_HEADERS_MAX + 1) /* no more than any option takes, and one to be told of */
#define NAME_SIZE 64
#define INTEGER_DIGITS_MAX 20
#define INTEGER_MAX 9007199254740991 /* 2^53 - 1: beyond, a JSON number is not exact */

struct reading {
    struct jsontext text;
    struct site site;
    int64_t schema, id, version; /* 0: not seen yet */
    struct jsontext_value names[SITE_JSON_MEMBERS_MAX];
    size_t count;                 /* of names */
    char *room;                   /* for the texts of one member, each with its end */
    struct jsontext_value sealed; /* .first NULL: there is none */
};

/* --- One value --- */

/* Copies a string into the room; returns where the next one goes. A string takes two bytes more in
 * JSON than its characters, so that all of a message fit, each with its end. */
static char *put_text(char *room, const struct jsontext_value *value, const char **text)
{
    size_t len = jsontext_copy(value, room);

    room[len] = '\0';
    *text = room;
    return room + len + 1;
}

/* False: it has a fraction, an exponent, or is too large. */
static bool read_integer(const struct jsontext_value *value, int64_t *integer)
{
    char digits[INTEGER_DIGITS_MAX + 1];
    char *end;

    if (value->kind != JSONTEXT_NUMBER || value->len > INTEGER_DIGITS_MAX) {
        return false;
    }
    memcpy(digits, value->first, value->len);
    digits[value->len] = '\0';
    errno = 0;
    *integer = strtoll(digits, &end, 10);
    return errno == 0 && *end == '\0' && *integer >= -INTEGER_MAX && *integer <= INTEGER_MAX;
}

static bool read_list(struct reading *r, const struct jsontext_value *value,
                      const char *list[LIST_MAX + 1])
{
    struct jsontext t = jsontext_begin(value->first, value->len);
    struct jsontext_value element;
    char *room = r->room;
    size_t count = 0;
    bool more;

    if (!jsontext_open(&t, &more)) {
        return false;
    }
    while (more) {
        if (!jsontext_value(&t, &element) || element.kind != JSONTEXT_STRING) {
            return false;
        }
        if (count < LIST_MAX) {
            room = put_text(room, &element, &list[count++]);
        }
        if (!jsontext_next(&t, ']', &more)) {
            return false;
        }
    }
    list[count] = NULL;
    return true;
}

/* As common/site takes it; what no option takes is SITE_VALUE_OTHER. */
static void read_value(struct reading *r, const struct jsontext_value *value,
                       const char *list[LIST_MAX + 1], struct site_value *out)
{
    *out = (struct site_value){.type = SITE_VALUE_OTHER, .list = list};
    switch (value->kind) {
    case JSONTEXT_STRING:
        out->type = SITE_VALUE_TEXT;
        put_text(r->room, value, &out->text);
        break;
    case JSONTEXT_NUMBER:
        out->type = read_integer(value, &out->integer) ? SITE_VALUE_INT : SITE_VALUE_OTHER;
        break;
    case JSONTEXT_TRUE:
    case JSONTEXT_FALSE:
        out->type = SITE_VALUE_BOOL;
        out->boolean = value->kind == JSONTEXT_TRUE;
        break;
    case JSONTEXT_ARRAY:
        out->type = read_list(r, value, list) ? SITE_VALUE_LIST : SITE_VALUE_OTHER;
        break;
    case JSONTEXT_NULL:
    case JSONTEXT_OBJECT:
        break;
    }
}

/* --- Members --- */

/* One that is no option: where its number goes, or NULL. */
static int64_t *own_member(struct reading *r, const char *name)
{
    const struct {
        const char *name;
        int64_t *field;
    } own[] = {{"schema", &r->schema}, {"id", &r->id}, {"version", &r->version}};

    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (strcmp(name, own[i].name) == 0) {
            return own[i].field;
        }
    }
    return NULL;
}

static int read_own(int64_t *field, const char *name, const struct jsontext_value *value,
                    struct err *err)
{
    int64_t number;

    if (!read_integer(value, &number) || number < 1) {
        return err_set(err, ERR_INVALID, "%s: want a whole number from 1 on", name);
    }
    *field = number;
    return 0;
}

static int note_name(struct reading *r, const struct jsontext_value *name, const char *shown,
                     struct err *err)
{
    for (size_t i = 0; i < r->count; i++) {
        if (r->names[i].len == name->len &&
            memcmp(r->names[i].first, name->first, name->len) == 0) {
            return err_set(err, ERR_INVALID, "%s: is there twice", shown);
        }
    }
    if (r->count == SITE_JSON_MEMBERS_MAX) {
        return err_set(err, ERR_INVALID, "%s: is one member too many, at most %d", shown,
                       SITE_JSON_MEMBERS_MAX);
    }
    r->names[r->count++] = *name;
    return 0;
}

static int read_member(struct reading *r, const struct jsontext_value *name,
                       const struct jsontext_value *value, struct err *err)
{
    const char *list[LIST_MAX + 1];
    struct site_value option;
    char shown[NAME_SIZE];

    if (name->len >= NAME_SIZE) {
        return err_set(err, ERR_INVALID, "%.*s...: no such option", NAME_SIZE, name->first);
    }
    shown[jsontext_copy(name, shown)] = '\0';
    if (note_name(r, name, shown, err) < 0) {
        return -1;
    }
    if (strcmp(shown, SITE_SECRETS_MEMBER) == 0) {
        r->sealed = *value;
        return 0; /* they go with the url */
    }
    int64_t *own = own_member(r, shown);

    if (own != NULL) {
        return read_own(own, shown, value, err);
    }
    read_value(r, value, list, &option);
    return site_set(&r->site, shown, &option, err);
}

static int not_json(const struct reading *r, const char *text, struct err *err)
{
    return err_set(err, ERR_INVALID, "JSON: is wrong at byte %td", r->text.at - text);
}

static int read_members(struct reading *r, const char *text, struct err *err)
{
    struct jsontext_value name;
    struct jsontext_value value;
    bool more;

    jsontext_spaces(&r->text);
    if (r->text.at == r->text.end || *r->text.at != '{' || !jsontext_open(&r->text, &more)) {
        return err_set(err, ERR_INVALID, "JSON: want an object");
    }
    while (more) {
        if (!jsontext_name(&r->text, &name) || !jsontext_value(&r->text, &value)) {
            return not_json(r, text, err);
        }
        if (r->text.nul != NULL || r->text.lone != NULL) {
            return err_set(err, ERR_INVALID, "JSON: a text has a character that is none");
        }
        if (read_member(r, &name, &value, err) < 0) {
            return -1;
        }
        if (!jsontext_next(&r->text, '}', &more)) {
            return not_json(r, text, err);
        }
    }
    jsontext_spaces(&r->text);
    return r->text.at == r->text.end ? 0 : not_json(r, text, err);
}

static int open_secrets(struct reading *r, const struct seal *seal, struct err *err)
{
    if (r->sealed.first == NULL) {
        return 0;
    }
    cJSON *sealed = cJSON_ParseWithLength(r->sealed.first, r->sealed.len);
    int rc = !cJSON_IsObject(sealed)
                 ? err_set(err, ERR_INVALID, SITE_SECRETS_MEMBER ": want an object")
                 : site_secrets_set(&r->site, sealed, seal, err);

    cJSON_Delete(sealed);
    return rc;
}

static int finish(struct reading *r, const struct seal *seal, struct err *err)
{
    if (r->schema != SITE_JSON_SCHEMA) {
        return err_set(err, ERR_INVALID, "schema: is %" PRId64 ", this reads %d", r->schema,
                       SITE_JSON_SCHEMA);
    }
    if (r->id == 0 || r->version == 0) {
        return err_set(err, ERR_INVALID, "%s: is missing", r->id == 0 ? "id" : "version");
    }
    r->site.id = r->id;
    return open_secrets(r, seal, err) < 0 ? -1 : site_finish(&r->site, err);
}

int site_json_read(const char *text, size_t len, const struct seal *seal, struct site *site,
                   int64_t *version, struct err *err)
{
    struct reading r = {.text = jsontext_begin(text, len)};

    if (len > SITE_JSON_BYTES_MAX) {
        return err_set(err, ERR_INVALID, "JSON: is %zu bytes, at most %d", len,
                       SITE_JSON_BYTES_MAX);
    }
    if (utf8_valid_prefix(text, len) != len) {
        return err_set(err, ERR_INVALID, "JSON: is no UTF-8 at byte %zu",
                       utf8_valid_prefix(text, len));
    }
    r.room = mem_alloc(len + 1, 1);
    site_init(&r.site);

    int rc = read_members(&r, text, err);

    if (rc == 0) {
        rc = finish(&r, seal, err);
    }
    free(r.room);
    if (rc < 0) {
        site_free(&r.site);
        return -1;
    }
    *site = r.site;
    *version = r.version;
    return 0;
}
