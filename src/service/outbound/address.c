/* SPDX-License-Identifier: MIT
 *
 * CIDR lists and public addresses. IPv4 is public outside a list of blocks. IPv6 is public only
 * inside 2000::/3, which is all that is allocated for global unicast, and outside a list of blocks
 * there. The blocks come from the IANA IPv4 and IPv6 Special-Purpose Address Registries. An address
 * that tunnels or translates to IPv4 is not public, even if the IPv4 address is.
 */
#include "service/outbound/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

typedef struct block {
    const char *network;
    unsigned bits;
} block;

static const block special_ipv4[] = {
    {"0.0.0.0", 8},        /* this network */
    {"10.0.0.0", 8},       /* private */
    {"100.64.0.0", 10},    /* shared, carrier-grade NAT */
    {"127.0.0.0", 8},      /* loopback */
    {"168.63.129.16", 32}, /* Azure's host, seen from its virtual machines */
    {"169.254.0.0", 16},   /* link-local, and cloud metadata */
    {"172.16.0.0", 12},    /* private */
    {"192.0.0.0", 24},     /* IETF protocols */
    {"192.0.2.0", 24},     /* documentation */
    {"192.88.99.0", 24},   /* 6to4 relays */
    {"192.168.0.0", 16},   /* private */
    {"198.18.0.0", 15},    /* benchmarks */
    {"198.51.100.0", 24},  /* documentation */
    {"203.0.113.0", 24},   /* documentation */
    {"224.0.0.0", 4},      /* multicast */
    {"240.0.0.0", 4},      /* reserved, and broadcast */
};

static const block global_ipv6 = {"2000::", 3};

static const block special_ipv6[] = {
    {"2001::", 23},     /* IETF protocols: Teredo, benchmarks, ORCHID */
    {"2001:db8::", 32}, /* documentation */
    {"2002::", 16},     /* 6to4 */
    {"3fff::", 20},     /* documentation */
};

typedef struct raw_address {
    int family;
    uint8_t bytes[16];
} raw_address;

static bool take_address(const struct sockaddr *address, raw_address *ret_raw) {
    raw_address raw = {.family = address->sa_family};
    if (address->sa_family == AF_INET) {
        struct sockaddr_in ipv4;
        memcpy(&ipv4, address, sizeof(ipv4));
        memcpy(raw.bytes, &ipv4.sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 ipv6;
        memcpy(&ipv6, address, sizeof(ipv6));
        memcpy(raw.bytes, &ipv6.sin6_addr, 16);
    } else {
        return false;
    }
    *ret_raw = raw;
    return true;
}

/* Converts an IPv4-mapped address to IPv4, as the kernel does. */
static void unmap(raw_address *raw) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (raw->family == AF_INET6 && memcmp(raw->bytes, mapped, sizeof(mapped)) == 0) {
        memmove(raw->bytes, raw->bytes + 12, 4);
        raw->family = AF_INET;
    }
}

static bool same_network(const uint8_t *a, const uint8_t *b, unsigned bits) {
    const unsigned whole = bits / 8, rest = bits % 8;
    return memcmp(a, b, whole) == 0 &&
           (rest == 0 || ((a[whole] ^ b[whole]) & (0xff << (8 - rest) & 0xff)) == 0);
}

static bool in_block(const raw_address *raw, const block *of) {
    uint8_t network[16];
    return inet_pton(raw->family, of->network, network) == 1 &&
           same_network(raw->bytes, network, of->bits);
}

static bool in_blocks(const raw_address *raw, const block *blocks, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (in_block(raw, &blocks[i]))
            return true;
    }
    return false;
}

bool spl_address_public(const struct sockaddr *address) {
    raw_address raw;
    if (!take_address(address, &raw))
        return false;
    if (raw.family == AF_INET)
        return !in_blocks(&raw, special_ipv4, SPL_ARRAY_SIZE(special_ipv4));
    return in_block(&raw, &global_ipv6) &&
           !in_blocks(&raw, special_ipv6, SPL_ARRAY_SIZE(special_ipv6));
}

/* Removes the next entry from *list, without the blanks around it. Returns false at the end. */
static bool next_entry(const char **list, char ret_entry[64], bool *ret_too_long) {
    const char *begin = *list + strspn(*list, " \t,");
    if (!*begin)
        return false;
    const size_t length = strcspn(begin, " \t,");
    *ret_too_long = length >= 64;
    snprintf(ret_entry, 64, "%.*s", (int)SPL_MIN(length, 63), begin);
    *list = begin + length;
    return true;
}

/* Parses "10.0.0.0/8" or a single address. Bits after the prefix must be 0, so that 10.1.2.3/8 is
 * not mistaken for 10.1.2.3. */
static bool parse_cidr(char entry[64], raw_address *ret_network, unsigned *ret_bits) {
    raw_address network = {.family = strchr(entry, ':') ? AF_INET6 : AF_INET};
    const unsigned most = network.family == AF_INET6 ? 128 : 32;
    unsigned bits = most;
    char *slash = strchr(entry, '/');
    if (slash) {
        *slash++ = '\0';
        const size_t digits = strspn(slash, "0123456789");
        if (digits == 0 || digits > 3 || slash[digits])
            return false;
        bits = (unsigned)strtoul(slash, NULL, 10);
    }
    if (bits > most || inet_pton(network.family, entry, network.bytes) != 1)
        return false;
    for (unsigned bit = bits; bit < most; bit++) {
        if (network.bytes[bit / 8] & (0x80 >> bit % 8))
            return false;
    }
    *ret_network = network;
    *ret_bits = bits;
    return true;
}

int spl_cidr_check(const char *list, spl_error *ret_error) {
    char entry[64];
    bool too_long;
    while (next_entry(&list, entry, &too_long)) {
        raw_address network;
        unsigned bits;
        char copy[64];
        memcpy(copy, entry, sizeof(copy));
        if (too_long || !parse_cidr(copy, &network, &bits))
            return spl_fail(ret_error, SPL_E_ARGUMENT,
                            "\"%s\" is not a network such as 10.0.0.0/8 or fd00::/8, with no bits "
                            "after its prefix",
                            entry);
    }
    return 0;
}

bool spl_cidr_contains(const char *list, const struct sockaddr *address) {
    raw_address raw;
    if (!take_address(address, &raw))
        return false;
    unmap(&raw);
    char entry[64];
    bool too_long;
    while (next_entry(&list, entry, &too_long)) {
        raw_address network;
        unsigned bits;
        if (!too_long && parse_cidr(entry, &network, &bits) && network.family == raw.family &&
            same_network(raw.bytes, network.bytes, bits)) {
            return true;
        }
    }
    return false;
}

void spl_address_text(const struct sockaddr *address, char ret_text[64]) {
    raw_address raw;
    if (!take_address(address, &raw)) {
        snprintf(ret_text, 64, "unknown");
        return;
    }
    unmap(&raw);
    inet_ntop(raw.family, raw.bytes, ret_text, 64);
}

void spl_address_network(const char *text, char ret_network[64]) {
    uint8_t bytes[16];
    if (inet_pton(AF_INET6, text, bytes) == 1) {
        memset(bytes + 8, 0, 8);
        inet_ntop(AF_INET6, bytes, ret_network, 64);
    } else {
        snprintf(ret_network, 64, "%s", text);
    }
}

bool spl_address_is_loopback(const char *text) {
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, text, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, text, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}
