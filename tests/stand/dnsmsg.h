/*
 * dnsmsg - a DNS server's answers from a zone, as much of RFC 1035 as a test's server needs.
 *
 * A zone is text, one record a line, '#' begins a comment; a name "*.suffix" stands for all names
 * below suffix that have no line of their own:
 *
 *     name A 127.0.0.1 [ttl]      name AAAA ::1 [ttl]      name CNAME other [ttl]
 *     name NODATA        there is such a name, without a record
 *     name NXDOMAIN      the same as no line at all
 *     name SERVFAIL      name REFUSED
 *     name SILENT        no answer
 *     name GARBAGE       an answer whose records cannot be read
 *     name WRONGID       an answer to another question
 *     name TRUNCATED     an answer that asks to come again by TCP
 *
 * A verb may have a type in front ("name AAAA:SERVFAIL"), and is then for that question only; a
 * question for the other type finds a name without a record.
 */
#ifndef TESTS_STAND_DNSMSG_H
#define TESTS_STAND_DNSMSG_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DNS_BYTES_MAX 512
#define DNS_NAME_SIZE 256
#define DNS_LINES_MAX 1024
#define DNS_TTL_DEFAULT 60
#define DNS_CHAIN_MAX 8

enum { DNS_A = 1, DNS_CNAME = 5, DNS_AAAA = 28 };
enum { DNS_NOERROR = 0, DNS_SERVFAIL = 2, DNS_NXDOMAIN = 3, DNS_REFUSED = 5 };

struct dns_line {
    char name[DNS_NAME_SIZE];
    uint16_t only;             /* the type of question a verb is for; 0: any */
    char verb[16];             /* "A", "SERVFAIL", ... */
    char value[DNS_NAME_SIZE]; /* address or name */
    uint32_t ttl;
};

struct dns_zone {
    size_t count;
    struct dns_line lines[DNS_LINES_MAX];
};

struct dns_message {
    size_t len;
    uint8_t bytes[DNS_BYTES_MAX];
};

struct dns_question {
    char name[DNS_NAME_SIZE]; /* lower case, without the last dot */
    uint16_t type;
    size_t end; /* offset of what follows it */
};

/* --- Reading --- */

static inline uint16_t dns_type_of(const char *text)
{
    return strcmp(text, "A") == 0 ? DNS_A : strcmp(text, "AAAA") == 0 ? DNS_AAAA : 0;
}

/* False, with the number of the line, when one cannot be read. */
static inline bool dns_zone_read(struct dns_zone *zone, const char *text, size_t *line_number)
{
    zone->count = 0;
    *line_number = 0;
    while (*text != '\0') {
        struct dns_line *line = &zone->lines[zone->count];
        size_t len = strcspn(text, "\n");
        char copy[1024];
        char verb[32];

        ++*line_number;
        snprintf(copy, sizeof(copy), "%.*s", (int)strcspn(text, "#\n"), text);
        text += len + (text[len] == '\n' ? 1 : 0);
        *line = (struct dns_line){.ttl = DNS_TTL_DEFAULT};
        int fields = sscanf(copy, "%255s %31s %255s %u", line->name, verb, line->value, &line->ttl);

        if (fields <= 0) {
            continue;
        }
        char *colon = fields >= 2 ? strchr(verb, ':') : NULL;

        if (colon != NULL) {
            *colon = '\0';
            line->only = dns_type_of(verb);
        }
        snprintf(line->verb, sizeof(line->verb), "%.15s", colon != NULL ? colon + 1 : verb);
        if (fields < 2 || (colon != NULL && line->only == 0) || zone->count + 1 == DNS_LINES_MAX) {
            return false;
        }
        zone->count++;
    }
    return true;
}

/* False when it is no query with one uncompressed question. */
static inline bool dns_question_read(const uint8_t *bytes, size_t len, struct dns_question *q)
{
    size_t at = 12;
    size_t out = 0;

    if (len < 17 || (bytes[2] & 0x80) != 0 || bytes[4] != 0 || bytes[5] != 1) {
        return false;
    }
    while (at < len && bytes[at] != 0) {
        size_t label = bytes[at++];

        if (label > 63 || at + label >= len || out + label + 1 >= sizeof(q->name)) {
            return false;
        }
        for (size_t i = 0; i < label; i++) {
            uint8_t c = bytes[at + i];

            q->name[out++] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
        }
        q->name[out++] = '.';
        at += label;
    }
    if (at + 5 > len) {
        return false;
    }
    q->name[out > 0 ? out - 1 : 0] = '\0';
    q->type = (uint16_t)(bytes[at + 1] << 8 | bytes[at + 2]);
    q->end = at + 5;
    return true;
}

/* --- Writing --- */

static inline void dns_put(struct dns_message *m, const void *bytes, size_t len)
{
    if (m->len + len <= sizeof(m->bytes)) {
        memcpy(m->bytes + m->len, bytes, len);
        m->len += len;
    }
}

static inline void dns_put_u16(struct dns_message *m, unsigned value)
{
    uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};

    dns_put(m, bytes, sizeof(bytes));
}

static inline size_t dns_name_write(uint8_t out[DNS_NAME_SIZE], const char *name)
{
    size_t len = 0;

    while (*name != '\0') {
        size_t label = strcspn(name, ".");

        if (label > 63 || len + label + 2 > DNS_NAME_SIZE) {
            break;
        }
        out[len++] = (uint8_t)label;
        memcpy(out + len, name, label);
        len += label;
        name += label + (name[label] == '.' ? 1 : 0);
    }
    out[len++] = 0;
    return len;
}

static inline void dns_put_record(struct dns_message *m, const char *name, uint16_t type,
                                  uint32_t ttl, const uint8_t *data, size_t len)
{
    uint8_t owner[DNS_NAME_SIZE];
    size_t owner_len = dns_name_write(owner, name);

    if (strncasecmp((const char *)owner, (const char *)m->bytes + 12, owner_len) == 0) {
        dns_put_u16(m, 0xc00c); /* the name of the question, or a long one would not fit twice */
    } else {
        dns_put(m, owner, owner_len);
    }
    dns_put_u16(m, type);
    dns_put_u16(m, 1);
    dns_put_u16(m, ttl >> 16);
    dns_put_u16(m, ttl & 0xffff);
    dns_put_u16(m, (unsigned)len);
    dns_put(m, data, len);
    m->bytes[7]++; /* the count of answers */
}

/* --- Answering --- */

static inline bool dns_line_is_for(const struct dns_line *line, const char *name, uint16_t type)
{
    bool below = strncmp(line->name, "*.", 2) == 0;
    size_t len = strlen(name);
    size_t suffix = strlen(line->name) - (below ? 1 : 0);

    if (line->only != 0 && line->only != type) {
        return false;
    }
    return below ? len > suffix && strcasecmp(name + len - suffix, line->name + 1) == 0
                 : strcasecmp(line->name, name) == 0;
}

/* Whether the name has lines of its own, so that those with '*' are not for it. */
static inline bool dns_zone_has(const struct dns_zone *zone, const char *name)
{
    for (size_t i = 0; i < zone->count; i++) {
        if (strcasecmp(zone->lines[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Put the records of a name; false for NXDOMAIN. *verb is set to one that is no record. */
static inline bool dns_put_answers(const struct dns_zone *zone, const char *name, uint16_t type,
                                   unsigned depth, struct dns_message *m, const char **verb)
{
    bool own = dns_zone_has(zone, name);
    bool there = own;

    for (size_t i = 0; i < zone->count && depth < DNS_CHAIN_MAX; i++) {
        const struct dns_line *line = &zone->lines[i];
        uint16_t line_type = dns_type_of(line->verb);
        uint8_t data[DNS_NAME_SIZE];

        if (!dns_line_is_for(line, name, type) || (own && line->name[0] == '*')) {
            continue;
        }
        there = true;
        if (strcmp(line->verb, "CNAME") == 0) {
            dns_put_record(m, name, DNS_CNAME, line->ttl, data, dns_name_write(data, line->value));
            return dns_put_answers(zone, line->value, type, depth + 1, m, verb);
        }
        if (line_type == 0) {
            *verb = line->verb;
        } else if (line_type == type &&
                   inet_pton(type == DNS_A ? AF_INET : AF_INET6, line->value, data) == 1) {
            dns_put_record(m, name, type, line->ttl, data, type == DNS_A ? 4 : 16);
        }
    }
    return there;
}

/* Cut back to the question, with this code. */
static inline void dns_fail(struct dns_message *m, size_t end, unsigned code)
{
    m->len = end;
    m->bytes[7] = 0;
    m->bytes[3] = (uint8_t)(0x80 | code);
}

/* The answer to a query; false when there is none. */
static inline bool dns_answer(const struct dns_zone *zone, const uint8_t *query, size_t len,
                              struct dns_question *q, struct dns_message *m)
{
    static const uint8_t nonsense[] = {0xc0, 0xff, 0xee};
    const char *verb = "";

    if (!dns_question_read(query, len, q)) {
        return false;
    }
    *m = (struct dns_message){0};
    dns_put(m, query, q->end);
    m->bytes[2] = (uint8_t)(0x84 | (query[2] & 0x01)); /* an answer, with authority */
    m->bytes[3] = 0x80;
    memset(m->bytes + 6, 0, 6); /* the query may have an additional record */
    if (!dns_put_answers(zone, q->name, q->type, 0, m, &verb) || strcmp(verb, "NXDOMAIN") == 0) {
        m->bytes[3] = 0x80 | DNS_NXDOMAIN;
    }
    if (strcmp(verb, "SERVFAIL") == 0) {
        dns_fail(m, q->end, DNS_SERVFAIL);
    } else if (strcmp(verb, "REFUSED") == 0) {
        dns_fail(m, q->end, DNS_REFUSED);
    } else if (strcmp(verb, "GARBAGE") == 0) {
        dns_fail(m, q->end, DNS_NOERROR);
        m->bytes[7] = 3;
        dns_put(m, nonsense, sizeof(nonsense));
    } else if (strcmp(verb, "WRONGID") == 0) {
        m->bytes[0] ^= 0x55;
    } else if (strcmp(verb, "TRUNCATED") == 0) {
        m->bytes[2] |= 0x02;
    }
    return strcmp(verb, "SILENT") != 0;
}

#endif
