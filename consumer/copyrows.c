#include "consumer/copyrows.h"

#include <arpa/inet.h>
#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* Postgres counts from 2000-01-01. */
#define PG_EPOCH_UNIX_US INT64_C(946684800000000)
#define JSONB_VERSION 1
#define INET_FAMILY_4 2 /* the wire's own numbers, whatever AF_INET6 is here */
#define INET_FAMILY_6 3

static const char header[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0"; /* signature, flags, extension */

void copyrows_init(struct copyrows *c)
{
    *c = (struct copyrows){0};
}

void copyrows_free(struct copyrows *c)
{
    free(c->data);
    copyrows_init(c);
}

/* Room for `len` bytes more, at the end of what is there. */
static char *extend(struct copyrows *c, size_t len)
{
    assert(len <= COPYROWS_BYTES_MAX - c->len);
    if (len > c->size - c->len) {
        size_t size = c->size == 0 ? 4096 : c->size;

        while (size - c->len < len) {
            size *= 2;
        }
        c->data = mem_resize(c->data, size, 1);
        c->size = size;
    }
    c->len += len;
    return c->data + c->len - len;
}

static char *put_bytes(char *at, const void *bytes, size_t len)
{
    if (len > 0) {
        memcpy(at, bytes, len);
    }
    return at + len;
}

static char *put_u16(char *at, uint16_t value)
{
    uint16_t wire = htobe16(value);

    return put_bytes(at, &wire, sizeof(wire));
}

static char *put_u32(char *at, uint32_t value)
{
    uint32_t wire = htobe32(value);

    return put_bytes(at, &wire, sizeof(wire));
}

/* Room for a field of `len` bytes, whose length is put before it. */
static char *extend_field(struct copyrows *c, size_t len)
{
    assert(len <= COPYROWS_BYTES_MAX - sizeof(uint32_t));
    return put_u32(extend(c, sizeof(uint32_t) + len), (uint32_t)len);
}

void copyrows_begin(struct copyrows *c)
{
    c->len = 0;
    c->rows = 0;
    /* The literal's NUL is the last byte of the header. */
    put_bytes(extend(c, sizeof(header)), header, sizeof(header));
}

void copyrows_end(struct copyrows *c)
{
    put_u16(extend(c, sizeof(uint16_t)), UINT16_MAX);
}

void copyrows_rewind(struct copyrows *c)
{
    c->len = 0;
}

void copyrows_begin_row(struct copyrows *c, int fields)
{
    assert(fields > 0 && fields <= INT16_MAX);
    put_u16(extend(c, sizeof(uint16_t)), (uint16_t)fields);
    c->rows++;
}

void copyrows_null(struct copyrows *c)
{
    put_u32(extend(c, sizeof(uint32_t)), UINT32_MAX);
}

void copyrows_bool(struct copyrows *c, bool value)
{
    *extend_field(c, 1) = value ? 1 : 0;
}

void copyrows_int4(struct copyrows *c, int32_t value)
{
    put_u32(extend_field(c, sizeof(value)), (uint32_t)value);
}

void copyrows_int8(struct copyrows *c, int64_t value)
{
    uint64_t wire = htobe64((uint64_t)value);

    put_bytes(extend_field(c, sizeof(value)), &wire, sizeof(wire));
}

void copyrows_timestamptz(struct copyrows *c, int64_t unix_us)
{
    assert(unix_us >= INT64_MIN + PG_EPOCH_UNIX_US);
    copyrows_int8(c, unix_us - PG_EPOCH_UNIX_US);
}

void copyrows_text(struct copyrows *c, const char *text, size_t len)
{
    copyrows_bytea(c, text, len);
}

void copyrows_bytea(struct copyrows *c, const void *bytes, size_t len)
{
    put_bytes(extend_field(c, len), bytes, len);
}

void copyrows_jsonb(struct copyrows *c, const char *json, size_t len)
{
    char *at = extend_field(c, len + 1);

    *at = JSONB_VERSION;
    put_bytes(at + 1, json, len);
}

bool copyrows_inet(struct copyrows *c, const char *address)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    uint8_t family = INET_FAMILY_4;
    uint8_t len = sizeof(struct in_addr);

    if (inet_pton(AF_INET, address, bytes) != 1) {
        if (inet_pton(AF_INET6, address, bytes) != 1) {
            copyrows_null(c);
            return false;
        }
        family = INET_FAMILY_6;
        len = sizeof(struct in6_addr);
    }
    const uint8_t head[] = {family, (uint8_t)(len * 8), 0 /* not a cidr */, len};

    put_bytes(put_bytes(extend_field(c, sizeof(head) + len), head, sizeof(head)), bytes, len);
    return true;
}
