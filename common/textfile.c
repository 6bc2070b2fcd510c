#include "common/textfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"

#define READ_BYTES 65536

static int read_stream(FILE *file, const char *path, size_t bytes_max, char **text, size_t *len,
                       struct err *err)
{
    char *buffer = NULL;
    size_t used = 0;
    size_t room = 0;

    do {
        if (room - used < READ_BYTES) {
            room = 2 * room + READ_BYTES;
            buffer = mem_resize(buffer, room + 1, 1);
        }
        used += fread(buffer + used, 1, READ_BYTES, file);
    } while (used <= bytes_max && !feof(file) && !ferror(file));
    if (ferror(file)) {
        free(buffer);
        return err_set(err, ERR_INVALID, "%s: %s", path, strerror(errno));
    }
    if (used > bytes_max) {
        free(buffer);
        return err_set(err, ERR_INVALID, "%s: larger than %zu bytes", path, bytes_max);
    }
    buffer[used] = '\0';
    *text = buffer;
    *len = used;
    return 0;
}

int textfile_read(const char *path, size_t bytes_max, char **text, size_t *len, struct err *err)
{
    struct stat about;
    FILE *file = fopen(path, "re");
    int rc;

    if (file == NULL) {
        return err_set(err, ERR_INVALID, "%s: %s", path, strerror(errno));
    }
    if (fstat(fileno(file), &about) == 0 && S_ISDIR(about.st_mode)) {
        rc = err_set(err, ERR_INVALID, "%s: %s", path, strerror(EISDIR));
    } else {
        rc = read_stream(file, path, bytes_max, text, len, err);
    }
    fclose(file);
    return rc;
}

int textfile_read_value(const char *path, size_t bytes_max, char **text, struct err *err)
{
    char *value = NULL;
    size_t len = 0;

    if (textfile_read(path, bytes_max, &value, &len, err) < 0) {
        return -1;
    }
    if (len > 0 && memchr(value, '\0', len) != NULL) {
        free(value);
        return err_set(err, ERR_INVALID, "%s: holds a NUL byte, want one line of text", path);
    }
    if (len > 0 && value[len - 1] == '\n') {
        value[--len] = '\0';
        if (len > 0 && value[len - 1] == '\r') {
            value[--len] = '\0';
        }
    }
    *text = value;
    return 0;
}
