/* SPDX-License-Identifier: MIT
 *
 * Network addresses: CIDR lists, and which addresses are public (globally reachable by the IANA
 * special-purpose registries: private, loopback, link-local, shared, mapped, NAT64, 6to4, Teredo,
 * multicast, documentation, unspecified ones are not).
 */
#ifndef SPL_SERVICE_OUTBOUND_ADDRESS_H
#define SPL_SERVICE_OUTBOUND_ADDRESS_H

#include "base/error.h"

#include <sys/socket.h>

/* `list`: "10.0.0.0/8, fd00::/8"; an address alone is a network of one. ARGUMENT when malformed. */
SPL_WARN_UNUSED int spl_cidr_check(const char *list, spl_error *ret_error);
/* An IPv4-mapped address is looked up as IPv4. */
bool spl_cidr_contains(const char *list, const struct sockaddr *address);
bool spl_address_public(const struct sockaddr *address);
/* The numeric text without port, of an IPv4-mapped address that of the IPv4 address. */
void spl_address_text(const struct sockaddr *address, char ret_text[64]);
bool spl_address_is_loopback(const char *text);
/* Who shares limits with a numeric address: of IPv6 the /64, which one host can have all of; any
 * other text names itself. */
void spl_address_network(const char *text, char ret_network[64]);

#endif
