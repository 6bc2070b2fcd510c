#include "producer/resolver_hosts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "producer/resolver_names.h"

#define LOOK_NS NS_PER_SEC
#define SPACES " \t\r\v\f"

struct host {
    struct name_node node; /* first, so that a node is a host; of RESOLVER_ANY */
    struct resolver_address *list;
    size_t count;
};

struct resolver_hosts {
    char *path;
    struct name_table names;
    int64_t look_ns;   /* not before */
    struct stat state; /* of the file that was read; zeroed: none was */
    bool is_told;      /* that it cannot be read */
};

static void clear(struct resolver_hosts *h)
{
    struct name_node *node;

    while ((node = name_table_drain(&h->names)) != NULL) {
        struct host *host = (struct host *)node;

        free(host->node.name);
        free(host->list);
        free(host);
    }
}

static void add(struct resolver_hosts *h, const char *name, const struct resolver_address *address)
{
    struct host *host = (struct host *)name_table_find(&h->names, name, RESOLVER_ANY);

    if (host == NULL) {
        host = mem_alloc(1, sizeof(*host));
        host->node.name = mem_copy_string(name);
        host->node.family = RESOLVER_ANY;
        name_table_add(&h->names, &host->node);
    }
    if (host->count < RESOLVER_ADDRESSES_MAX) {
        host->list = mem_resize(host->list, host->count + 1, sizeof(host->list[0]));
        host->list[host->count++] = *address;
    }
}

static void take_line(struct resolver_hosts *h, char *line)
{
    struct resolver_address address;
    struct resolver_addresses unused;
    char name[HOST_NAME_SIZE];
    char *rest, *word;

    line[strcspn(line, "#")] = '\0';
    word = strtok_r(line, SPACES, &rest);
    if (word == NULL || !resolver_address_read(word, &address)) {
        return;
    }
    while ((word = strtok_r(NULL, SPACES, &rest)) != NULL) {
        if (resolver_host_read(word, RESOLVER_ANY, name, &unused) == HOST_NAMED) {
            add(h, name, &address);
        }
    }
}

static void take(struct resolver_hosts *h, char *text)
{
    char *line;

    while ((line = strsep(&text, "\n")) != NULL) {
        take_line(h, line);
    }
}

static void warn(const struct resolver_hosts *h, const char *reason)
{
    log_write(LOG_WARN, "cannot read the whole hosts file", LOG_S("path", h->path),
              LOG_S("reason", reason));
}

static char *failed(struct resolver_hosts *h)
{
    if (!h->is_told) {
        warn(h, strerror(errno));
        h->is_told = true;
    }
    return NULL;
}

/* What fits, in whole lines. NULL: it cannot be read. The caller frees. */
static char *read_text(struct resolver_hosts *h, off_t bytes)
{
    FILE *file = fopen(h->path, "re");
    bool too_long = bytes > RESOLVER_HOSTS_BYTES_MAX;
    size_t size = too_long ? RESOLVER_HOSTS_BYTES_MAX : (size_t)bytes;

    if (file == NULL) {
        return failed(h);
    }
    char *text = mem_alloc(size + 1, 1);
    size_t len = fread(text, 1, size, file);

    if (ferror(file)) {
        failed(h);
        free(text);
        fclose(file);
        return NULL;
    }
    fclose(file);
    while (too_long && len > 0 && text[len - 1] != '\n') {
        len--;
    }
    if (too_long) {
        warn(h, "it is longer than 16 MiB");
    }
    text[len] = '\0';
    h->is_told = false;
    return text;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* One that cannot be read counts as it was, and is tried again. */
static void look(struct resolver_hosts *h)
{
    struct stat state;
    char *text = NULL;

    if (stat(h->path, &state) < 0) {
        clear(h);
        h->state = (struct stat){0};
        return;
    }
    if (!is_same(&state, &h->state)) {
        text = read_text(h, state.st_size);
    }
    if (text != NULL) {
        clear(h);
        take(h, text);
        free(text);
        h->state = state;
    }
}

struct resolver_hosts *resolver_hosts_new(const char *path)
{
    struct resolver_hosts *h = mem_alloc(1, sizeof(*h));

    h->path = mem_copy_string(path);
    return h;
}

void resolver_hosts_free(struct resolver_hosts *h)
{
    if (h != NULL) {
        clear(h);
        free(h->path);
        free(h);
    }
}

bool resolver_hosts_find(struct resolver_hosts *h, const char *name, enum resolver_family family,
                         int64_t now_ns, struct resolver_addresses *found)
{
    if (now_ns >= h->look_ns) {
        h->look_ns = now_ns + LOOK_NS;
        look(h);
    }
    const struct host *host = (struct host *)name_table_find(&h->names, name, RESOLVER_ANY);

    found->count = 0;
    for (size_t i = 0; host != NULL && i < host->count; i++) {
        resolver_addresses_add(found, &host->list[i], family);
    }
    return found->count > 0;
}
