/*
 * suggest - which known name did the writer of a misspelt one mean.
 *
 *     struct suggest s = suggest_start("secnds");
 *     suggest_offer(&s, "seconds"); ...
 *     s.best is "seconds", or NULL when nothing is near.
 */
#ifndef COMMON_SUGGEST_H
#define COMMON_SUGGEST_H

#include <stddef.h>

#define SUGGEST_WORD_BYTES_MAX 48 /* a longer word is near nothing */

struct suggest {
    const char *word;
    const char *best;
    size_t distance; /* insertions, removals and replacements from word to best */
};

struct suggest suggest_start(const char *word);
void suggest_offer(struct suggest *suggest, const char *name);

#endif
