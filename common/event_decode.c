/*
 * JSON to an event. What is known of each member stands in one table an object: its name, how it
 * is read, its range, whether it has to be there.
 */
#include "common/event.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "common/event_read.h"
#include "common/event_text.h"
#include "common/mem.h"
#include "common/pattern.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define USUAL_ANSWER_BYTES 256

struct event_doc {
    cJSON *root;
    char *answers; /* printed by cJSON */
};

static int read_object(struct event_reader *r, const struct event_field *field, const cJSON *item);
static int read_matched(struct event_reader *r, const struct event_field *field, const cJSON *item);
static int read_answers(struct event_reader *r, const struct event_field *field, const cJSON *item);
static int read_schema(struct event_reader *r, const struct event_field *field, const cJSON *item);

#define AT(member) .offset = offsetof(struct event, member)
#define TEXT(json_name, member, bytes_max)                                                         \
    .name = json_name, .read = event_read_text, AT(member), .max = (bytes_max)
#define INT32(json_name, member, least, most)                                                      \
    .name = json_name, .read = event_read_int32, AT(member), .min = (least), .max = (most)
#define INT64(json_name, member, least)                                                            \
    .name = json_name, .read = event_read_int64, AT(member), .min = (least),                       \
    .max = EVENT_INTEGER_MAX
#define OBJECT(json_name, table) .name = json_name, .read = read_object, .members = &(table)
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
    {.name = "not_after", .read = event_read_not_after},
};
static const struct event_object tls_object = {.prefix = "tls.", FIELDS(tls_fields)};

static const struct event_field pattern_fields[] = {
    {.name = "matched", .read = read_matched, AT(pattern_matched), .required = true},
    {.name = "answers", .read = read_answers},
    {.name = "answers_cut", .read = event_read_bool, AT(answers_cut)},
};
static const struct event_object pattern_object = {.prefix = "pattern.", FIELDS(pattern_fields)};

static const struct event_field error_fields[] = {
    {.name = "type", .read = event_read_error_type, .required = true},
    {.name = "phase", .read = event_read_phase},
    {TEXT("message", error_message, EVENT_MESSAGE_BYTES_MAX)},
};
static const struct event_object error_object = {.prefix = "error.", FIELDS(error_fields)};

static const struct event_field schema_field = {
    .name = "schema",
    .read = read_schema,
    .max = EVENT_INTEGER_MAX,
};

/* In the order in which we write them, so that each is found where it is looked for first. */
static const struct event_field event_fields[] = {
    {.name = "schema", .read = read_schema, .max = EVENT_INTEGER_MAX, .required = true},
    {.name = "id", .read = event_read_uuid, AT(id), .required = true},
    {OBJECT("site", site_object), .required = true},
    {TEXT("location", location, EVENT_LOCATION_BYTES_MAX), .required = true},
    {TEXT("observer", observer, EVENT_LOCATION_BYTES_MAX), .required = true},
    {.name = "slot", .read = event_read_slot, .required = true},
    {.name = "time", .read = event_read_time, AT(time_us), .required = true},
    {INT64("lag_us", lag_us, 0), .required = true},
    {INT32("attempt", attempt, 1, EVENT_ATTEMPT_MAX), .required = true},
    {.name = "final", .read = event_read_bool, AT(final), .required = true},
    {INT32("interval_s", interval_s, 1, EVENT_INTERVAL_S_MAX), .required = true},
    {.name = "status", .read = event_read_status, .required = true},
    {OBJECT("http", http_object)},
    {OBJECT("timing_us", timing_object)},
    {.name = "peer", .read = event_read_address, AT(peer)},
    {OBJECT("tls", tls_object)},
    {OBJECT("pattern", pattern_object)},
    {OBJECT("error", error_object)},
};
static const struct event_object event_object = {.prefix = "", FIELDS(event_fields)};

/* The index of a member in its object's table, looked for from `next` on; or the count. */
static size_t find_field(const struct event_object *object, const char *name, size_t next)
{
    for (size_t i = 0; i < object->count; i++) {
        size_t at = next + i < object->count ? next + i : next + i - object->count;

        if (strcmp(object->fields[at].name, name) == 0) {
            return at;
        }
    }
    return object->count;
}

static int read_members(struct event_reader *r, const struct event_object *object,
                        const cJSON *members)
{
    const cJSON *item;
    uint32_t seen = 0;
    size_t next = 0;

    r->prefix = object->prefix;
    cJSON_ArrayForEach (item, members) {
        size_t at = find_field(object, item->string, next);

        if (at == object->count) {
            continue;
        }

        const struct event_field *field = &object->fields[at];

        if ((seen & UINT32_C(1) << at) != 0) {
            return event_read_fail(r, field, "there twice");
        }
        seen |= UINT32_C(1) << at;
        if (field->read(r, field, item) < 0) {
            return -1;
        }
        next = at + 1;
    }
    for (size_t i = 0; i < object->count; i++) {
        if (object->fields[i].required && (seen & UINT32_C(1) << i) == 0) {
            return event_read_fail(r, &object->fields[i], "missing");
        }
    }
    return 0;
}

static int read_object(struct event_reader *r, const struct event_field *field, const cJSON *item)
{
    const char *outer = r->prefix;

    if (!cJSON_IsObject(item)) {
        return event_read_fail(r, field, "not an object");
    }
    if (read_members(r, field->members, item) < 0) {
        return -1;
    }
    r->prefix = outer;
    return 0;
}

static int read_matched(struct event_reader *r, const struct event_field *field, const cJSON *item)
{
    r->event->has_pattern = true;
    return event_read_bool(r, field, item);
}

static bool is_answer(const cJSON *answer)
{
    const cJSON *group;
    int groups = 0;

    if (!cJSON_IsArray(answer)) {
        return false;
    }
    cJSON_ArrayForEach (group, answer) {
        if (!cJSON_IsString(group) && !cJSON_IsNull(group)) {
            return false;
        }
        groups++;
    }
    return groups <= PATTERN_GROUPS_MAX + 1;
}

static int read_answers(struct event_reader *r, const struct event_field *field, const cJSON *item)
{
    const cJSON *answer;
    int answers = 0;

    if (!cJSON_IsArray(item)) {
        return event_read_fail(r, field, "not an array");
    }
    cJSON_ArrayForEach (answer, item) {
        if (!is_answer(answer)) {
            return event_read_fail(r, field, "[%d] is not an array of at most %d strings or nulls",
                                   answers, PATTERN_GROUPS_MAX + 1);
        }
        answers++;
    }
    if (answers > PATTERN_ANSWERS_MAX) {
        return event_read_fail(r, field, "%d, at most %d", answers, PATTERN_ANSWERS_MAX);
    }
    r->answers = cJSON_PrintBuffered(item, USUAL_ANSWER_BYTES, false);
    if (r->answers == NULL) {
        abort(); /* for want of memory, the one reason there is (common/mem.h) */
    }
    r->event->answers_json = r->answers;
    r->event->answers_json_len = strlen(r->answers);
    return 0;
}

static int read_schema(struct event_reader *r, const struct event_field *field, const cJSON *item)
{
    int64_t schema;

    if (event_read_integer(r, field, item, &schema) < 0) {
        return -1;
    }
    if (schema != EVENT_SCHEMA) {
        return event_read_fail(r, field, "%lld is not supported, this reads %d", (long long)schema,
                               EVENT_SCHEMA);
    }
    return 0;
}

/* What another schema holds is not for us to judge, so this comes before anything else. */
static int check_schema(struct event_reader *r, const cJSON *root)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, schema_field.name);

    if (item == NULL) {
        return event_read_fail(r, &schema_field, "missing");
    }
    return read_schema(r, &schema_field, item);
}

/* One object and nothing after it but white space; or NULL. */
static cJSON *parse(const char *json, size_t len, struct err *err)
{
    const char *end = json;
    cJSON *root = cJSON_ParseWithLengthOpts(json, len, &end, false);

    if (root != NULL) {
        while (end < json + len && (unsigned char)*end <= ' ') {
            end++;
        }
    }
    if (root == NULL || end < json + len) {
        err_set(err, ERR_INVALID, "not JSON at offset %td", end - json);
        cJSON_Delete(root);
        return NULL;
    }
    if (!cJSON_IsObject(root)) {
        err_set(err, ERR_INVALID, "not JSON of an object");
        cJSON_Delete(root);
        return NULL;
    }
    return root;
}

static int decode(struct event_reader *r, const cJSON *root, enum event_fault *fault)
{
    *fault = EVENT_FAULT_SCHEMA;
    if (check_schema(r, root) < 0) {
        return -1;
    }
    *fault = EVENT_FAULT_FIELD;
    return read_members(r, &event_object, root);
}

struct event_doc *event_decode(const char *json, size_t len, struct event *event,
                               enum event_fault *fault, struct err *err)
{
    struct event decoded;
    struct event_reader reader = {.event = &decoded, .prefix = "", .err = err};

    if (event_text_check(json, len, fault, err) < 0) {
        return NULL;
    }

    cJSON *root = parse(json, len, err);

    if (root == NULL) {
        *fault = EVENT_FAULT_JSON;
        return NULL;
    }
    event_init(&decoded);
    if (decode(&reader, root, fault) < 0) {
        cJSON_free(reader.answers);
        cJSON_Delete(root);
        return NULL;
    }

    struct event_doc *doc = mem_alloc(1, sizeof(*doc));

    doc->root = root;
    doc->answers = reader.answers;
    *event = decoded;
    return doc;
}

void event_doc_free(struct event_doc *doc)
{
    if (doc != NULL) {
        cJSON_Delete(doc->root);
        cJSON_free(doc->answers);
        free(doc);
    }
}
