/* SPDX-License-Identifier: MIT
 *
 * Fuzzes URLs from clients, with and without an allow-list. Without one, an accepted URL uses HTTPS
 * and names no address that is not public; with one, every such URL is accepted too.
 */
#include "service/outbound/address.h"
#include "service/outbound/outbound.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Parses the literal address in the URL; returns false if there is none. */
static bool host_address(const char *url, struct sockaddr_storage *ret_address) {
    struct sockaddr_in ipv4 = {.sin_family = AF_INET};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
    char host[64] = "";
    const char *begin = strstr(url, "://");
    if (!begin)
        return false;
    begin += 3;
    const bool bracket = *begin == '[';
    begin += bracket;
    const size_t length = strcspn(begin, bracket ? "]" : "/?#:");
    memcpy(host, begin, SPL_MIN(length, sizeof(host) - 1));
    if (inet_pton(AF_INET, host, &ipv4.sin_addr) == 1)
        memcpy(ret_address, &ipv4, sizeof(ipv4));
    else if (inet_pton(AF_INET6, host, &ipv6.sin6_addr) == 1)
        memcpy(ret_address, &ipv6, sizeof(ipv6));
    else
        return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *url = calloc(size + 1, 1);
    memcpy(url, data, size);
    spl_error error = {0};
    const int status = spl_outbound_check_url(url, "", &error);
    if (status < 0 && (error.status != status || !error.message[0]))
        __builtin_trap();
    if (status == 0 && strncasecmp(url, "https:", 6) != 0)
        __builtin_trap();
    struct sockaddr_storage address;
    if (status == 0 && host_address(url, &address) &&
        !spl_address_public((struct sockaddr *)&address))
        __builtin_trap();
    if (spl_outbound_check_url(url, "0.0.0.0/0, ::/0", &error) < 0 && status == 0)
        __builtin_trap();
    if (spl_cidr_check(url, &error) < 0 && !error.message[0])
        __builtin_trap();
    free(url);
    return 0;
}
