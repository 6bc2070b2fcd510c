/*
 * guard - whether an address is one of the public Internet, or why it is not.
 *
 * Sites that others than the operator name must not lead into the operator's own network. Pure: it
 * looks at the address alone, and knows no sites and no sockets. What is not known to be public is
 * refused.
 */
#ifndef PRODUCER_GUARD_H
#define PRODUCER_GUARD_H

#include <sys/socket.h>

/* NULL for a public address, else what it is instead, in a word or two ("loopback"); static. An
 * IPv4 address within an IPv6 one (mapped, NAT64, 6to4) is judged as what it is. */
const char *guard_reason(const struct sockaddr *address);

#endif
