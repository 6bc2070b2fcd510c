/*
 * site_json - a site as the topic of the sites has it (docs/sites-topic.md): a JSON object with its
 * options by their own names, `schema`, `id` and `version` beside them, and its secrets, sealed
 * (common/site_secrets).
 *
 * It is read as strictly as an event: RFC 8259, valid UTF-8, no member twice, no member that is not
 * known. What an option may be, common/site knows.
 */
#ifndef COMMON_SITE_JSON_H
#define COMMON_SITE_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/seal.h"
#include "common/site.h"

#define SITE_JSON_SCHEMA 1
#define SITE_JSON_BYTES_MAX (1024 * 1024)
#define SITE_JSON_MEMBERS_MAX 64

/*
 * seal: NULL where no key is set; then no site with secrets is taken. ERR_INVALID begins with the
 * member that is wrong: "seconds: 0 is not in 1..86400". *site, to be freed with site_free, and
 * *version are set only on success.
 */
int site_json_read(const char *text, size_t len, const struct seal *seal, struct site *site,
                   int64_t *version, struct err *err) MUST_CHECK;

#endif
