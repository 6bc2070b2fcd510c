/*
 * event_text - whether bytes are text that may be given to cJSON, which is more lenient than
 * RFC 8259: it takes control characters in strings and between tokens, a byte order mark, numbers
 * like 01, and \uXXXX with any X for NUL. For event_decode alone.
 */
#ifndef COMMON_EVENT_TEXT_H
#define COMMON_EVENT_TEXT_H

#include <stddef.h>

#include "common/err.h"
#include "common/event.h"

/* ERR_INVALID and *fault (too large, text or JSON) when it is not. What remains to be found is
 * bad structure: cJSON does that. */
int event_text_check(const char *json, size_t len, enum event_fault *fault,
                     struct err *err) MUST_CHECK;

#endif
