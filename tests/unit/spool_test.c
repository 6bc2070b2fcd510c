/*
 * What is put into the spool comes out in order, also after a kill; and a disk that refuses, a
 * file that is damaged, full or another's each do what the header says. The files are real ones
 * in a directory of the test. Time is passed in, or waited for on the spool's descriptor.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "producer/spool.h"
#include "producer/spool_writer.h"

#define MB (1024 * 1024)
#define FILE_NAME "spool.sqlite"
#define DEADLINE_MS 8000

struct world {
    char directory[64], path[96];
    struct metrics *metrics;
    int log_file, stderr_saved;
};

static int world_make(void **state)
{
    struct world *w = mem_alloc(1, sizeof(*w));

    snprintf(w->directory, sizeof(w->directory), "/tmp/spool-test-XXXXXX");
    if (mkdtemp(w->directory) == NULL) {
        return -1;
    }
    snprintf(w->path, sizeof(w->path), "%s/" FILE_NAME, w->directory);
    w->metrics = metrics_new();
    w->log_file = memfd_create("log", MFD_CLOEXEC);
    fcntl(w->log_file, F_SETFL, O_APPEND); /* threads write to it: none over another's line */
    w->stderr_saved = dup(STDERR_FILENO);
    fflush(stderr);
    dup2(w->log_file, STDERR_FILENO);
    *state = w;
    return 0;
}

static int world_free(void **state)
{
    struct world *w = *state;
    DIR *directory = opendir(w->directory);
    const struct dirent *entry;

    dup2(w->stderr_saved, STDERR_FILENO);
    close(w->stderr_saved);
    close(w->log_file);
    while ((entry = readdir(directory)) != NULL) {
        unlinkat(dirfd(directory), entry->d_name, 0);
    }
    closedir(directory);
    rmdir(w->directory);
    metrics_free(w->metrics);
    free(w);
    return 0;
}

static void log_expect(const struct world *w, const char *part, size_t count)
{
    static char text[65536];
    ssize_t len = pread(w->log_file, text, sizeof(text) - 1, 0);
    size_t found = 0;

    assert_true(len >= 0);
    text[len] = '\0';
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
        found++;
    }
    if (found != count) {
        fail_msg("%zu of \"%s\" in the log:\n%s", found, part, text);
    }
}

static uint64_t counted(const struct world *w, const char *name, const char *labels)
{
    return metric_value(metrics_counter(w->metrics, name, "", labels));
}

/* Names in the directory that begin so. */
static size_t files_count(const struct world *w, const char *start)
{
    DIR *directory = opendir(w->directory);
    const struct dirent *entry;
    size_t count = 0;

    while ((entry = readdir(directory)) != NULL) {
        count += strncmp(entry->d_name, start, strlen(start)) == 0;
    }
    closedir(directory);
    return count;
}

/* The message of event n: JSON of that many bytes, with every kind of byte that text may have. */
static struct message message_of(uint64_t n, char *json, size_t json_len)
{
    struct message message = {.key = (char *)"a site's \"name\" ;--",
                              .source = (char *)"/sitewatch/a%20place/host-1",
                              .json = json,
                              .json_len = json_len};

    memset(json, 'j', json_len);
    snprintf(message.id, sizeof(message.id), "%08u-0000-5000-8000-000000000000", (unsigned)n);
    snprintf(message.time, sizeof(message.time), "2026-11-21T08:00:05.001Z");
    return message;
}

#define JSON_BYTES 900

/* --- The writer, without a thread --- */

static void writer_put(struct spool_writer *w, uint64_t seq, unsigned lane, size_t json_len,
                       bool held)
{
    struct spool_ops ops = STAILQ_HEAD_INITIALIZER(ops);
    struct spool_op *op = mem_alloc(1, sizeof(*op) + json_len + 1);

    op->is_put = true;
    op->held = held;
    op->seq = seq;
    op->lane = lane;
    op->bytes = sizeof(*op) + json_len;
    op->message = message_of(seq, op->data, json_len);
    STAILQ_INSERT_TAIL(&ops, op, link);
    spool_writer_add(w, &ops, op->bytes);
}

static void writer_delete(struct spool_writer *w, uint64_t seq)
{
    struct spool_ops ops = STAILQ_HEAD_INITIALIZER(ops);
    struct spool_op *op = mem_alloc(1, sizeof(*op));

    op->seq = seq;
    op->bytes = sizeof(*op);
    STAILQ_INSERT_TAIL(&ops, op, link);
    spool_writer_add(w, &ops, op->bytes);
}

static void writer_make(struct spool_writer *writer, const struct world *w, int64_t bytes_max)
{
    struct err err;

    if (spool_writer_init(writer, w->path, bytes_max, w->metrics, 0, &err) < 0) {
        fail_msg("%s", err.message);
    }
}

static void writer_commit(struct spool_writer *w, int64_t now_ns)
{
    struct err err;

    if (spool_writer_commit(w, true, now_ns, &err) < 0) {
        fail_msg("%s", err.message);
    }
}

/* Reads all of a lane in portions; they must be in order. Returns how many, and the first. */
static size_t writer_read_all(struct spool_writer *w, unsigned lane, uint64_t after,
                              uint64_t *first)
{
    bool last = false;
    size_t count = 0;

    while (!last) {
        struct spool_rows rows = STAILQ_HEAD_INITIALIZER(rows);
        const struct spool_row *row;

        spool_writer_read(w, lane, after, 0, &rows, &last);
        STAILQ_FOREACH(row, &rows, link)
        {
            assert_true(row->seq > after);
            after = row->seq;
            if (count++ == 0 && first != NULL) {
                *first = row->seq;
            }
        }
        spool_rows_free(&rows);
    }
    return count;
}

static void a_file_at_its_ceiling_loses_its_oldest_and_counts_them(void **state)
{
    struct world *w = *state;
    struct spool_writer writer;
    uint64_t first = 0;
    size_t kept;

    writer_make(&writer, w, 1 * MB);
    for (uint64_t n = 1; n <= 3000; n++) {
        writer_put(&writer, n, n % 2, JSON_BYTES, false);
        if (n % 100 == 0) {
            writer_commit(&writer, 0);
            assert_true(spool_file_size(writer.file).bytes <= 1 * MB);
        }
    }
    kept = writer_read_all(&writer, 0, 0, &first) + writer_read_all(&writer, 1, 0, NULL);
    assert_in_range(kept, 500, 1200);
    assert_true(first >= 3000 - kept && first <= 3000 - kept + 2);
    assert_int_equal(counted(w, "sitewatch_events_dropped", "reason=\"spool_full\""), 3000 - kept);
    assert_int_equal(spool_file_size(writer.file).events, kept);
    log_expect(w, "spool is full, its oldest events are dropped", 1);
    for (uint64_t n = 1; n <= 3000; n++) {
        writer_delete(&writer, n);
    }
    writer_commit(&writer, 0);
    log_expect(w, "spool has room again", 1);
    assert_int_equal(spool_file_size(writer.file).events, 0);
    spool_writer_clear(&writer);
}

static void what_memory_still_has_is_not_counted_as_lost(void **state)
{
    struct world *w = *state;
    struct spool_writer writer;

    writer_make(&writer, w, 1 * MB);
    for (uint64_t n = 1; n <= 2000; n++) {
        writer_put(&writer, n, 0, JSON_BYTES, true);
    }
    writer_commit(&writer, 0);
    assert_true(spool_file_size(writer.file).events < 2000);
    assert_int_equal(counted(w, "sitewatch_events_dropped", "reason=\"spool_full\""), 0);
    log_expect(w, "spool is full", 1);
    spool_writer_clear(&writer);
}

static void a_file_shrinks_again_after_a_long_outage(void **state)
{
    struct world *w = *state;
    struct spool_writer writer;
    struct stat file;
    int64_t now_ns = 0;

    writer_make(&writer, w, 100 * MB);
    assert_int_equal(spool_writer_due_ns(&writer), TIME_NEVER);
    for (uint64_t n = 1; n <= 20000; n++) {
        writer_put(&writer, n, 0, JSON_BYTES, false);
    }
    writer_commit(&writer, now_ns);
    for (uint64_t n = 1; n <= 20000; n++) {
        writer_delete(&writer, n);
    }
    writer_commit(&writer, now_ns);
    for (int steps = 0; spool_writer_due_ns(&writer) != TIME_NEVER; steps++) {
        assert_true(steps < 20);
        spool_writer_tidy(&writer, now_ns); /* too early: does nothing */
        now_ns = spool_writer_due_ns(&writer);
        spool_writer_tidy(&writer, now_ns);
    }
    assert_int_equal(spool_file_size(writer.file).free_bytes, 0);
    assert_int_equal(stat(w->path, &file), 0);
    assert_in_range(file.st_size, 4096, 64 * 1024);
    assert_int_equal(file.st_size, spool_file_size(writer.file).bytes);
    spool_writer_clear(&writer);
}

/* A file may grow no more: what a full disk does, seen from SQLite. */
static void disk_limit(rlim_t bytes)
{
    struct rlimit limit;

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_disk_that_is_full_keeps_events_in_memory_until_it_is_not(void **state)
{
    struct world *w = *state;
    struct spool_writer writer;
    struct err err;

    writer_make(&writer, w, 100 * MB);
    for (uint64_t n = 1; n <= 50; n++) {
        writer_put(&writer, n, 0, JSON_BYTES, false);
    }
    writer_commit(&writer, 0);
    disk_limit(200 * 1024);
    for (uint64_t n = 51; n <= 500; n++) {
        writer_put(&writer, n, 0, JSON_BYTES, false);
    }
    assert_int_equal(spool_writer_commit(&writer, false, 0, &err), -1);
    assert_true(writer.failing);
    assert_int_equal(spool_writer_due_ns(&writer), NS_PER_SEC);
    assert_int_equal(spool_writer_commit(&writer, false, NS_PER_SEC / 2, &err), 0); /* not tried */
    assert_true(writer.failing && writer.batch_bytes > 0);
    assert_int_equal(writer_read_all(&writer, 0, 0, NULL), 500);
    writer_delete(&writer, 7);
    writer_delete(&writer, 77);
    assert_int_equal(spool_writer_commit(&writer, false, NS_PER_SEC, &err), -1);
    disk_limit(RLIM_INFINITY);
    assert_int_equal(spool_writer_commit(&writer, false, 2 * NS_PER_SEC, &err), 0);
    assert_false(writer.failing);
    assert_int_equal(writer.batch_bytes, 0);
    assert_int_equal(spool_file_size(writer.file).events, 498);
    assert_int_equal(writer_read_all(&writer, 0, 0, NULL), 498);
    assert_int_equal(counted(w, "sitewatch_spool_failures", "reason=\"refused\""), 2);
    log_expect(w, "spool does not take events", 1);
    log_expect(w, "spool takes events again", 1);
    spool_writer_clear(&writer);
}

static void a_directory_that_is_missing_is_waited_for(void **state)
{
    struct world *w = *state;
    struct spool_writer writer;
    struct err err;
    char path[sizeof(w->path)];

    snprintf(path, sizeof(path), "%s", w->path);
    snprintf(w->path, sizeof(w->path), "%.60s/none/" FILE_NAME, w->directory);
    writer_make(&writer, w, 100 * MB);
    assert_true(writer.failing);
    log_expect(w, w->path, 1); /* the line names the file */
    writer_put(&writer, 1, 1, JSON_BYTES, false);
    assert_int_equal(spool_writer_commit(&writer, true, NS_PER_SEC, &err), -1);
    assert_int_equal(writer_read_all(&writer, 1, 0, NULL), 1);
    assert_true(writer.unread);
    *strstr(w->path, "none/" FILE_NAME) = '\0';
    free(writer.path);
    writer.path = mem_copy_string(path); /* as if it had come */
    writer_commit(&writer, 2 * NS_PER_SEC);
    assert_true(writer.backlog);
    assert_int_equal(spool_file_size(writer.file).events, 1);
    spool_writer_clear(&writer);
}

static void write_garbage(const char *path, off_t at, size_t len)
{
    char bytes[512];
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    memset(bytes, 0xa5, sizeof(bytes));
    for (size_t done = 0; done < len; done += sizeof(bytes)) {
        assert_int_equal(pwrite(fd, bytes, sizeof(bytes), at + (off_t)done), sizeof(bytes));
    }
    close(fd);
}

static void a_file_that_is_no_database_is_set_aside(void **state)
{
    struct world *w = *state;
    struct spool_writer writer;

    write_garbage(w->path, 0, 8192);
    writer_make(&writer, w, 100 * MB);
    assert_false(writer.failing);
    writer_put(&writer, 1, 0, JSON_BYTES, false);
    writer_commit(&writer, 0);
    assert_int_equal(files_count(w, FILE_NAME ".corrupt-20"), 1);
    log_expect(w, "spool is damaged, it is kept under another name and a new one begun", 1);
    log_expect(w, "file is not a database", 1);
    log_expect(w, FILE_NAME ".corrupt-20", 1);
    assert_int_equal(counted(w, "sitewatch_spool_failures", "reason=\"corrupt\""), 1);
    spool_writer_clear(&writer);
}

static void a_file_damaged_while_it_is_used_is_set_aside_and_the_batch_kept(void **state)
{
    struct world *w = *state;
    struct spool_writer writer;
    struct err err;

    writer_make(&writer, w, 100 * MB);
    for (uint64_t n = 1; n <= 20000; n++) {
        writer_put(&writer, n, 0, JSON_BYTES, false);
    }
    writer_commit(&writer, 0);
    spool_writer_clear(&writer);
    writer_make(&writer, w, 100 * MB);
    write_garbage(w->path, 16 * 4096, 4000 * 4096);
    for (uint64_t n = 1; n <= 20000; n++) {
        writer_delete(&writer, n);
    }
    writer_put(&writer, 20001, 0, JSON_BYTES, false);
    assert_int_equal(spool_writer_commit(&writer, true, NS_PER_SEC, &err), 0);
    assert_int_equal(files_count(w, FILE_NAME ".corrupt-20"), 1);
    assert_int_equal(writer_read_all(&writer, 0, 0, NULL), 1);
    /* A disk that damages each new file does not fill up with them. */
    spool_file_close(writer.file);
    writer.file = NULL;
    write_garbage(w->path, 0, 8192);
    writer_put(&writer, 20002, 0, JSON_BYTES, false);
    assert_int_equal(spool_writer_commit(&writer, true, 2 * NS_PER_SEC, &err), -1);
    assert_true(writer.failing);
    assert_int_equal(files_count(w, FILE_NAME ".corrupt-20"), 1);
    spool_writer_clear(&writer);
}

static void a_database_of_somebody_else_is_left_alone(void **state)
{
    static const struct {
        const char *name, *says;
        off_t at; /* of the four bytes in SQLite's header */
        unsigned char value;
    } rows[] = {
        {"a later version's", "is of format 2, this program knows format 1", 60, 2},
        {"another program's", "is a database of another program", 68, 0},
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct err err = {0};
        unsigned char number[4] = {0, 0, 0, rows[i].value};
        struct spool_file *f = spool_file_open(w->path, &err);
        int fd;

        spool_file_close(f);
        fd = open(w->path, O_WRONLY | O_CLOEXEC);
        assert_int_equal(pwrite(fd, number, sizeof(number), rows[i].at), sizeof(number));
        close(fd);
        assert_null(spool_new(w->path, MB, -1, w->metrics, &err));
        if (err.kind != ERR_FATAL || strstr(err.message, rows[i].says) == NULL ||
            strstr(err.message, w->path) == NULL) {
            fail_msg("%s: %s", rows[i].name, err.message);
        }
        assert_int_equal(files_count(w, FILE_NAME ".corrupt"), 0);
        unlink(w->path);
    }
}

/* --- With its thread --- */

static struct spool *spool_make(const struct world *w, int *fd)
{
    struct err err;
    struct spool *s;

    *fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    s = spool_new(w->path, 100 * MB, *fd, w->metrics, &err);
    if (s == NULL) {
        fail_msg("%s", err.message);
    }
    return s;
}

static void put(struct spool *s, uint64_t seq, unsigned lane)
{
    char json[JSON_BYTES];
    struct message message = message_of(seq, json, sizeof(json));

    spool_put(s, seq, lane, &message, false);
}

static void portion_read(struct spool *s, int fd, unsigned lane, uint64_t after,
                         struct spool_rows *rows, bool *last)
{
    eventfd_t ignored;

    spool_read(s, lane, after);
    while (!spool_take(s, lane, rows, last)) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};

        assert_int_equal(poll(&ready, 1, DEADLINE_MS), 1);
        eventfd_read(fd, &ignored);
    }
}

static void events_come_out_whole_and_in_their_order_after_a_restart(void **state)
{
    struct world *w = *state;
    uint64_t seqs[2500], after = 0;
    size_t count = 0;
    struct err err;
    bool last = false;
    int fd;
    struct spool *s = spool_make(w, &fd);

    assert_false(spool_take_backlog(s));
    for (size_t i = 0; i < 2500; i++) {
        seqs[i] = spool_number(s);
        put(s, seqs[i], i % 5 == 0);
    }
    spool_delete(s, seqs[1]);
    assert_true(spool_has_room(s));
    assert_int_equal(spool_sync(s, &err), 0);
    spool_free(s);
    close(fd);

    s = spool_make(w, &fd);
    assert_true(spool_take_backlog(s));
    assert_false(spool_take_backlog(s));
    assert_true(spool_number(s) > seqs[2499]);
    for (size_t portions = 0; !last; portions++) {
        struct spool_rows rows;
        const struct spool_row *row;

        assert_true(portions < 4);
        portion_read(s, fd, 0, after, &rows, &last);
        STAILQ_FOREACH(row, &rows, link)
        {
            char json[JSON_BYTES];

            do { /* the next of lane 0 that was not deleted */
                count++;
            } while (count % 5 == 0 || count == 1);

            struct message expected = message_of(seqs[count], json, sizeof(json));

            assert_true(row->seq == seqs[count]);
            assert_string_equal(row->message.id, expected.id);
            assert_string_equal(row->message.time, expected.time);
            assert_string_equal(row->message.key, expected.key);
            assert_string_equal(row->message.source, expected.source);
            assert_int_equal(row->message.json_len, sizeof(json));
            assert_memory_equal(row->message.json, json, sizeof(json));
            after = row->seq;
        }
        spool_rows_free(&rows);
    }
    assert_int_equal(count, 2499);
    spool_free(s);
    close(fd);
}

static void reading_sees_what_was_put_before(void **state)
{
    struct world *w = *state;
    struct spool_rows rows;
    bool last = false;
    int fd;
    struct spool *s = spool_make(w, &fd);

    put(s, 5, 1);
    portion_read(s, fd, 1, 0, &rows, &last);
    assert_true(last);
    assert_int_equal(STAILQ_FIRST(&rows)->seq, 5);
    spool_rows_free(&rows);
    portion_read(s, fd, 1, 5, &rows, &last);
    assert_true(last && STAILQ_EMPTY(&rows));
    spool_read(s, 0, 0); /* nobody takes the answer */
    spool_free(s);
    close(fd);
    spool_free(NULL);
}

/* A child process that runs body and is then killed, or ends with what it returned. */
static int in_child(int (*body)(const struct world *w, int ready_fd), const struct world *w)
{
    int ends[2], status = 0;
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(body(w, ends[1]));
    }
    close(ends[1]);
    if (read(ends[0], &byte, 1) == 1) {
        kill(pid, SIGKILL);
    }
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int put_and_wait_to_be_killed(const struct world *w, int ready_fd)
{
    struct err err;
    int fd = eventfd(0, EFD_NONBLOCK);
    struct spool *s = spool_new(w->path, 100 * MB, fd, w->metrics, &err);

    if (s == NULL) {
        return 1;
    }
    for (uint64_t n = 1; n <= 700; n++) {
        put(s, n, 0);
    }
    if (spool_sync(s, &err) < 0 || write(ready_fd, "", 1) != 1) {
        return 1;
    }
    for (;;) {
        pause();
    }
}

static void what_was_committed_survives_a_kill(void **state)
{
    struct world *w = *state;
    struct spool_writer writer;

    assert_int_equal(in_child(put_and_wait_to_be_killed, w), -1);
    writer_make(&writer, w, 100 * MB); /* its lock went with it */
    assert_true(writer.backlog);
    assert_int_equal(writer_read_all(&writer, 0, 0, NULL), 700);
    spool_writer_clear(&writer);
}

static int open_and_tell(const struct world *w, int ready_fd)
{
    struct err err = {0};
    struct spool *s = spool_new(w->path, MB, -1, w->metrics, &err);

    (void)ready_fd;
    return s == NULL && err.kind == ERR_FATAL &&
                   strstr(err.message, "is in use by another process") != NULL &&
                   strstr(err.message, w->path) != NULL
               ? 0
               : 1;
}

static void a_file_that_another_process_uses_is_refused(void **state)
{
    struct world *w = *state;
    int fd;
    struct spool *s = spool_make(w, &fd);

    assert_int_equal(in_child(open_and_tell, w), 0);
    spool_free(s);
    close(fd);
    assert_int_equal(in_child(open_and_tell, w), 1);
}

static void a_disk_that_refuses_leaves_no_room_until_it_takes(void **state)
{
    struct world *w = *state;
    struct err err;
    int fd;
    struct spool *s = spool_make(w, &fd);

    disk_limit(100 * 1024);
    for (uint64_t n = 1; n <= 300; n++) {
        put(s, n, 0);
    }
    assert_int_equal(spool_sync(s, &err), -1);
    assert_int_equal(err.kind, ERR_RETRY);
    assert_false(spool_has_room(s));
    disk_limit(RLIM_INFINITY);
    assert_int_equal(spool_sync(s, &err), 0);
    assert_true(spool_has_room(s));
    spool_free(s);
    close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_make, world_free)
    const struct CMUnitTest tests[] = {
        TEST(a_file_at_its_ceiling_loses_its_oldest_and_counts_them),
        TEST(what_memory_still_has_is_not_counted_as_lost),
        TEST(a_file_shrinks_again_after_a_long_outage),
        TEST(a_disk_that_is_full_keeps_events_in_memory_until_it_is_not),
        TEST(a_directory_that_is_missing_is_waited_for),
        TEST(a_file_that_is_no_database_is_set_aside),
        TEST(a_file_damaged_while_it_is_used_is_set_aside_and_the_batch_kept),
        TEST(a_database_of_somebody_else_is_left_alone),
        TEST(events_come_out_whole_and_in_their_order_after_a_restart),
        TEST(reading_sees_what_was_put_before),
        TEST(what_was_committed_survives_a_kill),
        TEST(a_file_that_another_process_uses_is_refused),
        TEST(a_disk_that_refuses_leaves_no_room_until_it_takes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
