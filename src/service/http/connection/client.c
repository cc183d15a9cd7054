/* SPDX-License-Identifier: MIT
 *
 * Reads X-Forwarded-For from the right, the end to which the service's own proxies append.
 */
#include "service/http/connection/client.h"

#include "service/outbound/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* "192.0.2.1", "192.0.2.1:1234", "2001:db8::1", "::ffff:192.0.2.1", "[2001:db8::1]",
 * "[2001:db8::1]:1234" */
static bool parse_address(const char *text, size_t length, struct sockaddr_storage *ret_address) {
    char copy[INET6_ADDRSTRLEN + 10];
    if (length >= sizeof(copy))
        return false;
    snprintf(copy, sizeof(copy), "%.*s", (int)length, text);
    char *host = copy, *end = NULL;
    if (*host == '[') {
        host++;
        end = strchr(host, ']');
        if (!end)
            return false;
    } else if (strchr(host, ':') == strrchr(host, ':')) { /* IPv4 and a port */
        end = strchr(host, ':');
    }
    if (end)
        *end = '\0';
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    memset(ret_address, 0, sizeof(*ret_address));
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1)
        memcpy(ret_address, &v4, sizeof(v4));
    else if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1)
        memcpy(ret_address, &v6, sizeof(v6));
    else
        return false;
    return true;
}

static bool is_trusted(const struct sockaddr *address, const char *trusted) {
    return address->sa_family == AF_UNIX || spl_cidr_contains(trusted, address);
}

/* Iterates over the entries of a list header, from the last entry of its last line to the first. */
typedef struct entry_walk {
    const spl_header *headers;
    size_t left; /* headers not yet examined */
    const char *name, *value;
    size_t end; /* length of the unread part of `value`; value NULL: no line */
} entry_walk;

static bool find_line(entry_walk *walk) {
    while (!walk->value && walk->left > 0) {
        const spl_header *header = &walk->headers[--walk->left];
        if (strcasecmp(header->name, walk->name) != 0)
            continue;
        walk->value = header->value;
        walk->end = strlen(header->value);
    }
    return walk->value != NULL;
}

/* Returns false if there are no more. The entry has no surrounding blanks and may be empty. */
static bool previous_entry(entry_walk *walk, const char **ret_entry, size_t *ret_length) {
    if (!find_line(walk))
        return false;
    size_t start = walk->end, end = walk->end;
    while (start > 0 && walk->value[start - 1] != ',')
        start--;
    const char *value = walk->value;
    if (start > 0)
        walk->end = start - 1;
    else
        walk->value = NULL;
    while (start < end && (value[start] == ' ' || value[start] == '\t'))
        start++;
    while (end > start && (value[end - 1] == ' ' || value[end - 1] == '\t'))
        end--;
    *ret_entry = value + start;
    *ret_length = end - start;
    return true;
}

int spl_client_address(const struct sockaddr *peer, const spl_header *headers, size_t count,
                       const char *trusted, char ret_address[64], spl_problem *ret_problem) {
    if (peer->sa_family == AF_UNIX)
        snprintf(ret_address, 64, "local");
    else
        spl_address_text(peer, ret_address);
    if (!is_trusted(peer, trusted))
        return 0;
    entry_walk walk = {.headers = headers, .left = count, .name = "X-Forwarded-For"};
    const char *entry;
    size_t length;
    struct sockaddr_storage address;
    for (unsigned hops = 1; previous_entry(&walk, &entry, &length); hops++) {
        if (!parse_address(entry, length, &address))
            return 0;
        if (hops > SPL_CLIENT_MAX_HOPS)
            return spl_refuse(ret_problem, SPL_PROBLEM_BAD_REQUEST,
                              "X-Forwarded-For names more than %d trusted proxies",
                              SPL_CLIENT_MAX_HOPS);
        spl_address_text((const struct sockaddr *)&address, ret_address);
        if (!is_trusted((const struct sockaddr *)&address, trusted))
            return 0;
    }
    return 0;
}

bool spl_client_uses_tls(const struct sockaddr *peer, const spl_header *headers, size_t count,
                         const char *trusted) {
    entry_walk walk = {.headers = headers, .left = count, .name = "X-Forwarded-Proto"};
    const char *entry;
    size_t length;
    return is_trusted(peer, trusted) && previous_entry(&walk, &entry, &length) && length == 5 &&
           strncasecmp(entry, "https", length) == 0;
}
