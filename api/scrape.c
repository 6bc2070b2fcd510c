#include "api/scrape.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define ADDRESS_SIZE 256
#define URL_SIZE (ADDRESS_SIZE + 32)
#define POLL_MS 100
#define PORT_MAX 65535
#define SEPARATORS ", \t\n"

/* One request: of a program's two. */
struct asked {
    CURL *easy;
    char error[CURL_ERROR_SIZE];
    long status;
    CURLcode result;
    struct readings_reader *reader; /* NULL: the body does not matter */
};

struct program {
    char address[ADDRESS_SIZE];
    struct asked ready, metrics;
    struct readings_reader reader;
};

struct scrape {
    CURLM *multi;
    struct program *programs;
    size_t count;
};

/* --- The list --- */

static int check_address(const char *text, size_t len, struct err *err)
{
    char address[ADDRESS_SIZE];
    char *end = NULL;

    if (len < sizeof(address)) {
        memcpy(address, text, len);
        address[len] = '\0';

        const char *colon = strrchr(address, ':');
        long port = colon == NULL ? 0 : strtol(colon + 1, &end, 10);

        if (colon != NULL && colon > address && *end == '\0' && colon[1] >= '0' &&
            colon[1] <= '9' && port > 0 && port <= PORT_MAX &&
            strpbrk(address, "/@?#\\%") == NULL &&
            (address[0] == '[') == (strchr(address, ':') != colon)) {
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "%.*s: want HOST:PORT, or [ADDRESS]:PORT of IPv6", 64, text);
}

/* The next of the list, NULL past the end. */
static const char *next_address(const char *at, size_t *len)
{
    if (at == NULL) {
        return NULL;
    }
    at += strspn(at, SEPARATORS);
    *len = strcspn(at, SEPARATORS);
    return *at == '\0' ? NULL : at;
}

int scrape_check(const char *programs, struct err *err)
{
    size_t count = 0, len = 0;

    for (const char *at = next_address(programs, &len); at != NULL;
         at = next_address(at + len, &len)) {
        if (check_address(at, len, err) < 0) {
            return -1;
        }
        if (++count > SCRAPE_PROGRAMS_MAX) {
            return err_set(err, ERR_INVALID, "more than %d programs", SCRAPE_PROGRAMS_MAX);
        }
    }
    return 0;
}

/* --- Requests --- */

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct asked *a = context;

    if (a->reader == NULL) {
        return size * count;
    }
    readings_take(a->reader, bytes, size * count);
    return a->reader->ended ? 0 : size * count; /* 0 ends the transfer: the rest is not wanted */
}

static bool prepare(struct asked *a, const char *address, const char *path)
{
    char url[URL_SIZE];

    a->easy = curl_easy_init();
    if (a->easy == NULL) {
        return false;
    }
    snprintf(url, sizeof(url), "http://%s%s", address, path);
    curl_easy_setopt(a->easy, CURLOPT_URL, url);
    curl_easy_setopt(a->easy, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(a->easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(a->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(a->easy, CURLOPT_TIMEOUT_MS, (long)SCRAPE_MS_MAX);
    curl_easy_setopt(a->easy, CURLOPT_ERRORBUFFER, a->error);
    curl_easy_setopt(a->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(a->easy, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(a->easy, CURLOPT_PRIVATE, a);
    return true;
}

struct scrape *scrape_new(const char *programs, struct err *err)
{
    struct scrape *s = mem_alloc(1, sizeof(*s));
    bool prepared = true;
    size_t len = 0;

    s->multi = curl_multi_init();
    s->programs = mem_alloc(SCRAPE_PROGRAMS_MAX, sizeof(*s->programs));
    for (const char *at = next_address(programs, &len); at != NULL && prepared;
         at = next_address(at + len, &len)) {
        struct program *p = &s->programs[s->count++];

        snprintf(p->address, sizeof(p->address), "%.*s", (int)len, at);
        p->metrics.reader = &p->reader;
        prepared = prepare(&p->ready, p->address, "/readyz") &&
                   prepare(&p->metrics, p->address, "/metrics");
    }
    if (s->multi == NULL || !prepared) {
        scrape_free(s);
        err_set(err, ERR_FATAL, "libcurl does not start");
        return NULL;
    }
    return s;
}

void scrape_free(struct scrape *s)
{
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < s->count; i++) {
        curl_easy_cleanup(s->programs[i].ready.easy);
        curl_easy_cleanup(s->programs[i].metrics.easy);
    }
    curl_multi_cleanup(s->multi);
    free(s->programs);
    free(s);
}

size_t scrape_count(const struct scrape *s)
{
    return s->count;
}

static void begin(struct scrape *s, struct asked *a)
{
    a->status = 0;
    a->result = CURLE_OPERATION_TIMEDOUT;
    a->error[0] = '\0';
    curl_multi_add_handle(s->multi, a->easy);
}

static void note_results(struct scrape *s)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(s->multi, &left)) != NULL) {
        struct asked *a = NULL;

        if (message->msg == CURLMSG_DONE) {
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&a);
            curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &a->status);
            a->result = message->data.result;
        }
    }
}

/* The transfers have a bound of time each, and so has this. */
static void perform(struct scrape *s)
{
    int running = 1;

    while (running > 0 && curl_multi_perform(s->multi, &running) == CURLM_OK) {
        if (running > 0) {
            curl_multi_poll(s->multi, NULL, 0, POLL_MS, NULL);
        }
    }
    note_results(s);
}

static void tell(const struct program *p, struct scrape_found *found)
{
    const struct asked *m = &p->metrics;

    found->address = p->address;
    found->ready = p->ready.result == CURLE_OK && p->ready.status == 200;
    found->reached = (m->result == CURLE_OK || p->reader.ended) && m->status == 200;
    if (m->result != CURLE_OK && !p->reader.ended) {
        snprintf(found->error, sizeof(found->error), "%.*s", SCRAPE_ERROR_SIZE - 1,
                 m->error[0] != '\0' ? m->error : curl_easy_strerror(m->result));
    } else if (m->status != 200) {
        snprintf(found->error, sizeof(found->error), "/metrics answers %ld", m->status);
    }
}

void scrape_run(struct scrape *s, struct scrape_found *found)
{
    for (size_t i = 0; i < s->count; i++) {
        struct program *p = &s->programs[i];

        found[i] = (struct scrape_found){0};
        readings_begin(&p->reader, &found[i].readings);
        begin(s, &p->ready);
        begin(s, &p->metrics);
    }
    perform(s);
    for (size_t i = 0; i < s->count; i++) {
        struct program *p = &s->programs[i];

        curl_multi_remove_handle(s->multi, p->ready.easy);
        curl_multi_remove_handle(s->multi, p->metrics.easy);
        tell(p, &found[i]);
    }
}
