/* The bytes of binary COPY, field by field, as the manual has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "consumer/copyrows.h"

#define ROWS(a) (sizeof(a) / sizeof((a)[0]))
#define BYTES(literal) (literal), sizeof(literal) - 1
#define HEADER "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0"

enum field { NOTHING, BOOL, INT4, INT8, TIMESTAMP, TEXT, BYTEA, JSONB, INET };

static const struct {
    const char *name;
    enum field field;
    int64_t number;
    const char *bytes;
    size_t bytes_len;
    const char *wire;
    size_t wire_len;
} cases[] = {
    {"a null has no bytes", NOTHING, 0, "", 0, BYTES("\377\377\377\377")},
    {"true", BOOL, 1, "", 0, BYTES("\0\0\0\1\1")},
    {"false", BOOL, 0, "", 0, BYTES("\0\0\0\1\0")},
    {"the smallest int4", INT4, INT32_MIN, "", 0, BYTES("\0\0\0\4\200\0\0\0")},
    {"minus one", INT4, -1, "", 0, BYTES("\0\0\0\4\377\377\377\377")},
    {"the largest int4", INT4, INT32_MAX, "", 0, BYTES("\0\0\0\4\177\377\377\377")},
    {"the smallest int8", INT8, INT64_MIN, "", 0, BYTES("\0\0\0\10\200\0\0\0\0\0\0\0")},
    {"the largest int8", INT8, INT64_MAX, "", 0,
     BYTES("\0\0\0\10\177\377\377\377\377\377\377\377")},
    {"bytes stand in network order", INT8, INT64_C(0x0102030405060708), "", 0,
     BYTES("\0\0\0\10\1\2\3\4\5\6\7\10")},
    {"2000-01-01 is zero", TIMESTAMP, INT64_C(946684800000000), "", 0,
     BYTES("\0\0\0\10\0\0\0\0\0\0\0\0")},
    {"a microsecond before", TIMESTAMP, INT64_C(946684799999999), "", 0,
     BYTES("\0\0\0\10\377\377\377\377\377\377\377\377")},
    {"1970-01-01", TIMESTAMP, 0, "", 0, BYTES("\0\0\0\10\377\374\242\376\304\310\040\000")},
    {"an empty text is not null", TEXT, 0, BYTES(""), BYTES("\0\0\0\0")},
    {"what text COPY escapes stays as it is", TEXT, 0, BYTES("\\N\t\n\r\\."),
     BYTES("\0\0\0\7\\N\t\n\r\\.")},
    {"text is measured in bytes", TEXT, 0, BYTES("\303\251"), BYTES("\0\0\0\2\303\251")},
    {"an empty bytea", BYTEA, 0, BYTES(""), BYTES("\0\0\0\0")},
    {"a bytea holds any byte", BYTEA, 0, BYTES("\0\377\\"), BYTES("\0\0\0\3\0\377\\")},
    {"jsonb has its version before it", JSONB, 0, BYTES("[]"), BYTES("\0\0\0\3\1[]")},
    {"an address that is none is null", INET, 0, BYTES("example.com"), BYTES("\377\377\377\377")},
    {"an empty address is null", INET, 0, BYTES(""), BYTES("\377\377\377\377")},
    {"an address with a prefix is null", INET, 0, BYTES("10.0.0.0/8"), BYTES("\377\377\377\377")},
    {"an address with a zone is null", INET, 0, BYTES("fe80::1%eth0"), BYTES("\377\377\377\377")},
    {"an IPv4 address", INET, 0, BYTES("192.0.2.255"), BYTES("\0\0\0\10\2\040\0\4\300\0\2\377")},
    {"an IPv6 address", INET, 0, BYTES("2001:db8::1"),
     BYTES("\0\0\0\24\3\200\0\20\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1")},
    {"an IPv4 address in IPv6 stays IPv6", INET, 0, BYTES("::ffff:192.0.2.1"),
     BYTES("\0\0\0\24\3\200\0\20\0\0\0\0\0\0\0\0\0\0\377\377\300\0\2\1")},
};

static bool put(struct copyrows *c, size_t i)
{
    int64_t number = cases[i].number;
    const char *bytes = cases[i].bytes;
    size_t len = cases[i].bytes_len;

    switch (cases[i].field) {
    case NOTHING:
        copyrows_null(c);
        break;
    case BOOL:
        copyrows_bool(c, number != 0);
        break;
    case INT4:
        copyrows_int4(c, (int32_t)number);
        break;
    case INT8:
        copyrows_int8(c, number);
        break;
    case TIMESTAMP:
        copyrows_timestamptz(c, number);
        break;
    case TEXT:
        copyrows_text(c, bytes, len);
        break;
    case BYTEA:
        copyrows_bytea(c, bytes, len);
        break;
    case JSONB:
        copyrows_jsonb(c, bytes, len);
        break;
    case INET:
        return copyrows_inet(c, bytes);
    }
    return true;
}

static void test_fields(void **state)
{
    struct copyrows c;

    (void)state;
    copyrows_init(&c);
    for (size_t i = 0; i < ROWS(cases); i++) {
        bool is_null = cases[i].wire_len == 4 && memcmp(cases[i].wire, "\377\377\377\377", 4) == 0;

        print_message("  %s\n", cases[i].name);
        copyrows_begin(&c);
        copyrows_begin_row(&c, 1);
        assert_int_equal(put(&c, i), cases[i].field != INET || !is_null);
        assert_int_equal(c.rows, 1);
        assert_int_equal(c.len, sizeof(HEADER) - 1 + 2 + cases[i].wire_len);
        assert_memory_equal(c.data, HEADER "\0\1", sizeof(HEADER) - 1 + 2);
        assert_memory_equal(c.data + sizeof(HEADER) - 1 + 2, cases[i].wire, cases[i].wire_len);
    }
    copyrows_free(&c);
    assert_null(c.data);
}

static void test_header_and_trailer_stand_once(void **state)
{
    struct copyrows c;

    (void)state;
    copyrows_init(&c);
    copyrows_begin(&c);
    assert_int_equal(c.len, 19);
    assert_memory_equal(c.data, HEADER, 19);

    /* Sent in pieces, it goes on without a second header. */
    copyrows_rewind(&c);
    copyrows_begin_row(&c, 300);
    assert_int_equal(c.len, 2);
    assert_memory_equal(c.data, "\1\54", 2);
    copyrows_rewind(&c);
    copyrows_end(&c);
    assert_int_equal(c.len, 2);
    assert_memory_equal(c.data, "\377\377", 2);
    assert_int_equal(c.rows, 1);

    copyrows_begin(&c);
    assert_int_equal(c.len, 19);
    assert_int_equal(c.rows, 0);
    copyrows_free(&c);
}

static void test_grows(void **state)
{
    size_t len = 1000003;
    char *text = mem_alloc(len, 1);
    struct copyrows c;

    (void)state;
    memset(text, 'x', len);
    copyrows_init(&c);
    copyrows_begin(&c);
    for (int i = 0; i < 3; i++) {
        copyrows_begin_row(&c, 1);
        copyrows_text(&c, text, len);
    }
    assert_int_equal(c.len, 19 + 3 * (2 + 4 + len));
    assert_memory_equal(c.data + c.len - len, text, len);
    copyrows_free(&c);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_header_and_trailer_stand_once),
        cmocka_unit_test(test_grows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
