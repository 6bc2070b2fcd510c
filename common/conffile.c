#include "common/conffile.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"
#include "common/textfile.h"

#define NUMBER_CHARS_MAX 32

/* One file while it is looked through. */
struct scan {
    const char *path;
    const char *at;  /* the next character */
    const char *end; /* of the text, at its terminator */
    const char *line_start;
    int line;
};

/* What the @includes of all files have in common. NULL in its place: there may be none. */
struct includes {
    const char *dir; /* of the first file */
    bool absolute, relative;
};

static int scan_file(const char *path, struct includes *includes, int depth, struct err *err);

static int scan_error(const struct scan *scan, int line, struct err *err, const char *message)
{
    return err_set(err, ERR_INVALID, "%s:%d: %s", scan->path, line, message);
}

/* Something has no end, or seems to because of a NUL. */
static int scan_endless(const struct scan *scan, int opened, struct err *err, const char *message)
{
    if (scan->at != scan->end) {
        return scan_error(scan, scan->line, err, "a NUL byte, want a text file");
    }
    return scan_error(scan, opened, err, message);
}

static void scan_skip_to_line_end(struct scan *scan)
{
    while (*scan->at != '\0' && *scan->at != '\n') {
        scan->at++;
    }
}

static void scan_step(struct scan *scan)
{
    if (*scan->at++ == '\n') {
        scan->line++;
        scan->line_start = scan->at;
    }
}

/* Stands on the opening quote; ends after the closing one. */
static int scan_string(struct scan *scan, struct err *err)
{
    int opened = scan->line;

    scan_step(scan);
    while (*scan->at != '"') {
        if (*scan->at == '\\' && scan->at[1] == 'x' && scan->at[2] == '0' && scan->at[3] == '0') {
            return scan_error(scan, scan->line, err,
                              "\\x00 in a string: a NUL cannot be in a value, take it out");
        }
        if (*scan->at == '\\' && scan->at[1] != '\0') {
            scan_step(scan);
        }
        if (*scan->at == '\0') {
            return scan_endless(scan, opened, err,
                                "a string that starts here has no end, close it with a \"");
        }
        scan_step(scan);
    }
    scan_step(scan);
    return 0;
}

static int scan_block_comment(struct scan *scan, struct err *err)
{
    int opened = scan->line;

    scan->at += 2;
    while (strncmp(scan->at, "*/", 2) != 0) {
        if (*scan->at == '\0') {
            return scan_endless(scan, opened, err,
                                "a comment that starts here has no end, close it with */");
        }
        scan_step(scan);
    }
    scan->at += 2;
    return 0;
}

/* A whole number must fit the type that libconfig gives it: 64 bits with an L, else 32. */
static int scan_number(struct scan *scan, struct err *err)
{
    const char *start = scan->at;
    bool hex = start[0] == '0' && (start[1] == 'x' || start[1] == 'X');
    char *end;

    while (isalnum((unsigned char)*scan->at) || *scan->at == '.') {
        scan->at++;
    }
    if (memchr(start, '.', (size_t)(scan->at - start)) != NULL) {
        return 0;
    }
    errno = 0;
    unsigned long long value = strtoull(start, &end, hex ? 16 : 10);

    if (errno == ERANGE || value > (*end == 'L' ? (unsigned long long)INT64_MAX : INT32_MAX)) {
        return err_set(
            err, ERR_INVALID, "%s:%d: the number %.*s is too large%s", scan->path, scan->line,
            (int)(scan->at - start > NUMBER_CHARS_MAX ? NUMBER_CHARS_MAX : scan->at - start), start,
            errno == 0 && value <= INT64_MAX ? "; end it with an L (64 bits)" : "");
    }
    return 0;
}

static bool at_line_start(const struct scan *scan)
{
    for (const char *c = scan->line_start; c < scan->at; c++) {
        if (*c != ' ' && *c != '\t') {
            return false;
        }
    }
    return true;
}

/* Stands on the @ of what libconfig takes as an include; looks through the included file. */
static int scan_include(struct scan *scan, struct includes *includes, int depth, struct err *err)
{
    static const char word[] = "@include";
    char path[PATH_MAX];
    struct stat about;
    const char *name = scan->at + sizeof(word) - 1;

    if (strncmp(scan->at, word, sizeof(word) - 1) != 0 || !at_line_start(scan)) {
        return scan_error(scan, scan->line, err,
                          "a stray @, want a line of its own: @include \"FILE\"");
    }
    name += strspn(name, " \t");
    size_t len = *name == '"' ? strcspn(name + 1, "\"\\\n") : 0;

    if (len == 0 || name[1 + len] != '"') {
        return scan_error(scan, scan->line, err,
                          "@include wants the name of a file: @include \"FILE\"");
    }
    name++;
    if (includes == NULL) {
        return scan_error(scan, scan->line, err, "@include is not taken here");
    }
    bool absolute = *name == '/';

    if (snprintf(path, sizeof(path), "%s%s%.*s", absolute ? "" : includes->dir, absolute ? "" : "/",
                 (int)len, name) >= (int)sizeof(path)) {
        return scan_error(scan, scan->line, err, "@include with too long a name");
    }
    includes->absolute |= absolute;
    includes->relative |= !absolute;
    if (includes->absolute && includes->relative) {
        /* libconfig 1.5 puts its include directory before absolute names too. */
        return scan_error(scan, scan->line, err,
                          "give all @include files by absolute names, or all by relative ones");
    }
    if (depth >= CONFFILE_DEPTH_MAX) {
        return scan_error(scan, scan->line, err,
                          "@include goes too deep (does a file include itself?)");
    }
    errno = 0;
    if (stat(path, &about) < 0 || !S_ISREG(about.st_mode)) {
        return err_set(err, ERR_INVALID, "%s:%d: cannot open include file %s: %s", scan->path,
                       scan->line, path, errno == 0 ? "is not a regular file" : strerror(errno));
    }
    scan->at = name + len + 1;
    return scan_file(path, includes, depth + 1, err);
}

static int scan_token(struct scan *scan, struct includes *includes, int depth, struct err *err)
{
    if (*scan->at == '"') {
        return scan_string(scan, err);
    }
    if (*scan->at == '#' || strncmp(scan->at, "//", 2) == 0) {
        scan_skip_to_line_end(scan);
        return 0;
    }
    if (strncmp(scan->at, "/*", 2) == 0) {
        return scan_block_comment(scan, err);
    }
    if (*scan->at == '@') {
        return scan_include(scan, includes, depth, err);
    }
    if (isdigit((unsigned char)*scan->at)) {
        return scan_number(scan, err);
    }
    if (isalpha((unsigned char)*scan->at)) {
        while (isalnum((unsigned char)*scan->at) ||
               (*scan->at != '\0' && strchr("-_*", *scan->at))) {
            scan->at++;
        }
        return 0;
    }
    scan_step(scan);
    return 0;
}

static int scan_text(const char *name, const char *text, size_t len, struct includes *includes,
                     int depth, struct err *err)
{
    struct scan scan = {.path = name, .at = text, .end = text + len, .line_start = text, .line = 1};
    int rc = 0;

    if (strncmp(text, "\xEF\xBB\xBF", 3) == 0) { /* which no editor shows */
        return scan_error(&scan, 1, err, "a byte order mark, save it as UTF-8 without one");
    }
    while (rc == 0 && *scan.at != '\0') {
        rc = scan_token(&scan, includes, depth, err);
    }
    if (rc == 0 && scan.at != scan.end) {
        rc = scan_error(&scan, scan.line, err, "a NUL byte, want a text file");
    }
    return rc;
}

static int scan_file(const char *path, struct includes *includes, int depth, struct err *err)
{
    struct stat about;
    char *text;
    size_t len;

    if (stat(path, &about) == 0 && !S_ISREG(about.st_mode)) {
        return err_set(err, ERR_INVALID, "%s: is not a regular file", path);
    }
    if (textfile_read(path, CONFFILE_BYTES_MAX, &text, &len, err) < 0) {
        return -1;
    }
    int rc = scan_text(path, text, len, includes, depth, err);

    free(text);
    return rc;
}

static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL) {
        return mem_copy_string(".");
    }
    return mem_copy(path, slash == path ? 1 : (size_t)(slash - path));
}

/* `file` is libconfig's: NULL is the first file. */
static void name_file(const char *file, const char *path, char *out, size_t out_size)
{
    const char *slash = strrchr(path, '/');
    size_t dir_len = 0;

#if LIBCONFIG_VER_MAJOR == 1 && LIBCONFIG_VER_MINOR < 7
    /* libconfig 1.5 tells the name as it is written after @include. */
    if (file != NULL && strcmp(file, path) != 0 && file[0] != '/' && slash != NULL) {
        dir_len = (size_t)(slash + 1 - path);
    }
#endif
    (void)slash;
    snprintf(out, out_size, "%.*s%s", (int)dir_len, path, file == NULL ? path : file);
}

/* libconfig's words for a parse error, and what to look for. */
static const char *advice(const char *text)
{
    if (strcmp(text, "syntax error") == 0) {
        return "look here and on the line before for a missing ; , = or bracket, or a , too many";
    }
    if (strcmp(text, "duplicate setting name") == 0) {
        return "keep one of the two";
    }
    if (strcmp(text, "mismatched element type in array") == 0) {
        return "all values between [ and ] must be of one type";
    }
    return "see the page sitewatch-targets(5)";
}

static int parse_error(const config_t *config, const char *path, struct err *err)
{
    const char *text = config_error_text(config);
    char file[CONFFILE_NAME_SIZE];

    err_set(err, ERR_INVALID, "%s: %s", text, advice(text));
    name_file(config_error_file(config), path, file, sizeof(file));
    return err_context(err, "%s:%d", file, config_error_line(config));
}

int conffile_read(config_t *config, const char *path, struct err *err)
{
    char *dir = directory_of(path);
    struct includes includes = {.dir = dir};
    int rc = scan_file(path, &includes, 0, err);

    if (rc == 0) {
        if (!includes.absolute) {
            config_set_include_dir(config, dir);
        }
        if (!config_read_file(config, path)) {
            rc = parse_error(config, path, err);
        }
    }
    free(dir);
    return rc;
}

int conffile_parse(config_t *config, const char *text, size_t len, const char *name,
                   struct err *err)
{
    if (scan_text(name, text, len, NULL, 0, err) < 0) {
        return -1;
    }
    return config_read_string(config, text) ? 0 : parse_error(config, name, err);
}

void conffile_name(const config_setting_t *setting, const char *path, char out[CONFFILE_NAME_SIZE])
{
    name_file(config_setting_source_file(setting), path, out, CONFFILE_NAME_SIZE);
}

int conffile_blame(const config_setting_t *setting, const char *path, struct err *err)
{
    char file[CONFFILE_NAME_SIZE];

    conffile_name(setting, path, file);
    return err_context(err, "%s:%u", file, (unsigned)config_setting_source_line(setting));
}

const char *conffile_type_name(const config_setting_t *setting)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return "a whole number";
    case CONFIG_TYPE_FLOAT:
        return "a number with a fraction";
    case CONFIG_TYPE_STRING:
        return "a string";
    case CONFIG_TYPE_BOOL:
        return "a bool";
    case CONFIG_TYPE_GROUP:
        return "a group { }";
    case CONFIG_TYPE_ARRAY:
        return "an array [ ]";
    default:
        return "a list ( )";
    }
}
