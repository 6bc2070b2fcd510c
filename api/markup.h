/*
 * markup - any text as text of HTML, SVG and XML 1.0.
 */
#ifndef API_MARKUP_H
#define API_MARKUP_H

#include <stdio.h>

/* In content and in attributes with quotes around. `text` is UTF-8; what is no character of XML is
 * written as U+FFFD. */
void markup_write(FILE *out, const char *text);

#endif
