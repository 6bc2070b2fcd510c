/*
 * resolver_channel - c-ares set up as the resolver wants it, and what its codes mean.
 *
 * Builds with c-ares 1.18 to 1.34: what later versions do by themselves (a query cache) is
 * switched off here, so that all of them behave the same.
 */
#ifndef PRODUCER_RESOLVER_CHANNEL_H
#define PRODUCER_RESOLVER_CHANNEL_H

#include <ares.h>
#include <stdbool.h>

#include "common/err.h"
#include "producer/resolver.h"
#include "producer/resolver_host.h"

/* Whether an answer that was cut off is asked for again by TCP, or taken as it is. */
enum resolver_transport { RESOLVER_UDP_AND_TCP, RESOLVER_UDP_ALONE };

/* on_socket and its context as ARES_OPT_SOCK_STATE_CB. The caller ends the channel with
 * ares_destroy. ERR_INVALID for servers that are no addresses, ERR_FATAL otherwise. */
int resolver_channel_open(const struct resolver_settings *settings,
                          enum resolver_transport transport, ares_sock_state_cb on_socket,
                          void *context, ares_channel *channel, struct err *err) MUST_CHECK;

enum resolver_outcome resolver_channel_outcome(int status);

/* After NO_SERVER, as c-ares does not tell why it could not ask: false and why when no socket can
 * be had. */
bool resolver_channel_may_ask(const char **reason);

/* Add the addresses of an answer to *found, and return the smallest TTL of all its records: of a
 * chain of aliases that of the alias that ends first. */
int resolver_channel_read(const struct ares_addrinfo *result, struct resolver_addresses *found);

#endif
