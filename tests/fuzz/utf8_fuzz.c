/* Whatever the bytes and however small the room: what comes out is text, ends at its room, and
 * is what went in where that was text. */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    char out[256];
    bool cut;

    if (size == 0) {
        return 0;
    }

    const char *text = (const char *)input + 1;
    size_t len = size - 1;
    size_t room = (size_t)input[0] + 1;
    size_t valid = utf8_valid_prefix(text, len);
    size_t used = utf8_clean(text, len, out, room, &cut);

    assert(valid <= len);
    assert(used < room && out[used] == '\0');
    assert(utf8_valid_prefix(out, used) == used);
    assert(memcmp(out, text, used < valid ? used : valid) == 0);
    assert(cut ? used + 4 >= room : used >= len);
    assert(cut || valid < len || used == len);
    return 0;
}
