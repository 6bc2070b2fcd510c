#include "producer/guard.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define UNSPECIFIED "unspecified"
#define LOOPBACK "loopback"
#define LINK_LOCAL "link-local"
#define PRIVATE "private"
#define SHARED "shared with a carrier's NAT"
#define MULTICAST "multicast"
#define METADATA "a cloud's metadata service"
#define DOCUMENTATION "for documentation"
#define RESERVED "reserved"

struct range {
    uint8_t first[16];
    unsigned bits;      /* that an address has in common with first */
    const char *reason; /* NULL: it holds an IPv4 address, at byte ipv4_at, which decides */
    size_t ipv4_at;
};

/* The first that fits decides. IANA's special-purpose registry (RFC 6890), and addresses at which
 * clouds hand out credentials. */
static const struct range ipv4_ranges[] = {
    {{169, 254, 169, 254}, 32, METADATA, 0},  {{169, 254, 170, 2}, 32, METADATA, 0},
    {{168, 63, 129, 16}, 32, METADATA, 0},    {{100, 100, 100, 200}, 32, METADATA, 0},
    {{192, 0, 0, 192}, 32, METADATA, 0},      {{0, 0, 0, 0}, 32, UNSPECIFIED, 0},
    {{0, 0, 0, 0}, 8, RESERVED, 0},           {{10, 0, 0, 0}, 8, PRIVATE, 0},
    {{100, 64, 0, 0}, 10, SHARED, 0},         {{127, 0, 0, 0}, 8, LOOPBACK, 0},
    {{169, 254, 0, 0}, 16, LINK_LOCAL, 0},    {{172, 16, 0, 0}, 12, PRIVATE, 0},
    {{192, 0, 0, 0}, 24, RESERVED, 0},        {{192, 0, 2, 0}, 24, DOCUMENTATION, 0},
    {{192, 88, 99, 0}, 24, RESERVED, 0},      {{192, 168, 0, 0}, 16, PRIVATE, 0},
    {{198, 18, 0, 0}, 15, RESERVED, 0},       {{198, 51, 100, 0}, 24, DOCUMENTATION, 0},
    {{203, 0, 113, 0}, 24, DOCUMENTATION, 0}, {{224, 0, 0, 0}, 4, MULTICAST, 0},
    {{240, 0, 0, 0}, 4, RESERVED, 0},
};

static const struct range ipv6_ranges[] = {
    {{0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54}, 128, METADATA, 0},
    {{0xfd, 0x20, 0x00, 0xce, [14] = 0x02, [15] = 0x54}, 128, METADATA, 0},
    {{0}, 128, UNSPECIFIED, 0},
    {{[15] = 1}, 128, LOOPBACK, 0},
    {{[10] = 0xff, [11] = 0xff}, 96, NULL, 12},
    {{0x00, 0x64, 0xff, 0x9b}, 96, NULL, 12},
    {{0x20, 0x02}, 16, NULL, 2},
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, PRIVATE, 0},
    {{0x20, 0x01, 0x0d, 0xb8}, 32, DOCUMENTATION, 0},
    {{0x3f, 0xff}, 20, DOCUMENTATION, 0},
    {{0x20, 0x01}, 23, RESERVED, 0}, /* Teredo, benchmarking, ORCHID */
    {{0xfc}, 7, PRIVATE, 0},
    {{0xfe, 0x80}, 10, LINK_LOCAL, 0},
    {{0xfe, 0xc0}, 10, PRIVATE, 0},
    {{0xff}, 8, MULTICAST, 0},
};

/* All that is given out so far. */
static const struct range ipv6_global = {{0x20}, 3, NULL, 0};

static bool range_has(const struct range *range, const uint8_t *bytes)
{
    size_t whole = range->bits / 8;
    unsigned rest = range->bits % 8;

    return memcmp(range->first, bytes, whole) == 0 &&
           (rest == 0 || (range->first[whole] ^ bytes[whole]) >> (8 - rest) == 0);
}

static const struct range *range_find(const struct range *ranges, size_t count,
                                      const uint8_t *bytes)
{
    for (size_t i = 0; i < count; i++) {
        if (range_has(&ranges[i], bytes)) {
            return &ranges[i];
        }
    }
    return NULL;
}

static const char *ipv4_reason(const uint8_t *bytes)
{
    const struct range *range =
        range_find(ipv4_ranges, sizeof(ipv4_ranges) / sizeof(ipv4_ranges[0]), bytes);

    return range == NULL ? NULL : range->reason;
}

static const char *ipv6_reason(const uint8_t *bytes)
{
    const struct range *range =
        range_find(ipv6_ranges, sizeof(ipv6_ranges) / sizeof(ipv6_ranges[0]), bytes);

    if (range == NULL) {
        return range_has(&ipv6_global, bytes) ? NULL : RESERVED;
    }
    return range->reason != NULL ? range->reason : ipv4_reason(bytes + range->ipv4_at);
}

const char *guard_reason(const struct sockaddr *address)
{
    uint8_t bytes[16];

    switch (address->sa_family) {
    case AF_INET:
        memcpy(bytes, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
        return ipv4_reason(bytes);
    case AF_INET6:
        memcpy(bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
        return ipv6_reason(bytes);
    default:
        return "not of the Internet";
    }
}
