#include "producer/resolver_host.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static const struct resolver_address loopback_6 = {.ipv6 = true, .bytes = {[15] = 1}};
static const struct resolver_address loopback_4 = {.ipv6 = false, .bytes = {127, 0, 0, 1}};

bool resolver_address_read(const char *text, struct resolver_address *address)
{
    *address = (struct resolver_address){0};
    if (inet_pton(AF_INET, text, address->bytes) == 1) {
        return true;
    }
    address->ipv6 = true;
    return inet_pton(AF_INET6, text, address->bytes) == 1;
}

bool resolver_address_from(const struct sockaddr *from, struct resolver_address *address)
{
    *address = (struct resolver_address){.ipv6 = from->sa_family == AF_INET6};
    if (from->sa_family == AF_INET) {
        memcpy(address->bytes, &((const struct sockaddr_in *)from)->sin_addr, 4);
    } else if (from->sa_family == AF_INET6) {
        memcpy(address->bytes, &((const struct sockaddr_in6 *)from)->sin6_addr, 16);
    } else {
        return false;
    }
    return true;
}

void resolver_addresses_add(struct resolver_addresses *addresses,
                            const struct resolver_address *address, enum resolver_family family)
{
    if (addresses->count < RESOLVER_ADDRESSES_MAX &&
        (family == RESOLVER_ANY || (family == RESOLVER_IPV6) == address->ipv6)) {
        addresses->list[addresses->count++] = *address;
    }
}

static bool is_label_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* RFC 1035, 2.3.4, and no bytes that only an escape could bring into a query. */
static bool read_name(const char *host, char name[HOST_NAME_SIZE])
{
    size_t len = strnlen(host, HOST_NAME_BYTES_MAX + 2);
    size_t label = 0;

    if (len > 0 && host[len - 1] == '.') {
        len--;
    }
    if (len > HOST_NAME_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        bool upper = host[i] >= 'A' && host[i] <= 'Z';
        char c = (char)(upper ? host[i] - 'A' + 'a' : host[i]);

        if (c == '.' ? label == 0 : !is_label_byte(c) || label == HOST_LABEL_BYTES_MAX) {
            return false;
        }
        label = c == '.' ? 0 : label + 1;
        name[i] = c;
    }
    name[len] = '\0';
    return label > 0;
}

/* The name itself, or one below it. */
static bool is_under(const char *name, const char *domain)
{
    size_t len = strlen(name);
    size_t domain_len = strlen(domain);

    return len >= domain_len && strcmp(name + len - domain_len, domain) == 0 &&
           (len == domain_len || name[len - domain_len - 1] == '.');
}

enum host_kind resolver_host_read(const char *host, enum resolver_family family,
                                  char name[HOST_NAME_SIZE], struct resolver_addresses *known)
{
    struct resolver_address numeric;

    known->count = 0;
    if (resolver_address_read(host, &numeric)) {
        resolver_addresses_add(known, &numeric, family);
        return known->count > 0 ? HOST_KNOWN : HOST_ABSENT;
    }
    if (!read_name(host, name)) {
        return HOST_BAD;
    }
    if (is_under(name, "localhost")) {
        resolver_addresses_add(known, &loopback_6, family);
        resolver_addresses_add(known, &loopback_4, family);
        return HOST_KNOWN;
    }
    return is_under(name, "invalid") ? HOST_ABSENT : HOST_NAMED;
}

socklen_t resolver_address_to(const struct resolver_address *address, uint16_t port,
                              struct sockaddr_storage *to)
{
    struct sockaddr_in *four = (struct sockaddr_in *)to;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)to;

    *to = (struct sockaddr_storage){0};
    if (address->ipv6) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        memcpy(&six->sin6_addr, address->bytes, sizeof(six->sin6_addr));
        return sizeof(*six);
    }
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    memcpy(&four->sin_addr, address->bytes, sizeof(four->sin_addr));
    return sizeof(*four);
}

/* inet_ntop(3) goes through sprintf for these, which takes ten times as long. */
static void write_four(const uint8_t bytes[4], char *text)
{
    for (size_t i = 0; i < 4; i++) {
        if (bytes[i] >= 100) {
            *text++ = (char)('0' + bytes[i] / 100);
        }
        if (bytes[i] >= 10) {
            *text++ = (char)('0' + bytes[i] / 10 % 10);
        }
        *text++ = (char)('0' + bytes[i] % 10);
        *text++ = i < 3 ? '.' : '\0';
    }
}

void resolver_address_write(const struct resolver_address *address, char *text)
{
    if (address->ipv6) {
        inet_ntop(AF_INET6, address->bytes, text, INET6_ADDRSTRLEN);
    } else {
        write_four(address->bytes, text);
    }
}
