/* What is compressed is what was read, whatever the sizes of the pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/gzip.h"
#include "common/mem.h"

static void a_client_takes_gzip_when_it_says_so(void **state)
{
    static const struct {
        const char *name, *accepted;
        bool is;
    } rows[] = {
        {"no header", NULL, false},
        {"an empty one", "", false},
        {"others alone", "br, deflate", false},
        {"a name that goes on", "gzipped", false},
        {"refused", "gzip;q=0, br", false},
        {"refused with decimals", "gzip; q=0.000", false},
        {"gzip", "gzip", true},
        {"in capitals, among others", "br, GZIP ;q=0.5, deflate", true},
        {"anything", "*", true},
        {"commas alone", ",,,", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (gzip_is_accepted(rows[i].accepted) != rows[i].is) {
            fail_msg("%s", rows[i].name);
        }
    }
}

struct source {
    const char *bytes;
    size_t len, piece;
};

static size_t read_source(void *context, char *out, size_t size)
{
    struct source *s = context;
    size_t len = s->len < s->piece ? s->len : s->piece;

    len = len < size ? len : size;
    memcpy(out, s->bytes, len);
    s->bytes += len;
    s->len -= len;
    return len;
}

static size_t unpack(const char *packed, size_t len, char *out, size_t size)
{
    z_stream stream = {.next_in = (unsigned char *)(uintptr_t)packed,
                       .avail_in = (unsigned)len,
                       .next_out = (unsigned char *)out,
                       .avail_out = (unsigned)size};

    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.avail_in, 0);
    inflateEnd(&stream);
    return stream.total_out;
}

static void pieces_of_any_size_make_the_same_bytes(void **state)
{
    static const size_t lens[] = {0, 1, 65536, 300000};
    static const size_t pieces[] = {1, 1000, 65536, 1000000};
    static const size_t outs[] = {1, 100, 400000};
    char *bytes = mem_alloc(300000, 1), *packed = mem_alloc(400000, 1);
    char *back = mem_alloc(300001, 1);

    (void)state;
    for (size_t i = 0; i < 300000; i++) {
        bytes[i] = (char)(i * i / 7 % 251);
    }
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < 4; j++) {
            for (size_t k = 0; k < 3; k++) {
                struct source source = {bytes, lens[i], pieces[j]};
                struct gzip *g = gzip_new(read_source, &source);
                size_t len = 0;
                size_t got;

                while ((got = gzip_read(g, packed + len, outs[k])) > 0) {
                    len += got;
                    assert_true(len < 350000);
                }
                assert_int_equal(gzip_read(g, packed, outs[k]), 0);
                gzip_free(g);
                assert_int_equal(unpack(packed, len, back, 300001), lens[i]);
                assert_memory_equal(back, bytes, lens[i]);
            }
        }
    }
    free(bytes);
    free(packed);
    free(back);
    gzip_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_takes_gzip_when_it_says_so),
        cmocka_unit_test(pieces_of_any_size_make_the_same_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
