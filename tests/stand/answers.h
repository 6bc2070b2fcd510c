/*
 * answers - what each path of sited gives a client: good answers, odd ones and none at all.
 *
 * An answer only fills the connection's buffer and says what follows it; sited.c sends it.
 */
#ifndef TESTS_STAND_ANSWERS_H
#define TESTS_STAND_ANSWERS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/mem.h"
#include "tests/stand/counts.h"

enum after { AFTER_KEEP, AFTER_CLOSE, AFTER_RESET, AFTER_STREAM };

/* fd -1: free. An answer is out[sent..out_len); `due_ms` not 0 holds it back until then, and with
 * `drip_ms` it leaves a byte at a time. */
struct connection {
    int fd;
    char *in;
    size_t in_len;
    char *out;
    size_t out_len, sent;
    int64_t due_ms;
    int64_t drip_ms;
    enum after after;
    const char *stream; /* what AFTER_STREAM repeats without end */
    bool head;
    bool close_asked;
};

struct request {
    struct connection *c;
    const char *argument; /* what follows the behaviour's path: "/status/404" -> "404" */
    const char *query;    /* behind '?', or "" */
    const char *whole;    /* request line, headers and body */
    size_t whole_len;
};

static struct counts counts;
static size_t held; /* connections with due_ms: the loop then looks at the clock */
static char page[1024];

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void hold(struct connection *c, int64_t ms)
{
    held += c->due_ms == 0;
    c->due_ms = now_ms() + (ms > 0 ? ms : 1);
}

static void release(struct connection *c)
{
    held -= c->due_ms != 0;
    c->due_ms = 0;
}

static void send_bytes(struct connection *c, const void *bytes, size_t len)
{
    c->out = mem_resize(c->out, c->out_len + len, 1);
    memcpy(c->out + c->out_len, bytes, len);
    c->out_len += len;
}

static void send_text(struct connection *c, const char *text)
{
    send_bytes(c, text, strlen(text));
}

/* A whole answer. `headers` is "" or lines that end in CR LF. */
static void answer_bytes(struct connection *c, int status, const char *headers, const void *body,
                         size_t len)
{
    char head[9000];
    bool bodiless = status / 100 == 1 || status == 204 || status == 304;
    int n = snprintf(head, sizeof(head), "HTTP/1.1 %03d Test\r\nContent-Type: text/html\r\n%s",
                     status, headers);
    send_bytes(c, head, (size_t)n);
    if (!bodiless) {
        n = snprintf(head, sizeof(head), "Content-Length: %zu\r\n", len);
        send_bytes(c, head, (size_t)n);
    }
    send_text(c, c->close_asked ? "Connection: close\r\n\r\n" : "\r\n");
    if (!bodiless && !c->head) {
        send_bytes(c, body, len);
    }
}

static void answer(struct connection *c, int status, const char *headers, const char *body)
{
    answer_bytes(c, status, headers, body, strlen(body));
}

static long number(const char *text, long low, long high)
{
    long n = strtol(text, NULL, 10);
    return n < low ? low : n > high ? high : n;
}

static void do_ok(struct request *r)
{
    answer(r->c, 200, "", page);
}

static void do_status(struct request *r)
{
    answer(r->c, (int)number(r->argument, 100, 999), "", "v=42 status\n");
}

static void do_slow(struct request *r)
{
    answer(r->c, 200, "", page);
    hold(r->c, number(r->argument, 0, 600000));
}

static void do_drip(struct request *r)
{
    answer(r->c, 200, "", page);
    r->c->drip_ms = number(r->argument, 1, 60000);
    hold(r->c, r->c->drip_ms);
}

static void do_header_slow(struct request *r)
{
    send_text(r->c, "HTTP/1.1 200 OK\r\nX-Slow: ");
    for (int i = 0; i < 1000; i++) {
        send_text(r->c, "0123456789");
    }
    r->c->after = AFTER_CLOSE;
    r->c->drip_ms = 100;
    hold(r->c, r->c->drip_ms);
}

static void do_refuse_midbody(struct request *r)
{
    send_text(r->c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    send_bytes(r->c, page, 500);
    r->c->after = AFTER_CLOSE;
}

static void do_reset(struct request *r)
{
    r->c->after = AFTER_RESET;
}

static void do_reset_midbody(struct request *r)
{
    do_refuse_midbody(r);
    r->c->after = AFTER_RESET;
}

static void do_empty(struct request *r)
{
    r->c->after = AFTER_CLOSE;
}

static void do_garbage(struct request *r)
{
    static const char bytes[] = "\0\1\2 this is not HTTP\r\n\r\n\xff\xfe";
    send_bytes(r->c, bytes, sizeof(bytes));
    r->c->after = AFTER_CLOSE;
}

static void do_endless(struct request *r)
{
    send_text(r->c, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n");
    r->c->after = AFTER_STREAM;
    r->c->stream = "All work and no play makes this a very long and dull body.\n";
}

static void do_1xx_endless(struct request *r)
{
    r->c->after = AFTER_STREAM;
    r->c->stream = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
}

/* Bits of a deflate stream, which fills its bytes from the lowest bit on. */
static void put_bits(unsigned char *bytes, size_t *at, const char *bits)
{
    for (; *bits != '\0'; bits++, (*at)++) {
        bytes[*at / 8] |= (unsigned char)((*bits == '1') << *at % 8);
    }
}

/* 64 KiB of gzip that are 10 MB when decoded: a block with fixed codes, a zero, and then matches
 * that each repeat it 258 times. The check's limit ends it long before its end, which is cut. */
static void do_gzip_bomb(struct request *r)
{
    static const unsigned char head[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
    static const char literal_zero[] = "00110000";
    static const char match[] = "1100010100000"; /* length 258, distance 1 */
    static unsigned char body[65536];
    size_t at = sizeof(head) * 8;

    memset(body, 0, sizeof(body));
    memcpy(body, head, sizeof(head));
    put_bits(body, &at, "010"); /* not the last block; fixed codes, their low bit first */
    put_bits(body, &at, literal_zero);
    while (at + sizeof(match) <= sizeof(body) * 8) {
        put_bits(body, &at, match);
    }
    answer_bytes(r->c, 200, "Content-Encoding: gzip\r\n", body, sizeof(body));
}

static void do_bighead(struct request *r)
{
    char line[256];
    send_text(r->c, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 4000; i++) {
        int n = snprintf(line, sizeof(line), "X-Filler-%04d: %0200d\r\n", i, i);
        send_bytes(r->c, line, (size_t)n);
    }
    send_text(r->c, "Content-Length: 0\r\n\r\n");
}

static void do_redirect(struct request *r)
{
    char location[64];
    long hops = number(r->argument, 0, 100);
    if (hops > 1) {
        snprintf(location, sizeof(location), "Location: /redirect/%ld\r\n", hops - 1);
    } else {
        snprintf(location, sizeof(location), "Location: /ok\r\n");
    }
    answer(r->c, 302, location, "elsewhere\n");
}

static void do_loop(struct request *r)
{
    answer(r->c, 302, "Location: /loop\r\n", "elsewhere\n");
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c | 0x20);
    return at == NULL ? -1 : (int)(at - digits);
}

/* The value of a query parameter, percent-decoded, in a buffer of this function. */
static const char *parameter(const char *query, const char *name)
{
    static char value[8192];
    size_t n = 0;
    const char *at = strstr(query, name);
    at = at == NULL ? "" : at + strlen(name);
    while (*at != '\0' && *at != '&' && n + 1 < sizeof(value)) {
        if (*at == '%' && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0) {
            value[n++] = (char)(hex_digit(at[1]) * 16 + hex_digit(at[2]));
            at += 3;
        } else {
            value[n++] = *at++;
        }
    }
    value[n] = '\0';
    return value;
}

static void do_redirect_to(struct request *r)
{
    char location[8300];
    snprintf(location, sizeof(location), "Location: %s\r\n", parameter(r->query, "url="));
    answer(r->c, 302, location, "elsewhere\n");
}

static void do_bytes(struct request *r)
{
    char body[4096];
    size_t n = 0;
    const char *hex = parameter(r->query, "hex=");
    while (n < sizeof(body) && hex_digit(hex[0]) >= 0 && hex_digit(hex[1]) >= 0) {
        body[n++] = (char)(hex_digit(hex[0]) * 16 + hex_digit(hex[1]));
        hex += 2;
    }
    answer_bytes(r->c, 200, "", body, n);
}

static void do_nul(struct request *r)
{
    static const char body[] = "v=\0 v=a\0b v=42\n";
    answer_bytes(r->c, 200, "", body, sizeof(body) - 1);
}

static void do_badchunk(struct request *r)
{
    send_text(r->c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nv=42\r\n");
    r->c->after = AFTER_CLOSE;
}

static void do_chunked(struct request *r)
{
    send_text(r->c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "3\r\nv=4\r\n2\r\n2 \r\n8\r\nbuild=17\r\n0\r\n\r\n");
}

static void do_1xx(struct request *r)
{
    send_text(r->c, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
    answer(r->c, 200, "", page);
}

static void do_echo(struct request *r)
{
    answer_bytes(r->c, 200, "", r->whole, r->whole_len);
}

static void do_toggle(struct request *r)
{
    static uint64_t asked;
    long every = number(parameter(r->query, "fail="), 1, 1000000);
    answer(r->c, ++asked % (uint64_t)every == 0 ? 500 : 200, "", page);
}

static void do_counts(struct request *r)
{
    char *json = counts_json(&counts);
    answer(r->c, 200, "", json);
    free(json);
}

/* A path that ends in '/' takes an argument. */
static const struct behaviour {
    const char *path;
    void (*act)(struct request *);
} behaviours[] = {
    {"/ok", do_ok},
    {"/status/", do_status},
    {"/slow/", do_slow},
    {"/drip/", do_drip},
    {"/header-slow", do_header_slow},
    {"/refuse-midbody", do_refuse_midbody},
    {"/reset", do_reset},
    {"/reset-midbody", do_reset_midbody},
    {"/empty", do_empty},
    {"/garbage", do_garbage},
    {"/endless", do_endless},
    {"/gzip-bomb", do_gzip_bomb},
    {"/bighead", do_bighead},
    {"/redirect/", do_redirect},
    {"/redirect-to", do_redirect_to},
    {"/loop", do_loop},
    {"/bytes", do_bytes},
    {"/nul", do_nul},
    {"/badchunk", do_badchunk},
    {"/chunked", do_chunked},
    {"/1xx", do_1xx},
    {"/1xx-endless", do_1xx_endless},
    {"/echo", do_echo},
    {"/toggle", do_toggle},
    {"/_counts", do_counts},
};

static void act(struct request *r, const char *path)
{
    for (size_t i = 0; i < sizeof(behaviours) / sizeof(*behaviours); i++) {
        const char *known = behaviours[i].path;
        size_t len = strlen(known);
        bool takes_argument = known[len - 1] == '/';
        if (takes_argument ? strncmp(path, known, len) == 0 : strcmp(path, known) == 0) {
            r->argument = path + len;
            behaviours[i].act(r);
            return;
        }
    }
    answer(r->c, 404, "", "no such site\n");
}

#endif
