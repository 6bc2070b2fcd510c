/*
 * resolver_host - what can be said of a host without asking a server: whether it is a host name
 * at all, a numeric address, or a name that RFC 6761 settles.
 */
#ifndef PRODUCER_RESOLVER_HOST_H
#define PRODUCER_RESOLVER_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "producer/resolver.h"

#define HOST_NAME_BYTES_MAX 253
#define HOST_NAME_SIZE (HOST_NAME_BYTES_MAX + 1)
#define HOST_LABEL_BYTES_MAX 63

enum host_kind {
    HOST_NAMED,  /* a server must be asked for *name */
    HOST_KNOWN,  /* numeric or loopback: *known is set */
    HOST_ABSENT, /* known to have no address of the family */
    HOST_BAD,    /* letters, digits, '-', '_' and dots only; see RESOLVER_BAD_NAME */
};

/* *name is the host in lower case without a last dot when it is HOST_NAMED. */
enum host_kind resolver_host_read(const char *host, enum resolver_family family,
                                  char name[HOST_NAME_SIZE], struct resolver_addresses *known);

/* A numeric address without a zone. */
bool resolver_address_read(const char *text, struct resolver_address *address);
/* What is in an IPv4 or IPv6 address; false for other families. */
bool resolver_address_from(const struct sockaddr *from, struct resolver_address *address);

/* Add one, if it is of the family and there is room. */
void resolver_addresses_add(struct resolver_addresses *addresses,
                            const struct resolver_address *address, enum resolver_family family);

/* As a socket takes it; returns its length. */
socklen_t resolver_address_to(const struct resolver_address *address, uint16_t port,
                              struct sockaddr_storage *to);

/* As inet_ntop(3) writes it; `text` has INET6_ADDRSTRLEN bytes. */
void resolver_address_write(const struct resolver_address *address, char *text);

#endif
