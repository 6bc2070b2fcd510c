/* Arrays as parameters, in the binary form that PostgreSQL receives (array_recv). */
#include "common/pg.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* Postgres counts time from 2000-01-01. */
#define PG_EPOCH_UNIX_US INT64_C(946684800000000)

/* Number of dimensions, flags, element type, number of elements, lower bound. */
#define ARRAY_HEADER_BYTES 20

static void put_u32(char *at, uint32_t value)
{
    uint32_t wire = htobe32(value);

    memcpy(at, &wire, sizeof(wire));
}

static char *array_extend(struct pg_array *a, size_t len)
{
    if (len > a->size - a->len) {
        while (len > a->size - a->len) {
            a->size *= 2;
        }
        a->data = mem_resize(a->data, a->size, 1);
    }
    a->len += len;
    return a->data + a->len - len;
}

void pg_array_init(struct pg_array *a, enum pg_type type)
{
    *a = (struct pg_array){.type = type, .size = 1024, .len = ARRAY_HEADER_BYTES};
    a->data = mem_alloc(a->size, 1);
    put_u32(a->data, 1);
    put_u32(a->data + 4, 1); /* may hold NULLs */
    put_u32(a->data + 8, type);
    put_u32(a->data + 16, 1);
}

void pg_array_free(struct pg_array *a)
{
    free(a->data);
    *a = (struct pg_array){.type = a->type};
}

static void array_item(struct pg_array *a, const void *bytes, size_t len)
{
    char *at = array_extend(a, 4 + len);

    put_u32(at, (uint32_t)len);
    memcpy(at + 4, bytes, len);
    put_u32(a->data + 12, (uint32_t)++a->count);
}

void pg_array_bool(struct pg_array *a, bool value)
{
    char wire = value ? 1 : 0;

    assert(a->type == PG_BOOL);
    array_item(a, &wire, sizeof(wire));
}

void pg_array_int4(struct pg_array *a, int32_t value)
{
    uint32_t wire = htobe32((uint32_t)value);

    assert(a->type == PG_INT4);
    array_item(a, &wire, sizeof(wire));
}

void pg_array_int8(struct pg_array *a, int64_t value)
{
    uint64_t wire = htobe64((uint64_t)value);

    assert(a->type == PG_INT8);
    array_item(a, &wire, sizeof(wire));
}

void pg_array_timestamptz(struct pg_array *a, int64_t unix_us)
{
    uint64_t wire = htobe64((uint64_t)(unix_us - PG_EPOCH_UNIX_US));

    assert(a->type == PG_TIMESTAMPTZ && unix_us >= INT64_MIN + PG_EPOCH_UNIX_US);
    array_item(a, &wire, sizeof(wire));
}

void pg_array_text(struct pg_array *a, const char *text)
{
    assert(a->type == PG_TEXT);
    if (text == NULL) {
        put_u32(array_extend(a, 4), UINT32_MAX);
        put_u32(a->data + 12, (uint32_t)++a->count);
    } else {
        array_item(a, text, strlen(text));
    }
}
