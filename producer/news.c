#include "producer/news.h"

#include <stdlib.h>

#include "common/mem.h"

#define ROOM_FIRST 64

struct news *news_add(struct news_list *list, enum news_kind kind, int32_t shard)
{
    if (list->count == list->room) {
        list->room = list->room == 0 ? ROOM_FIRST : 2 * list->room;
        list->news = mem_resize(list->news, list->room, sizeof(list->news[0]));
    }
    struct news *news = &list->news[list->count++];

    *news = (struct news){.kind = kind, .shard = shard};
    return news;
}

void news_clear(struct news_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->news[i].kind == NEWS_PUT) {
            site_free(&list->news[i].site);
        }
    }
    free(list->news);
    *list = (struct news_list){0};
}
