/*
 * site - what is to be checked, how, and what counts as up: the options of one site.
 *
 * This is the one place that knows the options' names, ranges and defaults. A targets file, the
 * command line, the database and the API all go through the table in site.c, so that all of them
 * accept and refuse the same with the same words.
 */
#ifndef COMMON_SITE_H
#define COMMON_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define SITE_NAME_BYTES_MAX 2048
#define SITE_HEADERS_MAX 32
#define SITE_HEADER_BYTES_MAX 4096
#define SITE_BODY_BYTES_MAX 65536 /* of the request */
#define SITE_STATUS_RANGES_MAX 16
#define SITE_JSON_VALUE_BYTES_MAX 4096
#define SITE_FAILURES_MAX 1000
#define SITE_QUORUM_MAX 100
#define SITE_TAGS_MAX 16
#define SITE_TAG_BYTES_MAX 64
#define SITE_SECONDS_DEFAULT 60
#define SITE_SECONDS_MAX 86400
#define SITE_RETRIES_MAX 5
#define SITE_TIMEOUT_MS_DEFAULT 10000
#define SITE_RESPONSE_BYTES_DEFAULT (1024 * 1024)
#define SITE_RESPONSE_BYTES_MAX (64 * 1024 * 1024)

enum site_ip_version { SITE_IP_ANY, SITE_IP_4, SITE_IP_6 };
enum site_http_version { SITE_HTTP_ANY, SITE_HTTP_1_1, SITE_HTTP_2 };
enum site_min_tls { SITE_TLS_ANY, SITE_TLS_1_2, SITE_TLS_1_3 };

/* "200-299,301": which response codes are up. */
struct status_set {
    size_t count;
    struct {
        uint16_t first, last;
    } ranges[SITE_STATUS_RANGES_MAX];
};

/* A list of strings, ends with NULL; NULL when empty. */
typedef char **site_strings;

struct site {
    int64_t id; /* websites.website_id; 0 when not known */
    char *name;
    char *url; /* normalised; user and password are moved from it to the fields by site_finish */
    int32_t seconds;
    int32_t timeout_ms; /* at most the interval; 0 before site_finish: the default, which is
                         * 10000, or less so that all attempts fit in the interval */
    int32_t slow_ms;    /* 0: none */
    int32_t retries;    /* attempts after the first; all fit in the interval */
    int32_t retry_seconds;
    int32_t cert_days; /* 0: none */
    int32_t failures;  /* in a row, before an incident opens */
    int32_t quorum;    /* locations that must agree before the site is down */
    int32_t max_redirects;
    int64_t max_body_bytes;
    struct status_set status;
    char *pattern;        /* NULL: none; known to compile */
    char *pattern_absent; /* likewise */
    char *header_pattern; /* likewise */
    char *json_path;      /* NULL: none; known to parse */
    char *json_value;     /* NULL: whatever is there; only with json_path */
    char *method;         /* NULL: GET, or POST when there is a body */
    site_strings headers; /* each "Name: value", checked (no CR, LF, NUL) */
    char *body;
    char *ca_file, *cert_file, *key_file; /* readable when the site was read */
    char *username, *password, *bearer_token;
    char *resolve_to; /* a numeric address */
    char *proxy;      /* as common/proxy reads it, with its user and password; NULL: none */
    site_strings tags;
    enum site_ip_version ip_version;
    enum site_http_version http_version;
    enum site_min_tls min_tls;
    bool follow_redirects;
    bool verify_tls;
    bool reuse_connection;
    bool tls_resume;
    bool allow_private;
    bool enabled;
};

/*
 * A site with every option at its default but name and url (NULL). Free with site_free.
 */
void site_init(struct site *site);
void site_free(struct site *site);
void site_copy(struct site *to, const struct site *from);

/* Equal in every option, so that a reload can leave it alone. */
bool site_equal(const struct site *a, const struct site *b);

/*
 * Set one option from text, an integer, a bool or a list of strings, as its table row asks.
 * ERR_INVALID names the option and what would be right: "seconds: 0 is not in 1..86400". A name
 * that is not in the table: "no such option: secnds (did you mean seconds?)". An empty text or
 * list takes away what was set before, such as a default of the file.
 */
struct site_value {
    enum {
        SITE_VALUE_TEXT,
        SITE_VALUE_INT,
        SITE_VALUE_BOOL,
        SITE_VALUE_LIST,
        SITE_VALUE_OTHER, /* of a type that no option takes: refused with what is wanted */
    } type;
    const char *text;
    int64_t integer;
    bool boolean;
    const char *const *list; /* ends with NULL */
};
int site_set(struct site *site, const char *option, const struct site_value *value,
             struct err *err) MUST_CHECK;

/*
 * After the last option: fill what follows from others (name from url, timeout from the
 * interval, credentials out of the url), and check what holds between options.
 */
int site_finish(struct site *site, struct err *err) MUST_CHECK;

bool status_set_has(const struct status_set *set, int code);

/* All options of a finished site that differ from their defaults as a JSON object; without
 * passwords, tokens, proxies, and headers whose name speaks of a secret (Authorization, Cookie,
 * X-Api-Key), which common/site_secrets adds. The caller frees. */
char *site_config_json(const struct site *site);

/* The table, for docs/sites.md and man: the i-th option, or NULL past the end. */
struct site_option_doc {
    const char *name, *value, *fallback, *help;
};
const struct site_option_doc *site_option_doc(size_t i);

/* An option that holds a secret, which site_config_json leaves out: password, bearer_token, proxy
 * or headers; NULL when none does. */
const char *site_secret_option(const struct site *site);

/* A header whose name says that its value is nobody's business. */
bool site_header_is_secret(const char *header);

/* Whether an option's value is, or for headers may be, such a secret. */
bool site_option_may_be_secret(const char *option);

/* The options as the properties of a JSON Schema: {"url":{"type":"string",...},...}. What a schema
 * cannot say, such as that a pattern compiles, site_set does. The caller frees. */
char *site_schema_json(void);

#endif
