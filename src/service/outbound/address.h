/* SPDX-License-Identifier: MIT
 *
 * Network addresses: CIDR lists, and which addresses are public, that is globally reachable
 * according to the IANA special-purpose registries. Private, loopback, link-local, shared, mapped,
 * NAT64, 6to4, Teredo, multicast, documentation and unspecified addresses are not public.
 */
#ifndef SPL_SERVICE_OUTBOUND_ADDRESS_H
#define SPL_SERVICE_OUTBOUND_ADDRESS_H

#include "base/error.h"

#include <sys/socket.h>

/* Checks a list such as "10.0.0.0/8, fd00::/8". An address alone is a network of one address.
 * Errors: ARGUMENT (malformed). */
SPL_WARN_UNUSED int spl_cidr_check(const char *list, spl_error *ret_error);
/* Looks up an IPv4-mapped address as IPv4. */
bool spl_cidr_contains(const char *list, const struct sockaddr *address);
bool spl_address_public(const struct sockaddr *address);
/* Writes the numeric address without its port, and an IPv4-mapped address as IPv4. */
void spl_address_text(const struct sockaddr *address, char ret_text[64]);
bool spl_address_is_loopback(const char *text);
/* Writes the network that shares limits with a numeric address: for IPv6 the /64, because one host
 * can own all of it. Any other text is copied. */
void spl_address_network(const char *text, char ret_network[64]);

#endif
