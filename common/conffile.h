/*
 * conffile - read a libconfig file, with what libconfig leaves out.
 *
 * libconfig 1.5 (Debian 12) ends the process when a file or an @include is a directory, wraps a
 * number that does not fit 32 bits (5000000000 reads as 705032704), and takes a comment without
 * an end. So the text is looked through first, included files too, and these are refused with
 * file and line; 1.7 (Debian 13) then refuses and accepts the same.
 *
 * The path of an @include is relative to the directory of the first file, at every depth.
 */
#ifndef COMMON_CONFFILE_H
#define COMMON_CONFFILE_H

#include <libconfig.h>

#include "common/err.h"

#define CONFFILE_BYTES_MAX (1024 * 1024 * 1024) /* of one file */
#define CONFFILE_NAME_SIZE 512
#define CONFFILE_DEPTH_MAX 10 /* of @include in an included file; libconfig's */

/*
 * Parse `path` into *config, which the caller has made with config_init and ends with
 * config_destroy whatever is returned. ERR_INVALID: "FILE:LINE: what is wrong", or "FILE: ...".
 */
int conffile_read(config_t *config, const char *path, struct err *err) MUST_CHECK;

/* The same of a text, which is terminated; `name` stands for the file's. An @include is refused. */
int conffile_parse(config_t *config, const char *text, size_t len, const char *name,
                   struct err *err) MUST_CHECK;

/* The file that a setting is in; `path` is what conffile_read was given. */
void conffile_name(const config_setting_t *setting, const char *path, char out[CONFFILE_NAME_SIZE]);

/* Put "FILE:LINE: " of a setting before the message. Always returns -1. */
int conffile_blame(const config_setting_t *setting, const char *path, struct err *err);

/* "a whole number", "a group { ... }": what a setting is, for messages. */
const char *conffile_type_name(const config_setting_t *setting);

#endif
