/* SPDX-License-Identifier: MIT
 *
 * Reads X-Forwarded-For from the right, where our own proxies wrote.
 */
#include "service/http/client.h"

#include "service/net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* "192.0.2.1", "192.0.2.1:1234", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:1234" */
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
    } else if (strchr(host, '.')) {
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

void spl_client_address(const struct sockaddr *peer, const char *forwarded, const char *trusted,
                        char ret_address[64]) {
    if (peer->sa_family == AF_UNIX)
        snprintf(ret_address, 64, "local");
    else
        spl_address_text(peer, ret_address);
    if (!forwarded || (peer->sa_family != AF_UNIX && !spl_cidr_contains(trusted, peer)))
        return;
    const char *end = forwarded + strlen(forwarded);
    while (end > forwarded) {
        const char *start = end;
        while (start > forwarded && start[-1] != ',')
            start--;
        const char *first = start + strspn(start, " \t"), *last = end;
        while (last > first && (last[-1] == ' ' || last[-1] == '\t'))
            last--;
        struct sockaddr_storage address;
        if (last <= first || !parse_address(first, (size_t)(last - first), &address))
            return;
        spl_address_text((const struct sockaddr *)&address, ret_address);
        if (!spl_cidr_contains(trusted, (const struct sockaddr *)&address))
            return;
        end = start > forwarded ? start - 1 : start;
    }
}
