/* SPDX-License-Identifier: MIT
 *
 * A request that waits for its body, without a network: libmicrohttpd gives out connections only, and its post processor needs one.
 */
#ifndef SPL_TESTS_HTTP_CONNECTION_H
#define SPL_TESTS_HTTP_CONNECTION_H

#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct http_connection {
    struct MHD_Daemon *daemon;
    struct MHD_Connection *connection; /* NULL: none came */
    int client;
} http_connection;

static enum MHD_Result http_connection_note(void *user, struct MHD_Connection *connection,
                                            const char *url, const char *method,
                                            const char *version, const char *data, size_t *size,
                                            void **state) {
    (void)url;
    (void)method;
    (void)version;
    (void)data;
    (void)size;
    (void)state;
    ((http_connection *)user)->connection = connection;
    return MHD_YES;
}

/* The connection is valid until http_connection_close; it is not answered. */
static inline void http_connection_open(http_connection *http, const char *content_type) {
    char request[256];
    int pair[2];
    *http = (http_connection){.client = -1};
    http->daemon = MHD_start_daemon(MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, http_connection_note,
                                    http, MHD_OPTION_END);
    if (!http->daemon || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        return;
    http->client = pair[0];
    const struct sockaddr address = {.sa_family = AF_UNIX};
    int length = snprintf(request, sizeof(request),
                          "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n"
                          "Content-Length: 1\r\n\r\n",
                          content_type);
    if (MHD_add_connection(http->daemon, pair[1], &address, sizeof(address)) == MHD_YES &&
        write(http->client, request, (size_t)length) == length)
        for (int i = 0; i < 10 && !http->connection; i++)
            MHD_run(http->daemon);
}

static inline void http_connection_close(http_connection *http) {
    if (http->daemon)
        MHD_stop_daemon(http->daemon);
    if (http->client >= 0)
        close(http->client);
}

#endif
