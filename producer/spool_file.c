#include "producer/spool_file.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/timestamp.h"

#define VERSION_OURS 1
#define APPLICATION_ID 0x73777370 /* "swsp" */
#define BUSY_MS 1000              /* for one that is about to end */
#define TRIM_ROWS 64              /* deleted at a time */
#define PATH_BYTES_MAX 4096

enum statement { PUT, DELETE, READ, LOST, TRIM, PAGES, FREE, STATEMENTS };

static const char *const texts[STATEMENTS] = {
    [PUT] = "INSERT OR IGNORE INTO events (seq, lane, id, time, key, source, json)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [DELETE] = "DELETE FROM events WHERE seq = ?1",
    [READ] = "SELECT seq, id, time, key, source, json FROM events INDEXED BY events_order"
             " WHERE lane = ?1 AND seq > ?2 ORDER BY seq",
    [LOST] = "SELECT count(*) FROM (SELECT lane, seq FROM events ORDER BY seq LIMIT ?1)"
             " WHERE seq > CASE lane WHEN 0 THEN ?2 ELSE ?3 END",
    [TRIM] = "DELETE FROM events WHERE seq IN (SELECT seq FROM events ORDER BY seq LIMIT ?1)",
    [PAGES] = "PRAGMA page_count",
    [FREE] = "PRAGMA freelist_count",
};

static const char schema[] =
    "CREATE TABLE events (seq INTEGER PRIMARY KEY, lane INTEGER NOT NULL, id TEXT NOT NULL,"
    " time TEXT NOT NULL, key TEXT NOT NULL, source TEXT NOT NULL, json BLOB NOT NULL);"
    "CREATE INDEX events_order ON events (lane, seq);";

struct spool_file {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    char *path;
    int64_t page_bytes;
    struct spool_size size;
    uint64_t events_before; /* the transaction */
};

void spool_rows_free(struct spool_rows *rows)
{
    struct spool_row *row;

    while ((row = STAILQ_FIRST(rows)) != NULL) {
        STAILQ_REMOVE_HEAD(rows, link);
        message_clear(&row->message);
        free(row);
    }
}

/* What SQLite said last, as an error of the file. */
static int failed(const struct spool_file *f, struct err *err)
{
    int code = sqlite3_errcode(f->db) & 0xff;
    bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
    int system = sqlite3_system_errno(f->db);

    if (code == SQLITE_BUSY || code == SQLITE_LOCKED) {
        return err_set(err, ERR_FATAL, "spool %s is in use by another process", f->path);
    }
    return err_set(err, damaged ? ERR_INVALID : ERR_RETRY, "spool %s: %s%s%s", f->path,
                   sqlite3_errmsg(f->db), !damaged && system != 0 ? ": " : "",
                   !damaged && system != 0 ? strerror(system) : "");
}

static int execute(struct spool_file *f, const char *sql, struct err *err)
{
    return sqlite3_exec(f->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(f, err);
}

/* The one number that sql returns. */
static int query(struct spool_file *f, const char *sql, int64_t *value, struct err *err)
{
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(f->db, sql, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW) {
        int rc = failed(f, err);

        sqlite3_finalize(statement);
        return rc;
    }
    *value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return 0;
}

/* Runs a statement whose parameters are bound, to its first row if it has any. */
static int step(struct spool_file *f, enum statement which, int64_t *value, struct err *err)
{
    sqlite3_stmt *statement = f->statements[which];
    int code = sqlite3_step(statement);
    int rc = 0;

    if (code == SQLITE_ROW && value != NULL) {
        *value = sqlite3_column_int64(statement, 0);
    } else if (code != SQLITE_DONE) {
        rc = failed(f, err);
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return rc;
}

/* --- Opening --- */

/* The schema of a file that has none. A file of somebody else is left alone. */
static int schema_ensure(struct spool_file *f, struct err *err)
{
    int64_t version = 0, application = 0, objects = 0;

    if (query(f, "PRAGMA user_version", &version, err) < 0 ||
        query(f, "PRAGMA application_id", &application, err) < 0 ||
        query(f, "SELECT count(*) FROM sqlite_schema", &objects, err) < 0) {
        return -1;
    }
    if (objects == 0) {
        char sql[sizeof(schema) + 100];

        snprintf(sql, sizeof(sql), "%sPRAGMA application_id = %d; PRAGMA user_version = %d;",
                 schema, APPLICATION_ID, VERSION_OURS);
        return execute(f, sql, err);
    }
    if (application != APPLICATION_ID) {
        return err_set(err, ERR_FATAL, "spool %s is a database of another program", f->path);
    }
    if (version != VERSION_OURS) {
        return err_set(err, ERR_FATAL,
                       "spool %s is of format %" PRId64 ", this program knows format %d", f->path,
                       version, VERSION_OURS);
    }
    return 0;
}

static int sizes_read(struct spool_file *f, struct err *err)
{
    int64_t pages = 0, free_pages = 0;

    if (step(f, PAGES, &pages, err) < 0 || step(f, FREE, &free_pages, err) < 0) {
        return -1;
    }
    f->size.bytes = (pages - free_pages) * f->page_bytes;
    f->size.free_bytes = free_pages * f->page_bytes;
    return 0;
}

static int contents_read(struct spool_file *f, struct err *err)
{
    int64_t events = 0, last = 0;

    for (size_t i = 0; i < STATEMENTS; i++) {
        if (sqlite3_prepare_v2(f->db, texts[i], -1, &f->statements[i], NULL) != SQLITE_OK) {
            /* Ours by its number, but without its tables. */
            return sqlite3_errcode(f->db) == SQLITE_ERROR
                       ? err_set(err, ERR_INVALID, "spool %s: %s", f->path, sqlite3_errmsg(f->db))
                       : failed(f, err);
        }
    }
    if (query(f, "SELECT count(*) FROM events INDEXED BY events_order", &events, err) < 0 ||
        query(f, "SELECT coalesce(max(seq), 0) FROM events", &last, err) < 0 ||
        query(f, "PRAGMA page_size", &f->page_bytes, err) < 0) {
        return -1;
    }
    f->size.events = (uint64_t)events;
    f->size.seq_last = (uint64_t)last;
    return sizes_read(f, err);
}

/* Exclusive: the lock is held until the file is closed, and no shared memory is needed.
 * auto_vacuum has to be set before the first table. */
static int prepare(struct spool_file *f, struct err *err)
{
    sqlite3_busy_timeout(f->db, BUSY_MS);
    if (execute(f,
                "PRAGMA locking_mode = EXCLUSIVE; PRAGMA auto_vacuum = INCREMENTAL;"
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                "PRAGMA journal_size_limit = 4194304; BEGIN IMMEDIATE",
                err) < 0 ||
        schema_ensure(f, err) < 0 || execute(f, "COMMIT", err) < 0) {
        return -1;
    }
    return contents_read(f, err);
}

struct spool_file *spool_file_open(const char *path, struct err *err)
{
    struct spool_file *f = mem_alloc(1, sizeof(*f));
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;

    f->path = mem_copy_string(path);
    if (sqlite3_open_v2(path, &f->db, flags, NULL) != SQLITE_OK) {
        failed(f, err);
    } else if (prepare(f, err) == 0) {
        return f;
    }
    spool_file_close(f);
    return NULL;
}

void spool_file_close(struct spool_file *f)
{
    if (f == NULL) {
        return;
    }
    for (size_t i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(f->statements[i]);
    }
    sqlite3_close(f->db);
    free(f->path);
    free(f);
}

int spool_file_set_aside(const char *path, int64_t now_ms, char *name, size_t size, struct err *err)
{
    char stamp[TIMESTAMP_SIZE], log_from[PATH_BYTES_MAX], log_to[PATH_BYTES_MAX];
    char *out = stamp;

    timestamp_format_ms(now_ms, stamp);
    for (const char *c = stamp; *c != '\0'; c++) { /* a file's name without colons and hyphens */
        if (*c != ':' && *c != '-') {
            *out++ = *c;
        }
    }
    *out = '\0';
    snprintf(name, size, "%s.corrupt-%s", path, stamp);
    if (rename(path, name) < 0) {
        return err_set(err, ERR_RETRY, "spool %s cannot be renamed to %s: %m", path, name);
    }
    snprintf(log_from, sizeof(log_from), "%s-wal", path);
    snprintf(log_to, sizeof(log_to), "%s-wal", name);
    if (rename(log_from, log_to) < 0 && errno != ENOENT) {
        return err_set(err, ERR_RETRY, "spool %s cannot be renamed to %s: %m", log_from, log_to);
    }
    return 0;
}

/* --- Changes --- */

int spool_file_begin(struct spool_file *f, struct err *err)
{
    f->events_before = f->size.events;
    return execute(f, "BEGIN IMMEDIATE", err);
}

int spool_file_commit(struct spool_file *f, struct err *err)
{
    if (execute(f, "COMMIT", err) < 0) {
        return -1;
    }
    return sizes_read(f, err);
}

void spool_file_rollback(struct spool_file *f)
{
    struct err ignored;

    f->size.events = f->events_before;
    /* SQLite may have rolled back by itself. */
    if (sqlite3_get_autocommit(f->db) == 0 && execute(f, "ROLLBACK", &ignored) < 0) {
        return;
    }
    if (sizes_read(f, &ignored) < 0) {
        return; /* the old ones are as good */
    }
}

static void bind_text(sqlite3_stmt *statement, int number, const char *text)
{
    sqlite3_bind_text(statement, number, text, -1, SQLITE_STATIC);
}

int spool_file_put(struct spool_file *f, uint64_t seq, unsigned lane, const struct message *message,
                   struct err *err)
{
    sqlite3_stmt *put = f->statements[PUT];

    sqlite3_bind_int64(put, 1, (int64_t)seq);
    sqlite3_bind_int(put, 2, (int)lane);
    bind_text(put, 3, message->id);
    bind_text(put, 4, message->time);
    bind_text(put, 5, message->key);
    bind_text(put, 6, message->source);
    sqlite3_bind_blob64(put, 7, message->json, message->json_len, SQLITE_STATIC);
    if (step(f, PUT, NULL, err) < 0) {
        return -1;
    }
    f->size.events += (uint64_t)sqlite3_changes(f->db);
    return 0;
}

int spool_file_delete(struct spool_file *f, uint64_t seq, struct err *err)
{
    sqlite3_bind_int64(f->statements[DELETE], 1, (int64_t)seq);
    if (step(f, DELETE, NULL, err) < 0) {
        return -1;
    }
    f->size.events -= (uint64_t)sqlite3_changes(f->db);
    return 0;
}

int spool_file_trim(struct spool_file *f, int64_t bytes_max, const uint64_t loaded[SPOOL_LANES],
                    uint64_t *deleted, uint64_t *lost, struct err *err)
{
    uint64_t deleted_now = 0, lost_now = 0;

    if (sizes_read(f, err) < 0) {
        return -1;
    }
    while (f->size.bytes > bytes_max && f->size.events > 0) {
        int64_t unknown = 0;

        sqlite3_bind_int(f->statements[LOST], 1, TRIM_ROWS);
        sqlite3_bind_int64(f->statements[LOST], 2, (int64_t)loaded[0]);
        sqlite3_bind_int64(f->statements[LOST], 3, (int64_t)loaded[1]);
        sqlite3_bind_int(f->statements[TRIM], 1, TRIM_ROWS);
        if (step(f, LOST, &unknown, err) < 0 || step(f, TRIM, NULL, err) < 0) {
            return -1;
        }

        uint64_t gone = (uint64_t)sqlite3_changes(f->db);

        f->size.events -= gone;
        deleted_now += gone;
        lost_now += (uint64_t)unknown;
        if (sizes_read(f, err) < 0) {
            return -1;
        }
    }
    *deleted = deleted_now;
    *lost = lost_now;
    return 0;
}

/* --- Reading and shrinking --- */

static char *column_copy(sqlite3_stmt *statement, int column)
{
    const char *bytes = sqlite3_column_blob(statement, column);
    int len = sqlite3_column_bytes(statement, column);

    return mem_copy(bytes != NULL ? bytes : "", (size_t)len);
}

static struct spool_row *row_new(sqlite3_stmt *read)
{
    struct spool_row *row = mem_alloc(1, sizeof(*row));
    struct message *message = &row->message;

    row->seq = (uint64_t)sqlite3_column_int64(read, 0);
    snprintf(message->id, sizeof(message->id), "%s", (const char *)sqlite3_column_text(read, 1));
    snprintf(message->time, sizeof(message->time), "%s",
             (const char *)sqlite3_column_text(read, 2));
    message->key = column_copy(read, 3);
    message->source = column_copy(read, 4);
    message->json = column_copy(read, 5);
    message->json_len = (size_t)sqlite3_column_bytes(read, 5);
    return row;
}

int spool_file_read(struct spool_file *f, unsigned lane, uint64_t after, size_t count_max,
                    size_t bytes_max, struct spool_rows *rows, bool *more, struct err *err)
{
    sqlite3_stmt *read = f->statements[READ];
    size_t count = 0, bytes = 0;
    int code = SQLITE_ROW, rc = 0;

    sqlite3_bind_int(read, 1, (int)lane);
    sqlite3_bind_int64(read, 2, (int64_t)after);
    while (count < count_max && bytes < bytes_max && (code = sqlite3_step(read)) == SQLITE_ROW) {
        struct spool_row *row = row_new(read);

        STAILQ_INSERT_TAIL(rows, row, link);
        count++;
        bytes += message_bytes(&row->message);
    }
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        rc = failed(f, err);
    } else {
        *more = code == SQLITE_ROW;
    }
    sqlite3_reset(read);
    return rc;
}

int spool_file_shrink(struct spool_file *f, int64_t bytes_max, struct err *err)
{
    char sql[64];

    snprintf(sql, sizeof(sql), "PRAGMA incremental_vacuum(%" PRId64 ")", bytes_max / f->page_bytes);
    if (execute(f, sql, err) < 0 || sizes_read(f, err) < 0) {
        return -1;
    }
    /* The log is copied into the file, or neither gets smaller. */
    return f->size.free_bytes > 0 ? 0 : execute(f, "PRAGMA wal_checkpoint(TRUNCATE)", err);
}

struct spool_size spool_file_size(const struct spool_file *f)
{
    return f->size;
}
