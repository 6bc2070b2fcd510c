/*
 * resolver_order - in which order the addresses of a name are tried.
 *
 * Of RFC 6724, section 6, the rules that matter for addresses of servers: a family that this
 * machine has no route for comes last (rule 1), IPv6 comes before IPv4 (rule 6). Within a family
 * they stay as the name server sent them, which shares the load by that order. c-ares' own sorting
 * takes four system calls an address, also of a single one.
 */
#ifndef PRODUCER_RESOLVER_ORDER_H
#define PRODUCER_RESOLVER_ORDER_H

#include "producer/resolver_host.h"

/* Asks the kernel for routes when there are both families; no packet is sent. */
void resolver_order(struct resolver_addresses *addresses);

#endif
