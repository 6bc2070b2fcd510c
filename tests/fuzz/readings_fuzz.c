/* What a program shows at /metrics: the same is read of it in one piece and byte by byte, and it
 * never leads outside the line. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "api/readings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct readings whole, pieces;
    struct readings_reader reader;

    readings_begin(&reader, &whole);
    readings_take(&reader, (const char *)data, size);
    readings_begin(&reader, &pieces);
    for (size_t i = 0; i < size; i++) {
        readings_take(&reader, (const char *)data + i, 1);
    }
    assert(memcmp(&whole, &pieces, sizeof(whole)) == 0);
    for (size_t i = 1; i < whole.bounds_count; i++) {
        assert(whole.bounds[i - 1] < whole.bounds[i]);
    }
    readings_quantile(&whole, &pieces, 0.99);
    return 0;
}
