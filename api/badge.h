/*
 * badge - a name and a state as a small picture: SVG without script, style or anything to load,
 * with a text for who does not see it. It knows no site.
 */
#ifndef API_BADGE_H
#define API_BADGE_H

#include <stddef.h>

#define BADGE_NAME_CHARS_MAX 40 /* of what is drawn; the text has it whole */

/* state: up, degraded, down or unknown. The caller frees. */
char *badge_svg(const char *name, const char *state, size_t *len);

#endif
