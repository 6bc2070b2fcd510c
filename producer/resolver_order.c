#include "producer/resolver_order.h"

#include <sys/socket.h>
#include <unistd.h>

/* The first of the family; the number of addresses when there is none. */
static size_t first_of(const struct resolver_addresses *addresses, bool ipv6)
{
    size_t i = 0;

    while (i < addresses->count && addresses->list[i].ipv6 != ipv6) {
        i++;
    }
    return i;
}

/* For UDP, connect() looks the route up and sends nothing. */
static bool has_route(const struct resolver_address *address)
{
    struct sockaddr_storage to;

    socklen_t len = resolver_address_to(address, 0, &to);
    int fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return false;
    }
    bool found = connect(fd, (const struct sockaddr *)&to, len) == 0;

    close(fd);
    return found;
}

void resolver_order(struct resolver_addresses *addresses)
{
    size_t four = first_of(addresses, false);
    size_t six = first_of(addresses, true);
    struct resolver_addresses ordered = {0};

    if (four == addresses->count || six == addresses->count) {
        return;
    }
    bool six_first = has_route(&addresses->list[six]) || !has_route(&addresses->list[four]);

    for (int turn = 0; turn < 2; turn++) {
        for (size_t i = 0; i < addresses->count; i++) {
            if (addresses->list[i].ipv6 == (six_first == (turn == 0))) {
                ordered.list[ordered.count++] = addresses->list[i];
            }
        }
    }
    *addresses = ordered;
}
