#include "common/suggest.h"

#include <string.h>

#define DISTANCE_MAX 3 /* one less for each two letters that a word has under six */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein's distance, one row at a time. */
static size_t edit_distance(const char *from, const char *to)
{
    size_t row[SUGGEST_WORD_BYTES_MAX + 1];
    size_t to_len = strlen(to);

    for (size_t j = 0; j <= to_len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; from[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= to_len; j++) {
            size_t replaced = diagonal + (from[i - 1] == to[j - 1] ? 0 : 1);

            diagonal = row[j];
            row[j] = smaller(replaced, smaller(row[j], row[j - 1]) + 1);
        }
    }
    return row[to_len];
}

struct suggest suggest_start(const char *word)
{
    size_t len = strlen(word);
    size_t allowed = len >= 6 ? DISTANCE_MAX : len >= 4 ? DISTANCE_MAX - 1 : DISTANCE_MAX - 2;

    return (struct suggest){.word = word, .distance = allowed + 1};
}

void suggest_offer(struct suggest *suggest, const char *name)
{
    if (strlen(suggest->word) > SUGGEST_WORD_BYTES_MAX || strlen(name) > SUGGEST_WORD_BYTES_MAX) {
        return;
    }
    size_t distance = edit_distance(suggest->word, name);

    if (distance < suggest->distance) {
        suggest->best = name;
        suggest->distance = distance;
    }
}
