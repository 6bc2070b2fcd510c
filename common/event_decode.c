/*
 * JSON to an event. What is known of each member stands in one table an object: its name, how it
 * is read, its range, whether it has to be there.
 */
#include "common/event.h"

#include <stdlib.h>
#include <string.h>

#include "common/event_read.h"
#include "common/mem.h"
#include "common/pattern.h"
#include "common/utf8.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The texts of an event are in all no longer than its JSON. */
struct event_doc {
    char room[1];
};

static int read_matched(struct event_reader *r, const struct event_field *field,
                        const struct jsontext_value *value);
static int read_answers(struct event_reader *r, const struct event_field *field,
                        const struct jsontext_value *value);
static int read_schema(struct event_reader *r, const struct event_field *field,
                       const struct jsontext_value *value);

#define AT(member) .offset = offsetof(struct event, member)
#define QUOTES 3 /* bytes around a name: the quotes and the colon */
#define NAME(json_name)                                                                            \
    .name = (json_name), .name_len = sizeof(json_name) - 1, .quoted = "\"" json_name "\":"
#define TEXT(json_name, member, bytes_max)                                                         \
    NAME(json_name), .read = event_read_text, AT(member), .max = (bytes_max)
#define INT32(json_name, member, least, most)                                                      \
    NAME(json_name), .read = event_read_int32, AT(member), .min = (least), .max = (most)
#define INT64(json_name, member, least)                                                            \
    NAME(json_name), .read = event_read_int64, AT(member), .min = (least), .max = EVENT_INTEGER_MAX
#define OBJECT(json_name, table) NAME(json_name), .members = &(table)
#define FIELDS(array) .fields = (array), .count = COUNT(array)

static const struct event_field site_fields[] = {
    {TEXT("name", site_name, EVENT_NAME_BYTES_MAX), .required = true},
    {TEXT("url", site_url, EVENT_URL_BYTES_MAX), .required = true},
    {INT64("id", site_id, 1)},
};
static const struct event_object site_object = {.prefix = "site.", FIELDS(site_fields)};

static const struct event_field http_fields[] = {
    {INT32("status_code", http_status, EVENT_HTTP_STATUS_MIN, EVENT_HTTP_STATUS_MAX),
     .required = true},
    {TEXT("version", http_version, EVENT_HTTP_VERSION_BYTES_MAX)},
    {INT32("redirects", redirects, 0, EVENT_REDIRECTS_MAX)},
    {INT64("body_bytes", body_bytes, 0)},
    {TEXT("final_url", final_url, EVENT_URL_BYTES_MAX)},
};
static const struct event_object http_object = {.prefix = "http.", FIELDS(http_fields)};

static const struct event_field timing_fields[] = {
    {INT64("dns", timing.dns_us, 0)},           {INT64("connect", timing.connect_us, 0)},
    {INT64("tls", timing.tls_us, 0)},           {INT64("wait", timing.wait_us, 0)},
    {INT64("transfer", timing.transfer_us, 0)}, {INT64("total", timing.total_us, 0)},
};
static const struct event_object timing_object = {.prefix = "timing_us.", FIELDS(timing_fields)};

static const struct event_field tls_fields[] = {
    {TEXT("version", tls_version, EVENT_TLS_VERSION_BYTES_MAX)},
    {NAME("not_after"), .read = event_read_not_after},
};
static const struct event_object tls_object = {.prefix = "tls.", FIELDS(tls_fields)};

static const struct event_field pattern_fields[] = {
    {NAME("matched"), .read = read_matched, AT(pattern_matched), .required = true},
    {NAME("answers"), .read = read_answers},
    {NAME("answers_cut"), .read = event_read_bool, AT(answers_cut)},
};
static const struct event_object pattern_object = {.prefix = "pattern.", FIELDS(pattern_fields)};

static const struct event_field error_fields[] = {
    {NAME("type"), .read = event_read_error_type, .required = true},
    {NAME("phase"), .read = event_read_phase},
    {TEXT("message", error_message, EVENT_MESSAGE_BYTES_MAX)},
};
static const struct event_object error_object = {.prefix = "error.", FIELDS(error_fields)};

/* In the order in which we write them, so that each is found where it is looked for first. */
static const struct event_field event_fields[] = {
    {NAME("schema"), .read = read_schema, .max = EVENT_INTEGER_MAX, .required = true},
    {NAME("id"), .read = event_read_uuid, AT(id), .required = true},
    {OBJECT("site", site_object), .required = true},
    {TEXT("location", location, EVENT_LOCATION_BYTES_MAX), .required = true},
    {TEXT("observer", observer, EVENT_LOCATION_BYTES_MAX), .required = true},
    {NAME("slot"), .read = event_read_slot, .required = true},
    {NAME("time"), .read = event_read_time, AT(time_us), .required = true},
    {INT64("lag_us", lag_us, 0), .required = true},
    {INT32("attempt", attempt, 1, EVENT_ATTEMPT_MAX), .required = true},
    {NAME("final"), .read = event_read_bool, AT(final), .required = true},
    {INT32("interval_s", interval_s, 1, EVENT_INTERVAL_S_MAX), .required = true},
    {NAME("status"), .read = event_read_status, .required = true},
    {OBJECT("http", http_object)},
    {OBJECT("timing_us", timing_object)},
    {NAME("peer"), .read = event_read_address, AT(peer)},
    {OBJECT("tls", tls_object)},
    {OBJECT("pattern", pattern_object)},
    {OBJECT("error", error_object)},
};
static const struct event_object event_object = {.prefix = "", FIELDS(event_fields)};

/* The index of a member in its object's table, looked for from `next` on; or the count. */
static size_t find_field(const struct event_object *object, const struct jsontext_value *name,
                         size_t next)
{
    for (size_t i = 0; i < object->count; i++) {
        size_t at = next + i < object->count ? next + i : next + i - object->count;

        if (jsontext_equal(name, object->fields[at].name, object->fields[at].name_len)) {
            return at;
        }
    }
    return object->count;
}

/* What is decoded, and what is found wrong with it. The text is read to its end in any case, so
 * that what is no JSON is called so. */
struct decoding {
    struct jsontext text;
    struct event_reader reader;
    bool failed; /* a member is not what it must be: the rest is only passed over */
    bool schema_failed;
};

static bool pass_over(struct decoding *d)
{
    struct jsontext_value passed;

    return jsontext_value(&d->text, &passed);
}

static bool read_members(struct decoding *d, const struct event_object *object);

/* The value of a member that is known, as an object of members or as what its reader takes. */
static bool read_field(struct decoding *d, const struct event_field *field)
{
    struct jsontext_value value;
    const char *outer = d->reader.prefix;

    jsontext_spaces(&d->text);
    if (field->members != NULL && d->text.at < d->text.end && *d->text.at == '{') {
        bool good = read_members(d, field->members);

        d->reader.prefix = outer;
        return good;
    }
    if (!jsontext_value(&d->text, &value)) {
        return false;
    }
    if (field->members != NULL) {
        event_read_fail(&d->reader, field, "not an object");
        d->failed = true;
    } else if (field->read(&d->reader, field, &value) < 0) {
        d->failed = true;
        d->schema_failed = d->schema_failed || field->read == read_schema;
    }
    return true;
}

/* Over the name of a member: its index in *at, the count when it is not known. Mostly it is the
 * next one of the table, as we write it. */
static bool read_name(struct decoding *d, const struct event_object *object, size_t next,
                      size_t *at)
{
    struct jsontext_value name;

    *at = next;
    if (next < object->count && jsontext_take_name(&d->text, object->fields[next].quoted,
                                                   object->fields[next].name_len + QUOTES)) {
        return true;
    }
    if (!jsontext_name(&d->text, &name)) {
        return false;
    }
    *at = find_field(object, &name, next);
    return true;
}

static bool read_member(struct decoding *d, const struct event_object *object, uint32_t *seen,
                        size_t *next)
{
    size_t at;

    if (!read_name(d, object, *next, &at)) {
        return false;
    }
    const struct event_field *field = &object->fields[at];

    /* What another schema holds is not for us to judge: its number is read, whatever is wrong. */
    if (at == object->count || (d->failed && field->read != read_schema)) {
        return pass_over(d);
    }
    bool twice = (*seen & UINT32_C(1) << at) != 0;

    *seen |= UINT32_C(1) << at;
    *next = at + 1;
    if (twice) {
        if (!d->failed) {
            event_read_fail(&d->reader, field, "there twice");
        }
        d->failed = true;
        return pass_over(d);
    }
    return read_field(d, field);
}

static void require(struct decoding *d, const struct event_object *object, uint32_t seen)
{
    uint32_t missing = ~seen & (uint32_t)((UINT64_C(1) << object->count) - 1);

    for (; missing != 0; missing &= missing - 1) {
        const struct event_field *field = &object->fields[__builtin_ctz(missing)];
        bool is_schema = field->read == read_schema;

        if (field->required && (!d->failed || is_schema)) {
            event_read_fail(&d->reader, field, "missing");
            d->failed = true;
            d->schema_failed = d->schema_failed || is_schema;
        }
    }
}

/* False only when the text is not JSON. */
static bool read_members(struct decoding *d, const struct event_object *object)
{
    uint32_t seen = 0;
    size_t next = 0;
    bool more;

    d->reader.prefix = object->prefix;
    if (!jsontext_open(&d->text, &more)) {
        return false;
    }
    while (more) {
        if (!read_member(d, object, &seen, &next) || !jsontext_next(&d->text, '}', &more)) {
            return false;
        }
    }
    require(d, object, seen);
    return true;
}

static int read_matched(struct event_reader *r, const struct event_field *field,
                        const struct jsontext_value *value)
{
    r->event->has_pattern = true;
    return event_read_bool(r, field, value);
}

/* The next element of an array that was found to be JSON; false after its last. */
static bool next_element(struct jsontext *t, bool *more, struct jsontext_value *element)
{
    if (!*more || !jsontext_value(t, element)) {
        return false;
    }
    return jsontext_next(t, ']', more);
}

static bool is_answer(const struct jsontext_value *answer)
{
    struct jsontext t = jsontext_begin(answer->first, answer->len);
    struct jsontext_value group;
    int groups = 0;
    bool more;

    if (answer->kind != JSONTEXT_ARRAY || !jsontext_open(&t, &more)) {
        return false;
    }
    while (next_element(&t, &more, &group)) {
        if (group.kind != JSONTEXT_STRING && group.kind != JSONTEXT_NULL) {
            return false;
        }
        groups++;
    }
    return groups <= PATTERN_GROUPS_MAX + 1;
}

/* The text without the white space around its tokens. */
static void keep_answers(struct event_reader *r, const struct jsontext_value *value)
{
    char *out = r->room;
    bool in_string = false;

    for (size_t i = 0; i < value->len; i++) {
        char c = value->first[i];

        if (c == '"') {
            in_string = !in_string;
        }
        if (in_string && c == '\\') {
            *out++ = c;
            c = value->first[++i];
        } else if (!in_string && (c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
            continue;
        }
        *out++ = c;
    }
    *out = '\0';
    r->event->answers_json = r->room;
    r->event->answers_json_len = (size_t)(out - r->room);
    r->room = out + 1;
}

static int read_answers(struct event_reader *r, const struct event_field *field,
                        const struct jsontext_value *value)
{
    struct jsontext t = jsontext_begin(value->first, value->len);
    struct jsontext_value answer;
    int answers = 0;
    bool more;

    if (value->kind != JSONTEXT_ARRAY || !jsontext_open(&t, &more)) {
        return event_read_fail(r, field, "not an array");
    }
    while (next_element(&t, &more, &answer)) {
        if (!is_answer(&answer)) {
            return event_read_fail(r, field, "[%d] is not an array of at most %d strings or nulls",
                                   answers, PATTERN_GROUPS_MAX + 1);
        }
        answers++;
    }
    if (answers > PATTERN_ANSWERS_MAX) {
        return event_read_fail(r, field, "%d, at most %d", answers, PATTERN_ANSWERS_MAX);
    }
    keep_answers(r, value);
    return 0;
}

static int read_schema(struct event_reader *r, const struct event_field *field,
                       const struct jsontext_value *value)
{
    int64_t schema;

    if (event_read_integer(r, field, value, &schema) < 0) {
        return -1;
    }
    if (schema != EVENT_SCHEMA) {
        return event_read_fail(r, field, "%lld is not supported, this reads %d", (long long)schema,
                               EVENT_SCHEMA);
    }
    return 0;
}

/* One value and nothing after it but white space. */
static bool read_text(struct decoding *d, bool *is_object)
{
    jsontext_spaces(&d->text);
    *is_object = d->text.at < d->text.end && *d->text.at == '{';
    if (!(*is_object ? read_members(d, &event_object) : pass_over(d))) {
        return false;
    }
    jsontext_spaces(&d->text);
    return d->text.at == d->text.end;
}

static int decode(struct decoding *d, const char *json, enum event_fault *fault, struct err *err)
{
    bool is_object;
    bool good = read_text(d, &is_object);
    const char *stop = good ? d->text.lone : d->text.at;

    if (d->text.nul != NULL) {
        *fault = EVENT_FAULT_TEXT;
        return err_set(err, ERR_INVALID, "NUL escape at offset %td", d->text.nul - json);
    }
    *fault = EVENT_FAULT_JSON;
    if (stop != NULL) {
        return err_set(err, ERR_INVALID, "not JSON at offset %td", stop - json);
    }
    if (!is_object) {
        return err_set(err, ERR_INVALID, "not JSON of an object");
    }
    *fault = d->schema_failed ? EVENT_FAULT_SCHEMA : EVENT_FAULT_FIELD;
    return d->failed ? -1 : 0;
}

/* Of bytes that may be anything: whether they are text that is not too long. */
static int check_text(const char *json, size_t len, enum event_fault *fault, struct err *err)
{
    if (len > EVENT_BYTES_MAX) {
        *fault = EVENT_FAULT_TOO_LARGE;
        return err_set(err, ERR_INVALID, "too large: %zu bytes, at most %d", len, EVENT_BYTES_MAX);
    }

    size_t valid = utf8_valid_prefix(json, len);

    if (valid < len) {
        *fault = EVENT_FAULT_TEXT;
        return err_set(err, ERR_INVALID, "%s at offset %zu",
                       json[valid] == '\0' ? "NUL byte" : "not UTF-8", valid);
    }
    return 0;
}

struct event_doc *event_decode(const char *json, size_t len, struct event *event,
                               enum event_fault *fault, struct err *err)
{
    struct event decoded;

    if (check_text(json, len, fault, err) < 0) {
        return NULL;
    }
    struct event_doc *doc = mem_resize(NULL, sizeof(*doc) + len, 1);
    struct decoding d = {
        .text = jsontext_begin(json, len),
        .reader = {.event = &decoded, .room = doc->room, .prefix = "", .err = err},
    };

    event_init(&decoded);
    if (decode(&d, json, fault, err) < 0) {
        free(doc);
        return NULL;
    }
    *event = decoded;
    return doc;
}

void event_doc_free(struct event_doc *doc)
{
    free(doc);
}
