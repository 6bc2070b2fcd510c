/*
 * pattern - a site's regular expression (PCRE2, JIT-compiled) and the answers it finds.
 *
 * The expression is compiled once as UTF and used so on text that is valid UTF-8; on any other
 * body it is matched byte by byte, and the bytes of an answer that are not UTF-8, and NULs, come
 * out as U+FFFD. Matching is bounded (PATTERN_*_MAX): a pattern that runs away on some body ends
 * with PATTERN_LIMIT, never with a stall.
 *
 * A pattern may be used by one thread at a time. It knows nothing of sites or HTTP.
 */
#ifndef COMMON_PATTERN_H
#define COMMON_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define PATTERN_BYTES_MAX 4096         /* of the expression's text */
#define PATTERN_ANSWERS_MAX 100        /* matches kept */
#define PATTERN_ANSWER_BYTES_MAX 16384 /* of text in all kept answers, after replacement */
#define PATTERN_GROUPS_MAX 64          /* of one expression */

struct pattern;

/* The answers of one search, as JSON: [["whole match","group 1",null],...]. */
struct answers {
    char *json; /* NULL when nothing matched; owned; freed by answers_free */
    size_t json_len;
    size_t count;
    bool cut; /* there were more matches, or more text, than is kept */
};

enum pattern_result { PATTERN_MATCHED, PATTERN_ABSENT, PATTERN_LIMIT };

/* Whether pattern_new would take the text, without the cost of machine code. */
int pattern_check(const char *text, struct err *err) MUST_CHECK;

/* NULL and ERR_INVALID with PCRE2's own words and the offset in bytes:
 * "pattern: missing closing parenthesis at offset 4". */
struct pattern *pattern_new(const char *text, struct err *err);
void pattern_free(struct pattern *p);

/* Search body[0..len), for at most about 50 ms of CPU. answers may be NULL when only the verdict is
 * wanted; else *answers is set on every result, and the caller frees it with answers_free. When a
 * limit is hit after the first match, the result is PATTERN_MATCHED and the answers are cut. */
enum pattern_result pattern_search(struct pattern *p, const char *body, size_t len,
                                   struct answers *answers);
void answers_free(struct answers *answers);

#endif
