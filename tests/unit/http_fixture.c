/* SPDX-License-Identifier: MIT
 *
 * A small web server on loopback for tests.
 */
#include "http_fixture.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static enum MHD_Result count_connection(void *user, const struct sockaddr *address,
                                        socklen_t length) {
    (void)address, (void)length;
    http_fixture *fixture = user;
    fixture->connections++;
    return MHD_YES;
}

static enum MHD_Result answer(void *user, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **state) {
    (void)version;
    static char large[1000000];
    http_fixture *fixture = user;
    if (!*state) {
        *state = fixture;
        fixture->received_size = 0;
        return MHD_YES;
    }
    if (*size > 0) {
        if (*size <= sizeof(fixture->received) - fixture->received_size)
            memcpy(fixture->received + fixture->received_size, data, *size);
        fixture->received_size += *size;
        *size = 0;
        return MHD_YES;
    }
    const char *header = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "X-Test");
    snprintf(fixture->header, sizeof(fixture->header), "%s", header ? header : "");
    snprintf(fixture->method, sizeof(fixture->method), "%s", method);
    snprintf(fixture->path, sizeof(fixture->path), "%s", path);
    fixture->requests++;

    const bool redirect = strcmp(path, "/redirect") == 0, is_large = strcmp(path, "/large") == 0;
    if (strcmp(path, "/slow") == 0)
        nanosleep(&(struct timespec){.tv_sec = 3}, NULL);
    const char *body = fixture->body ? fixture->body : "";
    struct MHD_Response *response = MHD_create_response_from_buffer(
        is_large ? sizeof(large) : strlen(body), is_large ? large : (void *)(uintptr_t)body,
        MHD_RESPMEM_MUST_COPY);
    MHD_add_response_header(response, "Content-Type", "application/json");
    if (redirect)
        MHD_add_response_header(response, "Location", "/");
    const enum MHD_Result result =
        MHD_queue_response(connection, redirect ? 302 : fixture->status, response);
    MHD_destroy_response(response);
    return result;
}

void http_fixture_start(http_fixture *fixture, bool ipv6) {
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    *fixture = (http_fixture){.status = 200};
    fixture->daemon = MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
            (ipv6 ? MHD_USE_IPv6 : 0u),
        0, count_connection, fixture, answer, fixture, MHD_OPTION_SOCK_ADDR,
        ipv6 ? (struct sockaddr *)&loopback : (struct sockaddr *)&ipv4, MHD_OPTION_END);
    assert_non_null(fixture->daemon);
    fixture->port = MHD_get_daemon_info(fixture->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

void http_fixture_stop(http_fixture *fixture) {
    MHD_stop_daemon(fixture->daemon);
}
