#include "consumer/holding.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

void holding_init(struct holding *h)
{
    *h = (struct holding){0};
}

void holding_free(struct holding *h)
{
    for (size_t i = 0; i < h->count; i++) {
        free(h->held[i].topic);
    }
    free(h->held);
    holding_init(h);
}

static bool is(const struct held *held, const char *topic, int32_t partition)
{
    return held->partition == partition && strcmp(held->topic, topic) == 0;
}

struct held *holding_find(struct holding *h, const char *topic, int32_t partition)
{
    if (h->latest < h->count && is(&h->held[h->latest], topic, partition)) {
        return &h->held[h->latest];
    }
    for (size_t i = 0; i < h->count; i++) {
        if (is(&h->held[i], topic, partition)) {
            h->latest = i;
            return &h->held[i];
        }
    }
    return NULL;
}

void holding_add(struct holding *h, const char *topic, int32_t partition)
{
    struct held *held = holding_find(h, topic, partition);

    if (held != NULL) {
        held->claimed = false;
        return;
    }
    h->held = mem_resize(h->held, h->count + 1, sizeof(h->held[0]));
    h->held[h->count++] = (struct held){.topic = mem_copy_string(topic), .partition = partition};
}

void holding_remove(struct holding *h, const char *topic, int32_t partition)
{
    struct held *held = holding_find(h, topic, partition);

    if (held != NULL) {
        free(held->topic);
        *held = h->held[--h->count];
    }
}

bool holding_take(struct holding *h, const char *topic, int32_t partition, int64_t offset,
                  struct held **held)
{
    struct held *found = holding_find(h, topic, partition);

    if (found == NULL || !found->claimed || offset < found->next) {
        return false;
    }
    *held = found;
    return true;
}

size_t holding_unclaimed(const struct holding *h)
{
    size_t unclaimed = 0;

    for (size_t i = 0; i < h->count; i++) {
        unclaimed += h->held[i].claimed ? 0 : 1;
    }
    return unclaimed;
}
