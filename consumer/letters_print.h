/*
 * letters_print - dead letters for a person, or as JSON, one object a line.
 *
 * What a message holds may be anything: control characters never reach the terminal, and JSON has
 * bytes that are not text as base64.
 */
#ifndef CONSUMER_LETTERS_PRINT_H
#define CONSUMER_LETTERS_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include "consumer/letters.h"

enum letters_format { LETTERS_TABLE, LETTERS_JSON };

void letters_print_list(FILE *out, enum letters_format format, const struct letters *letters);

/* One whole letter: its fields, then its bytes as text, or as a hex dump. */
void letters_print_one(FILE *out, enum letters_format format, const struct letter *letter);

/* Whether bytes can be shown as they are: valid UTF-8, no control characters but newline and tab.
 */
bool letters_is_text(const char *bytes, size_t len);

/* 16 bytes a line: offset, hex, and what of it is ASCII. */
void letters_print_hex(FILE *out, const char *bytes, size_t len);

#endif
