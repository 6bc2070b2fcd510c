/*
 * site_private - the table of a site's options, for the files of the site module alone.
 */
#ifndef COMMON_SITE_PRIVATE_H
#define COMMON_SITE_PRIVATE_H

#include "common/site.h"

enum site_option_kind {
    OPTION_TEXT,      /* char *; min..max bytes; "" is none */
    OPTION_FROM_FILE, /* the same field as another option, its value read from a file */
    OPTION_INT,       /* int32_t in min..max */
    OPTION_SIZE,      /* int64_t in min..max */
    OPTION_BOOL,      /* bool */
    OPTION_CHOICE,    /* an enum: the index in choices */
    OPTION_STATUS,    /* struct status_set */
    OPTION_LIST,      /* site_strings: up to `count_max` texts of up to max bytes */
};

enum site_option_flag {
    OPTION_SECRET = 1,   /* not in site_config_json */
    OPTION_REQUIRED = 2, /* cannot be empty */
};

struct site_option {
    struct site_option_doc doc;
    enum site_option_kind kind;
    unsigned flags; /* of enum site_option_flag */
    size_t offset;  /* of the field in struct site */
    int64_t min, max;
    size_t count_max;
    const char *const *choices; /* ends with NULL */
    /* What is wrong with one text; the message is without the option's name. NULL: no rule. */
    int (*check)(const char *text, struct err *err);
};

/* The i-th option, or NULL past the end. */
const struct site_option *site_option(size_t i);

static inline void *site_field(struct site *site, const struct site_option *option)
{
    return (char *)site + option->offset;
}

static inline const void *site_field_const(const struct site *site,
                                           const struct site_option *option)
{
    return (const char *)site + option->offset;
}

/* Its value is a secret, and its own: not read from a file. */
static inline bool site_option_is_secret(const struct site_option *option)
{
    return option->kind == OPTION_TEXT && (option->flags & OPTION_SECRET) != 0;
}

/* site_check.c: the rules for one text each. */
int site_check_name(const char *text, struct err *err) MUST_CHECK;
int site_check_url(const char *text, struct err *err) MUST_CHECK;
int site_check_pattern(const char *text, struct err *err) MUST_CHECK;
int site_check_json_path(const char *text, struct err *err) MUST_CHECK;
int site_check_method(const char *text, struct err *err) MUST_CHECK;
int site_check_header(const char *text, struct err *err) MUST_CHECK;
int site_check_readable(const char *text, struct err *err) MUST_CHECK;
int site_check_username(const char *text, struct err *err) MUST_CHECK;
int site_check_line(const char *text, struct err *err) MUST_CHECK;
int site_check_token(const char *text, struct err *err) MUST_CHECK;
int site_check_proxy(const char *text, struct err *err) MUST_CHECK;
int site_check_address(const char *text, struct err *err) MUST_CHECK;
int status_set_parse(const char *text, struct status_set *out, struct err *err) MUST_CHECK;

/* "200-299,301" of a set. The caller frees. */
char *status_set_text(const struct status_set *set);

void site_strings_free(site_strings strings);

#endif
