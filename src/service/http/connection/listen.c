/* SPDX-License-Identifier: MIT
 *
 * Socket activation follows sd_listen_fds(3): LISTEN_PID is this process, and LISTEN_FDS is the
 * number of sockets from descriptor 3 on.
 */
#include "service/http/connection/listen.h"

#include "service/outbound/address.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define SYSTEMD_FIRST_FD 3
#define BACKLOG          1024

static bool given_by_systemd(void) {
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    return pid && count && strtol(pid, NULL, 10) == getpid() && strcmp(count, "1") == 0;
}

static int take_systemd_socket(int *ret_fd, spl_error *ret_error) {
    int listening = 0;
    socklen_t size = sizeof(listening);
    if (getsockopt(SYSTEMD_FIRST_FD, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 ||
        !listening)
        return spl_fail(ret_error, SPL_E_ARGUMENT,
                        "the socket that systemd hands over does not listen; use ListenStream=");
    fcntl(SYSTEMD_FIRST_FD, F_SETFD, FD_CLOEXEC);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    *ret_fd = SYSTEMD_FIRST_FD;
    return 0;
}

static int open_socket(const struct addrinfo *address, const spl_settings *settings, int *ret_fd,
                       spl_error *ret_error) {
    const int on = 1;
    SPL_CLEANUP(spl_close_p)
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, address->ai_addr, address->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
        return spl_fail_errno(ret_error, errno, "cannot listen on %s port %u", settings->bind,
                              settings->port);
    *ret_fd = spl_steal_fd(&fd);
    return 0;
}

static spl_listen_address address_of(int fd) {
    spl_listen_address address = {0};
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof(bound);
    getsockname(fd, (struct sockaddr *)&bound, &size);
    if (bound.ss_family == AF_UNIX)
        return address;
    spl_address_text((struct sockaddr *)&bound, address.host);
    address.port = bound.ss_family == AF_INET    ? ntohs(((struct sockaddr_in *)&bound)->sin_port)
                   : bound.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&bound)->sin6_port)
                                                 : 0;
    return address;
}

/* The settings refuse SPLEETER_BIND; this refuses what systemd's socket unit names. */
static int check_development(const spl_settings *settings, const spl_listen_address *address,
                             spl_error *ret_error) {
    if (strcmp(settings->env, "development") != 0 || !*address->host ||
        spl_address_is_loopback(address->host))
        return 0;
    return spl_fail(ret_error, SPL_E_ARGUMENT,
                    "SPLEETER_ENV=development is for loopback only, but systemd's socket listens "
                    "on %s: set ListenStream=127.0.0.1:%u in the socket unit, or use production",
                    address->host, address->port);
}

int spl_listen(const spl_settings *settings, int *ret_fd, spl_listen_address *ret_address,
               spl_error *ret_error) {
    SPL_CLEANUP(spl_close_p) int fd = -1;
    int status;
    if (given_by_systemd()) {
        status = take_systemd_socket(&fd, ret_error);
    } else {
        const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                       .ai_socktype = SOCK_STREAM};
        struct addrinfo *address;
        char port[8];
        snprintf(port, sizeof(port), "%u", settings->port);
        if (getaddrinfo(settings->bind, port, &hints, &address) != 0)
            return spl_fail(ret_error, SPL_E_ARGUMENT, "SPLEETER_BIND %s is not an IP address",
                            settings->bind);
        status = open_socket(address, settings, &fd, ret_error);
        freeaddrinfo(address);
    }
    if (status < 0)
        return status;
    const spl_listen_address found = address_of(fd);
    status = check_development(settings, &found, ret_error);
    if (status < 0)
        return status;
    *ret_address = found;
    *ret_fd = spl_steal_fd(&fd);
    return 0;
}
