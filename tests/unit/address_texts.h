/*
 * address_texts - addresses as texts, in their order.
 */
#ifndef TESTS_UNIT_ADDRESS_TEXTS_H
#define TESTS_UNIT_ADDRESS_TEXTS_H

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "producer/resolver_host.h"

/* With spaces between; until the next call. */
static inline const char *address_texts(const struct resolver_addresses *addresses)
{
    static char all[RESOLVER_ADDRESSES_MAX * (INET6_ADDRSTRLEN + 1)];
    size_t len = 0;

    all[0] = '\0';
    for (size_t i = 0; i < addresses->count; i++) {
        const struct resolver_address *address = &addresses->list[i];
        char one[INET6_ADDRSTRLEN];

        resolver_address_write(address, one);
        len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s", len > 0 ? " " : "", one);
    }
    return all;
}

#endif
